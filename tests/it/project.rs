//! A small project in a folder of its own, and the program run on it from outside.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A tokenizer, a model, training, evaluation and gate.
pub const MANIFEST: &str = "\
version: 1
name: small
seed: 3
params: { min_contains: 0.0, steps: 3 }
inputs: { raw: data/train.jsonl, exam: data/exam.jsonl }
stages:
  clean: { in: { sources: raw, held_out: exam }, with: { on_invalid: reject } }
  tokenizer: { in: { records: clean.records }, with: { vocab_size: 320 } }
  init:
    in: { tokenizer: tokenizer.tokenizer }
    with: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 }
  render-prompts: { in: { records: clean.records, model: tokenizer.tokenizer }, with: { max_seq_len: 2048 } }
  train:
    in: { model: init.model, prompts: render-prompts.prompts }
    with: { max_steps: \"${params.steps}\", lora_r: 2, gradient_accumulation_steps: 1, logging_steps: 1 }
  merge: { in: { model: init.model, adapter: train.adapter } }
  eval: { in: { model: merge.model, data: exam }, with: { max_new_tokens: 4 } }
  eval-adapter: { uses: eval, in: { model: init.model, adapter: train.adapter, data: exam }, with: { max_new_tokens: 4 } }
  eval-base: { uses: eval, in: { model: init.model, data: exam }, with: { max_new_tokens: 4 } }
  gate:
    in: { reports: eval.report, baseline: eval-base.report }
    with: { rules: [{ metric: contains, min: \"${params.min_contains}\" }] }
exports: { outputs/adapter: { from: train.adapter } }
";
/// How many stages it has.
pub const STAGES: usize = 10;

/// A project in a folder of its own, with its cache inside unless told otherwise.
pub struct Project {
    folder: tempfile::TempDir,
    /// Its cache folder.
    pub cache: PathBuf,
}

impl Project {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        Self::in_folder(folder, cache)
    }

    pub fn sharing_cache_of(other: &Self) -> Self {
        Self::with_cache(other.cache.clone())
    }

    pub fn with_cache(cache: PathBuf) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), cache)
    }

    fn in_folder(folder: tempfile::TempDir, cache: PathBuf) -> Self {
        fs::create_dir_all(folder.path().join("data")).unwrap();
        fs::create_dir_all(folder.path().join("pipelines")).unwrap();
        let rows = (0..24).map(|row| {
            format!(
                "{{\"instruction\": \"What is the fee of house {row}?\", \"tools\": [{{\"name\": \"retrieve\", \"desc\": \"search\", \
                 \"args_schema\": {{\"query\": \"str\"}}}}], \"trajectory\": [{{\"thought\": \"Look.\", \"action\": {{\"tool\": \
                 \"retrieve\", \"args\": {{\"query\": \"fee {row}\"}}}}, \"observation\": \"Fee of {row}: ${}.\"}}], \
                 \"final_answer\": \"${0}\"}} // comment\n\n",
                row * 7 + 1
            )
        });
        fs::write(folder.path().join("data/train.jsonl"), rows.collect::<String>()).unwrap();
        let exam = (0..6).map(|row| {
            format!("{{\"query\": \"Tax of farm {row}?\", \"context\": \"It is {row}%.\", \"expected\": \"{row}%\"}}\n")
        });
        fs::write(folder.path().join("data/exam.jsonl"), exam.collect::<String>()).unwrap();
        let project = Self { folder, cache };
        project.write_manifest("small.yaml", MANIFEST);
        project
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    pub fn write_manifest(&self, name: &str, text: &str) {
        fs::write(self.path("pipelines").join(name), text).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipe"));
        command.args(arguments).current_dir(self.folder.path()).env("PIPE_CACHE", &self.cache).stdin(Stdio::null());
        command
    }

    pub fn pipe(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a manifest and gives its events.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let output = self.pipe(&[&["run", "--json"], arguments].concat());
        Run::of(&output)
    }
}

/// What a run told.
pub struct Run {
    /// The exit code.
    pub code: Option<i32>,
    /// The events.
    pub events: Vec<Value>,
    /// What people saw.
    pub stderr: String,
}

impl Run {
    pub fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let events = text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
        Self { code: output.status.code(), events, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    pub fn stages(&self, event: &str) -> Vec<String> {
        let of_kind = self.events.iter().filter(|found| found["event"] == event);
        of_kind.map(|found| found["stage"].as_str().expect("a stage").to_owned()).collect()
    }

    pub fn finished(&self) -> &Value {
        self.events.last().filter(|event| event["event"] == "run_finished").unwrap_or_else(|| panic!("{}", self.stderr))
    }

    pub fn experiment(&self) -> String {
        self.finished()["experiment"].as_str().expect("a complete run").to_owned()
    }

    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }
}
