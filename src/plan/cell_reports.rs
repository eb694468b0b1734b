//! What is said about labels, axes and cells that do not fit.

use super::join;
use crate::cell::Cell;
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::manifest::matrix::MOST_CELLS;
use crate::manifest::{Problems, Spanned, StageEntry};
use crate::reference::Name;
use crate::stage_name::StageName;

/// How many cells a message names.
const MOST_NAMED: usize = 6;

/// Whether a label fits the cells of its stage; what is wrong with it is reported.
pub(super) fn check_label(name: &StageName, cells: &[Cell], span: Span, problems: &mut Problems) -> bool {
    match mislabelled(name, cells) {
        None => true,
        Some((message, help)) => {
            problems.advise("manifest::unknown_cell", span, "", || message, &help);
            false
        }
    }
}

/// What is wrong with a label, and what would be right.
pub(super) fn mislabelled(name: &StageName, cells: &[Cell]) -> Option<(String, String)> {
    let (base, label) = (name.base(), name.label());
    if label.is_empty() {
        return None;
    }
    let axes = join::axes(cells);
    if axes.is_empty() {
        return Some((format!("stage `{base}` has no cells, so `{name}` names none"), format!("write `{base}`")));
    }
    if let Some(axis) = label.axes().find(|axis| !axes.contains(*axis)) {
        let list: Vec<String> = axes.iter().map(|axis| format!("`{axis}`")).collect();
        let near = nearest(axis.as_str(), axes.iter().map(Name::as_str)).map(|near| format!("did you mean `{near}`? "));
        let help = format!("{}Its axes are {}", near.unwrap_or_default(), list.join(", "));
        return Some((format!("stage `{base}` has no axis `{axis}`"), help));
    }
    if cells.iter().any(|cell| label.matches(cell)) {
        return None;
    }
    // The cells that share most with what was asked for come first.
    let shared = |cell: &&Cell| {
        let same = |(axis, value): &(&Name, &crate::cell::Scalar)| {
            cell.get(axis.as_str()).is_some_and(|own| own.reads_as(value))
        };
        label.fixed.0.iter().filter(same).count()
    };
    let mut near: Vec<&Cell> = cells.iter().collect();
    near.sort_by_key(|cell| std::cmp::Reverse(shared(cell)));
    Some((format!("stage `{base}` has no cell `[{label}]`"), format!("it has {}", listed(base, &near))))
}

/// Some cells by name, and how many more there are.
fn listed(base: &Name, cells: &[&Cell]) -> String {
    let mut names: Vec<String> = cells.iter().take(MOST_NAMED).map(|cell| format!("`{base}[{cell}]`")).collect();
    if cells.len() > MOST_NAMED {
        names.push(format!("and {} more", cells.len() - MOST_NAMED));
    }
    names.join(", ")
}

pub(super) fn too_many(entry: &StageEntry, problems: &mut Problems) {
    let message = || format!("with stage `{}` there are more than {MOST_CELLS} cells", entry.name.value);
    let help = "reduce an axis with `stage[axis=*].slot`, or take values out of a matrix";
    problems.advise("manifest::too_many_cells", entry.name.span, "", message, help);
}

pub(super) fn nothing_shared(entry: &StageEntry, name: &StageName, span: Span, problems: &mut Problems) {
    let message = || format!("no cell of `{name}` goes with what stage `{}` reads elsewhere", entry.name.value);
    let help = "axes of the same name are joined by value; fix or reduce one with a label";
    problems.advise("manifest::no_cells", span, "", message, help);
}

pub(super) fn axis_twice(entry: &StageEntry, axis: &Spanned<Name>, problems: &mut Problems) {
    let message =
        || format!("stage `{}` has the axis `{}` from a stage it reads already", entry.name.value, axis.value);
    let help = "give it another name, or reduce the one that is read with `stage[axis=*].slot`";
    problems.advise("manifest::axis_twice", axis.span, "", message, help);
}

pub(super) fn unknown_axis(entry: &StageEntry, axis: &str, cell: &Cell, span: Span, problems: &mut Problems) {
    problems.add(|source| {
        let message = format!("`${{matrix.{axis}}}` names no axis of stage `{}`", entry.name.value);
        let diagnostic = Diagnostic::error("manifest::unknown_axis", message).at(source, span, "");
        match nearest(axis, cell.0.keys().map(Name::as_str)) {
            Some(near) => diagnostic.help(format!("did you mean `${{matrix.{near}}}`?")),
            None => diagnostic.help("declare it under the stage's `matrix`"),
        }
    });
}

pub(super) fn export_of_many(stage: &StageName, slot: &Name, cells: &[Cell], span: Span, problems: &mut Problems) {
    let matching: Vec<&Cell> = cells.iter().filter(|cell| stage.label().matches(cell)).collect();
    let message = || format!("`{stage}.{slot}` names {} cells; expected one", matching.len());
    let help = format!("choose one: {}", listed(stage.base(), &matching));
    problems.advise("manifest::export_of_many", span, "", message, &help);
}
