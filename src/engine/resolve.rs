//! From a planned stage and what its upstream gave to its action, and from the action to a stored result.

use std::collections::BTreeMap;

use crate::artifact::Content;
use crate::digest::Digest;
use crate::engine::EngineError;
use crate::engine::differences::Feed;
use crate::engine::key::Action;
use crate::engine::record::{OutputRecord, StageRecord};
use crate::engine::why::Reason;
use crate::plan::{Origin, Plan, PlannedStage, PortEdges, StageId};
use crate::stage::{Numerics, Outcome};
use crate::store::{Defect, Lookup, ResultRecord, Store};
use crate::surroundings::Traces;

/// The type model stages compute in. The only one there is; in the key so that others can come.
const COMPUTE_TYPE: &str = "float32";

/// What the stages that are done gave.
pub type Products = BTreeMap<StageId, StageRecord>;

/// The bytes that feed an edge.
///
/// # Panics
/// When the upstream stage is not done or did not write the slot, which the plan rules out.
#[must_use]
pub fn content_of(origin: &Origin, products: &Products) -> Content {
    match origin {
        Origin::Input { content, .. } => *content,
        Origin::Output { stage, slot } => {
            let output = products.get(stage).and_then(|record| record.outputs.get(slot.as_str()));
            output.expect("an upstream stage is done before its dependants are resolved").content
        }
    }
}

/// The action of a stage whose upstream is done.
///
/// # Errors
/// When a projected folder's listing can't be read.
pub fn action(plan: &Plan, stage: &PlannedStage, products: &Products, store: &Store) -> Result<Action, EngineError> {
    let mut action = Action::new(stage.stage.kind(), stage.stage.epoch(), stage.config.keyed.clone());
    for edges in stage.inputs.iter().filter(|edges| !edges.origins.is_empty()) {
        let read = |origin: &Origin| store.project(content_of(origin, products), edges.port.projection);
        let digests: Result<Vec<Digest>, _> = edges.origins.iter().map(read).collect();
        action.inputs.insert(edges.port.name.to_string(), digests?);
        if !edges.cells.is_empty() {
            action.cells.insert(edges.port.name.to_string(), edges.cells.clone());
        }
    }
    let Traces { variables, tools } = stage.surroundings.traces(&stage.config.needs);
    (action.env, action.tools) = (variables, tools);
    if stage.stage.numerics() == Numerics::Float {
        action.backend = Some(plan.device().backend);
        action.compute_type = Some(COMPUTE_TYPE.to_owned());
    }
    Ok(action)
}

/// What a look into the store for an action gave.
#[derive(Debug)]
pub enum Stored {
    /// A whole result.
    Hit(Box<StageRecord>),
    /// Nothing usable; why, when it is more than "not there".
    Miss(Option<Box<Reason>>, Option<String>),
}

/// Looks for the result of an action; a result whose bytes are gone or damaged is no hit.
///
/// # Errors
/// When the store can't be read.
pub fn look_up(stage: &PlannedStage, action: &Action, store: &Store) -> Result<Stored, EngineError> {
    let record = match store.result(&action.key())? {
        Lookup::Found(record) => record,
        Lookup::Absent => return Ok(Stored::Miss(None, None)),
        Lookup::Damaged(damage) => {
            return Ok(Stored::Miss(Some(Box::new(Reason::Corrupt { slot: None })), Some(damage.to_string())));
        }
    };
    for (slot, output) in &record.outputs {
        if let Some(problem) = store.check(output.content)? {
            let reason = match &problem {
                Defect::Missing(_) => Reason::Incomplete { slot: slot.clone() },
                Defect::Corrupt(_) => Reason::Corrupt { slot: Some(slot.clone()) },
            };
            return Ok(Stored::Miss(Some(Box::new(reason)), Some(format!("`{slot}`: {problem}"))));
        }
    }
    match stage_record(stage, action, &record) {
        Some(found) => Ok(Stored::Hit(Box::new(found))),
        None => Ok(Stored::Miss(Some(Box::new(Reason::Evicted)), Some("its result has an unknown form".into()))),
    }
}

/// The same for a run, which relies on what it finds: it is renewed first, so that it can't be collected afterwards.
///
/// # Errors
/// As [`look_up`].
pub fn look_up_to_use(stage: &PlannedStage, action: &Action, store: &Store) -> Result<Stored, EngineError> {
    store.renew_result(&action.key())?;
    look_up(stage, action, store)
}

/// A stored result under the name the stage has now.
pub fn stage_record(stage: &PlannedStage, action: &Action, record: &ResultRecord) -> Option<StageRecord> {
    let outputs = record
        .outputs
        .iter()
        .map(|(slot, output)| (slot.clone(), OutputRecord { kind: output.kind, content: output.content }));
    Some(StageRecord {
        name: stage.name.to_string(),
        kind: action.kind.clone(),
        epoch: action.epoch,
        key: action.key(),
        outputs: outputs.collect(),
        outcome: serde_json::from_value::<Outcome>(record.outcome.clone()).ok()?,
        numerics_class: record.numerics_class.clone(),
        seconds: record.seconds,
    })
}

/// Names what feeds a port's edge, for reasons.
pub fn feed(stage: &PlannedStage, port: &str, index: usize) -> Feed {
    let edges = stage.inputs.iter().find(|edges| edges.port.name == port);
    let label = |edges: &PortEdges| Some((edges.origins.get(index)?.clone(), edges.labels.get(index)?.clone()));
    match edges.and_then(label) {
        Some((Origin::Output { .. }, label)) => Feed::Output(label),
        Some((Origin::Input { .. }, label)) => Feed::Input(label),
        None => Feed::Input(port.to_owned()),
    }
}
