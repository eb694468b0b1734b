//! The evaluation as a stage, on a random model with a tokenizer of single bytes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pipe::artifact::ArtifactKind;
use pipe::stage::StageError;
use pipe::stages::eval::Eval;
use pipe::text::eval_report::{EvalReport, Slice, read};
use serde_json::json;

use super::stage_run::{StageRun, data_problems};

const TEMPLATE: &str = include_str!("../../templates/pipe-mini.jinja");

const ROWS: &str = r#"// an exam
{"query":"How much did it grow?","context":"It grew 18% in May.","expected":"18%","tags":["growth"]}
{"query":"Say yes.","expected":"yes","accept":["Yes"]}
{"query":"When?","context":"The deadline is 2025-01-15.","expected":"2025-01-15"}
"#;

/// A byte's letter in byte-level BPE; source: GPT-2's `bytes_to_unicode`.
fn letter(byte: u8) -> char {
    let is_shown = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if is_shown(byte) {
        char::from(byte)
    } else {
        let hidden = (0..byte).filter(|other| !is_shown(*other)).count();
        char::from_u32(256 + u32::try_from(hidden).expect("below 256")).expect("a letter")
    }
}

/// A model folder with random weights, and a template unless told otherwise.
fn model(folder: &Path, with_template: bool) -> PathBuf {
    let model = folder.join("model");
    let special = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<tool_call>", "</tool_call>"];
    let mut vocabulary: serde_json::Map<String, serde_json::Value> =
        (0..=255u8).map(|byte| (letter(byte).to_string(), json!(byte))).collect();
    let added: Vec<_> = (256..)
        .zip(special)
        .map(|(id, content)| {
            vocabulary.insert(content.to_owned(), json!(id));
            json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false})
        })
        .collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": added, "pre_tokenizer": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    });
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16,
        "vocab_size": 256 + special.len(), "max_position_embeddings": 2048, "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5, "initializer_range": 0.02, "hidden_act": "silu", "tie_word_embeddings": true,
        "attention_bias": false, "mlp_bias": false, "eos_token_id": 256, "bos_token_id": null, "dtype": "float32",
        "torch_dtype": "float32",
    });
    pipe::model::init(&config.to_string(), 17, &model).expect("a model");
    let write = |name: &str, text: &str| std::fs::write(model.join(name), text).expect("written");
    write("tokenizer.json", &tokenizer.to_string());
    write("tokenizer_config.json", r#"{"eos_token":"<|end|>"}"#);
    if with_template {
        write("chat_template.jinja", TEMPLATE);
    }
    model
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn stage(folder: &Path, model: &Path, data: &Path) -> StageRun {
    StageRun::new(&folder.join("out")).input("model", ArtifactKind::Model, model).input(
        "data",
        ArtifactKind::File,
        data,
    )
}

fn report(folder: &Path) -> (Vec<u8>, EvalReport) {
    let bytes = std::fs::read(folder.join("out").join("report")).expect("a report was written");
    let report = read(&bytes).expect("the strict reader takes it");
    (bytes, report)
}

#[test]
fn every_row_is_answered_and_two_runs_give_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (model, data) = (model(folder, true), file(folder, "exam.jsonl", ROWS));
    let (outcome, heard) = stage(folder, &model, &data).run::<Eval>(r#"{"max_new_tokens":4}"#);
    let outcome = outcome.expect("an outcome");
    assert_eq!(outcome.metrics["examples"], json!(3));
    assert!(heard.lines.is_empty() && heard.warnings.is_empty(), "{heard:?}");
    assert_eq!(heard.progress.last(), Some(&(3, Some(3), "examples")));
    let (bytes, first) = report(folder);
    assert_eq!(first.slices[&Slice::WithContext]["exact"].n, 2);
    assert_eq!(first.slices[&Slice::WithoutContext]["exact"].n, 1);
    assert_eq!(first.baselines.copy_first.value, Some(1.0));
    assert!(first.examples.iter().all(|example| example.new_tokens <= 4));
    assert!(!String::from_utf8_lossy(&bytes).contains(&*folder.to_string_lossy()), "no path in the report");

    let (outcome, heard) = stage(folder, &model, &data).run::<Eval>(r#"{"max_new_tokens":4,"print_outputs":true}"#);
    outcome.expect("an outcome");
    assert_eq!(report(folder).0, bytes, "`print_outputs` changes no byte");
    assert_eq!(heard.lines.len(), 3);
    assert!(heard.lines[0].starts_with("1/3 ") && heard.lines[0].contains(r#"expected "18%""#), "{}", heard.lines[0]);
}

#[test]
fn the_first_examples_can_be_had_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (model, data) = (model(folder, true), file(folder, "exam.jsonl", ROWS));
    let with = r#"{"max_new_tokens":2,"max_examples":2,"context_as":"user","metrics":["token_f1"]}"#;
    stage(folder, &model, &data).run::<Eval>(with).0.expect("an outcome");
    let (_, report) = report(folder);
    assert_eq!(report.examples.len(), 2);
    assert_eq!(report.metrics.keys().collect::<Vec<_>>(), ["token_f1"]);
}

#[test]
fn an_interrupted_evaluation_stops_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut rows = String::new();
    for row in 0..40 {
        writeln!(rows, r#"{{"query":"Question {row}?","expected":"yes"}}"#).expect("text");
    }
    let (model, data) = (model(folder, true), file(folder, "exam.jsonl", &rows));
    let with = r#"{"max_new_tokens":2,"per_device_eval_batch_size":1}"#;
    let (outcome, heard) = stage(folder, &model, &data).cancel_at(2).run::<Eval>(with);
    assert!(matches!(outcome, Err(StageError::Cancelled)), "{outcome:?}");
    assert!(heard.progress.iter().all(|(done, ..)| *done < 40), "{:?}", heard.progress);
    assert!(!folder.join("out").join("report").exists());
}

#[test]
fn problems_of_data_and_template_are_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let model = model(folder, false);
    let (good, bad) = (file(folder, "good", ROWS), file(folder, "bad", "{\"query\":\"q\"}\n{\"query\":7}\n"));
    let problems = data_problems(stage(folder, &model, &good).run::<Eval>("{}").0);
    assert_eq!(problems[0].code, "eval::no_template");
    let problems = data_problems(stage(folder, &model, &bad).run::<Eval>("{}").0);
    assert_eq!(problems[0].location().as_deref(), Some("the-data:1:1"));
    assert!(problems.len() >= 2, "{problems:?}");
    let silent = file(folder, "silent.jinja", "{{ messages[0].content }}");
    let run = stage(folder, &model, &good).input("template", ArtifactKind::File, &silent);
    let problems = data_problems(run.run::<Eval>("{}").0);
    assert_eq!(problems[0].code, "eval::template");
    let wired = file(folder, "wired.jinja", TEMPLATE);
    let run = stage(folder, &model, &good).input("template", ArtifactKind::File, &wired);
    run.run::<Eval>(r#"{"max_new_tokens":1}"#).0.expect("an outcome");
}
