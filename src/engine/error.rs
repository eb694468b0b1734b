//! What can go wrong in a run, for its operator.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diagnostic::{Diagnostic, with_causes};
use crate::engine::why::Reason;
use crate::lock::LockError;
use crate::stage::StageError;
use crate::store::StoreError;

/// A failure of a run or of one of its stages.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A stage did not succeed.
    #[error("{error}")]
    Stage {
        /// The stage.
        stage: String,
        /// What it said.
        error: StageError,
    },
    /// A stage took longer than it may.
    #[error("stage `{stage}` was stopped at its time limit of {}", minutes(*limit))]
    TimedOut {
        /// The stage.
        stage: String,
        /// The limit.
        limit: Duration,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stage did not write what its kind declares.
    #[error("stage `{stage}` wrote no `{slot}` of the declared kind, which is a defect of its kind")]
    MissingOutput {
        /// The stage.
        stage: String,
        /// The output.
        slot: String,
    },
    /// A stage wrote what its kind does not declare.
    #[error("stage `{stage}` wrote `{slot}`, which its kind does not declare: a defect of its kind")]
    UndeclaredOutput {
        /// The stage.
        stage: String,
        /// The file or folder.
        slot: String,
    },
    /// The same action gave other bytes than before, on the same class of machine.
    #[error("stage `{stage}` diverged: {} differ from those that run `{run}` stored for the same key", slots.join(", "))]
    Diverged {
        /// The stage.
        stage: String,
        /// The outputs that differ.
        slots: Vec<String>,
        /// The run that made the stored ones.
        run: String,
    },
    /// A stage was left out of what may run, and its result is not stored.
    #[error("stage `{stage}` is not among those that may run, and its result is not stored")]
    NotStored {
        /// The stage.
        stage: String,
    },
    /// A file named under `inputs:` was written to after the plan was made.
    #[error("input `{input}` changed while the run was under way")]
    InputChanged {
        /// The input.
        input: String,
    },
    /// An input or output kept being damaged.
    #[error("`{owner}` was found damaged again after it had been made anew: the disk of the cache is not reliable")]
    StillDamaged {
        /// The stage or input.
        owner: String,
    },
    /// What a stage is to read is damaged, where nothing may be made again.
    #[error("what stage `{stage}` reads is damaged in the cache: {message}")]
    DamagedInput {
        /// The stage.
        stage: String,
        /// What was found.
        message: String,
    },
    /// A record of the store has other bytes than were written; it is in quarantine.
    #[error("the record of `{what}` is damaged: {damage}")]
    DamagedRecord {
        /// What it is about.
        what: String,
        /// What was found.
        damage: String,
    },
    /// A sandbox could not be used.
    #[error("cannot use `{}`: {source}", path.display())]
    Sandbox {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An export could not be written.
    #[error("cannot export to `{path}`: {reason}")]
    Export {
        /// The path in the working tree.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The lock can't be read or written.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The same actions gave other bytes than the lock has, on the same class of machine.
    #[error("{} gave other bytes than `{path}` pins for the same key on the same class of machine", named(stages))]
    LockDiverged {
        /// The lock's path.
        path: String,
        /// The stages.
        stages: Vec<String>,
    },
    /// What is to be exported was found damaged.
    #[error("cannot export to `{path}`: {damage}")]
    DamagedExport {
        /// The path in the working tree.
        path: String,
        /// What was found.
        damage: Box<StoreError>,
    },
    /// A stored record has a form this version does not read.
    #[error("the record of `{what}` is not readable by this version: {reason}")]
    Record {
        /// What it is about.
        what: String,
        /// Why not.
        reason: String,
    },
    /// An experiment can't be done again by this version.
    #[error(
        "stage `{stage}` was made by epoch {recorded} of its kind; this version has epoch {current} and would give other bytes"
    )]
    OtherEpoch {
        /// The stage.
        stage: String,
        /// The epoch recorded.
        recorded: u32,
        /// The epoch of this program.
        current: u32,
    },
    /// A variable or program that a stage asks for is not what it was when the experiment was recorded.
    #[error("stage `{stage}` can't be done as it was recorded: {}", reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    OtherMachine {
        /// The stage.
        stage: String,
        /// What differs.
        reasons: Vec<Reason>,
    },
    /// The manifest kept with an experiment is not valid for this version.
    #[error("the manifest kept with the experiment is not valid for this version of pipe")]
    Manifest(Vec<Diagnostic>),
}

/// "`a`, `b`", as many as anybody reads.
fn named(stages: &[String]) -> String {
    const MOST: usize = 10;
    let mut names: Vec<String> = stages.iter().take(MOST).map(|stage| format!("`{stage}`")).collect();
    if stages.len() > MOST {
        names.push(format!("{} more", stages.len() - MOST));
    }
    names.join(", ")
}

impl EngineError {
    pub(crate) fn sandbox(path: &Path, source: std::io::Error) -> Self {
        Self::Sandbox { path: path.to_owned(), source }
    }

    /// A value of our own that would not serialise: cannot happen with the types there are.
    pub(crate) fn internal(what: &str, error: &serde_json::Error) -> Self {
        Self::Record { what: what.to_owned(), reason: error.to_string() }
    }

    /// The error with its causes, on one line.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let cause = match self {
            Self::Stage { error: StageError::Failed(inner) | StageError::Transient(inner), .. } => inner.source(),
            other => other.source(),
        };
        with_causes(self.to_string(), cause)
    }

    /// Whether another attempt may succeed without anything being mended: a command or disk that failed. Never a mistake
    /// in data, and never a time limit, which would be paid for again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Stage { error: StageError::Transient(_), .. }
                | Self::Store(StoreError::Io { .. })
                | Self::Sandbox { .. }
        )
    }

    /// What the reader can do, when there is something.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.help(),
            Self::Diverged { .. } => Some(
                "either the stage's command (`run:`) is not deterministic, or its kind is not (a defect: please report \
                 it), or the stored bytes come from another version of pipe with the same epoch; `pipe run --force` the \
                 stage to see which"
                    .into(),
            ),
            Self::NotStored { stage } => {
                Some(format!("run it first: `pipe run MANIFEST {stage}`; or leave `--only` and `--from` out"))
            }
            Self::LockDiverged { .. } => Some(
                "either a stage is not deterministic (a defect: please report it) or the lock comes from another version of \
                 pipe with the same epochs; remove the lock to accept what was computed here"
                    .into(),
            ),
            Self::OtherMachine { .. } => {
                Some("set the variable or install the program as it was, or run the manifest for a new experiment".into())
            }
            Self::InputChanged { .. } => Some("run again".into()),
            _ => None,
        }
    }
}

fn minutes(limit: Duration) -> String {
    let minutes = limit.as_secs_f64() / 60.0;
    format!("{minutes} minute{}", if limit == Duration::from_mins(1) { "" } else { "s" })
}
