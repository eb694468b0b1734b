//! What a shell is answered that asks for completions, and the manual.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::project::Project;

/// What could come next behind these words, the last of which is being written: a question as fish asks it.
fn candidates(project: &Project, words: &[&str]) -> Vec<String> {
    let output = project.command(&[&["--", "pipe"], words].concat()).env("PIPE_COMPLETE", "fish").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn stages_are_offered_from_the_manifest_on_the_line() {
    let project = Project::new();
    let line = |start| candidates(&project, &["run", "pipelines/small.yaml", start]);
    assert_eq!(line("t"), ["tokenizer", "train"]);
    assert_eq!(candidates(&project, &["why", "pipelines/small.yaml", "eval-"]), ["eval-adapter", "eval-base"]);
    assert_eq!(candidates(&project, &["run", "pipelines/small.yaml", "--from", "re"]), ["render-prompts"]);
    assert!(candidates(&project, &["run", "pipelines/none.yaml", "t"]).is_empty(), "no manifest, no error");
    fs::write(project.path("pipelines/broken.yaml"), "stages: [").unwrap();
    assert!(candidates(&project, &["run", "pipelines/broken.yaml", "t"]).is_empty());
}

#[test]
fn manifests_verbs_flags_and_ids_are_offered() {
    let project = Project::new();
    fs::write(project.path("pipelines/notes.txt"), "").unwrap();
    assert_eq!(candidates(&project, &["plan", "pipelines/"]), ["pipelines/small.yaml"]);
    assert_eq!(candidates(&project, &["repro"]), ["reproduce"]);
    assert_eq!(candidates(&project, &["run", "--keep"]), ["--keep-going"]);
    assert!(candidates(&project, &["show", ""]).iter().all(|one| one.starts_with('-')), "an empty cache has no ids");
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    project.pipe(&["baseline", "set", &id, "production"]);
    assert_eq!(candidates(&project, &["diff", "prod"]), ["production"]);
    assert_eq!(candidates(&project, &["reproduce", &id[..6]]), [&id[..12]]);
    assert_eq!(candidates(&project, &["baseline", "remove", "p"]), ["production"]);
}

#[test]
fn every_shell_has_a_script_and_bash_can_read_its_own() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = project.pipe(&["completions", shell]);
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && script.contains("PIPE_COMPLETE"), "{shell}: {script}");
    }
    let script = project.pipe(&["completions", "bash"]).stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(&script).unwrap();
    assert!(bash.wait().unwrap().success());
    let unknown = project.pipe(&["completions", "tcsh"]);
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(told.contains("shell is `tcsh`; expected one of bash"), "{told}");
}

#[test]
fn the_manual_has_a_page_for_every_verb() {
    let project = Project::new();
    let page = |verbs: &[&str]| {
        let output = project.pipe(&[&["man"], verbs].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(page(&[]).contains(".TH pipe 1"));
    let gc = page(&["cache", "gc"]);
    assert!(gc.contains(".TH pipe-cache-gc 1") && gc.contains("max\\-size"), "{gc}");
    let unknown = project.pipe(&["man", "runn"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean `run`?"));
    assert!(project.pipe(&["man", "--folder", "pages"]).status.success());
    for name in ["pipe.1", "pipe-run.1", "pipe-cache-gc.1", "pipe-gate-verify.1"] {
        assert!(project.path("pages").join(name).is_file(), "{name}");
    }
}
