//! Reports that differ by their seed only, judged together: what training with other random numbers would give is part of
//! the evidence.
//!
//! Each seed is first judged by itself, in pairs with the baseline where the rule compares. Then one number of all is held
//! against the threshold. A mean of scores varies no more than its parts do on average, so the mean of the seeds' lower bounds
//! errs on the safe side of a bound of their mean.

use super::judge::{holds, margin};
use super::settings::OverSeeds;
use super::verdict::{Check, Reason, Responsible, SeedCheck, Seeds};
use crate::artifact::Verdict;
use crate::cell::Cell;
use crate::text::statistics::mean;

/// The axis that is reduced.
pub(super) const AXIS: &str = "seed";

/// The checks of one rule, those that differ by the seed only as one, in the order of their first.
pub(super) fn reduce(over: OverSeeds, checks: Vec<Check>) -> Vec<Check> {
    let mut groups: Vec<(Cell, Vec<Check>)> = Vec::new();
    for check in checks {
        let rest = check.cell.without(|axis, _| axis.as_str() == AXIS);
        match groups.iter_mut().find(|(cell, _)| *cell == rest) {
            Some((_, group)) => group.push(check),
            None => groups.push((rest, vec![check])),
        }
    }
    groups.into_iter().filter_map(|(cell, group)| together(over, cell, &group)).collect()
}

/// One check of those of a cell's seeds; none of none.
fn together(over: OverSeeds, cell: Cell, group: &[Check]) -> Option<Check> {
    let seeds = seeds(over, group);
    let judged: Option<Vec<f64>> = group.iter().map(|check| check.judged).collect();
    let worst = group
        .iter()
        .max_by(|one, other| badness(one).partial_cmp(&badness(other)).unwrap_or(std::cmp::Ordering::Equal))?;
    let reduced = match (over, judged) {
        (OverSeeds::Mean, Some(judged)) => of_mean(mean(&judged)?, &seeds, group, worst),
        // A seed without a number has no share in a mean; it is the worst.
        (OverSeeds::Mean | OverSeeds::All, _) => worst.clone(),
        (OverSeeds::Min, _) => group.iter().min_by(|one, other| least(one).total_cmp(&least(other)))?.clone(),
    };
    let report = group.iter().map(|check| check.report).min()?;
    Some(Check { report, cell, seeds: Some(seeds), ..reduced })
}

/// Failed before inconclusive before passed, and then by the margin.
fn badness(check: &Check) -> (Verdict, f64) {
    (check.verdict, -least(check))
}

/// By how much a check holds; one without a number holds least.
fn least(check: &Check) -> f64 {
    check.margin.unwrap_or(f64::NEG_INFINITY)
}

fn of_mean(judged: f64, seeds: &Seeds, group: &[Check], worst: &Check) -> Check {
    let demand = worst.demand;
    let any = |reason: Reason| group.iter().any(|check| check.reason == Some(reason));
    let (verdict, reason) = if any(Reason::TooFewExamples) {
        (Verdict::Inconclusive, Some(Reason::TooFewExamples))
    } else if holds(demand, judged) {
        (Verdict::Passed, None)
    } else if any(Reason::Underpowered) && seeds.mean.is_some_and(|figure| holds(demand, figure)) {
        (Verdict::Inconclusive, Some(Reason::Underpowered))
    } else {
        (Verdict::Failed, None)
    };
    let values: Option<Vec<f64>> = group.iter().map(|check| check.value).collect();
    Check {
        verdict,
        reason,
        value: values.and_then(|values| mean(&values)),
        // Each seed has its own; the spread over seeds is no interval of examples.
        interval: None,
        comparison: None,
        judged: Some(judged),
        margin: Some(margin(demand, judged)),
        examples: if verdict == Verdict::Passed { Responsible::default() } else { worst.examples.clone() },
        ..worst.clone()
    }
}

fn seeds(over: OverSeeds, group: &[Check]) -> Seeds {
    let figure = |check: &Check| check.comparison.as_ref().map(|found| found.difference).or(check.value);
    let figures: Vec<f64> = group.iter().filter_map(figure).collect();
    let centre = mean(&figures);
    let squares = |centre: f64| figures.iter().map(|figure| (figure - centre).powi(2)).sum::<f64>();
    let deviation = |centre: f64| (figures.len() > 1).then(|| (squares(centre) / (figures.len() - 1) as f64).sqrt());
    Seeds {
        over,
        count: figures.len(),
        mean: centre,
        standard_deviation: centre.and_then(deviation),
        min: figures.iter().copied().min_by(f64::total_cmp),
        max: figures.iter().copied().max_by(f64::total_cmp),
        each: group.iter().map(seed_check).collect(),
    }
}

fn seed_check(check: &Check) -> SeedCheck {
    let Check { report, cell, verdict, reason, n, value, interval, comparison, judged, .. } = check.clone();
    SeedCheck { report, cell, verdict, reason, n, value, interval, comparison, judged }
}
