//! What enters a plan's id, one commented field an ingredient.
//!
//! Known before anything runs: a stage is named by what it is and what it reads, down to the digests of the inputs.
//! Names, paths, comments, the order of keys and exports are not in it. Of an input it takes the whole even where a port
//! projects: the plan is what is asked for, and what a stage leaves unread only its action knows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Origin, PlannedStage, PortEdges};
use crate::artifact::Content;
use crate::cell::Cell;
use crate::device::Backend;
use crate::digest::{Canonical, Digest, PlanId};
use crate::stage::{Numerics, Stage, StageConfig};

const NODE: &str = "pipe plan node v1";

/// The digest of a stage whose producers, among `earlier`, have theirs.
pub(super) fn node(
    kind: &dyn Stage,
    config: &StageConfig,
    ports: &[PortEdges],
    backend: Backend,
    earlier: &[PlannedStage],
) -> Digest {
    let inputs: BTreeMap<String, Canonical> = ports
        .iter()
        .filter(|port| !port.origins.is_empty())
        .map(|port| {
            let origins = Canonical::List(port.origins.iter().map(|origin| origin_value(origin, earlier)).collect());
            (port.port.name.to_owned(), with_cells(origins, &port.cells))
        })
        .collect();
    let value = Canonical::map([
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
    ]);
    Digest::derive(NODE, &value)
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
pub(super) fn plan_id(stages: &[PlannedStage]) -> PlanId {
    let nodes: BTreeSet<Digest> = stages.iter().map(|stage| stage.node).collect();
    PlanId::of(&Canonical::List(nodes.into_iter().map(Canonical::from).collect()))
}
