//! A verdict as a table of plain texts: which rule, on what, by how much, because of which examples.

use super::settings::{Bound, Demand, Level};
use super::verdict::{Check, GateVerdict, Seeds, ShownExample};
use crate::artifact::Verdict;
use crate::text::statistics::Interval;

/// One check, ready to be laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// What is asked for: `contains ≥ 0.8`, with `(ci_lower)` or `(warn)` behind it.
    pub rule: String,
    /// The slice, or `all`.
    pub slice: String,
    /// The report, counted from 1.
    pub report: usize,
    /// The mean with its interval, and for comparisons the baseline's mean and the difference.
    pub value: String,
    /// How many examples.
    pub n: usize,
    /// By how much the rule holds; `–` when nothing was judged.
    pub margin: String,
    /// The verdict, and why when that is not in the numbers.
    pub verdict: String,
    /// The examples behind a check that did not pass, one text each; the last one counts those left out.
    pub examples: Vec<String>,
    /// Whether the check passed, for colour.
    pub outcome: Verdict,
}

/// The table of a verdict, one row a check.
#[must_use]
pub fn table(verdict: &GateVerdict) -> Vec<TableRow> {
    verdict.checks.iter().map(row).collect()
}

fn row(check: &Check) -> TableRow {
    TableRow {
        rule: rule(check),
        slice: slice(check),
        report: check.report,
        value: value(check),
        n: check.n,
        margin: check.margin.map_or_else(|| "–".to_owned(), |margin| format!("{}{}", sign(margin), number(margin))),
        verdict: match check.reason {
            Some(reason) => format!("{}: {}", check.verdict, reason.text()),
            None => check.verdict.to_string(),
        },
        examples: examples(check),
        outcome: check.verdict,
    }
}

fn slice(check: &Check) -> String {
    let mut text = check.slice.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
    if !check.cell.is_empty() {
        text = format!("{text} [{}]", check.cell);
    }
    if let Some(seeds) = &check.seeds {
        let count = seeds.each.len();
        text = format!("{text}, {count} seed{}", if count == 1 { "" } else { "s" });
    }
    text
}

/// `0.75 ± 0.05 [0.7, 0.8]`: mean, standard deviation, smallest and largest of the seeds' figures.
fn spread(seeds: &Seeds) -> Option<String> {
    let (mean, min, max) = (seeds.mean?, seeds.min?, seeds.max?);
    let deviation = seeds.standard_deviation.map_or_else(String::new, |found| format!(" ± {}", number(found)));
    Some(format!("{}{deviation} [{}, {}]", number(mean), number(min), number(max)))
}

fn rule(check: &Check) -> String {
    let (metric, threshold) = (&check.metric, check.demand.threshold());
    let mut text = match check.demand {
        Demand::Min(_) => format!("{metric} ≥ {threshold}"),
        Demand::Max(_) => format!("{metric} ≤ {threshold}"),
        Demand::MaxDrop(_) => format!("{metric} drops ≤ {threshold}"),
        Demand::MinGain(_) => format!("{metric} gains ≥ {threshold}"),
    };
    if check.bound == Bound::CiLower {
        text.push_str(" (ci_lower)");
    }
    if check.level == Level::Warn {
        text.push_str(" (warn)");
    }
    text
}

fn value(check: &Check) -> String {
    if let Some(text) = check.seeds.as_ref().and_then(spread) {
        return text;
    }
    let Some(value) = check.value else { return "–".to_owned() };
    let Some(comparison) = &check.comparison else {
        return format!("{}{}", number(value), interval(check.interval.as_ref()));
    };
    let (difference, baseline) = (comparison.difference, comparison.baseline_value);
    let mut text =
        format!("{} against {}: {}{}", number(value), number(baseline), sign(difference), number(difference));
    text.push_str(&interval(Some(&comparison.interval)));
    if let Some(pairs) = comparison.pairs {
        text = format!("{text}, {} gained, {} lost", pairs.gained, pairs.lost);
        match pairs.p_value {
            Some(p_value) if p_value < 0.0001 => text.push_str(", p < 0.0001"),
            Some(p_value) => text = format!("{text}, p {}", number(p_value)),
            None => {}
        }
    }
    text
}

fn interval(interval: Option<&Interval>) -> String {
    interval.map_or_else(String::new, |ends| format!(" [{}, {}]", number(ends.lower), number(ends.upper)))
}

/// Four decimals, without the zeros that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

const fn sign(value: f64) -> &'static str {
    if value > 0.0 { "+" } else { "" }
}

fn examples(check: &Check) -> Vec<String> {
    let mut lines: Vec<String> = check.examples.shown.iter().map(example).collect();
    let rest = check.examples.total - check.examples.shown.len().min(check.examples.total);
    if rest > 0 && !lines.is_empty() {
        lines.push(format!("and {rest} more"));
    }
    lines
}

fn example(example: &ShownExample) -> String {
    let ShownExample { id, query, expected, output, baseline_output, .. } = example;
    let line = format!("{id} {query:?}: expected {expected:?}, got {output:?}");
    match baseline_output {
        Some(baseline) => format!("{line}, baseline {baseline:?}"),
        None => line,
    }
}
