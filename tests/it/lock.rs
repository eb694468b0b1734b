//! The lock beside a manifest: written by complete runs, compared without data or cache, never wrong unnoticed.

use std::fs;
use std::path::Path;

use pipe::artifact::Content;
use pipe::digest::Digest;
use pipe::lock::{self, Bytes, Lock};
use pipe::plan::experiment_id;

use crate::hub_server::{COMMIT, Hub, Manners, NEXT_COMMIT};
use crate::project::{MANIFEST, Project, Run};

const PIPELINE: &str = "pipelines/small.yaml";
const LOCK: &str = "pipelines/small.lock";

/// A project with nothing but a manifest and its lock: no data, no cache.
fn bare_clone(of: &Project) -> Project {
    let clone = Project::new();
    fs::remove_dir_all(clone.path("data")).unwrap();
    for file in [PIPELINE, LOCK] {
        fs::copy(of.path(file), clone.path(file)).unwrap();
    }
    clone
}

fn frozen(project: &Project) -> (Option<i32>, String) {
    let output = project.pipe(&["check", "--frozen", PIPELINE]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn assert_frozen(project: &Project, code: i32, says: &str) {
    let (found, text) = frozen(project);
    assert_eq!(found, Some(code), "{text}");
    assert!(text.contains(says), "{text}");
}

fn ran() -> Project {
    let project = Project::new();
    project.run(&[PIPELINE]).succeeded();
    project
}

/// Rewrites the lock as another run would have, so that its parts belong together.
fn rewrite(project: &Project, change: impl Fn(&mut Lock)) {
    let path = project.path(LOCK);
    let mut lock = lock::read(&path).unwrap().expect("a lock");
    change(&mut lock);
    let results = lock.stages.values().map(|stage| {
        (stage.key, stage.outputs.iter().map(|(slot, bytes)| (slot.clone(), *bytes.0.digest())).collect())
    });
    lock.experiment = experiment_id(lock.plan, results.collect::<Vec<_>>(), lock.verdict);
    assert!(lock::write(&path, &lock, &project.path("pipelines")).unwrap());
}

fn other_adapter(lock: &mut Lock) {
    let stage = lock.stages.get_mut("train").expect("trained");
    stage.outputs.insert("adapter".into(), Bytes(Content::Tree(Digest::of(b"other"))));
}

#[test]
fn a_complete_run_writes_the_lock_and_an_unchanged_one_leaves_it() {
    let project = Project::new();
    let first = project.run(&[PIPELINE]).succeeded();
    assert!(first.events.iter().any(|event| event["event"] == "locked"));
    let text = fs::read_to_string(project.path(LOCK)).unwrap();
    assert!(text.contains(&first.experiment()));
    assert!(text.contains("data/train.jsonl:"));
    let second = project.run(&[PIPELINE]).succeeded();
    assert!(second.events.iter().all(|event| event["event"] != "locked"));
    assert_eq!(fs::read_to_string(project.path(LOCK)).unwrap(), text);
}

#[test]
fn two_clones_write_the_same_lock() {
    let (one, other) = (ran(), ran());
    assert_eq!(fs::read(one.path(LOCK)).unwrap(), fs::read(other.path(LOCK)).unwrap());
}

#[test]
fn without_data_or_cache_the_lock_decides_both_ways() {
    let clone = bare_clone(&ran());
    assert_frozen(&clone, 0, "locked");
    clone.write_manifest("small.yaml", &MANIFEST.replace("lora_r: 2", "lora_r: 4"));
    assert_frozen(&clone, 7, "`train` has other settings");
    clone.write_manifest("small.yaml", &MANIFEST.replace("seed: 3", "seed: 3 # as before"));
    assert_frozen(&clone, 0, "locked");
    clone.write_manifest("small.yaml", &MANIFEST.replace("train.jsonl", "train2.jsonl"));
    assert_frozen(&clone, 2, "train2.jsonl");
    fs::remove_file(clone.path(LOCK)).unwrap();
    clone.write_manifest("small.yaml", MANIFEST);
    assert_frozen(&clone, 2, "data/train.jsonl");
    assert!(!clone.cache.exists(), "deciding writes nothing");
}

#[test]
fn data_that_is_here_is_compared() {
    let project = ran();
    assert_frozen(&project, 0, "locked");
    let mut rows = fs::read_to_string(project.path("data/exam.jsonl")).unwrap();
    rows.push_str("{\"query\": \"More?\", \"context\": \"It is 3.\", \"expected\": \"3\"}\n");
    fs::write(project.path("data/exam.jsonl"), rows).unwrap();
    assert_frozen(&project, 7, "the input `data/exam.jsonl` changed");
    project.run(&[PIPELINE]).succeeded();
    assert_frozen(&project, 0, "locked");
}

#[test]
fn a_frozen_run_runs_nothing_when_the_lock_is_out_of_date() {
    let project = ran();
    project.run(&["--frozen", PIPELINE]).succeeded();
    project.write_manifest("small.yaml", &MANIFEST.replace("lora_r: 2", "lora_r: 4"));
    let output = project.pipe(&["run", "--frozen", PIPELINE]);
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stdout).contains("`train` has other settings"));
}

#[test]
fn a_gate_that_failed_is_locked_as_failed_and_told_without_running() {
    let project = Project::new();
    project.write_manifest("small.yaml", &MANIFEST.replace("min_contains: 0.0", "min_contains: 0.99"));
    assert_eq!(project.run(&[PIPELINE]).code, Some(3));
    assert_frozen(&bare_clone(&project), 3, "gates failed");
    let text = fs::read_to_string(project.path(LOCK)).unwrap();
    fs::write(project.path(LOCK), text.replace("verdict: failed", "verdict: passed")).unwrap();
    assert_frozen(&project, 2, "contradicts itself");
}

#[test]
fn a_run_of_something_else_leaves_the_lock_alone() {
    let project = ran();
    let text = fs::read(project.path(LOCK)).unwrap();
    project.run(&[PIPELINE, "-p", "steps=2"]).succeeded();
    project.run(&[PIPELINE, "train"]).succeeded();
    project.run(&[PIPELINE, "--backend", "flex"]).succeeded();
    assert_eq!(fs::read(project.path(LOCK)).unwrap(), text);
}

#[test]
fn other_bytes_than_the_lock_has_are_a_divergence_on_the_same_class_of_machine_only() {
    let project = ran();
    rewrite(&project, other_adapter);
    let promised = fs::read(project.path(LOCK)).unwrap();
    let run = project.run(&[PIPELINE]);
    assert_eq!(run.code, Some(6), "{}", run.stderr);
    let told = run.events.iter().find(|event| event["event"] == "failed" && event["what"] == "lock").expect("told");
    assert!(told["message"].as_str().unwrap().contains("`train`"), "{told}");
    assert_eq!(fs::read(project.path(LOCK)).unwrap(), promised, "it stays for whoever finds out why");

    rewrite(&project, |lock| {
        let classes = lock.stages.values_mut().filter_map(|stage| stage.numerics_class.as_mut());
        classes.for_each(|class| *class = "another machine".into());
    });
    let theirs = fs::read(project.path(LOCK)).unwrap();
    project.run(&[PIPELINE]).succeeded();
    assert_eq!(fs::read(project.path(LOCK)).unwrap(), theirs, "machines that take turns do not rewrite it");
}

#[test]
fn what_is_no_lock_stops_a_run_with_the_place() {
    let project = ran();
    fs::write(project.path(LOCK), "<<<<<<< ours\nversion: 1\n").unwrap();
    let output = project.pipe(&["run", PIPELINE]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("small.lock") && text.contains("merge"), "{text}");
}

#[test]
fn variables_and_programs_are_locked_and_need_not_be_there_to_decide() {
    const COMMAND: &str = "\
version: 1
name: command
stages: { say: { run: [sh, -c, 'echo $GREETING > said'], out: { said: file }, env: [GREETING] } }
";
    let project = Project::new();
    project.write_manifest("small.yaml", COMMAND);
    let run = |greeting: &str, arguments: &[&str]| {
        Run::of(&project.command(&[&["run", "--json"], arguments].concat()).env("GREETING", greeting).output().unwrap())
    };
    run("hello", &[PIPELINE]).succeeded();
    assert!(!fs::read_to_string(project.path(LOCK)).unwrap().contains("hello"), "values are kept as digests");
    assert_frozen(&bare_clone(&project), 0, "locked");
    let nowhere = project.command(&["check", "--frozen", PIPELINE]).env("PATH", "/nowhere").output().unwrap();
    assert_eq!(nowhere.status.code(), Some(0), "{}", String::from_utf8_lossy(&nowhere.stderr));

    let stale = project.command(&["run", "--frozen", PIPELINE]).env("GREETING", "goodbye").output().unwrap();
    assert_eq!(stale.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&stale.stdout).contains("the variable `GREETING` has another value"));
    run("goodbye", &[PIPELINE]).succeeded();
    run("goodbye", &["--frozen", PIPELINE]).succeeded();
}

const HUB_MANIFEST: &str = "\
version: 1
name: hub
inputs: { raw: hf:acme/toy@main/train.jsonl }
stages: { clean: { in: { sources: raw } } }
";

fn pipe_with(hub: &Hub, project: &Project, arguments: &[&str]) -> std::process::Output {
    let mut command = project.command(arguments);
    for name in ["HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command.env("HF_HOME", project.path("hf")).env("HF_ENDPOINT", hub.endpoint()).output().unwrap()
}

fn locked(path: &Path) -> String {
    let lock = lock::read(path).unwrap().expect("a lock");
    lock.inputs["hf:acme/toy@main/train.jsonl"].commit.clone().expect("a branch has a commit")
}

#[test]
fn a_branch_stays_at_the_locked_commit_until_it_is_upgraded() {
    let project = Project::new();
    let rows = fs::read(project.path("data/train.jsonl")).unwrap();
    let hub = Hub::new(&[("config.json", b"{}".to_vec()), ("train.jsonl", rows)], Manners::default());
    project.write_manifest("small.yaml", HUB_MANIFEST);
    let path = project.path(LOCK);
    let first = Run::of(&pipe_with(&hub, &project, &["run", "--json", PIPELINE])).succeeded();
    assert_eq!(locked(&path), COMMIT);

    hub.manners.lock().unwrap().head = Some(NEXT_COMMIT);
    let clone = bare_clone(&project);
    let plan = pipe_with(&hub, &clone, &["plan", PIPELINE]);
    assert!(String::from_utf8_lossy(&plan.stdout).contains("clean"), "the lock's digest stands for what is not here");
    let second = Run::of(&pipe_with(&hub, &clone, &["run", "--json", PIPELINE])).succeeded();
    assert_eq!(second.experiment(), first.experiment());
    assert_eq!(locked(&clone.path(LOCK)), COMMIT);

    let pulled = pipe_with(&hub, &clone, &["models", "pull", "--upgrade", PIPELINE]);
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    assert_eq!(locked(&clone.path(LOCK)), NEXT_COMMIT);
    assert_eq!(frozen(&clone).0, Some(7));
    let third = Run::of(&pipe_with(&hub, &clone, &["run", "--json", PIPELINE])).succeeded();
    assert_ne!(third.experiment(), first.experiment());
    assert_eq!(frozen(&clone).0, Some(0));
}

#[test]
fn a_pinned_source_with_other_bytes_is_an_alarm() {
    let project = Project::new();
    let rows = fs::read(project.path("data/train.jsonl")).unwrap();
    let hub = Hub::new(&[("config.json", b"{}".to_vec()), ("train.jsonl", rows)], Manners::default());
    project.write_manifest("small.yaml", HUB_MANIFEST);
    Run::of(&pipe_with(&hub, &project, &["run", "--json", PIPELINE])).succeeded();
    rewrite(&project, |lock| {
        let pin = lock.inputs.values_mut().next().expect("an input");
        pin.content = Content::File(Digest::of(b"what was locked"));
    });
    let output = pipe_with(&hub, &project, &["run", PIPELINE]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("lock::other_bytes") && text.contains("small.yaml:3"), "{text}");
}
