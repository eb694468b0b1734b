//! The flags of `pipe run` that choose what runs, from outside.

use std::fs;

use serde_json::Value;

use crate::project::Project;

const SMALL: &str = "pipelines/small.yaml";

/// Two independent stages, the first of which fails on its data, and one behind the second.
const HALF_BROKEN: &str = "\
version: 1
name: half
inputs: { raw: data/train.jsonl, broken: data/broken.jsonl }
stages:
  bad: { uses: clean, in: { sources: broken }, with: { on_invalid: fail } }
  good: { uses: clean, in: { sources: raw } }
  tokenizer: { in: { records: good.records }, with: { vocab_size: 320 } }
";

fn half_broken() -> Project {
    let project = Project::new();
    fs::write(project.path("data/broken.jsonl"), "{ this is no row\n").unwrap();
    project.write_manifest("half.yaml", HALF_BROKEN);
    project
}

#[test]
fn a_dry_run_exits_7_until_nothing_would_run() {
    let project = Project::new();
    let stale = project.pipe(&["run", SMALL, "tokenizer", "--dry-run"]);
    let text = String::from_utf8_lossy(&stale.stdout).into_owned();
    assert_eq!(stale.status.code(), Some(7), "{text}");
    assert!(text.contains("never ran") && text.contains("2 of 2 stages would run"), "{text}");
    assert!(!project.cache.join("runs").exists(), "a dry run is no run");
    project.run(&[SMALL, "tokenizer"]).succeeded();
    assert_eq!(project.pipe(&["run", SMALL, "tokenizer", "--dry-run"]).status.code(), Some(0));
    let forced = project.pipe(&["run", SMALL, "tokenizer", "--dry-run", "--json", "--force"]);
    let document: Value = serde_json::from_slice(&forced.stdout).unwrap();
    assert_eq!(forced.status.code(), Some(7));
    assert_eq!(document["stages"][0]["would"], "hit");
    assert_eq!(document["stages"][1]["reasons"][0]["reason"], "forced");
}

#[test]
fn only_runs_one_stage_and_refuses_where_what_it_reads_is_not_stored() {
    let project = Project::new();
    let refused = project.run(&[SMALL, "--only", "tokenizer"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stages("stage_started").is_empty());
    assert_eq!(refused.stages("stage_failed"), ["clean"]);
    let dry = project.pipe(&["run", SMALL, "--only", "tokenizer", "--dry-run"]);
    let text = String::from_utf8_lossy(&dry.stderr).into_owned();
    assert_eq!(dry.status.code(), Some(1), "{text}");
    assert!(text.contains("stage `clean` is not among those that may run"), "{text}");
    project.run(&[SMALL, "clean"]).succeeded();
    let run = project.run(&[SMALL, "--only", "tokenizer"]).succeeded();
    assert_eq!(run.stages("stage_started"), ["tokenizer"]);
    assert_eq!(run.stages("stage_hit"), ["clean"]);
}

#[test]
fn from_lets_nothing_before_it_run_and_everything_else() {
    let project = Project::new();
    let refused = project.run(&[SMALL, "--from", "init"]);
    assert_eq!((refused.code, refused.stages("stage_failed")), (Some(1), vec!["clean".to_owned()]));
    project.run(&[SMALL, "tokenizer"]).succeeded();
    let run = project.run(&[SMALL, "--from", "init"]).succeeded();
    assert_eq!(run.stages("stage_hit"), ["clean", "tokenizer"]);
    assert_eq!(run.stages("stage_started").len(), crate::project::STAGES - 2);
    assert!(run.finished()["experiment"].is_string(), "it is the whole manifest");
}

#[test]
fn downstream_runs_a_stage_with_all_that_reads_from_it_and_what_these_need() {
    let project = Project::new();
    let dry = project.pipe(&["run", SMALL, "--downstream", "merge", "--dry-run", "--json"]);
    let document: Value = serde_json::from_slice(&dry.stdout).unwrap();
    let stages = document["stages"].as_array().unwrap();
    let mut names: Vec<&str> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    names.sort_unstable();
    let expected = ["clean", "eval", "eval-base", "gate", "init", "merge", "render-prompts", "tokenizer", "train"];
    assert_eq!(names, expected, "all but `eval-adapter`");
}

#[test]
fn force_alone_runs_the_targets_again_and_nothing_they_need() {
    let project = Project::new();
    project.run(&[SMALL, "tokenizer"]).succeeded();
    let run = project.run(&[SMALL, "tokenizer", "--force"]).succeeded();
    assert_eq!(
        (run.stages("stage_hit"), run.stages("stage_started")),
        (vec!["clean".into()], vec!["tokenizer".into()])
    );
    let all = project.run(&[SMALL, "--only", "clean", "--force", "clean"]).succeeded();
    assert_eq!(all.stages("stage_started"), ["clean"]);
}

#[test]
fn the_first_failure_starts_nothing_more_unless_the_run_is_to_keep_going() {
    let project = half_broken();
    let stopped = project.run(&["pipelines/half.yaml", "-j", "1"]);
    assert_eq!((stopped.code, stopped.stages("stage_started")), (Some(1), vec!["bad".to_owned()]));
    assert_eq!(stopped.stages("stage_skipped"), ["good", "tokenizer"]);
    let went_on = project.run(&["pipelines/half.yaml", "-j", "1", "--keep-going"]);
    assert_eq!(went_on.code, Some(1), "it failed all the same");
    assert_eq!(went_on.stages("stage_finished"), ["good", "tokenizer"]);
}

#[test]
fn flags_that_contradict_each_other_or_name_no_stage_exit_2() {
    let project = Project::new();
    for (arguments, expected) in [
        (vec!["run", SMALL, "-j", "0"], "at least 1"),
        (vec!["run", SMALL, "eval", "--only", "train"], "cannot be used with"),
        (vec!["run", SMALL, "--from", "trian"], "did you mean `train`?"),
        (vec!["run", SMALL, "--only", "trian", "--dry-run"], "did you mean `train`?"),
        (vec!["run", SMALL, "clean", "--force", "gate"], "no part of this run"),
    ] {
        let output = project.pipe(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}
