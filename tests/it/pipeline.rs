//! The program from outside, on a small real pipeline: tokenizer, model, training, evaluation and gate, in seconds.

use std::fs;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::project::{MANIFEST, Project, Run, STAGES};

#[test]
fn the_second_run_executes_nothing_and_is_the_same_experiment() {
    let project = Project::new();
    let first = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(first.stages("stage_finished").len(), STAGES);
    assert!(project.path("outputs/adapter/adapter_model.safetensors").is_file());
    let second = project.run(&["pipelines/small.yaml"]).succeeded();
    assert_eq!(second.stages("stage_hit").len(), STAGES);
    assert!(second.stages("stage_started").is_empty());
    assert_eq!(first.experiment(), second.experiment());
    let shown = project.pipe(&["run", "pipelines/small.yaml"]);
    assert!(String::from_utf8_lossy(&shown.stderr).contains("nothing executed, 10 from cache"));
}

#[test]
fn a_comment_a_file_name_or_a_stage_name_reruns_nothing() {
    let project = Project::new();
    let first = project.run(&["pipelines/small.yaml"]).succeeded();
    let renamed = MANIFEST.replace("eval-base", "baseline-eval").replace("seed: 3", "seed: 3 # the seed\n");
    project.write_manifest("other.yaml", &renamed);
    fs::rename(project.path("data/train.jsonl"), project.path("data/rows.jsonl")).unwrap();
    project.write_manifest("other.yaml", &renamed.replace("data/train.jsonl", "data/rows.jsonl"));
    let second = project.run(&["pipelines/other.yaml"]).succeeded();
    assert!(second.stages("stage_started").is_empty(), "{:?}", second.stages("stage_started"));
    assert_eq!(first.experiment(), second.experiment());
}

#[test]
fn a_threshold_reruns_only_the_gate_and_plan_names_the_change() {
    let project = Project::new();
    project.run(&["pipelines/small.yaml"]).succeeded();
    let plan = project.pipe(&["plan", "pipelines/small.yaml", "-p", "min_contains=1.0"]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains("0.0 → 1.0"), "{plan}");
    assert!(plan.contains("1 of 10 stages would run"), "{plan}");
    let failed = project.run(&["pipelines/small.yaml", "-p", "min_contains=1.0"]);
    assert_eq!(failed.stages("stage_started"), ["gate"]);
    assert_eq!(failed.code, Some(3), "an impossible threshold fails the gate");
}

#[test]
fn a_changed_setting_reruns_what_depends_on_it_and_says_why() {
    let project = Project::new();
    project.run(&["pipelines/small.yaml"]).succeeded();
    let why = project.pipe(&["why", "pipelines/small.yaml", "merge", "-p", "steps=4"]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("`train` runs first") && why.contains("`max_steps` changed: 3 → 4"), "{why}");
    let run = project.run(&["pipelines/small.yaml", "-p", "steps=4"]).succeeded();
    let mut started = run.stages("stage_started");
    // The gate runs only if the other adapter also gives other answers.
    started.retain(|stage| stage != "gate");
    started.sort();
    assert_eq!(started, ["eval", "eval-adapter", "merge", "train"]);
}

#[test]
fn two_cold_runs_in_two_clones_are_the_same_experiment() {
    let (one, other) = (Project::new(), Project::new());
    let first = one.run(&["pipelines/small.yaml"]).succeeded();
    let second = other.run(&["pipelines/small.yaml", "-j", "1"]).succeeded();
    assert_eq!(second.stages("stage_finished").len(), STAGES);
    assert_eq!(first.experiment(), second.experiment());
}

#[test]
fn an_experiment_is_reproduced_in_another_clone_from_the_cache_alone() {
    let project = Project::new();
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    let clone = Project::sharing_cache_of(&project);
    fs::remove_dir_all(clone.path("data")).unwrap();
    fs::remove_dir_all(clone.path("pipelines")).unwrap();
    let output = clone.pipe(&["reproduce", &id[..10]]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("every byte is identical"), "{text}");
}

#[test]
fn two_runs_at_once_both_succeed_and_execute_each_stage_once() {
    let project = Project::new();
    let start = || {
        project
            .command(&["run", "--json", "pipelines/small.yaml"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (one, other) = (start(), start());
    let ended = |child: Child| Run::of(&child.wait_with_output().unwrap()).succeeded();
    let (one, other) = (ended(one), ended(other));
    assert_eq!(one.experiment(), other.experiment());
    let executed = one.stages("stage_finished").len() + other.stages("stage_finished").len();
    assert_eq!(executed, STAGES);
}

#[test]
fn adapter_and_merged_model_answer_alike() {
    let project = Project::new();
    let id = project.run(&["pipelines/small.yaml"]).succeeded().experiment();
    let shown: Value = serde_json::from_slice(&project.pipe(&["show", "--json", &id]).stdout).unwrap();
    let metrics = |name: &str| {
        let stages = shown["stages"].as_array().unwrap();
        stages.iter().find(|stage| stage["name"] == name).unwrap()["outcome"]["metrics"].clone()
    };
    assert_eq!(metrics("eval"), metrics("eval-adapter"));
}

#[test]
fn what_is_wrong_on_the_command_line_exits_2_and_says_what_would_be_right() {
    let project = Project::new();
    for (arguments, expected) in [
        (vec!["run", "pipelines/none.yaml"], "small.yaml"),
        (vec!["run", "pipelines/small.yaml", "trian"], "did you mean `train`?"),
        (vec!["run", "pipelines/small.yaml", "-p", "step=2"], "did you mean `steps`?"),
        (vec!["run", "pipelines/small.yaml", "--force", "trian"], "did you mean `train`?"),
        (vec!["why", "pipelines/small.yaml", "evla"], "did you mean `eval`?"),
        (vec!["show", "abcdef"], "pipe runs"),
        (vec!["run", "pipelines/small.yaml", "--backend", "cuda"], "ndarray"),
    ] {
        let output = project.pipe(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_backend_that_is_not_built_says_how_to_build_it() {
    let project = Project::new();
    let built_in = cfg!(feature = "wgpu");
    let output = project.pipe(&["run", "pipelines/small.yaml", "--backend", "wgpu", "clean"]);
    let names_the_feature = String::from_utf8_lossy(&output.stderr).contains("--features wgpu");
    assert!(built_in || names_the_feature, "{}", String::from_utf8_lossy(&output.stderr));
}
