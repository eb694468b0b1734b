//! What of an experiment's records can be checked without running anything: that its id and keys are those of what they
//! say, and what belongs to it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::artifact::Content;
use crate::digest::ActionKey;
use crate::engine::key::Action;
use crate::engine::record::{ExperimentRecord, StageRecord, experiment_id};
use crate::store::Shipment;

/// All that belongs to the experiment with this record.
///
/// # Errors
/// What is wrong with the record: its form, or an id that is not that of its plan, outputs and verdict.
pub fn shipment(record: &Value) -> Result<Shipment, String> {
    let record: ExperimentRecord = serde_json::from_value(record.clone()).map_err(|error| error.to_string())?;
    let id = experiment_id(record.plan, &record.stages, record.verdict);
    if id != record.id {
        return Err(format!("its plan, outputs and verdict give the id `{id}`; expected `{}`", record.id));
    }
    let given = std::iter::once(Content::File(record.manifest)).chain(record.inputs.values().copied()).collect();
    let outputs = |stage: &StageRecord| -> BTreeMap<String, Content> {
        stage.outputs.iter().map(|(slot, output)| (slot.clone(), output.content)).collect()
    };
    let results = record.stages.iter().map(|stage| (stage.key, outputs(stage))).collect();
    Ok(Shipment { id, given, results })
}

/// Makes sure that an action's ingredients give its key.
///
/// # Errors
/// What is wrong with it.
pub fn check_action(key: &ActionKey, action: &Value) -> Result<(), String> {
    let action: Action = serde_json::from_value(action.clone()).map_err(|error| error.to_string())?;
    if action.key() == *key { Ok(()) } else { Err(format!("its ingredients give the key `{}`", action.key())) }
}
