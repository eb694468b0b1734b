//! `run:` stages from outside: what they read and write, what is in their key, and what they say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::project::{Project, Run};

/// A project with one manifest, whose stages are given.
pub fn project(stages: &str) -> Project {
    let project = Project::new();
    let inputs = "inputs: { rows: data/exam.jsonl, script: tag.sh }";
    fs::write(project.path("tag.sh"), "cat \"$1\" > \"$2\"; echo tagged >> \"$2\"\n").unwrap();
    project.write_manifest("small.yaml", &format!("version: 1\nname: commands\n{inputs}\nstages:\n{stages}"));
    project
}

/// The one failure that a run told.
pub fn failure(run: &Run) -> String {
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let failed = run.events.iter().find(|event| event["event"] == "stage_failed").expect("a failure");
    failed["message"].as_str().unwrap().to_owned()
}

/// The lines that stages said.
pub fn lines(run: &Run) -> Vec<String> {
    let said = run.events.iter().filter(|event| event["event"] == "stage_line");
    said.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

const TAG: &str = "  tag:
    run: [sh, \"{in.script}\", \"{in.rows}\", \"{out.tagged}\"]
    in: { rows: rows, script: script }
    out: { tagged: { path: tagged.txt, kind: file } }
    tools: [cat]
  count: { run: [sh, -c, 'wc -l < \"$1\" > lines', count, \"{in.rows}\"], tools: [wc], in: { rows: tag.tagged }, out: { lines: } }
exports: { outputs/lines: count.lines }
";

#[test]
fn commands_read_inputs_and_each_other_and_are_stored() {
    let project = project(TAG);
    let first = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(fs::read_to_string(project.path("outputs/lines")).unwrap().trim(), "7");
    let second = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(second.stages("stage_hit"), ["tag", "count"]);
    assert_eq!(first.experiment(), second.experiment());
    let output = project.pipe(&["reproduce", &first.experiment()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_changed_script_reruns_its_stage_and_an_equal_result_stops_there() {
    let project = project(TAG);
    project.run(&["pipelines/small.yaml"]).succeeded();
    fs::write(project.path("tag.sh"), "# the same\ncat \"$1\" > \"$2\"; echo tagged >> \"$2\"\n").unwrap();
    let second = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(second.stages("stage_started"), ["tag"]);
    assert_eq!(second.stages("stage_hit"), ["count"]);
}

#[test]
fn a_typed_stage_reads_what_a_command_writes() {
    let project = Project::new();
    let manifest = "version: 1\nname: typed\ninputs: { raw: data/train.jsonl }\nstages:\n  \
                    half: { run: [head, -n, 24, \"{in.raw}\"], in: { raw: raw }, out: { rows: } }\n  \
                    clean: { in: { sources: half.rows } }\n";
    let written =
        manifest.replace("[head, -n, 24, \"{in.raw}\"]", "[sh, -c, 'head -n 24 \"$0\" > rows', \"{in.raw}\"]");
    project.write_manifest("typed.yaml", &written.replace("in: { raw: raw }", "tools: [head], in: { raw: raw }"));
    let run = project.run(&["pipelines/typed.yaml"]).succeeded();
    assert_eq!(run.stages("stage_finished"), ["half", "clean"]);
}

#[test]
fn the_environment_is_what_is_declared_and_changes_of_it_are_told() {
    let stages = "  show:
    run: [env]
    env: { TAKEN: , GIVEN: here, NUMBER: 3, ABSENT: }
    secrets: [TOKEN]
";
    let project = project(stages);
    project.write_manifest("small.yaml", &format!("version: 1\nname: env\nstages:\n{stages}"));
    let run_with = |taken: &str, token: &str| {
        let mut command = project.command(&["run", "--json", "pipelines/small.yaml"]);
        Run::of(&command.env("TAKEN", taken).env("TOKEN", token).env_remove("ABSENT").output().unwrap()).succeeded()
    };
    let first = run_with("one", "hunter2");
    let mut said = lines(&first);
    said.retain(|line| !line.starts_with("PATH=") && !line.starts_with("TMPDIR="));
    said.sort();
    assert_eq!(said, ["GIVEN=here", "NUMBER=3", "TAKEN=one", "TOKEN=***"]);
    assert_eq!(run_with("one", "another").stages("stage_hit"), ["show"], "a secret is not in the key");
    let why = project.command(&["why", "pipelines/small.yaml", "show"]).env("TAKEN", "two").output().unwrap();
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("env `TAKEN` changed"), "{why}");
    assert_eq!(run_with("two", "hunter2").stages("stage_finished"), ["show"]);
    let unset = project.command(&["run", "--json", "pipelines/small.yaml", "--force", "show"]).output().unwrap();
    assert!(failure(&Run::of(&unset)).contains("the secret `TOKEN` is not set"));
    let kept = Command::new("grep").args(["-rlE", "hunter2"]).arg(&project.cache).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&kept.stdout), "", "no file of the cache holds the secret");
}

#[test]
fn another_program_of_the_same_name_reruns_the_stage_and_stops_a_reproduction() {
    let project = project("  greet: { run: [greet], out: { text: } }\n");
    project
        .write_manifest("small.yaml", "version: 1\nname: tools\nstages:\n  greet: { run: [greet], out: { text: } }\n");
    let bin = project.path("bin");
    fs::create_dir(&bin).unwrap();
    let install = |text: &str| {
        fs::write(bin.join("greet"), format!("#!/bin/sh\n{text} > text\n")).unwrap();
        fs::set_permissions(bin.join("greet"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let pipe = |arguments: &[&str]| project.command(arguments).env("PATH", &path).output().unwrap();
    install("echo hello");
    let experiment = Run::of(&pipe(&["run", "--json", "pipelines/small.yaml"])).succeeded().experiment();
    install("printf 'hello\\n'");
    let why = pipe(&["why", "pipelines/small.yaml", "greet"]);
    assert!(String::from_utf8_lossy(&why.stdout).contains("tool `greet` changed"));
    let again = pipe(&["reproduce", &experiment]);
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && told.contains("tool `greet` changed"), "{told}");
    let run = Run::of(&pipe(&["run", "--json", "pipelines/small.yaml"])).succeeded();
    assert_eq!(run.stages("stage_started"), ["greet"]);
    fs::remove_file(bin.join("greet")).unwrap();
    let missing = pipe(&["check", "pipelines/small.yaml"]);
    let told = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(2) && told.contains("`greet` is not on the search path"), "{told}");
}

#[test]
fn what_is_missing_undeclared_or_of_the_wrong_shape_is_named() {
    for (script, expected) in [
        ("true", "wrote no `tagged`"),
        ("echo a > tagged; echo b > extra", "left `extra`, which is not declared"),
        ("echo a > tagged; mkdir deep; echo b > deep/er", "left `deep/er`"),
        ("mkdir tagged", "`tagged` is a folder; expected a file, as `records` is"),
        ("ln -s /etc/passwd tagged", "`tagged` is a symbolic link"),
        ("mkfifo tagged", "`tagged` is neither a file nor a folder"),
        ("echo a > tagged; echo one >&2; echo two >&2; exit 7", "exit code 7:\n  one\n  two"),
        ("kill -9 $$", "ended by signal 9"),
    ] {
        let stages =
            format!("  tag: {{ run: [sh, -c, '{script}'], out: {{ tagged: records }}, tools: [mkdir, ln, mkfifo] }}\n");
        let project = Project::new();
        project.write_manifest("small.yaml", &format!("version: 1\nname: wrong\nstages:\n{stages}"));
        let told = failure(&project.run(&["pipelines/small.yaml"]));
        assert!(told.contains(expected), "{script}: {told}");
    }
}

#[test]
fn a_link_inside_a_folder_is_refused_and_a_folder_of_files_is_kept() {
    let project = Project::new();
    let manifest = |script: &str| {
        format!(
            "version: 1\nname: folders\nstages:\n  make: {{ run: [sh, -c, '{script}'], out: {{ all: folder }}, tools: [mkdir, ln] }}\n"
        )
    };
    project.write_manifest("small.yaml", &manifest("mkdir -p all/b; echo 1 > all/a; echo 2 > all/b/c"));
    project.run(&["pipelines/small.yaml"]).succeeded();
    project.write_manifest("small.yaml", &manifest("mkdir all; ln -s /etc/passwd all/a"));
    let told = failure(&project.run(&["pipelines/small.yaml"]));
    assert!(told.contains("a symbolic link to `/etc/passwd`"), "{told}");
}

#[test]
fn outputs_may_lie_at_each_others_names() {
    let project = Project::new();
    let manifest = "version: 1\nname: swap\nstages:\n  make:\n    run: [sh, -c, 'echo 1 > a; mkdir c; echo 2 > c/b']\n    \
                    tools: [mkdir]\n    out: { c: { path: a }, a: { path: c/b } }\nexports: { outputs/c: make.c, outputs/a: make.a }\n";
    project.write_manifest("small.yaml", manifest);
    project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(fs::read_to_string(project.path("outputs/c")).unwrap(), "1\n");
    assert_eq!(fs::read_to_string(project.path("outputs/a")).unwrap(), "2\n");
}

#[test]
fn any_bytes_on_the_outputs_are_lines_and_a_flood_is_cut() {
    let project = Project::new();
    let script = "head -c 50000000 /dev/zero; echo; head -c 2000 /dev/urandom; echo; seq 20000; printf 'last line' >&2";
    let manifest =
        format!("version: 1\nname: flood\nstages:\n  flood: {{ run: [sh, -c, \"{script}\"], tools: [head, seq] }}\n");
    project.write_manifest("small.yaml", &manifest);
    let said = lines(&project.run(&["pipelines/small.yaml"]).succeeded());
    assert!(said[0].chars().count() <= 4097 && said[0].ends_with('…'), "{}", said[0].len());
    assert_eq!(said.len(), 10_000);
    assert!(said[9999].contains("further lines are not shown"));
    assert!(said.iter().all(|line| !line.contains(|letter: char| letter.is_control() && letter != '\t')));
}

#[test]
fn a_retry_helps_a_command_that_fails_and_no_mistake_in_data() {
    let project = Project::new();
    let manifest =
        |stages: &str| format!("version: 1\nname: again\ninputs: {{ raw: data/raw.jsonl }}\nstages:\n{stages}");
    fs::write(project.path("data/raw.jsonl"), "not JSON\n").unwrap();
    project.write_manifest("small.yaml", &manifest("  clean: { in: { sources: raw }, retry: 2 }\n"));
    let run = project.run(&["pipelines/small.yaml"]);
    failure(&run);
    assert!(run.stages("stage_retry").is_empty());
    project
        .write_manifest("small.yaml", &manifest("  fail: { run: [sh, -c, 'exit 3'], in: { raw: raw }, retry: 1 }\n"));
    let run = project.run(&["pipelines/small.yaml"]);
    assert!(failure(&run).contains("exit code 3"));
    assert_eq!(run.stages("stage_retry"), ["fail"]);
    let retry = run.events.iter().find(|event| event["event"] == "stage_retry").unwrap();
    assert_eq!((&retry["attempt"], &retry["attempts"]), (&1.into(), &2.into()));
}

#[test]
fn limits_and_attempts_are_in_no_key() {
    let project = project(TAG);
    let first = project.run(&["pipelines/small.yaml"]).succeeded();
    let path: PathBuf = project.path("pipelines/small.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("    tools: [cat]\n", "    tools: [cat]\n    timeout-minutes: 5\n    retry: 3\n"))
        .unwrap();
    let second = project.run(&["pipelines/small.yaml"]).succeeded();
    assert!(second.stages("stage_started").is_empty());
    assert_eq!(first.experiment(), second.experiment());
}
