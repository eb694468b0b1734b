//! Runs one stage kind in a temporary folder and keeps what it said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use pipe::artifact::ArtifactKind;
use pipe::cell::Cell;
use pipe::device::DeviceSpec;
use pipe::diagnostic::Diagnostic;
use pipe::stage::{Cancel, Input, Outcome, Progress, StageContext, StageError, StageKind, StageObserver};
use pipe::surroundings::Surroundings;

/// What a stage said while it ran.
#[derive(Debug, Default)]
pub struct Heard {
    /// Each progress: done, total, unit.
    pub progress: Vec<(u64, Option<u64>, &'static str)>,
    /// The messages of its warnings.
    pub warnings: Vec<String>,
    /// Its lines.
    pub lines: Vec<String>,
}

#[derive(Default)]
struct Recorder {
    heard: Mutex<Heard>,
    cancel_at: Option<(u64, Cancel)>,
}

impl StageObserver for Recorder {
    fn progress(&self, progress: Progress) {
        if let Some((_, cancel)) = self.cancel_at.as_ref().filter(|(done, _)| *done == progress.done) {
            cancel.request();
        }
        self.heard.lock().expect("no panic").progress.push((progress.done, progress.total, progress.unit));
    }

    fn warning(&self, diagnostic: Diagnostic) {
        self.heard.lock().expect("no panic").warnings.push(diagnostic.message);
    }

    fn line(&self, text: &str) {
        self.heard.lock().expect("no panic").lines.push(text.to_owned());
    }
}

/// A stage about to run.
pub struct StageRun {
    inputs: BTreeMap<&'static str, Vec<Input>>,
    output_folder: PathBuf,
    cancel_at: Option<u64>,
}

impl StageRun {
    /// A run that writes into this folder.
    pub fn new(output_folder: &Path) -> Self {
        std::fs::create_dir_all(output_folder).expect("the folder can be made");
        Self { inputs: BTreeMap::new(), output_folder: output_folder.to_owned(), cancel_at: None }
    }

    /// Fills a port; further calls add to it.
    pub fn input(mut self, port: &'static str, kind: ArtifactKind, path: &Path) -> Self {
        let label = format!("the-{port}");
        self.inputs.entry(port).or_default().push(Input { label, kind, cell: Cell::default(), path: path.to_owned() });
        self
    }

    /// Interrupts the stage when it has done so much.
    pub fn cancel_at(mut self, done: u64) -> Self {
        self.cancel_at = Some(done);
        self
    }

    /// Runs it with settings written as JSON.
    pub fn run<K: StageKind>(self, with: &str) -> (Result<Outcome, StageError>, Heard) {
        let config: K::Config = serde_json::from_str(with).expect("settings of the right types");
        assert_eq!(K::check(&config), [], "{with}");
        let cancel = Cancel::default();
        let recorder = Recorder { cancel_at: self.cancel_at.map(|done| (done, cancel.clone())), ..Recorder::default() };
        let context = StageContext {
            inputs: self.inputs,
            output_folder: self.output_folder,
            device: DeviceSpec::default(),
            surroundings: &Surroundings::default(),
            observer: &recorder,
            cancel,
        };
        let outcome = K::run(&config, &context);
        (outcome, recorder.heard.into_inner().expect("no panic"))
    }
}

/// The diagnostics of a failure in the data.
pub fn data_problems(result: Result<Outcome, StageError>) -> Vec<Diagnostic> {
    match result {
        Err(StageError::Data(diagnostics)) => diagnostics,
        other => panic!("expected problems in the data, found {other:?}"),
    }
}
