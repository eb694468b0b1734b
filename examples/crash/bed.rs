//! A small project to break runs in, and what has to hold of it however one was broken off.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pipe::artifact::Content;
use pipe::lock::{self, Lock};
use pipe::store::{Class, Lookup, Store};
use serde_json::Value;

/// Each kind of stage that is quick, an export of a folder and one of a file, and a gate.
const MANIFEST: &str = "\
version: 1
name: crash
seed: 3
inputs: { raw: data/train.jsonl, exam: data/exam.jsonl }
stages:
  clean: { in: { sources: raw, held_out: exam } }
  tokenizer: { in: { records: clean.records }, with: { vocab_size: 300 } }
  init:
    in: { tokenizer: tokenizer.tokenizer }
    with: { hidden_size: 8, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 1, num_key_value_heads: 1, head_dim: 8 }
  render-prompts: { in: { records: clean.records, model: tokenizer.tokenizer } }
  train:
    in: { model: init.model, prompts: render-prompts.prompts }
    with: { max_steps: 1, lora_r: 2, gradient_accumulation_steps: 1 }
  eval: { in: { model: init.model, adapter: train.adapter, data: exam }, with: { max_new_tokens: 2 } }
  gate: { in: { reports: eval.report }, with: { rules: [{ metric: contains, min: 0.0 }] } }
exports:
  outputs/adapter: { from: train.adapter }
  outputs/report.json: { from: eval.report }
";
/// Where the manifest lies.
pub const PIPELINE: &str = "pipelines/crash.yaml";
const LOCK: &str = "pipelines/crash.lock";
const EXPORTS: [&str; 2] = ["outputs/adapter", "outputs/report.json"];

/// A project with its cache.
pub struct Bed {
    folder: tempfile::TempDir,
    program: PathBuf,
}

/// What an undisturbed run gives.
pub struct Reference {
    experiment: String,
    lock: Lock,
    exports: Vec<Content>,
}

impl Bed {
    /// A fresh project without a cache, on which this program is run.
    ///
    /// # Errors
    /// The temporary folder can't be written.
    pub fn new(program: &Path) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir_all(folder.path().join("data"))?;
        fs::create_dir_all(folder.path().join("pipelines"))?;
        let row = |row: usize| {
            format!(
                "{{\"messages\":[{{\"role\":\"user\",\"content\":\"House {row}?\"}},{{\"role\":\"assistant\",\"content\":\"${row}\"}}]}}\n"
            )
        };
        fs::write(folder.path().join("data/train.jsonl"), (0..12).map(row).collect::<String>())?;
        let exam = |row: usize| format!("{{\"query\":\"Farm {row}?\",\"expected\":\"{row}\"}}\n");
        fs::write(folder.path().join("data/exam.jsonl"), (0..2).map(exam).collect::<String>())?;
        fs::write(folder.path().join(PIPELINE), MANIFEST)?;
        Ok(Self { folder, program: program.to_owned() })
    }

    /// The project's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its cache.
    pub fn cache(&self) -> PathBuf {
        self.folder().join("cache")
    }

    /// The command line of a run.
    pub fn run_command(&self) -> Vec<String> {
        let words = ["run", "--json", PIPELINE];
        [self.program.display().to_string()].into_iter().chain(words.map(str::to_owned)).collect()
    }

    /// The program with some arguments, ready to be started here.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.folder()).env("PIPE_CACHE", self.cache());
        command
    }

    /// Back to a project that was never run.
    ///
    /// # Errors
    /// A file can't be removed.
    pub fn reset(&self) -> io::Result<()> {
        for folder in ["cache", "outputs"] {
            match fs::remove_dir_all(self.folder().join(folder)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match fs::remove_file(self.folder().join(LOCK)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Runs undisturbed, and keeps what that gives.
    ///
    /// # Errors
    /// What went wrong, as text.
    pub fn reference(&self) -> Result<Reference, String> {
        let experiment = self.run_to_end()?;
        let lock = self.lock()?.ok_or("an undisturbed run wrote no lock")?;
        let store = Store::open(&self.cache()).map_err(|error| error.to_string())?;
        let exports = EXPORTS.map(|path| store.digest_of(&self.folder().join(path)).map_err(|error| error.to_string()));
        let exports = exports.into_iter().collect::<Result<_, _>>()?;
        Ok(Reference { experiment, lock, exports })
    }

    fn run_to_end(&self) -> Result<String, String> {
        let output = self.command(&["run", "--json", PIPELINE]).output().map_err(|error| error.to_string())?;
        if output.status.code() != Some(0) {
            return Err(format!("a run afterwards ended with {}: {}", output.status, told(&output)));
        }
        let last = String::from_utf8_lossy(&output.stdout).lines().last().map(serde_json::from_str::<Value>);
        let last = last.and_then(Result::ok).unwrap_or_default();
        last["experiment"].as_str().map(str::to_owned).ok_or_else(|| format!("no experiment: {}", told(&output)))
    }

    fn lock(&self) -> Result<Option<Lock>, String> {
        lock::read(&self.folder().join(LOCK)).map_err(|error| error.to_string())
    }

    /// What has to hold at any moment at which nothing runs: stored bytes and records are what they should be, each result has
    /// all of its outputs, the lock's results are stored, and an export is whole or absent.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_now(&self, reference: &Reference) -> Result<(), String> {
        let text = |error: pipe::store::StoreError| error.to_string();
        let store = Store::open(&self.cache()).map_err(text)?;
        let report = store.verify(&|_| ()).map_err(text)?;
        if !report.is_clean() {
            return Err(format!("the store is not clean: {report:?}"));
        }
        if let Some(lock) = self.lock()? {
            if lock != reference.lock {
                return Err("the lock is another".into());
            }
            for (name, stage) in &lock.stages {
                if !matches!(store.result(&stage.key).map_err(text)?, Lookup::Found(_)) {
                    return Err(format!("the lock has `{name}`, the store has not"));
                }
            }
        }
        for (path, whole) in EXPORTS.iter().zip(&reference.exports) {
            let place = self.folder().join(path);
            if place.symlink_metadata().is_ok() && store.digest_of(&place).map_err(text)? != *whole {
                return Err(format!("the export `{path}` is torn"));
            }
        }
        Ok(())
    }

    /// What has to hold after one more run: the same experiment, lock and exports as if nothing had happened, and nothing left
    /// to clean by hand.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_after_rerun(&self, reference: &Reference) -> Result<(), String> {
        let experiment = self.run_to_end()?;
        if experiment != reference.experiment {
            return Err(format!("the experiment is {experiment}, undisturbed {}", reference.experiment));
        }
        self.check_now(reference)?;
        if self.lock()?.as_ref() != Some(&reference.lock) {
            return Err("the lock was not written".into());
        }
        let missing = EXPORTS.iter().find(|path| !self.folder().join(path).exists());
        if let Some(path) = missing {
            return Err(format!("`{path}` was not exported"));
        }
        let left = strays(&Store::open(&self.cache()).map_err(|error| error.to_string())?.folder(Class::Tmp), None);
        let beside = ["", "pipelines", "outputs"].map(|folder| strays(&self.folder().join(folder), Some('.')));
        let left: Vec<PathBuf> = left.into_iter().chain(beside.into_iter().flatten()).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("left lying about: {left:?}")) }
    }
}

/// What lies in a folder, or of it what begins so.
fn strays(folder: &Path, begins: Option<char>) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    entries.filter(|path| begins.is_none_or(|first| name(path).starts_with(first))).collect()
}

fn told(output: &Output) -> String {
    let text = [&output.stderr[..], &output.stdout[..]].concat();
    String::from_utf8_lossy(&text).chars().take(2_000).collect()
}
