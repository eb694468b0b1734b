//! The same key must give the same bytes in every build: a change of code that changes bytes has to raise the epoch of its
//! stage kind, or caches filled by the older build would serve stale results. So key and bytes of a small pipeline are
//! pinned; `BLESS=1 cargo test --release epochs` writes the pins anew, after the epoch was raised.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::project::Project;

/// Large enough that every kernel has whole vectors and a rest.
const MANIFEST: &str = "\
version: 1
name: epochs
seed: 5
inputs: { raw: data/train.jsonl, exam: data/exam.jsonl }
stages:
  clean: { in: { sources: raw, held_out: exam }, with: { on_invalid: reject } }
  tokenizer: { in: { records: clean.records }, with: { vocab_size: 331 } }
  init:
    in: { tokenizer: tokenizer.tokenizer }
    with: { hidden_size: 72, intermediate_size: 136, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 18 }
  render-prompts: { in: { records: clean.records, model: tokenizer.tokenizer }, with: { max_seq_len: 2048 } }
  full:
    uses: train
    in: { model: init.model, prompts: render-prompts.prompts }
    with: { method: full, max_steps: 4, per_device_train_batch_size: 6, gradient_accumulation_steps: 1, learning_rate: 3.0e-3 }
  train:
    in: { model: full.model, prompts: render-prompts.prompts }
    with: { max_steps: 4, lora_r: 6, lora_dropout: 0.1, per_device_train_batch_size: 5, gradient_accumulation_steps: 2 }
  merge: { in: { model: full.model, adapter: train.adapter } }
  eval: { in: { model: merge.model, data: exam }, with: { max_new_tokens: 6, per_device_eval_batch_size: 4 } }
  gate: { in: { reports: eval.report }, with: { rules: [{ metric: contains, min: 0.0 }] } }
";

/// What a stage had and gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pin {
    key: String,
    outputs: BTreeMap<String, String>,
}

/// Stage to pin, for one class of machine.
type Pins = BTreeMap<String, Pin>;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/epochs.json")
}

/// What this build gives, and on which class of machine.
struct Found {
    pins: Pins,
    class: String,
    /// The stages without floating point, whose bytes are the same on every machine.
    exact: BTreeSet<String>,
}

fn find() -> Found {
    let project = Project::new();
    project.write_manifest("epochs.yaml", MANIFEST);
    let id = project.run(&["pipelines/epochs.yaml"]).succeeded().experiment();
    let shown: Value = serde_json::from_slice(&project.pipe(&["show", "--json", &id]).stdout).unwrap();
    let stages = shown["stages"].as_array().unwrap();
    let class = stages.iter().find_map(|stage| stage["numerics_class"].as_str()).unwrap().to_owned();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pin = |stage: &Value| {
        let outputs = stage["outputs"].as_object().unwrap();
        let outputs = outputs.iter().map(|(slot, output)| (slot.clone(), text(&output["content"]["digest"])));
        (text(&stage["name"]), Pin { key: text(&stage["key"]), outputs: outputs.collect() })
    };
    let exact = stages.iter().filter(|stage| stage["numerics_class"].is_null()).map(|stage| text(&stage["name"]));
    Found { pins: stages.iter().map(pin).collect(), class, exact: exact.collect() }
}

#[test]
fn bytes_of_a_key_do_not_change_without_a_new_epoch() {
    let text = fs::read_to_string(path()).unwrap();
    let mut pinned: BTreeMap<String, Pins> = serde_json::from_str(&text).unwrap();
    let Found { pins, class, exact } = find();
    if std::env::var_os("BLESS").is_some() {
        pinned.insert(class, pins);
        fs::write(path(), format!("{}\n", serde_json::to_string_pretty(&pinned).unwrap())).unwrap();
        return;
    }
    let same_class = pinned.get(&class);
    if same_class.is_none() {
        eprintln!("only stages without floating point are compared: nothing is pinned for `{class}`");
    }
    let old = same_class.or_else(|| pinned.values().next()).unwrap();
    for (stage, pin) in &pins {
        // On another class floats have other bits, and so have the keys of what reads them.
        let same_key = old.get(stage).filter(|old| old.key == pin.key);
        match same_key {
            Some(_) if same_class.is_none() && !exact.contains(stage) => {}
            Some(old) => assert_eq!(
                old.outputs, pin.outputs,
                "`{stage}` gives other bytes for the same key: raise the epoch of its kind, then pin it anew"
            ),
            None => assert!(
                same_class.is_none() && stage != "clean",
                "`{stage}` has another key than the one pinned: its epoch or settings changed. Pin it anew, see above"
            ),
        }
    }
}
