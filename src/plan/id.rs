//! What enters the id of a plan, and that of an experiment; one commented field an ingredient.
//!
//! Known before anything runs: a stage is named by what it is and what it reads, down to the digests of the inputs.
//! Names, paths, comments, the order of keys and exports are not in it. Of an input it takes the whole even where a port
//! projects: the plan is what is asked for, and what a stage leaves unread only its action knows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Origin, PlannedStage, PortEdges};
use crate::artifact::{Content, Verdict};
use crate::cell::Cell;
use crate::device::Backend;
use crate::digest::{ActionKey, Canonical, Digest, ExperimentId, PlanId};
use crate::stage::{Numerics, Stage, StageConfig};
use crate::surroundings::Surroundings;

const NODE: &str = "pipe plan node v1";

/// The digest of a stage whose producers, among `earlier`, have theirs.
pub(super) fn node(
    kind: &dyn Stage,
    config: &StageConfig,
    surroundings: &Surroundings,
    ports: &[PortEdges],
    backend: Backend,
    earlier: &[PlannedStage],
) -> Digest {
    let inputs: BTreeMap<String, Canonical> = ports
        .iter()
        .filter(|port| !port.origins.is_empty())
        .map(|port| {
            let origins = Canonical::List(port.origins.iter().map(|origin| origin_value(origin, earlier)).collect());
            (port.port.name.to_string(), with_cells(origins, &port.cells))
        })
        .collect();
    let mut value = vec![
        // What the stage does,
        ("kind", Canonical::from(kind.kind())),
        // in which of its versions,
        ("epoch", Canonical::from(kind.epoch())),
        // with which settings, defaults filled in, without those that change no output,
        ("config", Canonical::from(&config.keyed)),
        // for model work, on which backend,
        (
            "backend",
            match kind.numerics() {
                Numerics::Float => Canonical::from(backend.name()),
                Numerics::Exact => Canonical::Null,
            },
        ),
        // and what it reads at each port, in order.
        ("inputs", Canonical::Map(inputs)),
    ];
    // What it takes from the machine is part of those alone that ask for something.
    value.extend(surroundings.traces(&config.needs).canonical());
    Digest::derive(NODE, &Canonical::map(value))
}

fn origin_value(origin: &Origin, earlier: &[PlannedStage]) -> Canonical {
    match origin {
        Origin::Input { content: Content::File(digest), .. } => Canonical::map([("file", Canonical::from(*digest))]),
        Origin::Input { content: Content::Tree(digest), .. } => Canonical::map([("tree", Canonical::from(*digest))]),
        Origin::Output { stage, slot } => Canonical::map([
            ("node", Canonical::from(earlier[stage.index()].node)),
            ("slot", Canonical::from(slot.as_str())),
        ]),
    }
}

/// Where the stage sees the cells that it reads from, they are part of what it reads.
fn with_cells(origins: Canonical, cells: &[Cell]) -> Canonical {
    if cells.is_empty() {
        return origins;
    }
    let cells = Canonical::List(cells.iter().map(Cell::canonical).collect());
    Canonical::map([("origins", origins), ("cells", cells)])
}

/// The id of a plan: the sorted set of its nodes, for two equal nodes are one action.
#[must_use]
pub fn plan_id(nodes: impl IntoIterator<Item = Digest>) -> PlanId {
    let nodes: BTreeSet<Digest> = nodes.into_iter().collect();
    PlanId::of(&Canonical::List(nodes.into_iter().map(Canonical::from).collect()))
}

/// The id of a complete run: `H(plan id, every output's digest by action, verdict)`.
///
/// Made of what was computed, never of names, paths or times, so the same experiment has the same id in another clone,
/// under another file name, at another hour.
#[must_use]
pub fn experiment_id(
    plan: PlanId,
    results: impl IntoIterator<Item = (ActionKey, BTreeMap<String, Digest>)>,
    verdict: Option<Verdict>,
) -> ExperimentId {
    let outputs = |slots: BTreeMap<String, Digest>| {
        Canonical::Map(slots.into_iter().map(|(slot, digest)| (slot, Canonical::from(digest))).collect())
    };
    let results = results.into_iter().map(|(key, slots)| (key.to_string(), outputs(slots))).collect();
    ExperimentId::of(&Canonical::map([
        ("plan", Canonical::from(*plan.digest())),
        ("results", Canonical::Map(results)),
        ("verdict", verdict.map_or(Canonical::Null, |verdict| Canonical::from(verdict.name()))),
    ]))
}
