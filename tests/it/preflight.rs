//! What `plan` and `run` find out of models that are here already, before anything runs; `check` reads no model.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::project::Project;
use crate::render_support::{CHATML, TOOLLESS, tokenizer_folder};

/// A project with a tokenizer in `data/words` and a stage that renders with it.
fn project(template: &str, with: &str) -> Project {
    let project = Project::new();
    copy(tokenizer_folder(template).path(), &project.path("data/words"));
    project.write_manifest("render.yaml", &manifest("", with));
    project
}

fn manifest(more: &str, with: &str) -> String {
    format!(
        "version: 1\nname: render\ninputs: {{ raw: data/train.jsonl, words: data/words{more} }}\nstages:\n  \
         clean: {{ in: {{ sources: raw }}, with: {{ on_invalid: reject }} }}\n  render-prompts:\n    \
         in: {{ records: clean.records, model: words }}\n    with: {{ max_seq_len: 2048{with} }}\n"
    )
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

const MANIFEST: &str = "pipelines/render.yaml";

#[test]
fn a_mode_that_loses_a_field_is_an_error_at_its_setting_before_anything_runs() {
    let project = project(TOOLLESS, ", tool_mode: native");
    for verb in ["plan", "run"] {
        let output = project.pipe(&[verb, MANIFEST]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        let expected = "stage `render-prompts`: tool_mode is `native`, but the chat template can't show a conversation with \
                        tools: native mode loses or breaks the tool name";
        assert!(stderr.contains(expected), "{stderr}");
        assert!(stderr.contains("leave `tool_mode` out"), "{stderr}");
    }
    assert!(!project.cache.join("results").exists(), "nothing ran");
    let output = project.pipe(&["plan", "--json", MANIFEST]);
    let line: Value = serde_json::from_slice(&output.stdout).expect("one diagnostic");
    let (place, code) = (&line["places"][0], &line["code"]);
    assert_eq!(
        (code, &place["line"], &place["column"]),
        (&json!("render::tools_lost"), &json!(8), &json!(43)),
        "{line}"
    );
    assert_eq!(project.pipe(&["check", MANIFEST]).status.code(), Some(0), "a manifest is right without its models");
}

#[test]
fn the_mode_that_is_taken_instead_is_a_note() {
    let project = project(TOOLLESS, "");
    let note = "tools are shown in inline mode: native mode loses or breaks the tool name";
    let output = project.pipe(&["plan", MANIFEST]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains(&format!("note: `render-prompts`: {note}")), "{text}");
    let document: Value = serde_json::from_slice(&project.pipe(&["plan", "--json", MANIFEST]).stdout).unwrap();
    assert_eq!(document["notes"], json!([{ "stage": "render-prompts", "note": note }]));
    let output = project.pipe(&["run", MANIFEST]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains(note), "{stderr}");
    // What is stored need not be looked at again.
    for verb in ["plan", "run"] {
        let output = project.pipe(&[verb, MANIFEST]);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && !text.contains(note), "{text}");
    }
}

#[test]
fn a_template_that_shows_everything_is_not_worth_a_word() {
    for with in ["", ", tool_mode: native", ", tool_mode: inline"] {
        let output = project(CHATML, with).pipe(&["plan", MANIFEST]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && !text.contains("note"), "{text}");
    }
}

#[test]
fn a_wired_template_counts_and_one_that_shows_nothing_is_refused() {
    let project = project(CHATML, "");
    let text = manifest(", deaf: data/deaf.jinja", ", tool_mode: auto");
    project.write_manifest("render.yaml", &text.replace("model: words", "model: words, template: deaf"));
    fs::write(project.path("data/deaf.jinja"), "{% for message in messages %}{{ message.role }}{% endfor %}").unwrap();
    let output = project.pipe(&["plan", MANIFEST]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("inline mode loses or breaks the system text"), "{stderr}");
    fs::write(project.path("data/deaf.jinja"), " ".repeat(10 << 20)).unwrap();
    let output = project.pipe(&["plan", MANIFEST]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("has `10485760` bytes; expected at most `1048576`"), "{stderr}");
}

#[test]
fn a_tokenizer_that_is_none_is_found_before_anything_runs() {
    let project = project(CHATML, "");
    fs::write(project.path("data/words/tokenizer.json"), "{}").unwrap();
    let output = project.pipe(&["run", MANIFEST]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("data/words/tokenizer.json` is not valid"), "{stderr}");
    assert!(!project.cache.join("results").exists(), "nothing ran");
}

#[test]
fn a_model_that_a_stage_will_make_is_not_looked_for() {
    let project = Project::new();
    let output = project.pipe(&["plan", "pipelines/small.yaml"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
