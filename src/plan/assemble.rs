//! A draft without problems made into a plan: stages in order, inputs hashed, nodes and the plan's id computed.

use super::exports::DraftExport;
use super::ground::Ground;
use super::resolve::{Draft, DraftStage};
use super::wire::{DraftEdge, DraftOrigin, DraftPort};
use super::{Export, Links, Origin, Plan, PlannedInput, PlannedStage, PortEdges, StageId, graph, id};
use crate::cell::Cell;
use crate::device::DeviceSpec;
use crate::manifest::{InputEntry, Manifest, Problems, StageEntry};
use crate::reference::Name;
use crate::stage::Stage;

/// The plan, unless an input can't be read.
pub(super) fn assemble(
    manifest: &Manifest,
    name: &Name,
    draft: Draft,
    ground: &Ground<'_>,
    problems: &mut Problems,
) -> Option<Plan> {
    let order = graph::order(&draft.graph);
    let mut places = vec![StageId(0); order.len()];
    for (place, at) in order.iter().enumerate() {
        places[*at] = StageId(place);
    }
    let inputs = manifest.inputs.iter().map(|input| planned_input(input, ground, problems));
    // Every input is tried, so that all that can't be read are reported.
    let inputs: Vec<Option<PlannedInput>> = inputs.collect();
    let inputs: Vec<PlannedInput> = inputs.into_iter().collect::<Option<_>>()?;
    let links = order.iter().map(|at| Links {
        upstream: in_order(graph::upstream(&draft.graph, *at), &places),
        downstream: in_order(graph::downstream(&draft.graph, *at), &places),
    });
    let links = links.collect();
    let mut drafts: Vec<Option<DraftStage>> = draft.stages.into_iter().map(Some).collect();
    let mut stages = Vec::with_capacity(order.len());
    for at in order {
        let draft = drafts[at].take().expect("the order names every stage once");
        stages.push(planned_stage(manifest, at, draft, &inputs, &places, &stages));
    }
    Some(Plan {
        name: name.clone(),
        source: manifest.source.clone(),
        device: DeviceSpec { backend: manifest.backend },
        inputs,
        order: (0..stages.len()).map(StageId).collect(),
        links,
        exports: draft.exports.into_iter().map(|export| planned_export(export, &places)).collect(),
        id: id::plan_id(stages.iter().map(|stage| stage.node)),
        stages,
    })
}

fn in_order(stages: Vec<usize>, places: &[StageId]) -> Vec<StageId> {
    let mut ids: Vec<StageId> = stages.into_iter().map(|at| places[at]).collect();
    ids.sort_unstable();
    ids
}

fn planned_input(entry: &InputEntry, ground: &Ground<'_>, problems: &mut Problems) -> Option<PlannedInput> {
    let content = ground.content(entry, problems)?;
    let source = entry.source.as_ref()?.value.clone();
    Some(PlannedInput { name: entry.name.value.clone(), path: ground.path(&source), source, content })
}

fn planned_stage(
    manifest: &Manifest,
    at: usize,
    draft: DraftStage,
    inputs: &[PlannedInput],
    places: &[StageId],
    earlier: &[PlannedStage],
) -> PlannedStage {
    let entry = &manifest.stages[at];
    let stage = draft.kind.expect("an unknown kind is a problem, and there are none").stage;
    let config = draft.config.expect("settings that are not valid are a problem, and there are none");
    let surroundings = draft.surroundings.expect("a program that is not there is a problem, and there are none");
    let edges =
        |port: DraftPort| PortEdges { cells: cells(manifest, entry, stage, &port), ..port_edges(port, inputs, places) };
    let edges: Vec<PortEdges> = draft.ports.into_iter().map(edges).collect();
    let node = id::node(stage, &config, &surroundings, &edges, manifest.backend, earlier);
    let (name, span, max_parallel) = (entry.name.value.clone(), entry.name.span, entry.max_parallel);
    let policy = entry.policy;
    PlannedStage { name, stage, config, surroundings, policy, inputs: edges, max_parallel, node, span }
}

/// What tells the edges of a port apart, if its kind asks for it.
fn cells(manifest: &Manifest, reader: &StageEntry, kind: &dyn Stage, port: &DraftPort) -> Vec<Cell> {
    if !kind.cell_ports().contains(&port.port.name.as_ref()) {
        return Vec::new();
    }
    let own = reader.name.value.cell();
    let cell = |edge: &DraftEdge| match edge.origin {
        DraftOrigin::Input(_) => Cell::default(),
        DraftOrigin::Output { stage, .. } => {
            manifest.stages[stage].name.value.cell().without(|axis, value| own.get(axis.as_str()) == Some(value))
        }
    };
    let cells: Vec<Cell> = port.edges.iter().map(cell).collect();
    if cells.iter().all(Cell::is_empty) { Vec::new() } else { cells }
}

fn port_edges(draft: DraftPort, inputs: &[PlannedInput], places: &[StageId]) -> PortEdges {
    let mut edges =
        PortEdges { port: draft.port, origins: Vec::new(), labels: Vec::new(), kinds: Vec::new(), cells: Vec::new() };
    for edge in draft.edges {
        edges.labels.push(edge.label);
        edges.kinds.push(edge.kind);
        edges.origins.push(match edge.origin {
            DraftOrigin::Output { stage, slot } => Origin::Output { stage: places[stage], slot },
            DraftOrigin::Input(input) => {
                let PlannedInput { name, source, content, .. } = &inputs[input];
                Origin::Input { name: name.clone(), source: source.clone(), content: *content }
            }
        });
    }
    edges
}

fn planned_export(draft: DraftExport, places: &[StageId]) -> Export {
    let DraftExport { path, stage, slot, kind, when, span } = draft;
    Export { path, stage: places[stage], slot, kind, when, span }
}
