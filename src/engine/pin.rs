//! A complete run into the lock beside its manifest; and a run that differs from what the lock promises, told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, ExperimentId};
use crate::engine::event::{Event, Sink};
use crate::engine::record::StageRecord;
use crate::engine::{EngineError, RunSummary};
use crate::lock::{self, Bytes, LOCK_VERSION, Lock, LockedStage, Pin};
use crate::plan::Plan;
use crate::store::{Sandbox, Store};

/// The lock that a run keeps up to date.
#[derive(Debug, Clone)]
pub struct LockTarget {
    /// Where it is.
    pub path: PathBuf,
    /// Its path, for people.
    pub shown: String,
    /// The commits that branches of the manifest were found to be, by source.
    pub commits: BTreeMap<String, String>,
}

/// Writes the lock of a complete run.
///
/// # Errors
/// [`EngineError::LockDiverged`] when the same actions gave other bytes than the lock has, on the same class of machine; the
/// lock then stays as it is. [`EngineError::Lock`].
pub fn write(
    target: &LockTarget,
    plan: &Plan,
    experiment: ExperimentId,
    summary: &RunSummary,
    store: &Store,
    sink: &dyn Sink,
) -> Result<(), EngineError> {
    let lock = lock_of(target, plan, experiment, summary);
    // Read now and not before the run, which may have taken hours.
    let there = lock::read(&target.path)?;
    if let Some(there) = &there {
        let stages: Vec<String> = lock.diverged_from(there).into_iter().map(str::to_owned).collect();
        if !stages.is_empty() {
            return Err(EngineError::LockDiverged { path: target.shown.clone(), stages });
        }
        if lock.agrees_across_classes(there) {
            return Ok(());
        }
    }
    // A store that can't be written serves hits all the same; then the draft is made beside the lock.
    let sandbox = store.sandbox().ok();
    let beside = target.path.parent().unwrap_or(Path::new("/"));
    if lock::write(&target.path, &lock, sandbox.as_ref().map_or(beside, Sandbox::path))? {
        sink.emit(&Event::Locked { path: target.shown.clone() });
    }
    Ok(())
}

fn lock_of(target: &LockTarget, plan: &Plan, experiment: ExperimentId, summary: &RunSummary) -> Lock {
    let pin = |source: &str, content| Pin { commit: target.commits.get(source).cloned(), content };
    let inputs = plan.inputs().map(|input| {
        let source = input.source.to_string();
        let pin = pin(&source, input.content);
        (source, pin)
    });
    let stages = summary.stages.iter().filter_map(|record| {
        let node = plan.stage(plan.find(&record.name)?).node;
        Some((record.name.clone(), locked(record, node)))
    });
    Lock {
        version: LOCK_VERSION,
        plan: plan.id(),
        experiment,
        verdict: summary.verdict,
        backend: plan.device().backend,
        inputs: inputs.collect(),
        machine: lock::traces(plan),
        stages: stages.collect(),
    }
}

fn locked(record: &StageRecord, node: Digest) -> LockedStage {
    LockedStage {
        kind: record.kind.clone(),
        epoch: record.epoch,
        node,
        key: record.key,
        outputs: record.outputs.iter().map(|(slot, output)| (slot.clone(), Bytes(output.content))).collect(),
        numerics_class: record.numerics_class.clone(),
        verdict: record.outcome.verdict,
        metrics: record.outcome.metrics.clone(),
    }
}
