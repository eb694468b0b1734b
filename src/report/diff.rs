//! Two experiments side by side, for the terminal: a line for each thing that differs, in aligned columns.

use std::fmt::Write;

use serde_json::Value;

use crate::engine::why::Reason;
use crate::engine::{Change, ExperimentDiff, InputChange, StageChange};
use crate::report::table::{self, Align};
use crate::report::units;
use crate::text::eval_report::Score;

/// What stands where one side has nothing.
const ABSENT: &str = "–";

/// The page. Its first word in each line says what sort of thing differs, so that it can be searched.
#[must_use]
pub fn page(diff: &ExperimentDiff) -> String {
    let (old, new) = (diff.old.id.short(), diff.new.id.short());
    let rows = rows(diff);
    let mut text = if rows.is_empty() {
        format!("{old} and {new} do not differ")
    } else {
        table::render(&["", &old, &new, ""], &rows, &[Align::Left; 4])
    };
    if let Some(classes) = &diff.classes {
        text.push_str("\n\nnote: float stages were computed on two classes of machines, where last bits may differ:");
        // Writing to a string never fails.
        let _ = write!(text, "\n  {old}  {}\n  {new}  {}", classes.old, classes.new);
    }
    text
}

fn rows(diff: &ExperimentDiff) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    if diff.old.name != diff.new.name {
        rows.push(row("name", &diff.old.name, &diff.new.name, ""));
    }
    if diff.old.verdict != diff.new.verdict {
        let shown = |verdict: Option<_>| {
            verdict.map_or_else(|| ABSENT.to_owned(), |verdict: crate::artifact::Verdict| verdict.to_string())
        };
        rows.push(row("verdict", &shown(diff.old.verdict), &shown(diff.new.verdict), ""));
    }
    rows.extend(diff.params.iter().map(|change| told("param", change, value)));
    rows.extend(diff.stages.iter().map(|change| told("stage", change, Clone::clone)));
    rows.extend(diff.settings.iter().map(setting));
    rows.extend(diff.inputs.iter().map(input));
    rows.extend(diff.diverged.iter().map(|change| {
        let mut row = told("diverged", change, crate::digest::Digest::short);
        "the same work gave other bytes".clone_into(&mut row[3]);
        row
    }));
    rows.extend(diff.verdicts.iter().map(|change| told("gate", change, ToString::to_string)));
    rows.extend(diff.metrics.iter().map(metric));
    rows.extend(diff.figures.iter().map(|change| {
        let mut row = told("figure", change, value);
        row[3] = difference(change.old.as_ref().and_then(Value::as_f64), change.new.as_ref().and_then(Value::as_f64));
        row
    }));
    rows.extend(diff.seconds.iter().map(time));
    if let (true, [_, ..]) = (diff.seconds.len() > 1, diff.seconds.as_slice()) {
        let (old, new) = (diff.old.seconds, diff.new.seconds);
        rows.push(row("time all stages", &units::seconds(old), &units::seconds(new), &percent(old, new)));
    }
    rows
}

fn row(what: &str, old: &str, new: &str, note: &str) -> Vec<String> {
    [what, old, new, note].map(str::to_owned).to_vec()
}

fn told<T>(sort: &str, change: &Change<T>, show: impl Fn(&T) -> String) -> Vec<String> {
    let shown = |side: &Option<T>| side.as_ref().map_or_else(|| ABSENT.to_owned(), &show);
    row(&format!("{sort} {}", change.what), &shown(&change.old), &shown(&change.new), "")
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => units::number(number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

fn setting(change: &StageChange) -> Vec<String> {
    let shown = |side: &Option<Value>| side.as_ref().map_or_else(|| ABSENT.to_owned(), value);
    let stage = &change.stage;
    match &change.change {
        Reason::ConfigChanged { path, old, new, .. } => {
            row(&format!("setting {stage}.{path}"), &shown(old), &shown(new), "")
        }
        Reason::KindChanged { old, new } => row(&format!("uses {stage}"), old, new, ""),
        Reason::EpochBumped { old, new } => row(&format!("epoch {stage}"), &old.to_string(), &new.to_string(), ""),
        Reason::BackendChanged { old, new } => row(&format!("backend {stage}"), old, new, ""),
        other => row(&format!("stage {stage}"), "", "", &other.to_string()),
    }
}

fn input(change: &InputChange) -> Vec<String> {
    let mut row = told("input", &change.change, crate::digest::Digest::short);
    row[3] = change.rows.as_ref().map_or_else(String::new, ToString::to_string);
    row
}

/// Scores with their intervals: the difference, and whether the intervals keep apart.
fn metric(change: &Change<Score>) -> Vec<String> {
    let mut row = told("metric", change, score);
    let value = |side: &Option<Score>| side.as_ref().and_then(|score| score.value);
    row[3] = difference(value(&change.old), value(&change.new));
    let interval = |side: &Option<Score>| side.as_ref().and_then(|score| score.interval);
    if let (Some(old), Some(new)) = (interval(&change.old), interval(&change.new))
        && old.lower <= new.upper
        && new.lower <= old.upper
    {
        row[3].push_str(", the intervals overlap");
    }
    row
}

fn score(score: &Score) -> String {
    let value = score.value.map_or_else(|| ABSENT.to_owned(), units::number);
    match score.interval {
        Some(interval) => {
            let (lower, upper) = (units::number(interval.lower), units::number(interval.upper));
            format!("{value} [{lower}, {upper}] of {}", score.n)
        }
        None => format!("{value} of {}", score.n),
    }
}

fn difference(old: Option<f64>, new: Option<f64>) -> String {
    old.zip(new).map_or_else(String::new, |(old, new)| {
        let sign = if new > old { "+" } else { "" };
        format!("{sign}{}", units::number(new - old))
    })
}

fn time(change: &Change<f64>) -> Vec<String> {
    let mut row = told("time", change, |seconds| units::seconds(*seconds));
    row[3] = change.old.zip(change.new).map_or_else(String::new, |(old, new)| percent(old, new));
    row
}

fn percent(old: f64, new: f64) -> String {
    let percent = if old > 0.0 { ((new / old - 1.0) * 100.0).round() } else { return String::new() };
    // Without a sign where there is nothing to tell.
    if percent.abs() < 0.5 { "0 %".to_owned() } else { format!("{percent:+.0} %") }
}
