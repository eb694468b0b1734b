//! An experiment done again: each stage runs on its recorded inputs, ignoring stored results, and its outputs are
//! compared byte by byte. Nothing is stored.
//!
//! Every stage starts from what the record says its upstream gave. When all stages come out identical, the whole chain
//! does, by induction; when one diverges, the others are still told apart from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::artifact::Content;
use crate::digest::ExperimentId;
use crate::engine::differences::{Feed, differences};
use crate::engine::event::{Event, Sink};
use crate::engine::execute::{Job, Ran, output_folder, run_in};
use crate::engine::key::Action;
use crate::engine::record::{ExperimentRecord, OutputRecord, StageRecord};
use crate::engine::resolve::{Products, action};
use crate::engine::{EngineError, numerics_class, typed};
use crate::plan::{Plan, PlannedStage};
use crate::stage::{Cancel, Numerics, Outcome};
use crate::store::{Lookup, Store};

/// How one output compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The same bytes.
    Identical,
    /// Other bytes; the first place where they differ.
    Differs(String),
}

/// What became of one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct ReproducedStage {
    /// The stage.
    pub name: String,
    /// Slot to comparison.
    pub outputs: BTreeMap<String, Comparison>,
    /// Whether verdict and figures are the recorded ones.
    pub same_outcome: bool,
    /// The class it was recorded on, when this machine is of another one: then differing bits are to be expected.
    pub other_class: Option<String>,
}

/// What became of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reproduction {
    /// Each stage, in topological order.
    pub stages: Vec<ReproducedStage>,
}

impl Reproduction {
    /// Whether every byte was the same, and every verdict and figure.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.stages.iter().all(ReproducedStage::is_identical)
    }

    /// Whether something differs that was made on this class of machine, or without floating point.
    #[must_use]
    pub fn has_diverged(&self) -> bool {
        self.stages.iter().any(|stage| stage.other_class.is_none() && !stage.is_identical())
    }
}

impl ReproducedStage {
    fn is_identical(&self) -> bool {
        self.same_outcome && self.outputs.values().all(|output| *output == Comparison::Identical)
    }
}

/// Does an experiment again. The plan is that of the record's manifest and inputs.
///
/// # Errors
/// [`EngineError::OtherEpoch`] when a stage kind has changed since; a stage's own failure; the store's.
pub fn reproduce(
    record: &ExperimentRecord,
    plan: &Plan,
    store: &Store,
    sink: &dyn Sink,
    cancel: &Cancel,
) -> Result<Reproduction, EngineError> {
    let products = recorded_products(record, plan)?;
    let class = numerics_class::detect();
    let mut stages = Vec::new();
    for id in plan.order() {
        let (stage, recorded) = (plan.stage(*id), &products[id]);
        let action = action(plan, stage, &products, store)?;
        if action.key() != recorded.key {
            let reason = "its key is not the recorded one".to_owned();
            return Err(EngineError::Record { what: recorded.name.clone(), reason });
        }
        let (name, key) = (recorded.name.clone(), recorded.key);
        sink.emit(&Event::StageStarted { stage: name.clone(), key, reasons: Vec::new() });
        let started = std::time::Instant::now();
        let device = plan.device();
        let job =
            Job { stage, action: &action, products: &products, force: true, run: "", device, numerics_class: &class };
        let (outcome, outputs) = run_and_compare(&job, recorded, store, sink, cancel)?;
        let seconds = started.elapsed().as_secs_f64();
        let same_outcome = outcome == recorded.outcome;
        let Outcome { verdict, metrics } = outcome;
        sink.emit(&Event::StageFinished { stage: name.clone(), key, seconds, verdict, metrics });
        stages.push(ReproducedStage { name, outputs, same_outcome, other_class: other_class(stage, recorded, &class) });
    }
    Ok(Reproduction { stages })
}

/// Makes sure that the variables and programs that stages ask for are what they were.
///
/// # Errors
/// [`EngineError::OtherMachine`] for the first stage that would get others.
pub fn check_machine(record: &ExperimentRecord, plan: &Plan, store: &Store) -> Result<(), EngineError> {
    for stage in plan.order().iter().map(|id| plan.stage(*id)) {
        let recorded = record.stages.iter().find(|recorded| recorded.name == stage.name.as_str());
        let Some(recorded) = recorded else { continue };
        // Without the recorded action only the plan's id can tell, and does.
        let Lookup::Found(value) = store.action(&recorded.key)? else { continue };
        let before = typed::<Action>("action", value)?;
        let traces = stage.surroundings.traces(&stage.config.needs);
        let now = Action { env: traces.variables, tools: traces.tools, ..before.clone() };
        let reasons = differences(&before, &now, |port, _| Feed::Input(port.to_owned()));
        if !reasons.is_empty() {
            return Err(EngineError::OtherMachine { stage: recorded.name.clone(), reasons });
        }
    }
    Ok(())
}

/// What the store lacks of its experiments' manifests and inputs, without which they can't be reproduced.
///
/// # Errors
/// When the store can't be read.
pub fn irreproducible(store: &Store) -> Result<Vec<(ExperimentId, String)>, EngineError> {
    let mut found = Vec::new();
    for id in store.experiments()? {
        // A damaged record is in the store's own report.
        let Lookup::Found(value) = store.experiment(&id)? else { continue };
        let Ok(record) = typed::<ExperimentRecord>("experiment", value) else {
            found.push((id, "a readable record".to_owned()));
            continue;
        };
        let manifest = std::iter::once(("its manifest".to_owned(), Content::File(record.manifest)));
        let inputs = record.inputs.iter().map(|(name, content)| (format!("its input `{name}`"), *content));
        for (what, content) in manifest.chain(inputs) {
            if !store.contains(content)? {
                found.push((id, what));
            }
        }
    }
    Ok(found)
}

fn other_class(stage: &PlannedStage, recorded: &StageRecord, class: &str) -> Option<String> {
    let float = stage.stage.numerics() == Numerics::Float;
    recorded.numerics_class.clone().filter(|recorded| float && recorded != class)
}

/// The record's stages under the ids of the plan, after a look at their epochs.
fn recorded_products(record: &ExperimentRecord, plan: &Plan) -> Result<Products, EngineError> {
    let mut products = Products::new();
    for id in plan.order() {
        let stage = plan.stage(*id);
        let recorded = record.stages.iter().find(|recorded| recorded.name == stage.name.as_str());
        let recorded = recorded.ok_or_else(|| EngineError::Record {
            what: stage.name.to_string(),
            reason: "the experiment has no such stage".into(),
        })?;
        if recorded.epoch != stage.stage.epoch() {
            let (recorded, current) = (recorded.epoch, stage.stage.epoch());
            return Err(EngineError::OtherEpoch { stage: stage.name.to_string(), recorded, current });
        }
        products.insert(*id, recorded.clone());
    }
    Ok(products)
}

fn run_and_compare(
    job: &Job<'_>,
    recorded: &StageRecord,
    store: &Store,
    sink: &dyn Sink,
    cancel: &Cancel,
) -> Result<(Outcome, BTreeMap<String, Comparison>), EngineError> {
    let sandbox = store.sandbox()?;
    let outcome = match run_in(job, store, &sandbox, sink, cancel)? {
        Ran::Outcome(outcome) => outcome,
        Ran::InputDamaged { message, .. } => {
            return Err(EngineError::DamagedInput { stage: recorded.name.clone(), message });
        }
    };
    let folder = output_folder(&sandbox);
    let compare = |(slot, output): (&String, &OutputRecord)| {
        let fresh = folder.join(slot);
        let comparison = match store.digest_of(&fresh) {
            Ok(content) if content == output.content => Comparison::Identical,
            Ok(content) => Comparison::Differs(first_difference(store, output.content, content, &fresh)),
            Err(error) => Comparison::Differs(error.to_string()),
        };
        (slot.clone(), comparison)
    };
    Ok((outcome, recorded.outputs.iter().map(compare).collect()))
}

/// The first file, and in it the first line or byte, that differs.
fn first_difference(store: &Store, old: Content, new: Content, fresh: &Path) -> String {
    match (old, new) {
        (Content::File(digest), Content::File(_)) => match (store.read(&digest), fs::read(fresh)) {
            (Ok(old), Ok(new)) => first_differing_byte(&old, &new),
            _ => "the stored bytes can't be read".to_owned(),
        },
        (Content::Tree(digest), Content::Tree(_)) => {
            let Ok(tree) = store.read_tree(&digest) else { return "the stored listing can't be read".to_owned() };
            for entry in tree.entries() {
                let path = fresh.join(&entry.path);
                if let (Ok(old), Ok(new)) = (store.read(&entry.digest), fs::read(&path)) {
                    if old != new {
                        return format!("`{}`: {}", entry.path, first_differing_byte(&old, &new));
                    }
                } else {
                    return format!("`{}` is missing", entry.path);
                }
            }
            "there are more files than recorded".to_owned()
        }
        _ => "a file became a folder or the other way round".to_owned(),
    }
}

fn first_differing_byte(old: &[u8], new: &[u8]) -> String {
    let at = old.iter().zip(new).position(|(old, new)| old != new).unwrap_or(old.len().min(new.len()));
    let line = old[..at].split(|byte| *byte == b'\n').count();
    format!("first difference at byte {at}, line {line} ({} bytes recorded, {} now)", old.len(), new.len())
}

#[cfg(test)]
mod tests {
    use super::first_differing_byte;

    #[test]
    fn the_first_difference_is_named_by_byte_and_line() {
        assert_eq!(
            first_differing_byte(b"a\nbc", b"a\nbd"),
            "first difference at byte 3, line 2 (4 bytes recorded, 4 now)"
        );
        assert!(first_differing_byte(b"ab", b"abc").starts_with("first difference at byte 2, line 1"));
    }
}
