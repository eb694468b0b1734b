//! A verdict worked out anew from stored reports, for whoever doubts the recorded one.
//!
//! Nothing printed is trusted: reading a report works its figures out from its examples, and judging uses the examples
//! alone.

use serde_json::Value;

use super::judge::{GateError, judge_cells};
use super::settings::{self, GateSettings};
use super::verdict::GateVerdict;
use crate::cell::Cell;
use crate::text::eval_report::{self, EvalReport, ReportError};

/// Why a verdict can't be worked out.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The recorded settings are not those of a gate of this version.
    #[error("the recorded settings are not a gate's: {0}")]
    Settings(String),
    /// A stored report is none, or its figures do not follow from its examples.
    #[error("report {number}: {source}")]
    Report {
        /// Which, counted from 1; the baseline is the last.
        number: usize,
        /// What is wrong with it.
        source: ReportError,
    },
    /// The rules can't be held against the reports.
    #[error(transparent)]
    Judge(#[from] GateError),
}

/// The verdict that a gate's settings give on reports, each as stored, and how many examples it rests on.
///
/// # Errors
/// [`VerifyError`].
pub fn recompute(
    config: &Value,
    reports: &[Vec<u8>],
    cells: &[Cell],
    baseline: Option<&[u8]>,
) -> Result<(GateVerdict, usize), VerifyError> {
    let settings: GateSettings =
        serde_json::from_value(config.clone()).map_err(|error| VerifyError::Settings(error.to_string()))?;
    if let Some(issue) = settings::check(&settings).first() {
        return Err(VerifyError::Settings(issue.message.clone()));
    }
    let read = |number: usize, bytes: &[u8]| -> Result<EvalReport, VerifyError> {
        eval_report::read(bytes).map_err(|source| VerifyError::Report { number, source })
    };
    let all = reports.iter().enumerate();
    let read_all: Vec<EvalReport> = all.map(|(index, bytes)| read(index + 1, bytes)).collect::<Result<_, _>>()?;
    let baseline = baseline.map(|bytes| read(reports.len() + 1, bytes)).transpose()?;
    let verdict = judge_cells(&settings, &read_all, cells, baseline.as_ref())?;
    let examples = read_all.iter().chain(&baseline).map(|report| report.examples.len()).sum();
    Ok((verdict, examples))
}
