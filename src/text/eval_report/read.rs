//! The strict reader of reports: every field known, every id unique, every figure what the examples say.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use super::{EvalReport, Example, Score, Slice, VERSION};
use crate::text::baselines::Baselines;
use crate::text::statistics::mean;

/// Why bytes are no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No JSON, or not of a report's shape.
    #[error("not an evaluation report: {0}")]
    Shape(#[from] serde_json::Error),
    /// A format this program does not know.
    #[error("report version is `{found}`; expected `{VERSION}`")]
    Version {
        /// The version found.
        found: u32,
    },
    /// Two examples with one id.
    #[error("example id `{id}` occurs twice; expected unique ids")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// An example that was scored by other metrics than the report says.
    #[error("example `{id}` has scores for `{found}`; expected `{expected}`")]
    ExampleMetrics {
        /// The example.
        id: String,
        /// The metrics it has.
        found: String,
        /// The metrics of the settings.
        expected: String,
    },
    /// A score that no metric gives.
    #[error("example `{id}` scores `{value}` on `{metric}`; expected 0 to 1")]
    ScoreRange {
        /// The example.
        id: String,
        /// The metric.
        metric: String,
        /// The score.
        value: f64,
    },
    /// A figure that does not follow from the examples.
    #[error("{place} is `{found}`; the examples give `{expected}`")]
    Inconsistent {
        /// Which figure.
        place: String,
        /// What the report says.
        found: String,
        /// What the examples say.
        expected: String,
    },
}

/// Reads a report and checks it against its own examples.
///
/// # Errors
/// [`ReportError`], the first found.
pub fn read(json: &[u8]) -> Result<EvalReport, ReportError> {
    let VersionOnly { version } = serde_json::from_slice(json)?;
    if version != VERSION {
        return Err(ReportError::Version { found: version });
    }
    let report: EvalReport = serde_json::from_slice(json)?;
    check_examples(&report)?;
    check_figures(&report)?;
    Ok(report)
}

/// The one field that every version has; read first, so that a newer report is called newer and not malformed.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

fn check_examples(report: &EvalReport) -> Result<(), ReportError> {
    let mut metrics: Vec<&str> = report.settings.metrics.iter().map(String::as_str).collect();
    metrics.sort_unstable();
    let mut ids = HashSet::new();
    for Example { id, scores, .. } in &report.examples {
        if !ids.insert(id) {
            return Err(ReportError::DuplicateId { id: id.clone() });
        }
        if !scores.keys().map(String::as_str).eq(metrics.iter().copied()) {
            let (found, expected) = (join(scores.keys()), metrics.join(", "));
            return Err(ReportError::ExampleMetrics { id: id.clone(), found, expected });
        }
        for (metric, value) in scores {
            if !(0.0..=1.0).contains(value) {
                return Err(ReportError::ScoreRange { id: id.clone(), metric: metric.clone(), value: *value });
            }
        }
    }
    Ok(())
}

/// Compares means and counts. Intervals are left out: they follow from the same scores, and resampling them here
/// would make reading slow.
fn check_figures(report: &EvalReport) -> Result<(), ReportError> {
    compare("metrics", &report.metrics, &report.settings.metrics, &report.examples.iter().collect::<Vec<_>>())?;
    let members = super::members(&report.examples);
    inconsistent_unless_equal("slices", &join(report.slices.keys()), &join(members.keys()))?;
    for ((slice, members), scores) in members.iter().zip(report.slices.values()) {
        compare(&format!("slices.{slice}"), scores, &report.settings.metrics, members)?;
    }
    let stops = super::count_stops(&report.examples);
    inconsistent_unless_equal("stops", &format!("{:?}", report.stops), &format!("{stops:?}"))?;
    let with_context = members.get(&Slice::WithContext).map_or(0, Vec::len).to_string();
    let Baselines { copy_first, copy_last, majority } = &report.baselines;
    for (name, score) in [("copy_first", copy_first), ("copy_last", copy_last), ("majority", majority)] {
        inconsistent_unless_equal(&format!("baselines.{name}.n"), &score.n.to_string(), &with_context)?;
    }
    Ok(())
}

fn join(names: impl Iterator<Item = impl ToString>) -> String {
    names.map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}

fn compare(
    place: &str,
    found: &BTreeMap<String, Score>,
    metrics: &[String],
    examples: &[&Example],
) -> Result<(), ReportError> {
    let mut names: Vec<&str> = metrics.iter().map(String::as_str).collect();
    names.sort_unstable();
    inconsistent_unless_equal(place, &join(found.keys()), &names.join(", "))?;
    for (metric, score) in found {
        let scores: Vec<f64> = examples.iter().filter_map(|example| example.scores.get(metric).copied()).collect();
        let expected = mean(&scores);
        if score.n != scores.len() || score.value.map(f64::to_bits) != expected.map(f64::to_bits) {
            let found = format!("{:?} of {}", score.value, score.n);
            let expected = format!("{expected:?} of {}", scores.len());
            return Err(ReportError::Inconsistent { place: format!("{place}.{metric}"), found, expected });
        }
    }
    Ok(())
}

fn inconsistent_unless_equal(place: &str, found: &str, expected: &str) -> Result<(), ReportError> {
    if found == expected {
        return Ok(());
    }
    Err(ReportError::Inconsistent { place: place.to_owned(), found: found.to_owned(), expected: expected.to_owned() })
}
