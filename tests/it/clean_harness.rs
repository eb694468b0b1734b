//! Runs the `clean` stage on texts in memory.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use pipe::artifact::ArtifactKind;
use pipe::cell::Cell;
use pipe::device::DeviceSpec;
use pipe::diagnostic::Diagnostic;
use pipe::stage::{Cancel, Input, Outcome, Progress, StageContext, StageError, StageKind, StageObserver};
use pipe::stages::clean::{Clean, CleanSettings, OnInvalid};
use pipe::surroundings::Surroundings;
use serde_json::Value;

/// What a successful run left.
#[derive(Debug, PartialEq)]
pub struct Cleaned {
    pub records: String,
    pub dev: Option<String>,
    pub rejects: String,
    pub statistics: Value,
    pub outcome: Outcome,
}

impl Cleaned {
    /// The records, one JSON value each.
    pub fn record_values(&self) -> Vec<Value> {
        self.records.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `line: code path` of each reason of each reject.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        for line in self.rejects.lines() {
            let reject: Value = serde_json::from_str(line).unwrap();
            for reason in reject["reasons"].as_array().unwrap() {
                let path = reason["path"].as_str().unwrap();
                let text = format!("{}: {} {path}", reject["line"], reason["code"].as_str().unwrap());
                reasons.push(text.trim_end().to_owned());
            }
        }
        reasons
    }

    /// A number of the statistics.
    pub fn count(&self, pointer: &str) -> u64 {
        self.statistics.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}"))
    }
}

/// Keeps how far the stage said it was.
#[derive(Default)]
pub struct Watcher(pub Mutex<Vec<Progress>>);

impl StageObserver for Watcher {
    fn progress(&self, progress: Progress) {
        self.0.lock().unwrap().push(progress);
    }
    fn warning(&self, _diagnostic: Diagnostic) {}
    fn line(&self, _text: &str) {}
}

/// Settings under which invalid rows are left out.
pub fn rejecting() -> CleanSettings {
    CleanSettings { on_invalid: OnInvalid::Reject, ..CleanSettings::default() }
}

/// Cleans one source and leaves invalid rows out.
pub fn clean(source: impl AsRef<[u8]>) -> Cleaned {
    clean_all(&[source.as_ref()], &[], &rejecting()).unwrap()
}

/// Cleans sources against held-out files.
pub fn clean_all(sources: &[&[u8]], held_out: &[&[u8]], settings: &CleanSettings) -> Result<Cleaned, StageError> {
    clean_watched(sources, held_out, settings, &Watcher::default(), Cancel::default())
}

/// The same, with somebody who listens and may stop it.
pub fn clean_watched(
    sources: &[&[u8]],
    held_out: &[&[u8]],
    settings: &CleanSettings,
    observer: &Watcher,
    cancel: Cancel,
) -> Result<Cleaned, StageError> {
    let folder = tempfile::tempdir().unwrap();
    let output_folder = folder.path().join("outputs");
    fs::create_dir(&output_folder).unwrap();
    let inputs = |name: &str, texts: &[&[u8]]| -> Vec<Input> {
        let input = |(index, text): (usize, &&[u8])| {
            let label = format!("{name}{index}.jsonl");
            let path = folder.path().join(&label);
            fs::write(&path, text).unwrap();
            Input { label, kind: ArtifactKind::File, cell: Cell::default(), path }
        };
        texts.iter().enumerate().map(input).collect()
    };
    let inputs = BTreeMap::from([("sources", inputs("source", sources)), ("held_out", inputs("exam", held_out))]);
    let device = DeviceSpec::default();
    let context = StageContext {
        inputs,
        output_folder: output_folder.clone(),
        device,
        surroundings: &Surroundings::default(),
        observer,
        cancel,
    };
    let outcome = Clean::run(settings, &context)?;
    let read = |slot: &str| fs::read_to_string(output_folder.join(slot));
    Ok(Cleaned {
        records: read("records").unwrap(),
        dev: read("dev").ok(),
        rejects: read("rejects").unwrap(),
        statistics: serde_json::from_str(&read("statistics").unwrap()).unwrap(),
        outcome,
    })
}

/// Cleans a file and looks at no output.
pub fn clean_file(path: &std::path::Path, settings: &CleanSettings) -> Result<Outcome, StageError> {
    let folder = tempfile::tempdir().unwrap();
    let input =
        Input { label: "rows".to_owned(), kind: ArtifactKind::File, cell: Cell::default(), path: path.to_owned() };
    let context = StageContext {
        inputs: BTreeMap::from([("sources", vec![input])]),
        output_folder: folder.path().to_owned(),
        device: DeviceSpec::default(),
        surroundings: &Surroundings::default(),
        observer: &Watcher::default(),
        cancel: Cancel::default(),
    };
    Clean::run(settings, &context)
}

/// The diagnostics of a stage that must have failed because of its data, as `place code message`.
pub fn diagnostics(result: Result<Cleaned, StageError>) -> Vec<String> {
    match result {
        Err(StageError::Data(diagnostics)) => diagnostics
            .iter()
            .map(|found| format!("{} {} {}", found.location().unwrap_or_default(), found.code, found.message))
            .collect(),
        other => panic!("{other:?}"),
    }
}
