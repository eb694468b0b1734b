//! What happens during a run, as data. The engine emits events; sinks in `report/` decide what to show.
//!
//! As JSON each event is one line with `v` (the version of this format), `event` and its fields. Fields are only ever
//! added within a version.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::artifact::Verdict;
use crate::digest::{ActionKey, ExperimentId, PlanId};
use crate::engine::why::Reason;

/// The version of the event format.
pub const EVENT_VERSION: u32 = 1;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run began.
    RunStarted {
        /// The run's id.
        run: String,
        /// The manifest's name.
        name: String,
        /// What it would do.
        plan: PlanId,
        /// How many stages it has.
        stages: usize,
    },
    /// A result of the store was used.
    StageHit {
        /// The stage.
        stage: String,
        /// Its action key.
        key: ActionKey,
        /// Its verdict, for a gate.
        verdict: Option<Verdict>,
        /// Its figures.
        metrics: Map<String, Value>,
        /// How long it took when it was made.
        saved_seconds: f64,
    },
    /// Another run is making the same result; this one waits for it.
    StageWaiting {
        /// The stage.
        stage: String,
        /// Who holds the claim.
        holder: String,
    },
    /// A stage began to run.
    StageStarted {
        /// The stage.
        stage: String,
        /// Its action key.
        key: ActionKey,
        /// Why no stored result serves.
        reasons: Vec<Reason>,
    },
    /// How far a stage is.
    StageProgress {
        /// The stage.
        stage: String,
        /// How much is done.
        done: u64,
        /// How much there is.
        total: Option<u64>,
        /// What is counted.
        unit: String,
        /// Figures of the moment.
        fields: Map<String, Value>,
    },
    /// A line a stage was asked to print.
    StageLine {
        /// The stage.
        stage: String,
        /// The line.
        text: String,
    },
    /// Something worth a look.
    StageWarning {
        /// The stage.
        stage: String,
        /// What, with its place and help.
        message: String,
    },
    /// A stage failed in a way that may be a passing one, and is tried again.
    StageRetry {
        /// The stage.
        stage: String,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// How many attempts there are in all.
        attempts: u32,
        /// How long until the next one.
        wait_seconds: f64,
        /// The error with its chain of causes.
        message: String,
    },
    /// A stage succeeded.
    StageFinished {
        /// The stage.
        stage: String,
        /// Its action key.
        key: ActionKey,
        /// How long it took.
        seconds: f64,
        /// Its verdict, for a gate.
        verdict: Option<Verdict>,
        /// Its figures.
        metrics: Map<String, Value>,
    },
    /// A stage failed.
    StageFailed {
        /// The stage.
        stage: String,
        /// The error with its chain of causes.
        message: String,
    },
    /// Something other than a stage failed: keeping an input or a record, an export.
    Failed {
        /// What was to be done.
        what: String,
        /// The error with its chain of causes.
        message: String,
    },
    /// A stage did not run, since one before it did not succeed, or one beside it and the run does not keep going.
    StageSkipped {
        /// The stage.
        stage: String,
        /// The stage that stopped it.
        because: String,
    },
    /// Stored bytes were not what their digest says; they are in quarantine and are made again.
    Damaged {
        /// The stage whose output it was, or the input's name.
        owner: String,
        /// What was found.
        message: String,
    },
    /// An export was swapped in.
    Exported {
        /// The path in the working tree.
        path: String,
        /// Whether the files were already as they should be.
        unchanged: bool,
    },
    /// An export was left alone.
    ExportSkipped {
        /// The path in the working tree.
        path: String,
        /// Why.
        reason: String,
    },
    /// The lock beside the manifest was brought up to date.
    Locked {
        /// Its path.
        path: String,
    },
    /// The run ended.
    RunFinished {
        /// The run's id.
        run: String,
        /// The experiment, when every stage succeeded.
        experiment: Option<ExperimentId>,
        /// The worst verdict of all gates.
        verdict: Option<Verdict>,
        /// Stages that ran.
        executed: usize,
        /// Stages served from the store.
        hits: usize,
        /// Stages that failed.
        failed: usize,
        /// Wall time.
        seconds: f64,
        /// Whether it was interrupted.
        interrupted: bool,
    },
}

/// Whoever takes events. Called from several threads.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: &Event);
}

/// An event as one line of JSON.
#[must_use]
pub fn to_json_line(event: &Event) -> String {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.shift_insert(0, "v".into(), EVENT_VERSION.into());
    }
    value.to_string()
}
