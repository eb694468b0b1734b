//! Exit codes: a contract.

use std::process::ExitCode;

use crate::artifact::Verdict;
use crate::engine::{EngineError, RunSummary};
use crate::stage::StageError;
use crate::store::StoreError;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All well.
    Ok = 0,
    /// A stage failed, or the machine refused.
    Failed = 1,
    /// The command line or a manifest is wrong.
    Usage = 2,
    /// A gate did not let the model pass.
    GateFailed = 3,
    /// A gate could not decide.
    GateInconclusive = 4,
    /// The store holds bytes that are not what they should be.
    StoreCorrupt = 5,
    /// The same key gave other bytes, on the same class of machine.
    Diverged = 6,
    /// What is committed is not up to date, or something would run where that was the question.
    Stale = 7,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The code of a run; when several hold, in the order 130, 5, 1, 6, 3, 4.
    #[must_use]
    pub fn of_run(summary: &RunSummary) -> Self {
        let codes: Vec<Self> = summary.failures.iter().map(|(_, error)| Self::of_error(error)).collect();
        if summary.interrupted {
            return Self::Interrupted;
        }
        for code in [Self::StoreCorrupt, Self::Failed, Self::Diverged] {
            if codes.contains(&code) {
                return code;
            }
        }
        if !codes.is_empty() {
            return Self::Failed;
        }
        Self::of_verdict(summary.verdict)
    }

    /// The code of the worst verdict of all gates.
    #[must_use]
    pub const fn of_verdict(verdict: Option<Verdict>) -> Self {
        match verdict {
            Some(Verdict::Failed) => Self::GateFailed,
            Some(Verdict::Inconclusive) => Self::GateInconclusive,
            Some(Verdict::Passed) | None => Self::Ok,
        }
    }

    /// The one to end with, of two manifests' codes: the one that more has to be done about.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        const ORDER: [Exit; 4] = [Exit::Stale, Exit::GateFailed, Exit::GateInconclusive, Exit::Ok];
        let first = ORDER.into_iter().find(|code| [self, other].contains(code));
        first.unwrap_or(self)
    }

    /// The code of an error.
    #[must_use]
    pub const fn of_error(error: &EngineError) -> Self {
        match error {
            EngineError::StillDamaged { .. }
            | EngineError::DamagedInput { .. }
            | EngineError::DamagedRecord { .. }
            | EngineError::DamagedExport { .. }
            | EngineError::Store(StoreError::Damaged { .. } | StoreError::UnreadableRoot { .. }) => Self::StoreCorrupt,
            EngineError::Diverged { .. } | EngineError::LockDiverged { .. } => Self::Diverged,
            EngineError::Manifest(_)
            | EngineError::Store(
                StoreError::NotFound { .. } | StoreError::Ambiguous { .. } | StoreError::BadArchive { .. },
            ) => Self::Usage,
            EngineError::Stage { error: StageError::Cancelled, .. } | EngineError::Store(StoreError::Cancelled) => {
                Self::Interrupted
            }
            _ => Self::Failed,
        }
    }
}
