//! `matrix:` and `max-parallel:` of a stage: axes, `exclude` and `include`, as the cells they come to.
//!
//! Source: the semantics of `strategy.matrix` in GitHub Actions. Deviations, all of them refusals of what is most likely a
//! mistake: an `exclude` that excludes nothing, an axis that no setting of the stage uses, two values of an axis that a
//! label could not tell apart, and cells that lack an axis which other cells have.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZeroUsize;

use super::fields::{self, Fields};
use super::problems::Problems;
use super::settings::Settings;
use super::tree::{Entry, Node, Spanned, Yaml};
use super::{Matrix, names};
use crate::cell::{Cell, Scalar};
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::reference::Name;

/// The most cells of a manifest: more is a slip of the pen, and would fill the memory.
pub(crate) const MOST_CELLS: usize = 100_000;

/// The most entries of `include` or `exclude`: each is held against every cell.
const MOST_PARTS: usize = 1_000;

/// An entry of `include` or `exclude`.
type Partial = Spanned<Cell>;

/// The cells, unless something is wrong with the matrix, or there are none.
pub(super) fn read(node: Node, owner: &str, with: &Settings, problems: &mut Problems) -> Option<Matrix> {
    let (what, span) = (format!("`matrix` of {owner}"), node.span);
    let mut fields = Fields::open(node, &what, problems)?;
    let before = problems.count();
    let exclude = partials(fields.take("exclude"), "exclude", problems);
    let include = partials(fields.take("include"), "include", problems);
    let axes: Vec<_> = fields.all().map(|entry| axis(&entry, problems)).collect();
    let axes: Vec<(Spanned<Name>, Vec<Scalar>)> = axes.into_iter().collect::<Option<_>>()?;
    if problems.count() > before {
        return None;
    }
    let mut count = 1_usize;
    for (_, values) in &axes {
        count = count.saturating_mul(values.len());
    }
    if count.saturating_add(include.len()) > MOST_CELLS {
        problems.error("manifest::too_many_cells", span, "", || {
            format!("{what} has {count} cells; expected at most {MOST_CELLS}")
        });
        return None;
    }
    let known: Vec<&str> = axes.iter().map(|(name, _)| name.value.as_str()).collect();
    let mut cells = if axes.is_empty() { Vec::new() } else { product(&axes) };
    for partial in &exclude {
        apply_exclude(partial, &known, &mut cells, problems);
    }
    let cells = with_included(cells, &include, &known);
    let axes = all_axes(&axes, &include);
    let matrix = Matrix { axes, cells };
    let sound = problems.count() == before && check(&matrix, &what, span, problems);
    report_unused(&matrix, with, problems);
    sound.then_some(matrix)
}

/// `max-parallel`, a whole number of at least 1.
pub(super) fn max_parallel(node: &Node, problems: &mut Problems) -> Option<NonZeroUsize> {
    let number = if let Yaml::Int(value) = &node.value { usize::try_from(*value).ok() } else { None };
    let found = number.and_then(NonZeroUsize::new);
    if found.is_none() && node.value != Yaml::Invalid {
        fields::wrong_type("`max-parallel`", &node.describe(), "a whole number of at least 1", node.span, problems);
    }
    found
}

fn axis(entry: &Entry, problems: &mut Problems) -> Option<(Spanned<Name>, Vec<Scalar>)> {
    let name = names::any(&entry.key, "axis", problems);
    let what = format!("the axis `{}`", entry.key.value);
    let Yaml::List(items) = &entry.node.value else {
        if entry.node.value != Yaml::Invalid {
            fields::wrong_type(&what, &entry.node.describe(), "a list of values", entry.node.span, problems);
        }
        return None;
    };
    if items.is_empty() {
        problems.error("manifest::empty_axis", entry.node.span, "", || {
            format!("{what} has no values; expected at least one")
        });
    }
    let values: Vec<Option<Scalar>> = items.iter().map(|item| value(item, &what, problems)).collect();
    let values: Vec<Scalar> = values.into_iter().collect::<Option<_>>()?;
    report_duplicates(&what, &values, items, problems);
    Some((name?, values))
}

/// A value of an axis: a scalar.
fn value(node: &Node, what: &str, problems: &mut Problems) -> Option<Scalar> {
    if let Yaml::Text(_) = &node.value {
        // Only settings are filled in.
        return fields::text(node, &format!("a value of {what}"), problems).map(|text| Scalar::Text(text.value));
    }
    let scalar = node.to_json().as_ref().and_then(Scalar::of_json);
    if scalar.is_none() && node.value != Yaml::Invalid {
        let expected = "a number, a text, `true` or `false`";
        fields::wrong_type(&format!("a value of {what}"), &node.describe(), expected, node.span, problems);
    }
    scalar
}

fn report_duplicates(what: &str, values: &[Scalar], items: &[Node], problems: &mut Problems) {
    // Equal numbers have equal doubles, everything else equal words.
    let spelling = |value: &Scalar| match value {
        Scalar::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        _ => value.words(),
    };
    let mut seen = HashSet::new();
    for (value, item) in values.iter().zip(items) {
        if !seen.insert(spelling(value)) {
            problems.error("manifest::duplicate_value", item.span, "", || {
                format!("{what} has the value `{value}` twice; a label could not tell its cells apart")
            });
        }
    }
}

fn partials(section: Option<Entry>, key: &str, problems: &mut Problems) -> Vec<Partial> {
    let Some(entry) = section else { return Vec::new() };
    let Yaml::List(items) = entry.node.value else {
        if entry.node.value != Yaml::Invalid {
            let found = entry.node.describe();
            fields::wrong_type(
                &format!("`{key}`"),
                &found,
                "a list of maps of axis to value",
                entry.node.span,
                problems,
            );
        }
        return Vec::new();
    };
    if items.len() > MOST_PARTS {
        let message = || format!("`{key}` has {} entries; expected at most {MOST_PARTS}", items.len());
        problems.error("manifest::too_many_cells", entry.key.span, "", message);
        return Vec::new();
    }
    items.into_iter().filter_map(|item| partial(item, key, problems)).collect()
}

fn partial(node: Node, key: &str, problems: &mut Problems) -> Option<Partial> {
    let span = node.span;
    let fields = Fields::open(node, &format!("an entry of `{key}`"), problems)?;
    let mut cell = BTreeMap::new();
    for entry in fields.all() {
        let name = names::any(&entry.key, "axis", problems);
        let value = value(&entry.node, &format!("the axis `{}`", entry.key.value), problems);
        if let (Some(name), Some(value)) = (name, value) {
            cell.insert(name.value, value);
        }
    }
    Some(Spanned::new(Cell(cell), span))
}

/// Every combination, the last axis varying fastest.
fn product(axes: &[(Spanned<Name>, Vec<Scalar>)]) -> Vec<Cell> {
    axes.iter().fold(vec![Cell::default()], |cells, (name, values)| {
        let extended = |cell: &Cell, value: &Scalar| {
            let mut cell = cell.clone();
            cell.0.insert(name.value.clone(), value.clone());
            cell
        };
        cells.iter().flat_map(|cell| values.iter().map(|value| extended(cell, value))).collect()
    })
}

/// Whether a cell has all values of a part of one.
fn fits(part: &Cell, cell: &Cell) -> bool {
    part.0.iter().all(|(axis, value)| cell.get(axis.as_str()).is_some_and(|own| own.reads_as(value)))
}

fn apply_exclude(part: &Partial, axes: &[&str], cells: &mut Vec<Cell>, problems: &mut Problems) {
    let unknown = part.value.0.keys().find(|axis| !axes.contains(&axis.as_str()));
    if let Some(axis) = unknown {
        problems.add(|source| {
            let diagnostic = Diagnostic::error("manifest::unknown_axis", format!("the matrix has no axis `{axis}`"));
            let help = match nearest(axis.as_str(), axes.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its axes are {}", fields::quoted(axes)),
            };
            diagnostic.at(source, part.span, "").help(help)
        });
        return;
    }
    let before = cells.len();
    cells.retain(|cell| !fits(&part.value, cell));
    if cells.len() == before {
        let message = || format!("`exclude` names `{}`, which no cell is", part.value);
        problems.advise("manifest::unused_exclude", part.span, "", message, "mend its values, or remove it");
    }
}

/// Each entry extends the cells whose original values it leaves alone; one that extends none is a cell of its own.
fn with_included(originals: Vec<Cell>, include: &[Partial], axes: &[&str]) -> Vec<Cell> {
    let mut cells = originals;
    let (extendable, mut added) = (cells.len(), Vec::new());
    for part in include {
        let original = part.value.without(|axis, _| !axes.contains(&axis.as_str()));
        let mut extended = false;
        for cell in &mut cells[..extendable] {
            if fits(&original, cell) {
                extended = true;
                // An original value stays as it is spelt there.
                for (axis, value) in part.value.0.iter().filter(|(axis, _)| original.get(axis.as_str()).is_none()) {
                    cell.0.insert(axis.clone(), value.clone());
                }
            }
        }
        if !extended {
            added.push(part.value.clone());
        }
    }
    cells.extend(added);
    cells
}

fn all_axes(axes: &[(Spanned<Name>, Vec<Scalar>)], include: &[Partial]) -> Vec<Spanned<Name>> {
    let mut all: Vec<Spanned<Name>> = axes.iter().map(|(name, _)| name.clone()).collect();
    for part in include {
        for axis in part.value.0.keys() {
            if all.iter().all(|known| known.value != *axis) {
                all.push(Spanned::new(axis.clone(), part.span));
            }
        }
    }
    all
}

/// Whether there are cells, all of them with all axes, no two of them alike.
fn check(matrix: &Matrix, what: &str, span: Span, problems: &mut Problems) -> bool {
    let lacks =
        |cell: &Cell| matrix.axes.iter().find(|axis| cell.get(axis.value.as_str()).is_none()).map(|axis| &axis.value);
    let mut seen = HashSet::new();
    if matrix.cells.is_empty() {
        problems.error("manifest::no_cells", span, "", || format!("{what} has no cells; expected at least one"));
    } else if let Some((cell, axis)) = matrix.cells.iter().find_map(|cell| Some((cell, lacks(cell)?))) {
        let message = || format!("the cell `{cell}` of {what} has no `{axis}`; expected a value for each axis");
        problems.advise("manifest::incomplete_cell", span, "", message, "give it in the entry of `include`");
    } else if let Some(twice) = matrix.cells.iter().find(|cell| !seen.insert(cell.to_string())) {
        problems.error("manifest::duplicate_cell", span, "", || format!("{what} has the cell `{twice}` twice"));
    } else {
        return true;
    }
    false
}

/// Cells that differ only in an axis that no setting uses would all be equal.
fn report_unused(matrix: &Matrix, with: &Settings, problems: &mut Problems) {
    let mut used = BTreeSet::new();
    with.open.iter().for_each(|(_, template)| template.axes(&mut used));
    for axis in matrix.axes.iter().filter(|axis| !used.contains(axis.value.as_str())) {
        // A misspelt use is reported when the cells are filled in.
        let axes: Vec<&str> = matrix.axes.iter().map(|axis| axis.value.as_str()).collect();
        let meant =
            |name: &&&str| !axes.contains(*name) && nearest(name, axes.iter().copied()) == Some(axis.value.as_str());
        if used.iter().any(|name| meant(&name)) {
            continue;
        }
        let message = || format!("the axis `{}` is in no setting, so its cells would be equal", axis.value);
        let help = format!("use it under `with` as `${{matrix.{}}}`, or remove it", axis.value);
        problems.advise("manifest::unused_axis", axis.span, "", message, &help);
    }
}
