//! Resolves every name of a manifest: kinds, inputs, edges, settings, exports. Goes on after each mistake, so that
//! all of them are found.

use std::collections::HashMap;

use super::configure::{self, KnownKind};
use super::exports::{self, DraftExport};
use super::graph::{self, Graph, Step};
use super::ground::Ground;
use super::machine;
use super::wire::{DraftPort, Resolved, Wiring};
use crate::diagnostic::{Diagnostic, nearest};
use crate::manifest::{Manifest, Problems, StageEntry, command};
use crate::stage::{Stage, StageConfig};
use crate::surroundings::{Machine, Surroundings};

/// A manifest with its names resolved; complete when nothing was reported.
pub(super) struct Draft {
    /// In the manifest's order.
    pub stages: Vec<DraftStage>,
    /// Over the manifest's order.
    pub graph: Graph,
    pub exports: Vec<DraftExport>,
}

/// A stage; what was reported is absent.
pub(super) struct DraftStage {
    pub kind: Option<KnownKind>,
    pub config: Option<StageConfig>,
    pub surroundings: Option<Surroundings>,
    pub ports: Vec<DraftPort>,
}

pub(super) fn resolve(
    manifest: &Manifest,
    kinds: &[&'static dyn Stage],
    ground: &Ground<'_>,
    host: &dyn Machine,
    problems: &mut Problems,
) -> Draft {
    let known: HashMap<&str, KnownKind> = kinds.iter().map(|kind| (kind.kind(), KnownKind::new(*kind))).collect();
    let stages = manifest.stages.iter().map(|entry| {
        let kind = kind_of(entry, &known, kinds, problems);
        let config = kind.and_then(|kind| configure::configure(entry, kind, manifest.seed, problems));
        (kind, config)
    });
    let stages: Vec<Resolved> = stages.collect();
    let surroundings = manifest.stages.iter().zip(&stages).map(|(entry, (_, config))| {
        let config = config.as_ref()?;
        machine::look(entry, config, host, problems)
    });
    let surroundings: Vec<Option<Surroundings>> = surroundings.collect();
    let shapes = manifest.inputs.iter().map(|input| ground.shape(input, problems)).collect();
    let mut wiring = Wiring::new(manifest, kinds, stages, shapes);
    let ports: Vec<Vec<DraftPort>> = (0..manifest.stages.len()).map(|at| wiring.wire(at, problems)).collect();
    let graph = graph::build(ports.len(), wiring.edges.iter().copied());
    for cycle in graph::cycles(&graph) {
        problems.add(|_| cycle_diagnostic(manifest, &cycle));
    }
    let exports = exports::resolve(&mut wiring, ground, problems);
    wiring.report_unused_inputs(problems);
    let stages = wiring
        .stages
        .into_iter()
        .zip(ports)
        .zip(surroundings)
        .map(|(((kind, config), ports), surroundings)| DraftStage { kind, config, surroundings, ports });
    Draft { stages: stages.collect(), graph, exports }
}

fn kind_of(
    entry: &StageEntry,
    known: &HashMap<&str, KnownKind>,
    kinds: &[&'static dyn Stage],
    problems: &mut Problems,
) -> Option<KnownKind> {
    let uses = entry.uses.as_ref()?;
    let found = known.get(uses.value.as_str()).copied();
    if found.is_none() {
        problems.add(|source| {
            // A command is no kind that `uses` could name.
            let named = kinds.iter().map(|kind| kind.kind()).filter(|kind| *kind != command::KIND);
            let names: Vec<&str> = named.collect();
            let diagnostic =
                Diagnostic::error("manifest::unknown_kind", format!("there is no stage kind `{}`", uses.value))
                    .at(source, uses.span, "");
            match nearest(&uses.value, names.iter().copied()) {
                Some(near) if uses.span == entry.name.span => {
                    diagnostic.help(format!("did you mean `{near}`? Else say which kind it is with `uses`"))
                }
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => {
                    let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                    diagnostic.help(format!("say with `uses` which kind it is: {}", list.join(", ")))
                }
            }
        });
    }
    found
}

/// The most stages of a cycle that are named; nobody reads more.
const MOST_STEPS: usize = 100;

/// Prints a cycle and points at every edge of it.
fn cycle_diagnostic(manifest: &Manifest, cycle: &[Step]) -> Diagnostic {
    let name = |step: &Step| format!("`{}`", manifest.stages[step.node].name.value);
    let mut names: Vec<String> = cycle.iter().take(MOST_STEPS).map(name).collect();
    if cycle.len() > MOST_STEPS {
        names.push(format!("… ({} more)", cycle.len() - MOST_STEPS));
    }
    names.extend(cycle.first().map(name));
    let message = match cycle {
        [only] => format!("stage {} reads its own output", name(only)),
        _ => format!("stages wait for each other: {}", names.join(" → ")),
    };
    let readers = cycle.iter().cycle().skip(1);
    let diagnostic = Diagnostic::error("manifest::cycle", message).help("remove one of these edges");
    cycle.iter().zip(readers).take(MOST_STEPS).fold(diagnostic, |diagnostic, (step, reader)| {
        diagnostic.at(&manifest.source, step.read_at, format!("{} reads {}", name(reader), name(step)))
    })
}
