//! A gate's verdict for the terminal: which rule, on what, by how much, because of which examples.

use std::fmt::Write;

use crate::artifact::Verdict;
use crate::report::table::{self, Align};
use crate::stages::gate::{GateVerdict, TableRow, table as rows_of};

/// The table of a stored verdict, and the examples behind the checks that did not pass.
#[must_use]
pub fn render(stage: &str, bytes: &[u8]) -> String {
    match GateVerdict::read(bytes) {
        Ok(verdict) => page(stage, &verdict),
        Err(error) => format!("the verdict of `{stage}` can't be read: {error}"),
    }
}

fn page(stage: &str, verdict: &GateVerdict) -> String {
    let checks = rows_of(verdict);
    let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
    let heads = ["rule", "on", "value", "n", "margin", "verdict"];
    let columns = [Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Left];
    let mut text = format!("\n{stage} · {}\n{}", verdict.verdict, table::render(&heads, &rows, &columns));
    for check in checks.iter().filter(|check| check.outcome != Verdict::Passed) {
        for example in &check.examples {
            // Writing to a string never fails.
            let _ = write!(text, "\n  {}: {example}", check.rule);
        }
    }
    text
}

fn row(check: &TableRow) -> Vec<String> {
    vec![
        check.rule.clone(),
        check.slice.clone(),
        check.value.clone(),
        check.n.to_string(),
        check.margin.clone(),
        check.verdict.clone(),
    ]
}
