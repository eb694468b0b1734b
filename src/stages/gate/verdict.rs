//! The verdict artifact: each rule on each report with every number it used, and the table made of it.

use serde::{Deserialize, Serialize};

use super::settings::{Bound, Demand, Level, OverSeeds};
use crate::artifact::Verdict;
use crate::cell::Cell;
use crate::text::eval_report::Slice;
use crate::text::statistics::Interval;

/// The version of the format.
pub const VERSION: u32 = 1;

/// What a gate found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateVerdict {
    /// Always `1`.
    pub version: u32,
    /// The worst verdict of the checks at level `error`: failed before inconclusive before passed.
    pub verdict: Verdict,
    /// The confidence of every interval here.
    pub confidence: f64,
    /// The seed of the resampled ones.
    pub seed: u64,
    /// The fewest examples that decide.
    pub min_examples: usize,
    /// Each rule on each report, in the order of the rules, then of the reports.
    pub checks: Vec<Check>,
}

/// One rule on one report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The rule, counted from 1.
    pub rule: usize,
    /// The report, counted from 1 in the order of the gate's `reports`.
    pub report: usize,
    /// The cell that the report is of, without the axes that are reduced; absent without a matrix.
    #[serde(default, skip_serializing_if = "Cell::is_empty")]
    pub cell: Cell,
    /// The seeds that were judged together, for `over_seeds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Seeds>,
    /// The metric.
    pub metric: String,
    /// The examples; all of them when absent.
    pub slice: Option<Slice>,
    /// What is asked for.
    pub demand: Demand,
    /// Which number is held against the threshold.
    pub bound: Bound,
    /// What a broken rule means.
    pub level: Level,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is inconclusive, or failed without a number.
    pub reason: Option<Reason>,
    /// How many examples were judged.
    pub n: usize,
    /// The metric's mean over them.
    pub value: Option<f64>,
    /// The interval of the mean.
    pub interval: Option<Interval>,
    /// The comparison with the baseline, for `max_drop` and `min_gain`.
    pub comparison: Option<Comparison>,
    /// The number that was held against the threshold.
    pub judged: Option<f64>,
    /// By how much the rule holds; negative when it does not.
    pub margin: Option<f64>,
    /// The examples that lower the number.
    pub examples: Responsible,
}

/// Reports that differ by their seed only. The figures are those of the metric, of a comparison its differences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeds {
    /// How they were judged.
    pub over: OverSeeds,
    /// How many seeds have a figure.
    pub count: usize,
    /// The mean of their figures.
    pub mean: Option<f64>,
    /// The sample standard deviation of the figures; absent for fewer than two.
    pub standard_deviation: Option<f64>,
    /// The smallest figure.
    pub min: Option<f64>,
    /// The largest figure.
    pub max: Option<f64>,
    /// Each seed's own check.
    pub each: Vec<SeedCheck>,
}

/// One seed's part of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedCheck {
    /// The report, counted from 1.
    pub report: usize,
    /// Its cell, seed and all.
    pub cell: Cell,
    /// The verdict it would have alone.
    pub verdict: Verdict,
    /// Why it is inconclusive, or failed without a number.
    pub reason: Option<Reason>,
    /// How many examples.
    pub n: usize,
    /// The metric's mean over them.
    pub value: Option<f64>,
    /// The interval of the mean.
    pub interval: Option<Interval>,
    /// The comparison of this seed with the baseline.
    pub comparison: Option<Comparison>,
    /// The number that would be held against the threshold.
    pub judged: Option<f64>,
}

/// Why a check has no clear answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The report lacks the metric, or has no example in the slice.
    Missing,
    /// Fewer examples than `min_examples`.
    TooFewExamples,
    /// The value holds, its interval does not, and with so few examples even a flawless result would not have held.
    Underpowered,
}

impl Reason {
    /// A few words for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Missing => "metric or slice missing",
            Self::TooFewExamples => "too few examples",
            Self::Underpowered => "too few examples for `ci_lower`, whatever the result",
        }
    }
}

/// A report beside its baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The baseline's mean.
    pub baseline_value: f64,
    /// How many of the baseline's examples it is over.
    pub baseline_n: usize,
    /// The report's mean minus the baseline's.
    pub difference: f64,
    /// The interval of the difference.
    pub interval: Interval,
    /// What pairing shows; absent for `paired: false`.
    pub pairs: Option<Pairs>,
}

/// What a paired comparison shows beyond the difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// Examples that score higher than in the baseline.
    pub gained: usize,
    /// Examples that score lower.
    pub lost: usize,
    /// McNemar's exact two-sided p-value; only for scores of 0 and 1.
    pub p_value: Option<f64>,
    /// The smallest difference that McNemar's test would find with 80 % power, if as many pairs differed as here; absent
    /// when there is none.
    pub detectable: Option<f64>,
}

/// The examples behind a number: for a comparison those whose score changed, losses first; for `max` those that score
/// above 0; else those that score below 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Responsible {
    /// How many there are.
    pub total: usize,
    /// The first of them, for a check that did not pass.
    pub shown: Vec<ShownExample>,
}

/// An example as it is shown to people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownExample {
    /// Its id in the report.
    pub id: String,
    /// What was asked.
    pub query: String,
    /// What was expected.
    pub expected: String,
    /// What the model answered.
    pub output: String,
    /// The score of that.
    pub score: f64,
    /// What the baseline answered, when compared in pairs.
    pub baseline_output: Option<String>,
    /// The score of that.
    pub baseline_score: Option<f64>,
}

/// Why bytes are no verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerdictError {
    /// No JSON, or not of a verdict's shape.
    #[error("not a gate's verdict: {0}")]
    Shape(#[from] serde_json::Error),
    /// A format this program does not know.
    #[error("verdict version is `{0}`; expected `{VERSION}`")]
    Version(u32),
}

impl GateVerdict {
    /// The verdict as JSON, the same bytes for the same verdict.
    ///
    /// # Errors
    /// Never for a verdict made by a gate.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Reads a verdict.
    ///
    /// # Errors
    /// [`VerdictError`].
    pub fn read(json: &[u8]) -> Result<Self, VerdictError> {
        #[derive(Deserialize)]
        struct VersionOnly {
            version: u32,
        }
        let VersionOnly { version } = serde_json::from_slice(json)?;
        if version != VERSION {
            return Err(VerdictError::Version(version));
        }
        Ok(serde_json::from_slice(json)?)
    }
}
