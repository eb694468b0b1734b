//! How a rule is held against a report.
//!
//! Every number is worked out anew from the examples' scores; the figures printed in a report are not used.

use super::evidence::{Evidence, PairingError, comparison, single};
use super::seeds;
use super::settings::{Bound, Demand, GateSettings, Level, OnMissing, Rule};
use super::verdict::{Check, GateVerdict, Reason, Responsible, VERSION};
use crate::artifact::Verdict;
use crate::cell::Cell;
use crate::text::eval_report::EvalReport;
use crate::text::statistics::{Bootstrap, Interval, wilson};

/// Why a gate can't judge at all.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// A rule compares, and there is nothing to compare with.
    #[error("rule {rule} asks for `{demand}`, and the gate has no baseline")]
    NoBaseline {
        /// The rule, counted from 1.
        rule: usize,
        /// The demand's name.
        demand: &'static str,
    },
    /// Seeds are to be judged together, and there are none.
    #[error("over_seeds is set, and no report comes from a matrix with the axis `seed`")]
    NoSeeds,
    /// Report and baseline can't be compared pair by pair.
    #[error("rule {rule} compares report {report} with the baseline in pairs: {source}")]
    Pairing {
        /// The rule, counted from 1.
        rule: usize,
        /// The report, counted from 1.
        report: usize,
        /// What does not fit.
        source: PairingError,
    },
}

/// Holds every rule against every report.
///
/// # Errors
/// [`GateError`].
///
/// # Panics
/// When the settings were not checked.
pub fn judge(
    settings: &GateSettings,
    reports: &[EvalReport],
    baseline: Option<&EvalReport>,
) -> Result<GateVerdict, GateError> {
    judge_cells(settings, reports, &[], baseline)
}

/// The same for reports of the cells of a matrix; `cells` has one for each report, or is empty.
///
/// # Errors
/// [`GateError`].
///
/// # Panics
/// When the settings were not checked.
pub fn judge_cells(
    settings: &GateSettings,
    reports: &[EvalReport],
    cells: &[Cell],
    baseline: Option<&EvalReport>,
) -> Result<GateVerdict, GateError> {
    let cell = |index: usize| cells.get(index).cloned().unwrap_or_default();
    if settings.over_seeds.is_some() && !cells.iter().any(|cell| cell.get(seeds::AXIS).is_some()) {
        return Err(GateError::NoSeeds);
    }
    let mut checks = Vec::new();
    for (rule_index, rule) in settings.rules.iter().enumerate() {
        let mut of_rule = Vec::with_capacity(reports.len());
        for (report_index, report) in reports.iter().enumerate() {
            let place = (rule_index + 1, report_index + 1);
            let check = judge_rule(settings, place, rule, report, baseline)?;
            of_rule.push(Check { cell: cell(report_index), ..check });
        }
        checks.extend(match settings.over_seeds {
            Some(over) => seeds::reduce(over, of_rule),
            None => of_rule,
        });
    }
    // Verdicts are ordered from passed to failed, so the worst is the largest.
    let errors = checks.iter().filter(|check| check.level == Level::Error);
    let verdict = errors.map(|check| check.verdict).max().unwrap_or(Verdict::Passed);
    let GateSettings { confidence, seed, min_examples, .. } = *settings;
    Ok(GateVerdict { version: VERSION, verdict, confidence, seed, min_examples, checks })
}

fn judge_rule(
    settings: &GateSettings,
    (rule_number, report_number): (usize, usize),
    rule: &Rule,
    report: &EvalReport,
    baseline: Option<&EvalReport>,
) -> Result<Check, GateError> {
    let demand = rule.demand().expect("checked settings have one demand a rule");
    let bootstrap = Bootstrap { seed: settings.seed, resamples: Bootstrap::RESAMPLES, confidence: settings.confidence };
    let evidence = if demand.is_relative() {
        let baseline = baseline.ok_or(GateError::NoBaseline { rule: rule_number, demand: demand.name() })?;
        comparison(rule, report, baseline, &bootstrap).map_err(|source| GateError::Pairing {
            rule: rule_number,
            report: report_number,
            source,
        })?
    } else {
        single(rule, demand, report, &bootstrap)
    };
    let unjudged = Check {
        rule: rule_number,
        report: report_number,
        cell: Cell::default(),
        seeds: None,
        metric: rule.metric.clone(),
        slice: rule.slice.clone(),
        demand,
        bound: rule.bound,
        level: rule.level,
        verdict: match settings.on_missing {
            OnMissing::Inconclusive => Verdict::Inconclusive,
            OnMissing::Fail => Verdict::Failed,
        },
        reason: Some(Reason::Missing),
        n: 0,
        value: None,
        interval: None,
        comparison: None,
        judged: None,
        margin: None,
        examples: Responsible::default(),
    };
    Ok(match evidence {
        Some(evidence) => decide(settings, unjudged, evidence),
        None => unjudged,
    })
}

fn decide(settings: &GateSettings, unjudged: Check, evidence: Evidence) -> Check {
    let (demand, bound) = (unjudged.demand, unjudged.bound);
    let (point, interval) = match &evidence.comparison {
        Some(comparison) => (comparison.difference, comparison.interval),
        None => (evidence.value, evidence.interval),
    };
    let judged = match (bound, demand) {
        (Bound::Point, _) => point,
        (Bound::CiLower, Demand::Max(_)) => interval.upper,
        (Bound::CiLower, _) => interval.lower,
    };
    let fewest = evidence.comparison.as_ref().map_or(evidence.n, |found| evidence.n.min(found.baseline_n));
    let (verdict, reason) = if fewest < settings.min_examples {
        (Verdict::Inconclusive, Some(Reason::TooFewExamples))
    } else if holds(demand, judged) {
        (Verdict::Passed, None)
    } else if holds(demand, point) && !could_hold(settings, demand, &evidence) {
        (Verdict::Inconclusive, Some(Reason::Underpowered))
    } else {
        (Verdict::Failed, None)
    };
    let mut examples = evidence.examples;
    if verdict == Verdict::Passed {
        examples.shown.clear();
    }
    Check {
        verdict,
        reason,
        n: evidence.n,
        value: Some(evidence.value),
        interval: Some(evidence.interval),
        comparison: evidence.comparison,
        judged: Some(judged),
        margin: Some(margin(demand, judged)),
        examples,
        ..unjudged
    }
}

/// Whether a number satisfies a demand. A number equal to its threshold does.
pub(super) fn holds(demand: Demand, judged: f64) -> bool {
    match demand {
        Demand::Min(threshold) | Demand::MinGain(threshold) => judged >= threshold,
        Demand::Max(threshold) => judged <= threshold,
        Demand::MaxDrop(threshold) => judged >= -threshold,
    }
}

pub(super) fn margin(demand: Demand, judged: f64) -> f64 {
    match demand {
        Demand::Min(threshold) | Demand::MinGain(threshold) => judged - threshold,
        Demand::Max(threshold) => threshold - judged,
        Demand::MaxDrop(threshold) => judged + threshold,
    }
}

/// Whether some result over as many examples could have had an interval that holds: all right for `min`, all wrong for
/// `max`. For comparisons only the case without any evidence is told apart, in which no pair differs.
fn could_hold(settings: &GateSettings, demand: Demand, evidence: &Evidence) -> bool {
    let total = evidence.n as u64;
    let best = |successes| wilson(successes, total, settings.confidence);
    match demand {
        Demand::Min(_) => best(total).is_some_and(|Interval { lower, .. }| holds(demand, lower)),
        Demand::Max(_) => best(0).is_some_and(|Interval { upper, .. }| holds(demand, upper)),
        Demand::MaxDrop(_) | Demand::MinGain(_) => {
            let pairs = evidence.comparison.as_ref().and_then(|comparison| comparison.pairs);
            pairs.is_none_or(|pairs| pairs.gained + pairs.lost > 0)
        }
    }
}
