//! A manifest with matrices as one of plain stages, one for each cell; the rest of planning sees only those.
//!
//! A stage has the cells of those it reads from, times its own. What an edge's label fixes or reduces is not inherited.
//! What is wrong with every cell of a stage is found first, in a manifest of one cell each, and so is told once.

use std::collections::{BTreeSet, HashMap};

use super::cell_reports as reports;
use super::graph;
use super::ground::Ground;
use super::join::{self, TooMany};
use super::resolve;
use crate::cell::Cell;
use crate::diagnostic::{Diagnostic, Span};
use crate::manifest::matrix::MOST_CELLS;
use crate::manifest::{Manifest, PortEntry, Problems, Settings, Spanned, StageEntry};
use crate::reference::{Edge, Name};
use crate::stage::Stage;
use crate::stage_name::StageName;
use crate::surroundings::Machine;

/// The manifest with a stage for each cell; none when it has no matrix and speaks of no cells.
///
/// # Errors
/// All that is wrong with the manifest, when something is wrong with its stages or cells as such.
pub(super) fn expand(
    manifest: &Manifest,
    kinds: &[&'static dyn Stage],
    ground: &Ground<'_>,
    machine: &dyn Machine,
    problems: &mut Problems,
) -> Result<Option<Manifest>, Vec<Diagnostic>> {
    if !speaks_of_cells(manifest) {
        return Ok(None);
    }
    let mut expansion = Expansion::new(manifest);
    expansion.find_cells(problems);
    // A matrix with a mistake has no axes, and settings that use them are not wrong because of that.
    let known = problems.is_empty();
    let stages = expansion.stages(problems, known);
    let exports = manifest.exports.iter().map(|export| {
        let from = expansion.export(&export.from, problems);
        from.map(|from| crate::manifest::ExportEntry { from, ..export.clone() })
    });
    let exports: Vec<_> = exports.collect();
    let plain =
        Manifest { stages: representatives(&expansion, &stages), exports: plain_exports(manifest), ..manifest.clone() };
    let mut found = Problems::new(&manifest.source);
    resolve::resolve(&plain, kinds, ground, machine, &mut found);
    problems.absorb(found, false);
    if !problems.is_empty() {
        return Err(problems.clone().finish());
    }
    let stages = stages.into_iter().flatten().collect();
    Ok(Some(Manifest { stages, exports: exports.into_iter().flatten().collect(), ..manifest.clone() }))
}

fn speaks_of_cells(manifest: &Manifest) -> bool {
    let labelled = |edge: &Edge| matches!(edge, Edge::Output { stage, .. } if !stage.label().is_empty());
    let stage = |entry: &StageEntry| {
        let mut edges = entry.ports.iter().flat_map(|port| &port.edges);
        entry.matrix.is_some() || !entry.with.open.is_empty() || edges.any(|edge| labelled(&edge.value))
    };
    manifest.stages.iter().any(stage) || manifest.exports.iter().any(|export| labelled(&export.from.value))
}

/// One cell of each stage, under the stage's own name and with edges without labels.
fn representatives(expansion: &Expansion<'_>, stages: &[Vec<StageEntry>]) -> Vec<StageEntry> {
    let one = |(entry, cells): (&StageEntry, &Vec<StageEntry>)| {
        let with = cells.first().map_or_else(|| entry.with.clone(), |cell| cell.with.clone());
        let plain = |port: &PortEntry| PortEntry { edges: port.edges.iter().map(unlabelled).collect(), ..port.clone() };
        StageEntry { with, ports: entry.ports.iter().map(plain).collect(), ..entry.clone() }
    };
    expansion.manifest.stages.iter().zip(stages).map(one).collect()
}

fn plain_exports(manifest: &Manifest) -> Vec<crate::manifest::ExportEntry> {
    let plain = |export: &crate::manifest::ExportEntry| crate::manifest::ExportEntry {
        from: unlabelled(&export.from),
        ..export.clone()
    };
    manifest.exports.iter().map(plain).collect()
}

fn unlabelled(edge: &Spanned<Edge>) -> Spanned<Edge> {
    let plain = match &edge.value {
        Edge::Output { stage, slot } => Edge::Output { stage: stage.base().clone().into(), slot: slot.clone() },
        input @ Edge::Input(_) => input.clone(),
    };
    Spanned::new(plain, edge.span)
}

/// The cells of a manifest's stages while they are found.
struct Expansion<'m> {
    manifest: &'m Manifest,
    by_name: HashMap<&'m str, usize>,
    /// By the manifest's order.
    cells: Vec<Vec<Cell>>,
}

impl<'m> Expansion<'m> {
    fn new(manifest: &'m Manifest) -> Self {
        let by_name = manifest.stages.iter().enumerate().map(|(at, stage)| (stage.name.value.as_str(), at)).collect();
        let own = |entry: &StageEntry| {
            entry.matrix.as_ref().map_or_else(|| vec![Cell::default()], |matrix| matrix.cells.clone())
        };
        Self { manifest, by_name, cells: manifest.stages.iter().map(own).collect() }
    }

    /// The edges of a stage to other stages that exist.
    fn edges(&self, at: usize) -> impl Iterator<Item = (usize, &'m StageName, Span)> {
        let edges = self.manifest.stages[at].ports.iter().flat_map(|port| &port.edges);
        edges.filter_map(|edge| match &edge.value {
            Edge::Output { stage, .. } => Some((*self.by_name.get(stage.base().as_str())?, stage, edge.span)),
            Edge::Input(_) => None,
        })
    }

    /// Each stage after those it reads from; one that waits for itself keeps its own cells, since the cycle is reported.
    fn find_cells(&mut self, problems: &mut Problems) {
        let count = self.cells.len();
        let edges: Vec<(usize, usize, Span)> =
            (0..count).flat_map(|at| self.edges(at).map(move |(from, _, span)| (from, at, span))).collect();
        let mut total = 0;
        for at in graph::order(&graph::build(count, edges)) {
            if let Some(cells) = self.cells_of(at, problems) {
                self.cells[at] = cells;
            }
            total += self.cells[at].len();
            if total > MOST_CELLS {
                reports::too_many(&self.manifest.stages[at], problems);
                return;
            }
        }
    }

    /// The cells of a stage whose upstream has its cells; none when something is wrong with them.
    fn cells_of(&self, at: usize, problems: &mut Problems) -> Option<Vec<Cell>> {
        let entry = &self.manifest.stages[at];
        let inherited = self.inherited_cells(at, problems)?;
        let Some(own) = &entry.matrix else { return Some(inherited) };
        let known = join::axes(&inherited);
        if let Some(twice) = own.axes.iter().find(|axis| known.contains(&axis.value)) {
            reports::axis_twice(entry, twice, problems);
            return None;
        }
        let cells = join::join(&inherited, &own.cells, MOST_CELLS);
        cells.map_err(|TooMany| reports::too_many(entry, problems)).ok()
    }

    /// What the cells of the stages it reads from come to.
    fn inherited_cells(&self, at: usize, problems: &mut Problems) -> Option<Vec<Cell>> {
        let entry = &self.manifest.stages[at];
        let mut inherited = vec![Cell::default()];
        let mut seen: Vec<(usize, BTreeSet<Name>)> = Vec::new();
        let mut sound = true;
        for (from, name, span) in self.edges(at) {
            if !reports::check_label(name, &self.cells[from], span, problems) {
                sound = false;
                continue;
            }
            let view = self.inherited_axes(from, name);
            if name.label().fixed.is_empty() && seen.contains(&(from, view.clone())) {
                continue;
            }
            let cells = distinct(&self.cells[from], name, &view);
            seen.push((from, view));
            match join::join(&inherited, &cells, MOST_CELLS) {
                Ok(cells) if !cells.is_empty() => inherited = cells,
                Ok(_) => {
                    reports::nothing_shared(entry, name, span, problems);
                    sound = false;
                }
                Err(TooMany) => {
                    reports::too_many(entry, problems);
                    sound = false;
                }
            }
        }
        sound.then_some(inherited)
    }

    /// The axes that a reader of a stage has because of this edge.
    fn inherited_axes(&self, from: usize, name: &StageName) -> BTreeSet<Name> {
        let label = name.label();
        let mut axes = join::axes(&self.cells[from]);
        axes.retain(|axis| !label.fixed.0.contains_key(axis) && !label.reduces(axis));
        axes
    }

    /// For each stage, an entry for each of its cells. Mistakes in filling in are told unless the cells are not `known`.
    fn stages(&self, problems: &mut Problems, known: bool) -> Vec<Vec<StageEntry>> {
        let all = self.manifest.stages.iter().enumerate();
        all.map(|(at, entry)| {
            let (views, bare) = (self.views(at), bare(entry));
            let mut silent = !known;
            let cells = if known { &self.cells[at][..] } else { &self.cells[at][..1] };
            let stages = cells.iter().map(|cell| {
                let with = settings(entry, cell, silent, problems);
                // The other cells have the same axes.
                silent = true;
                let name = StageName::cell_of(entry.name.value.base(), cell.clone());
                let ports = if known { ports(entry, cell, &views) } else { Vec::new() };
                StageEntry { name: Spanned::new(name, entry.name.span), with, ports, ..bare.clone() }
            });
            stages.collect()
        })
        .collect()
    }

    /// For each edge of a stage to another, the cells it may read from by what they share with the reader.
    fn views(&self, at: usize) -> HashMap<Span, View> {
        let view = |(from, name, span): (usize, &StageName, Span)| {
            let axes = self.inherited_axes(from, name);
            let mut cells: HashMap<Cell, Vec<StageName>> = HashMap::new();
            for cell in self.cells[from].iter().filter(|cell| name.label().matches(cell)) {
                cells
                    .entry(join::project(cell, &axes))
                    .or_default()
                    .push(StageName::cell_of(name.base(), cell.clone()));
            }
            (span, View { axes, cells })
        };
        self.edges(at).map(view).collect()
    }

    /// The one cell that an export refers to.
    fn export(&self, from: &Spanned<Edge>, problems: &mut Problems) -> Option<Spanned<Edge>> {
        let Edge::Output { stage, slot } = &from.value else { return Some(from.clone()) };
        let Some(at) = self.by_name.get(stage.base().as_str()) else { return Some(from.clone()) };
        if !reports::check_label(stage, &self.cells[*at], from.span, problems) {
            return None;
        }
        let mut found = self.cells[*at].iter().filter(|cell| stage.label().matches(cell));
        let (Some(only), None) = (found.next(), found.next()) else {
            reports::export_of_many(stage, slot, &self.cells[*at], from.span, problems);
            return None;
        };
        let stage = StageName::cell_of(stage.base(), only.clone());
        Some(Spanned::new(Edge::Output { stage, slot: slot.clone() }, from.span))
    }
}

/// What of a stage a reader sees through one edge.
struct View {
    /// The axes that are inherited.
    axes: BTreeSet<Name>,
    /// By what a cell has in these axes, the cells in their order.
    cells: HashMap<Cell, Vec<StageName>>,
}

/// An entry without what each cell has of its own.
fn bare(entry: &StageEntry) -> StageEntry {
    StageEntry { matrix: None, ports: Vec::new(), with: Settings::none(), ..entry.clone() }
}

/// The cells that a label leaves, seen through the inherited axes, each once.
fn distinct(cells: &[Cell], name: &StageName, axes: &BTreeSet<Name>) -> Vec<Cell> {
    let mut seen = std::collections::HashSet::new();
    let views = cells.iter().filter(|cell| name.label().matches(cell)).map(|cell| join::project(cell, axes));
    views.filter(|view| seen.insert(view.clone())).collect()
}

fn settings(entry: &StageEntry, cell: &Cell, silent: bool, problems: &mut Problems) -> Settings {
    entry.with.in_cell(cell, |axis, span| {
        if !silent {
            reports::unknown_axis(entry, axis, cell, span, problems);
        }
    })
}

fn ports(entry: &StageEntry, cell: &Cell, views: &HashMap<Span, View>) -> Vec<PortEntry> {
    let edges = |edge: &Spanned<Edge>| -> Vec<Spanned<Edge>> {
        let (Edge::Output { slot, .. }, Some(view)) = (&edge.value, views.get(&edge.span)) else {
            return vec![edge.clone()];
        };
        let producers = view.cells.get(&join::project(cell, &view.axes)).into_iter().flatten();
        producers
            .map(|stage| Spanned::new(Edge::Output { stage: stage.clone(), slot: slot.clone() }, edge.span))
            .collect()
    };
    let port = |port: &PortEntry| PortEntry { edges: port.edges.iter().flat_map(edges).collect(), ..port.clone() };
    entry.ports.iter().map(port).collect()
}
