//! The evaluation report: what a model answered to each row of a data set, and the figures made of that.
//!
//! A report holds no timing, path or name, so that two runs of one evaluation give the same bytes. Its examples carry
//! all that a gate needs: an id that pairs them with those of another report, the scores, and the texts to show.
//! [`read`] takes nothing on trust: figures that do not follow from the examples are an error.

mod example;
mod read;
mod slice;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use example::{Example, ExampleIds, StopReason};
pub use read::{ReportError, read};
pub use slice::{BadSlice, Slice};

use super::baselines::Baselines;
use super::metrics::Normalisation;
use super::statistics::{Bootstrap, Interval, mean, mean_interval};

/// The version of the format.
pub const VERSION: u32 = 1;

/// The confidence of the intervals in a report; a gate makes its own.
pub const CONFIDENCE: f64 = 0.95;

/// How a row's context reaches the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContextAs {
    /// As the model was trained: the user asks, the assistant has called the retrieval tool, the context is what it
    /// returned. Rows without context are asked directly, and no tool is shown.
    #[default]
    Retrieve,
    /// Context and question in the user's message, without tools: what any chat model understands.
    User,
}

/// The settings that a report's figures depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportSettings {
    /// How the context was shown.
    pub context_as: ContextAs,
    /// How tools and system texts were put into the model's format, in the renderer's words.
    pub style: String,
    /// The most tokens a model might answer with.
    pub max_new_tokens: usize,
    /// The metrics, in the order asked for.
    pub metrics: Vec<String>,
    /// What counted as the same text.
    pub normalize: Normalisation,
}

/// A mean score with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// The mean; none without examples.
    pub value: Option<f64>,
    /// Over how many examples.
    pub n: usize,
    /// The interval at [`CONFIDENCE`].
    pub interval: Option<Interval>,
}

impl Score {
    /// The score of some examples: Wilson's interval for a rate, a resampled one otherwise.
    #[must_use]
    pub fn of(scores: &[f64]) -> Self {
        let bootstrap = Bootstrap { seed: 0, resamples: Bootstrap::RESAMPLES, confidence: CONFIDENCE };
        Self { value: mean(scores), n: scores.len(), interval: mean_interval(scores, &bootstrap) }
    }
}

/// An evaluation report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalReport {
    /// Always [`VERSION`].
    pub version: u32,
    /// What the figures depend on.
    pub settings: ReportSettings,
    /// Metric to score over all examples.
    pub metrics: BTreeMap<String, Score>,
    /// Slice to metric to score; with and without context are always there, however few examples they have.
    pub slices: BTreeMap<Slice, BTreeMap<String, Score>>,
    /// What trivial answers would have scored, for rows with context.
    pub baselines: Baselines,
    /// How many answers ended how.
    pub stops: BTreeMap<StopReason, usize>,
    /// The examples, in the order of the data.
    pub examples: Vec<Example>,
}

impl EvalReport {
    /// The report of some examples, with every figure worked out.
    #[must_use]
    pub fn new(settings: ReportSettings, baselines: Baselines, examples: Vec<Example>) -> Self {
        let slices = members(&examples)
            .into_iter()
            .map(|(slice, members)| (slice, score_all(&settings.metrics, &members)))
            .collect();
        let stops = count_stops(&examples);
        let metrics = score_all(&settings.metrics, &examples.iter().collect::<Vec<_>>());
        Self { version: VERSION, settings, metrics, slices, baselines, stops, examples }
    }

    /// The report as JSON, the same bytes for the same report.
    ///
    /// # Errors
    /// Never for a report made by [`EvalReport::new`].
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

/// The examples of each slice: with and without context, and every tag.
fn members(examples: &[Example]) -> BTreeMap<Slice, Vec<&Example>> {
    let mut members = BTreeMap::from([(Slice::WithContext, Vec::new()), (Slice::WithoutContext, Vec::new())]);
    for example in examples {
        let by_context = if example.has_context { Slice::WithContext } else { Slice::WithoutContext };
        let tags: BTreeSet<&String> = example.tags.iter().collect();
        for slice in tags.into_iter().cloned().map(Slice::Tag).chain([by_context]) {
            members.entry(slice).or_default().push(example);
        }
    }
    members
}

fn count_stops(examples: &[Example]) -> BTreeMap<StopReason, usize> {
    let mut stops = BTreeMap::new();
    for example in examples {
        *stops.entry(example.stop_reason).or_default() += 1;
    }
    stops
}

fn score_all(metrics: &[String], examples: &[&Example]) -> BTreeMap<String, Score> {
    metrics
        .iter()
        .map(|metric| {
            let scores: Vec<f64> = examples.iter().filter_map(|example| example.scores.get(metric).copied()).collect();
            (metric.clone(), Score::of(&scores))
        })
        .collect()
}
