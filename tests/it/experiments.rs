//! Experiments looked at from outside: `diff`, `show`, `logs`, `baseline` and `gate verify`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::Value;

use crate::project::{MANIFEST, Project};

const SMALL: &str = "pipelines/small.yaml";

/// A gate that compares with what an experiment of the cache gave; nothing is trained.
const AGAINST: &str = "\
version: 1
name: against
inputs: { exam: data/exam.jsonl, before: SOURCE, model: MODEL }
stages:
  eval: { in: { model: model, data: exam }, with: { max_new_tokens: 4 } }
  gate: { in: { reports: eval.report, baseline: before }, with: { rules: [{ metric: exact, max_drop: 0.5, bound: point }] } }
";

fn text(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn errors(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn against(source: &str, model: &str) -> String {
    AGAINST.replace("SOURCE", source).replace("MODEL", model)
}

#[test]
fn diff_shows_what_differs_and_nothing_else() {
    let project = Project::new();
    let one = project.run(&[SMALL]).succeeded().experiment();
    let exam = fs::read_to_string(project.path("data/exam.jsonl")).unwrap();
    let more = "{\"query\": \"Tax of farm 9?\", \"context\": \"It is 9%.\", \"expected\": \"9%\"}\n";
    fs::write(project.path("data/exam.jsonl"), format!("{exam}{more}")).unwrap();
    let other = project.run(&[SMALL, "-p", "steps=4"]).succeeded().experiment();
    let page = text(&project.pipe(&["diff", &one[..10], &other[..10]]));
    let row = |start: &str| {
        page.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_else(|| panic!("{start} in\n{page}"))
    };
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(row("param steps")), ["param", "steps", "3", "4"]);
    assert_eq!(words(row("setting train.max_steps")), ["setting", "train.max_steps", "3", "4"]);
    assert!(row("input exam").ends_with("1 row added (line 7)"), "{page}");
    assert!(row("metric eval exact").contains("of 6") && row("metric eval exact").contains("of 7"), "{page}");
    assert!(row("time train").ends_with('%'), "{page}");
    assert!(!page.contains("input raw") && !page.contains("setting eval"), "what is equal is not shown: {page}");
    let json: Value = serde_json::from_str(&text(&project.pipe(&["diff", "--json", &one, &other]))).unwrap();
    assert_eq!((&json["inputs"][0]["what"], &json["inputs"][0]["rows"]["added"]["count"]), (&"exam".into(), &1.into()));
    assert_eq!((&json["old"]["id"], &json["classes"]), (&one.clone().into(), &Value::Null));
    let same = text(&project.pipe(&["diff", &one, &one]));
    assert!(same.contains("do not differ"), "{same}");
    assert!(errors(&project.pipe(&["diff", &one, "ffff"])).contains("no experiment has an id beginning with `ffff`"));
}

#[test]
fn a_run_is_shown_with_its_stages_and_its_events_are_told_again() {
    let project = Project::new();
    let run = project.run(&[SMALL, "tokenizer"]).succeeded();
    let id = run.finished()["run"].as_str().unwrap().to_owned();
    let shown = text(&project.pipe(&["show", &id]));
    assert!(shown.contains("2 executed, 0 from cache") && shown.contains("made here"), "{shown}");
    let shown: Value = serde_json::from_str(&text(&project.pipe(&["show", "--json", &id]))).unwrap();
    assert_eq!((&shown["state"], &shown["record"]["executed"]), (&"ended".into(), &2.into()));
    let all = text(&project.pipe(&["logs"]));
    assert!(all.contains("clean") && all.contains("never ran") && all.contains("done"), "{all}");
    let one = text(&project.pipe(&["logs", &id, "tokenizer"]));
    assert!(one.contains("tokenizer") && !one.contains("clean"), "{one}");
    let events = text(&project.pipe(&["logs", "--json", &id]));
    assert_eq!(events.lines().count(), run.events.len(), "every event as it was");
    assert!(errors(&project.pipe(&["logs", &id, "train"])).contains("says nothing of a stage `train`"));
    assert!(errors(&project.pipe(&["logs", "zzz"])).contains("`pipe runs` lists them"));
}

#[test]
fn a_gate_compares_with_a_baseline_whose_bytes_are_in_the_key() {
    let project = Project::new();
    let first = project.run(&[SMALL]).succeeded().experiment();
    let set = text(&project.pipe(&["baseline", "set", &first[..8]]));
    assert!(set.contains("baseline small is experiment") && set.contains("experiment:small#eval.report"), "{set}");
    let model = "experiment:small#merge.model";
    project.write_manifest("against.yaml", &against("experiment:small#eval.report", model));
    let run = project.run(&["pipelines/against.yaml"]).succeeded();
    assert_eq!(run.stages("stage_hit"), ["eval"], "the same model on the same data is the same action");
    assert_eq!(run.stages("stage_started"), ["gate"]);
    let reproduced = project.pipe(&["reproduce", &run.experiment()]);
    assert_eq!(reproduced.status.code(), Some(0), "{}", String::from_utf8_lossy(&reproduced.stderr));
    // Another experiment under the same name, with other answers to compare with, reruns the gate.
    let other = project.run(&[SMALL, "-p", "steps=40"]).succeeded().experiment();
    text(&project.pipe(&["baseline", "set", &other, "small"]));
    let listed = text(&project.pipe(&["baseline", "list"]));
    assert!(listed.contains(&other[..12]) && !listed.contains(&first[..12]), "{listed}");
    let shown = |id: &str| -> Value { serde_json::from_str(&text(&project.pipe(&["show", "--json", id]))).unwrap() };
    let model_of = |id: &str| {
        let stages = shown(id)["stages"].as_array().unwrap().clone();
        stages.iter().find(|stage| stage["name"] == "merge").unwrap()["outputs"]["model"]["content"]["digest"].clone()
    };
    let again: Value = serde_json::from_str(&text(&project.pipe(&[
        "show",
        "--json",
        &project.run(&["pipelines/against.yaml"]).succeeded().experiment(),
    ])))
    .unwrap();
    assert_eq!(again["inputs"]["model"]["digest"], model_of(&other), "the name is looked up anew");
    text(&project.pipe(&["baseline", "remove", "small"]));
    assert!(text(&project.pipe(&["baseline", "list"])).contains("no baselines yet"));
}

#[test]
fn a_baseline_that_is_not_there_is_an_error_at_its_line_with_near_names() {
    let project = Project::new();
    let id = project.run(&[SMALL, "-p", "min_contains=0.0"]).succeeded().experiment();
    text(&project.pipe(&["baseline", "set", &id, "production"]));
    for (source, expected) in [
        ("experiment:prodution#eval.report", "did you mean `production`?"),
        ("experiment:production#evla.report", "did you mean `eval`?"),
        ("experiment:production#eval.rapport", "did you mean `report`?"),
        ("experiment:production#train.curve", "an input curve"),
        ("experiment:production", "id#stage.slot"),
        ("experiment:0000#eval.report", "`pipe baseline list` and `pipe runs` list"),
    ] {
        project.write_manifest("against.yaml", &against(source, "experiment:production#merge.model"));
        let told = errors(&project.pipe(&["plan", "pipelines/against.yaml"]));
        assert!(told.contains(expected) && told.contains("pipelines/against.yaml:"), "{source}: {told}");
    }
    assert!(errors(&project.pipe(&["baseline", "remove", "producton"])).contains("did you mean `production`?"));
    assert!(errors(&project.pipe(&["baseline", "set", &id, "../../x"])).contains("expected at most 64"));
    assert!(!project.path("x").exists());
}

#[test]
fn a_verdict_is_worked_out_again_from_the_stored_examples() {
    let project = Project::new();
    let unrun = project.pipe(&["gate", "verify", SMALL]);
    assert_eq!(unrun.status.code(), Some(7), "{}", String::from_utf8_lossy(&unrun.stderr));
    let id = project.run(&[SMALL]).succeeded().experiment();
    let told = text(&project.pipe(&["gate", "verify", SMALL]));
    assert!(told.contains("identical  `gate`: passed, worked out again from 2 reports with 12 examples"), "{told}");
    let failed = project.run(&[SMALL, "-p", "min_contains=1.0"]);
    let failed = failed.experiment();
    assert_eq!(project.pipe(&["gate", "verify", &failed]).status.code(), Some(3), "the verdict's own exit code");
    // A result record that says otherwise than the examples is found, though it proves its own bytes.
    let shown: Value = serde_json::from_str(&text(&project.pipe(&["show", "--json", &id]))).unwrap();
    let gate = shown["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "gate").unwrap().clone();
    let record = project.cache.join("experiments").join(&id);
    let bytes = fs::read_to_string(&record).unwrap();
    let (body, _) = bytes.rsplit_once("blake3 ").unwrap();
    assert_eq!(gate["outcome"]["verdict"], "passed");
    let forged = body.replace("\"verdict\": \"passed\"", "\"verdict\": \"failed\"");
    fs::set_permissions(&record, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&record, format!("{forged}blake3 {}\n", blake3(&forged))).unwrap();
    let caught = project.pipe(&["gate", "verify", &id]);
    let told = String::from_utf8_lossy(&caught.stdout).into_owned();
    assert_eq!(caught.status.code(), Some(6), "{told}{}", String::from_utf8_lossy(&caught.stderr));
    assert!(told.contains("recorded is failed") && told.contains("is passed"), "{told}");
    let gateless = MANIFEST.split("  gate:").next().unwrap().to_owned();
    project.write_manifest("gateless.yaml", &gateless.replace("min_contains: 0.0, ", ""));
    assert!(errors(&project.pipe(&["gate", "verify", "pipelines/gateless.yaml"])).contains("has no gate"));
}

fn blake3(text: &str) -> String {
    pipe::digest::Digest::of(text.as_bytes()).to_hex()
}
