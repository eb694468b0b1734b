//! What enters a plan's id, one commented field an ingredient.
//!
//! Known before anything runs: a stage is named by what it is and what it reads, down to the digests of the inputs.
//! Names, paths, comments, the order of keys and exports are not in it. Of an input it takes the whole even where a port
//! projects: the plan is what is asked for, and what a stage leaves unread only its action knows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Origin, PlannedStage, PortEdges};
use crate::artifact::Content;
use crate::device::Backend;
use crate::digest::{Canonical, Digest, PlanId};
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
            let origins = port.origins.iter().map(|origin| origin_value(origin, earlier)).collect();
            (port.port.name.to_string(), Canonical::List(origins))
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

/// The id of a plan: the sorted set of its nodes, for two equal nodes are one action.
pub(super) fn plan_id(stages: &[PlannedStage]) -> PlanId {
    let nodes: BTreeSet<Digest> = stages.iter().map(|stage| stage.node).collect();
    PlanId::of(&Canonical::List(nodes.into_iter().map(Canonical::from).collect()))
}
