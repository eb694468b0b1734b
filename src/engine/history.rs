//! What earlier runs did: the log and record of each, and the last action of a stage, to say why it runs now.

use std::cell::OnceCell;

use serde_json::Value;

use crate::digest::ActionKey;
use crate::engine::EngineError;
use crate::engine::event::{Event, Sink, to_json_line};
use crate::engine::key::Action;
use crate::engine::record::RunRecord;
use crate::store::{Lookup, RunFolder, Store, StoreError};

/// How many runs are looked through for the last action of a stage.
const LOOK_BACK: usize = 200;

/// The events of a run on their way to the caller's sink and to the run folder.
pub struct RunLog<'a> {
    folder: Option<RunFolder>,
    sink: &'a dyn Sink,
}

impl<'a> RunLog<'a> {
    /// Makes the run's folder. A store that can't be written still serves hits, so then there is no folder.
    pub fn start(store: &Store, sink: &'a dyn Sink) -> Result<Self, EngineError> {
        match store.start_run() {
            Ok(folder) => Ok(Self { folder: Some(folder), sink }),
            Err(StoreError::Io { .. }) => Ok(Self { folder: None, sink }),
            Err(error) => Err(error.into()),
        }
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        self.folder.as_ref().map_or("unrecorded", RunFolder::id)
    }

    /// Keeps what the run came to.
    pub fn record(&self, store: &Store, record: &RunRecord) -> Result<(), EngineError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let value = serde_json::to_value(record).map_err(|error| EngineError::internal("run", &error))?;
        Ok(store.put_run(folder.id(), &value)?)
    }
}

impl Sink for RunLog<'_> {
    fn emit(&self, event: &Event) {
        if let Some(folder) = &self.folder {
            // A log that can't be written must not stop the work.
            let _ = folder.append(&to_json_line(event));
        }
        self.sink.emit(event);
    }
}

/// The last actions of a manifest's stages, read when first asked for.
pub struct History<'a> {
    store: &'a Store,
    name: &'a str,
    runs: OnceCell<Vec<RunRecord>>,
}

impl<'a> History<'a> {
    /// The history of the manifest of that name.
    pub fn new(store: &'a Store, name: &'a str) -> Self {
        Self { store, name, runs: OnceCell::new() }
    }

    /// The latest run that knew a stage of that name.
    pub fn last_run(&self, stage: &str) -> Option<&RunRecord> {
        self.runs.get_or_init(|| of_manifest(self.store, self.name)).iter().find(|run| run.keys.contains_key(stage))
    }

    /// The action that a stage had in a run.
    pub fn action(&self, run: &RunRecord, stage: &str) -> Option<Action> {
        match self.store.action(run.keys.get(stage)?) {
            Ok(Lookup::Found(value)) => serde_json::from_value(value).ok(),
            _ => None,
        }
    }
}

/// The latest runs of a manifest, newest first. History explains; it decides nothing, so what can't be read is left out.
fn of_manifest(store: &Store, name: &str) -> Vec<RunRecord> {
    let ids = store.runs().unwrap_or_default();
    let latest = ids.iter().rev().take(LOOK_BACK);
    latest.filter_map(|id| read(store, id)).filter(|run| run.name == name).collect()
}

fn read(store: &Store, id: &str) -> Option<RunRecord> {
    match store.run(id) {
        Ok(Lookup::Found(value)) => serde_json::from_value::<RunRecord>(value).ok(),
        _ => None,
    }
}

/// How a run ended, or that it did not.
#[derive(Debug, Clone, PartialEq)]
pub enum RunState {
    /// It came to an end, successful or not.
    Ended(Box<RunRecord>),
    /// It is going on.
    Live,
    /// It was killed, or its record is damaged.
    Killed,
}

/// The latest runs, newest first.
///
/// # Errors
/// When the store can't be read.
pub fn runs(store: &Store, limit: usize) -> Result<Vec<(String, RunState)>, EngineError> {
    let ids = store.runs()?;
    Ok(ids.iter().rev().take(limit).map(|id| (id.clone(), run_state(store, id))).collect())
}

/// How a run ended, or that it did not.
#[must_use]
pub fn run_state(store: &Store, id: &str) -> RunState {
    match read(store, id) {
        Some(record) => RunState::Ended(Box::new(record)),
        None if store.is_live(id).unwrap_or(false) => RunState::Live,
        None => RunState::Killed,
    }
}

/// How many of the latest runs, of whatever manifest, had this action: in that many but one it was served from the store.
#[must_use]
pub fn uses_of(store: &Store, key: &ActionKey) -> usize {
    let ids = store.runs().unwrap_or_default();
    let runs = ids.iter().rev().take(LOOK_BACK).filter_map(|id| read(store, id));
    runs.filter(|run| run.keys.values().any(|known| known == key)).count()
}

/// A record of the store in its type.
///
/// # Errors
/// [`EngineError::Record`] when it has another form.
pub fn typed<T: serde::de::DeserializeOwned>(what: &str, value: Value) -> Result<T, EngineError> {
    serde_json::from_value(value).map_err(|error| EngineError::internal(what, &error))
}
