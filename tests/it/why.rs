//! `pipe why` and the reasons of `pipe plan`, from outside: each kind of change is named, and followed to its root.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::project::{MANIFEST, Project};

const SMALL: &str = "pipelines/small.yaml";

fn why(project: &Project, arguments: &[&str]) -> String {
    let output = project.pipe(&[&["why", SMALL], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn why_json(project: &Project, arguments: &[&str]) -> Value {
    serde_json::from_str(&why(project, &[arguments, &["--json"]].concat())).unwrap()
}

/// The blob of an output as the latest experiment has it.
fn blob(project: &Project, experiment: &str, stage: &str, slot: &str) -> std::path::PathBuf {
    let shown: Value = serde_json::from_slice(&project.pipe(&["show", "--json", experiment]).stdout).unwrap();
    let stages = shown["stages"].as_array().unwrap();
    let found = stages.iter().find(|found| found["name"] == stage).unwrap();
    let digest = found["outputs"][slot]["content"]["digest"].as_str().unwrap().to_owned();
    project.cache.join("blobs").join(&digest[..2]).join(digest)
}

#[test]
fn a_stage_that_never_ran_says_so_and_counts_what_is_behind_it() {
    let project = Project::new();
    let text = why(&project, &["render-prompts"]);
    assert!(text.starts_with("`render-prompts` would run: never ran"), "{text}");
    assert!(text.contains("5 stages behind it would run too, where its bytes change: train, merge"), "{text}");
}

#[test]
fn a_changed_setting_is_named_with_both_values_and_its_line_and_followed_from_afar() {
    let project = Project::new();
    project.run(&[SMALL]).succeeded();
    let line = 1 + MANIFEST.lines().position(|line| line.contains("max_steps")).unwrap();
    let text = why(&project, &["eval", "-p", "steps=4"]);
    let expected = format!("`eval` would run since `train`: `max_steps` changed: 3 → 4 (pipelines/small.yaml:{line})");
    assert!(text.starts_with(&expected), "{text}");
    let found = why_json(&project, &["train", "-p", "steps=4"]);
    assert_eq!(found["reasons"][0]["place"], format!("pipelines/small.yaml:{line}"));
    assert_eq!(found["behind"], serde_json::json!(["merge", "eval", "eval-adapter", "gate"]));
    let plan = project.pipe(&["plan", SMALL, "-p", "steps=4"]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains("`merge` runs first, since `train`: `max_steps` changed: 3 → 4"), "{plan}");
}

#[test]
fn a_changed_file_is_told_in_rows_and_so_is_what_a_stage_made_of_it() {
    let project = Project::new();
    project.run(&[SMALL]).succeeded();
    let file = project.path("data/train.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let edited = text.replace("house 3?", "house three?").replacen("house 5?", "house five?", 1);
    fs::write(&file, format!("{edited}{}", text.lines().next().unwrap().replace("house 0", "house 90"))).unwrap();
    let told = why(&project, &["clean"]);
    // Each row of the harness stands on every other line.
    let expected = "file of input `raw` changed: 1 row added (line 49), 2 rows edited (line 7, 11)";
    assert!(told.contains(expected), "{told}");
    assert!(why(&project, &["gate"]).starts_with(&format!("`gate` would run since `clean`: {expected}")));
    project.run(&[SMALL, "clean"]).succeeded();
    let found = why_json(&project, &["render-prompts"]);
    let records = found["reasons"].as_array().unwrap().iter().find(|one| one["producer"] == "clean.records").unwrap();
    assert_eq!((&records["rows"]["added"]["count"], &records["rows"]["edited"]["count"]), (&1.into(), &2.into()));
    assert_eq!(found["causes"][0]["stage"], "clean", "the root is the file that `clean` reads: {found}");
    assert_eq!(found["causes"][0]["because"]["input"], "raw");
}

#[test]
fn corrupt_and_missing_bytes_and_a_lost_result_are_told_apart() {
    let project = Project::new();
    let experiment = project.run(&[SMALL]).succeeded().experiment();
    let curve = blob(&project, &experiment, "train", "curve");
    fs::set_permissions(&curve, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&curve, "not what it was").unwrap();
    assert!(why(&project, &["train"]).contains("its `curve` was corrupt in the cache"));
    assert!(why(&project, &["train"]).contains("the bytes of its `curve` are no longer in the cache"));
    let hit = why_json(&project, &["clean"]);
    let key = hit["key"].as_str().unwrap();
    let result = project.cache.join("results").join(&key[..2]).join(key);
    fs::remove_file(&result).unwrap();
    assert!(why(&project, &["clean"]).contains("its result is no longer in the cache"));
}

#[test]
fn an_input_led_elsewhere_is_no_changed_input() {
    let project = Project::new();
    project.run(&[SMALL]).succeeded();
    let rewired = MANIFEST.replace("eval: { in: { model: merge.model", "eval: { in: { model: init.model");
    project.write_manifest(
        "small.yaml",
        &rewired.replace("max_new_tokens: 4 } }\n  eval-adapter", "max_new_tokens: 5 } }\n  eval-adapter"),
    );
    let text = why(&project, &["eval"]);
    assert!(
        text.contains("the edges of `model` changed") && text.contains("`max_new_tokens` changed: 4 → 5"),
        "{text}"
    );
}

#[test]
fn a_hit_says_which_run_made_it_when_and_what_it_has_saved() {
    let project = Project::new();
    let first = project.run(&[SMALL, "tokenizer"]).succeeded();
    project.run(&[SMALL, "tokenizer"]).succeeded();
    let run = first.finished()["run"].as_str().unwrap().to_owned();
    let text = why(&project, &["tokenizer", "--hit"]);
    assert!(text.contains(&format!("made by   run {run}")), "{text}");
    assert!(text.contains("in 1 run since") && text.contains(" UTC"), "{text}");
    let found = why_json(&project, &["tokenizer", "--hit"]);
    assert_eq!((&found["made"]["run"], &found["made"]["hits"]), (&run.into(), &1.into()));
}
