//! What a command can't reach, and that nothing of it outlives its run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::command_stage::{failure, lines};
use crate::project::{Project, Run};
use pipe::command::walls;

/// A project whose one stage runs a script in `sh` with these tools.
fn project(script: &str, tools: &str, more: &str) -> Project {
    let project = Project::new();
    fs::write(project.path("script.sh"), script).unwrap();
    let manifest = format!(
        "version: 1\nname: sandbox\ninputs: {{ script: script.sh }}\nstages:\n  try:\n    run: [sh, \"{{in.script}}\"]\n    \
         in: {{ script: script }}\n    tools: [{tools}]\n{more}"
    );
    project.write_manifest("small.yaml", &manifest);
    project
}

/// Whether this kernel has walls; where it has none, says that the test looked at nothing.
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn has_walls() -> bool {
    let walls = walls();
    if !walls.missing().is_empty() {
        eprintln!("skipped: this kernel has no walls against {}", walls.missing().join(", "));
    }
    walls.missing().is_empty()
}

#[test]
fn nothing_but_declared_inputs_is_readable_and_nothing_outside_writable() {
    if !has_walls() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("secret"), "secret").unwrap();
    let script = format!(
        "try() {{ if \"$@\" > /dev/null 2>&1; then echo \"open: $*\"; fi; }}
         try cat {home}/secret
         try ls {home}
         try cat /etc/shadow
         try ls ../../..
         try cat ../status.json
         try touch /tmp/pipe-was-here
         try touch {home}/new
         try touch ../new
         try touch ../in/new
         try rm ../in/script/0
         try sh -c 'echo x >> ../in/script/0'
         cat ../in/script/0 > /dev/null && echo reads its input
         touch \"$TMPDIR/scratch\" && echo writes to scratch
         ",
        home = home.path().display()
    );
    let project = project(&script, "cat, ls, touch, rm", "");
    let run = project.run(&["pipelines/small.yaml"]).succeeded();
    let mut said = lines(&run);
    said.sort();
    assert_eq!(said, ["reads its input", "writes to scratch"]);
    assert!(!Path::new("/tmp/pipe-was-here").exists());
}

#[test]
fn tools_that_are_not_declared_are_not_found() {
    let project = project("cat /dev/null || echo 'no cat'", "", "");
    let said = lines(&project.run(&["pipelines/small.yaml"]).succeeded());
    assert!(said.contains(&"no cat".to_owned()), "{said:?}");
}

#[test]
fn a_large_input_behind_a_link_is_readable() {
    let project = Project::new();
    let rows = "{\"a\": 1}\n".repeat(8 << 20);
    fs::write(project.path("data/large.jsonl"), &rows).unwrap();
    let manifest = "version: 1\nname: large\ninputs: { rows: data/large.jsonl }\nstages:\n  \
                    count: { run: [wc, -c, \"{in.rows}\"], in: { rows: rows } }\n";
    project.write_manifest("small.yaml", manifest);
    let said = lines(&project.run(&["pipelines/small.yaml"]).succeeded());
    assert_eq!(said, [format!("{} ../in/rows/0", rows.len())]);
}

/// The processes whose command line holds a mark.
fn marked(mark: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let line = |pid: &str| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| String::from_utf8_lossy(&line(pid)).contains(mark))
        .collect()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A script with a child, a child in a session of its own, and one that ignores the word to stop.
fn stubborn(mark: &str) -> String {
    format!(
        "trap '' TERM\nsleep {mark} &\nsetsid sleep {mark} &\n(trap '' TERM; sleep {mark}) &\nsleep {mark}\nsleep {mark}\n"
    )
}

#[test]
fn a_killed_runner_leaves_no_process() {
    let mark = format!("86401.{}", std::process::id());
    let project = project(&stubborn(&mark), "sleep, setsid", "");
    let mut runner = project.command(&["run", "pipelines/small.yaml"]).stderr(Stdio::null()).spawn().unwrap();
    eventually("the command starts", || marked(&mark).len() >= 4);
    runner.kill().unwrap();
    runner.wait().unwrap();
    eventually("every process is gone", || marked(&mark).is_empty());
}

#[test]
fn an_interrupted_run_stops_its_command() {
    let mark = format!("86402.{}", std::process::id());
    let project = project(&stubborn(&mark), "sleep, setsid", "");
    let runner = project.command(&["run", "--json", "pipelines/small.yaml"]).stdout(Stdio::piped()).spawn().unwrap();
    eventually("the command starts", || marked(&mark).len() >= 4);
    Command::new("kill").args(["-INT", &runner.id().to_string()]).status().unwrap();
    let run = Run::of(&runner.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130));
    assert!(run.stages("stage_failed").is_empty());
    assert!(marked(&mark).is_empty());
}

#[test]
fn a_time_limit_ends_the_command_and_is_told() {
    let mark = format!("86403.{}", std::process::id());
    let project =
        project(&format!("sleep {mark} & sleep {mark}"), "sleep", "    timeout-minutes: 0.01\n    retry: 3\n");
    let run = project.run(&["pipelines/small.yaml"]);
    assert_eq!(failure(&run), "stage `try` was stopped at its time limit of 0.01 minutes");
    assert!(run.stages("stage_retry").is_empty(), "a time limit is not paid for twice");
    assert!(marked(&mark).is_empty());
}

#[test]
fn what_a_command_leaves_running_ends_with_it() {
    let mark = format!("86404.{}", std::process::id());
    let project = project(&format!("setsid sleep {mark} & sleep {mark} & echo done"), "sleep, setsid", "");
    project.run(&["pipelines/small.yaml"]).succeeded();
    assert!(marked(&mark).is_empty());
}

#[test]
fn a_model_stage_has_a_time_limit_too() {
    let project = Project::new();
    let path = project.path("pipelines/small.yaml");
    let manifest = fs::read_to_string(&path).unwrap();
    let limited = manifest.replace("  train:\n", "  train:\n    timeout-minutes: 0.000001\n");
    fs::write(&path, limited).unwrap();
    let run = project.run(&["pipelines/small.yaml"]);
    assert!(failure(&run).contains("was stopped at its time limit"));
    assert_eq!(run.stages("stage_failed"), ["train"]);
}
