//! The cells of a stage that reads from several: what their cells share has to agree, what they do not share multiplies.

use std::collections::{BTreeSet, HashMap};

use crate::cell::Cell;
use crate::reference::Name;

/// More cells than a manifest may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// The natural join: every pair of cells that agree on the axes they share, in the order of `left`, then of `right`. The
/// cells of either side have the same axes.
///
/// # Errors
/// When there are more than `most`.
pub(super) fn join(left: &[Cell], right: &[Cell], most: usize) -> Result<Vec<Cell>, TooMany> {
    let shared = shared_axes(left, right);
    let mut partners: HashMap<Cell, Vec<&Cell>> = HashMap::with_capacity(right.len());
    for cell in right {
        partners.entry(project(cell, &shared)).or_default().push(cell);
    }
    let mut joined = Vec::with_capacity(left.len());
    for cell in left {
        for partner in partners.get(&project(cell, &shared)).into_iter().flatten() {
            if joined.len() == most {
                return Err(TooMany);
            }
            let mut both = cell.clone();
            both.0.extend(partner.0.iter().map(|(axis, value)| (axis.clone(), value.clone())));
            joined.push(both);
        }
    }
    Ok(joined)
}

/// The part of a cell in some axes.
pub(super) fn project(cell: &Cell, axes: &BTreeSet<Name>) -> Cell {
    cell.without(|axis, _| !axes.contains(axis))
}

/// The axes of cells that all have the same.
pub(super) fn axes(cells: &[Cell]) -> BTreeSet<Name> {
    cells.first().map(|cell| cell.0.keys().cloned().collect()).unwrap_or_default()
}

fn shared_axes(left: &[Cell], right: &[Cell]) -> BTreeSet<Name> {
    axes(left).intersection(&axes(right)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage_name::StageName;

    fn cells(labels: &[&str]) -> Vec<Cell> {
        let cell = |label: &&str| format!("s[{label}]").parse::<StageName>().expect("label").cell().clone();
        labels.iter().map(cell).collect()
    }

    fn joined(left: &[&str], right: &[&str], most: usize) -> Result<Vec<String>, TooMany> {
        Ok(join(&cells(left), &cells(right), most)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn shared_axes_agree_and_others_multiply() {
        assert_eq!(
            joined(&["a=1, s=1", "a=2, s=2"], &["b=x, s=1", "b=y, s=1"], 9).expect("few"),
            ["a=1, b=x, s=1", "a=1, b=y, s=1"]
        );
        assert_eq!(
            joined(&["a=1", "a=2"], &["b=1", "b=2"], 4).expect("few"),
            ["a=1, b=1", "a=1, b=2", "a=2, b=1", "a=2, b=2"]
        );
        assert_eq!(joined(&["a=1", "a=2"], &["b=1", "b=2"], 3), Err(TooMany));
        assert_eq!(join(&[Cell::default()], &cells(&["a=1"]), 1).expect("one"), cells(&["a=1"]));
    }
}
