//! `clean`: files of training rows in any known format become validated records, without duplicates and exam questions.
//!
//! Nothing is dropped silently: each line that is left out is in `rejects`, with its reasons and its text (cut at 16
//! KiB), or fails the stage. The source pipeline's `sed 's#//.*$##'` destroyed each row with a URL in it; here a comment
//! is a comment only outside strings.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact::{Arity, ArtifactKind, InputPort, OutputPort, Projection};
use crate::diagnostic::Diagnostic;
use crate::stage::{ConfigIssue, Input, Numerics, Outcome, Progress, StageContext, StageError, StageKind};
use crate::text::clean::{CleanError, HeldOutCounts, Merge, Outputs, Rules, Statistics, clean_source, read_held_out};
use crate::text::overlap::HeldOut;

/// How much is read between two reports of progress.
const PROGRESS_BYTES: u64 = 1 << 20;

/// The `clean` stage kind.
pub struct Clean;

/// Settings of `clean`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CleanSettings {
    /// What an invalid line does: `fail` reports them all and writes nothing, `reject` leaves them out.
    pub on_invalid: OnInvalid,
    /// Whether rows with the same content are kept once (`exact`) or each time (`off`).
    pub dedupe: Dedupe,
    /// What a row that gives away held-out rows does: `reject` leaves it out, `fail` reports them all, `off` allows it.
    pub overlap: OverlapRule,
    /// How many words in a row two texts may not share with a held-out one.
    pub overlap_words: usize,
    /// The share of rows that goes to `dev`, at least 0 and below 1; a row's side depends on its content and the seed.
    pub split: f64,
    /// Seed of the split; the manifest's seed unless set.
    pub seed: u64,
}

impl Default for CleanSettings {
    fn default() -> Self {
        let (on_invalid, dedupe, overlap) = (OnInvalid::Fail, Dedupe::Exact, OverlapRule::Reject);
        Self { on_invalid, dedupe, overlap, overlap_words: 8, split: 0.0, seed: 0 }
    }
}

/// What an invalid line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// All of them are reported, and nothing is written.
    Fail,
    /// They are left out and listed in `rejects`.
    Reject,
}

/// Whether equal rows are kept once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dedupe {
    /// The first of several rows with the same content is kept.
    Exact,
    /// Every row is kept.
    Off,
}

/// What a row that overlaps with what is held out does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverlapRule {
    /// It is left out and listed in `rejects`.
    Reject,
    /// All of them are reported, and nothing is written.
    Fail,
    /// Nothing is compared.
    Off,
}

impl StageKind for Clean {
    type Config = CleanSettings;
    const NAME: &'static str = "clean";
    const ABOUT: &'static str =
        "Reads training rows in any known format, validates them, and leaves out duplicates and exam questions.";
    const EPOCH: u32 = 1;
    const INPUTS: &'static [InputPort] = &[
        InputPort {
            name: Cow::Borrowed("sources"),
            accepts: &[ArtifactKind::File],
            arity: Arity::Many,
            projection: Projection::Whole,
            about: "JSON Lines of trajectories, OpenAI or ShareGPT chats, Alpaca rows or plain texts.",
        },
        InputPort {
            name: Cow::Borrowed("held_out"),
            accepts: &[ArtifactKind::File],
            arity: Arity::Any,
            projection: Projection::Whole,
            about: "Evaluation rows that must not be trained on.",
        },
    ];
    const OUTPUTS: &'static [OutputPort] = &[
        OutputPort { name: Cow::Borrowed("records"), kind: ArtifactKind::Records, about: "The rows to train on." },
        OutputPort {
            name: Cow::Borrowed("dev"),
            kind: ArtifactKind::Records,
            about: "The other side of the split, when there is one.",
        },
        OutputPort {
            name: Cow::Borrowed("rejects"),
            kind: ArtifactKind::Rejects,
            about: "What was left out, and why.",
        },
        OutputPort {
            name: Cow::Borrowed("statistics"),
            kind: ArtifactKind::Statistics,
            about: "Counts of all that was seen.",
        },
    ];
    const NUMERICS: Numerics = Numerics::Exact;

    fn check(config: &CleanSettings) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        if !(0.0..1.0).contains(&config.split) {
            let message = format!("split is `{}`; expected at least 0 and below 1", config.split);
            issues.push(ConfigIssue::invalid("split", message));
        }
        if !(1..=1000).contains(&config.overlap_words) {
            let message = format!("overlap_words is `{}`; expected 1 to 1000", config.overlap_words);
            issues.push(ConfigIssue::invalid("overlap_words", message));
        }
        issues
    }

    fn writes(config: &CleanSettings, slot: &str) -> bool {
        slot != "dev" || config.split > 0.0
    }

    fn run(config: &CleanSettings, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let (held_out, held_out_counts) = hold_out(config, context)?;
        let dedupe = config.dedupe == Dedupe::Exact;
        let rules = Rules { held_out, split: config.split, seed: config.seed };
        let dev = context.output("dev");
        let dev = (config.split > 0.0).then_some(&*dev);
        let outputs = Outputs::create(&context.output("records"), dev, &context.output("rejects"))
            .map_err(|error| StageError::io(&context.output_folder, &error))?;
        let (invalid_fails, overlap_fails) =
            (config.on_invalid == OnInvalid::Fail, config.overlap == OverlapRule::Fail);
        let mut merge = Merge::new(outputs, dedupe, invalid_fails, overlap_fails);
        clean_sources(&rules, &mut merge, context)?;
        let (sources, diagnostics) = merge.finish().map_err(|error| StageError::io(&context.output_folder, &error))?;
        if !diagnostics.is_empty() {
            return Err(StageError::Data(diagnostics.into_iter().map(|found| with_help(found, config)).collect()));
        }
        let statistics = Statistics::new(&sources, held_out_counts);
        write_json(&context.output("statistics"), &statistics)?;
        let (total, mut outcome) = (statistics.total(), Outcome::default());
        let metrics = [
            ("kept", total.kept),
            ("rejected", total.rejected),
            ("duplicates", total.duplicates),
            ("overlaps", total.overlaps),
            ("dev", total.dev),
        ];
        outcome.metrics.extend(metrics.map(|(name, count)| (name.to_owned(), json!(count))));
        Ok(outcome)
    }
}

/// Reads what is held out; without any there is nothing to compare with.
fn hold_out(
    config: &CleanSettings,
    context: &StageContext<'_>,
) -> Result<(Option<HeldOut>, HeldOutCounts), StageError> {
    let inputs = context.inputs("held_out");
    if config.overlap == OverlapRule::Off || inputs.is_empty() {
        return Ok((None, HeldOutCounts::default()));
    }
    let (mut held_out, mut rows, mut diagnostics) = (HeldOut::new(config.overlap_words), 0, Vec::new());
    for (input, source) in inputs.iter().zip(0..) {
        context.check_cancel()?;
        let (count, problems) = read_held_out(&input.path, &input.label, source, &mut held_out)
            .map_err(|error| StageError::io(&input.path, &error))?;
        rows += count;
        diagnostics.extend(problems);
    }
    if !diagnostics.is_empty() {
        return Err(StageError::Data(diagnostics));
    }
    held_out.seal();
    let (queries, runs) = held_out.len();
    Ok((Some(held_out), HeldOutCounts { rows, queries, runs }))
}

fn clean_sources(rules: &Rules, merge: &mut Merge, context: &StageContext<'_>) -> Result<(), StageError> {
    let sources = context.inputs("sources");
    let size = |input: &Input| fs::metadata(&input.path).map(|metadata| metadata.len());
    let total = sources.iter().map(size).sum::<Result<u64, _>>().ok();
    let mut before = 0;
    let tell = |done| context.observer.progress(Progress { done, total, unit: "bytes", fields: Vec::new() });
    for input in sources {
        merge.begin_source(&input.label);
        let told = AtomicU64::new(0);
        let progress = |done: u64| {
            if done >= told.load(Ordering::Relaxed) + PROGRESS_BYTES {
                told.store(done, Ordering::Relaxed);
                tell(before + done);
            }
            context.flow()
        };
        clean_source(&input.path, rules, merge, &progress).map_err(|error| match error {
            CleanError::Stopped => StageError::Cancelled,
            CleanError::Read(error) => StageError::io(&input.path, &error),
            CleanError::Write(error) => StageError::io(&context.output_folder, &error),
        })?;
        before += size(input).unwrap_or(0);
        tell(before);
    }
    Ok(())
}

/// Says how to go on without the row, where the settings allow that.
fn with_help(diagnostic: Diagnostic, config: &CleanSettings) -> Diagnostic {
    if diagnostic.code == "data::overlap" {
        diagnostic.help("leave such rows out with `overlap: reject`")
    } else if config.on_invalid == OnInvalid::Fail {
        diagnostic.help("mend the row, or leave such rows out with `on_invalid: reject`")
    } else {
        diagnostic
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StageError> {
    let mut text = serde_json::to_string_pretty(value).map_err(StageError::failed)?;
    text.push('\n');
    fs::write(path, text).map_err(|error| StageError::io(path, &error))
}
