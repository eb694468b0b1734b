//! The loop everybody reads first: what of a plan is stored is used, what is missing is run, and the whole is recorded.
//!
//! ```text
//! per stage, as soon as its upstream is done:
//!   action ← kind, epoch, settings, input digests, backend        (key.rs)
//!   stored and whole?  → hit                                      (resolve.rs)
//!   else               → claim, sandbox, run, adopt, commit       (execute.rs)
//! then exports, the experiment record, the run record             (exports.rs, record.rs)
//! ```
//! Independent stages run in parallel within a budget of cores; a stage that does floating-point work takes them all.
//! The engine never prints: it emits events. It knows `dyn Stage`, never a concrete stage.

mod archive;
mod causes;
mod diff;
mod differences;
mod error;
mod execute;
mod exports;
mod history;
mod inputs;
mod numerics_class;
mod pin;
mod preview;
mod reproduce;
mod resolve;
mod retry;
mod row_counts;
mod schedule;

pub mod event;
pub mod key;
pub mod record;
pub mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

pub use archive::{check_action, shipment};
pub use diff::{Change, Classes, ExperimentDiff, InputChange, Side, StageChange, diff};
pub use error::EngineError;
pub use history::{RunState, run_state, runs, typed, uses_of};
pub use pin::LockTarget;
pub use preview::{PreviewedStage, StagePreview, preview, unstored};
pub use reproduce::{Comparison, ReproducedStage, Reproduction, check_machine, irreproducible, reproduce};

use crate::artifact::{Content, Verdict};
use crate::digest::{Digest, ExperimentId};
use crate::engine::event::{Event, Sink};
use crate::engine::history::RunLog;
use crate::engine::inputs::keep_inputs;
use crate::engine::record::{ExperimentRecord, RECORD_VERSION, RunRecord, StageRecord, experiment_id, worst};
use crate::engine::schedule::Schedule;
use crate::plan::Plan;
use crate::stage::Cancel;
use crate::store::{Lookup, Store};

/// How to run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The project's root: where exports go.
    pub project: PathBuf,
    /// The manifest as it was read, for the record.
    pub manifest: ManifestCopy,
    /// Whether the plan is all of the manifest; a part of it is no experiment.
    pub whole: bool,
    /// The lock that a complete run is written to; none for a part of a manifest, or one with overrides.
    pub lock: Option<LockTarget>,
    /// Stages to run even if their results are stored.
    pub force: BTreeSet<String>,
    /// The only stages that may run; of the others the results have to be stored. All may when absent.
    pub may_run: Option<BTreeSet<String>>,
    /// Whether stages that do not need a failed one still run.
    pub keep_going: bool,
    /// The budget of cores.
    pub cores: NonZeroUsize,
}

/// The manifest as it was read, kept so that an experiment can be done again from the store alone.
#[derive(Debug, Clone)]
pub struct ManifestCopy {
    /// Its path, for people.
    pub path: String,
    /// Its text.
    pub text: String,
    /// `-p` overrides, name to YAML text.
    pub overrides: BTreeMap<String, String>,
    /// The backend chosen on the command line.
    pub backend: Option<crate::device::Backend>,
}

/// What a run came to.
#[derive(Debug)]
pub struct RunSummary {
    /// The run's id.
    pub run: String,
    /// The experiment, when every stage succeeded.
    pub experiment: Option<ExperimentId>,
    /// The worst verdict of all gates.
    pub verdict: Option<Verdict>,
    /// What each stage gave, in topological order; failed and skipped ones are absent.
    pub stages: Vec<StageRecord>,
    /// Stages that ran.
    pub executed: usize,
    /// Stages served from the store.
    pub hits: usize,
    /// Stages that failed, with the error.
    pub failures: Vec<(String, EngineError)>,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// Runs a plan: only what is not stored. Whatever fails on the way, the run is recorded and its end told.
///
/// # Errors
/// When the run can't begin. What fails later is part of the summary, not an error.
pub fn run(
    plan: &Plan,
    store: &Store,
    options: &RunOptions,
    sink: &dyn Sink,
    cancel: &Cancel,
) -> Result<RunSummary, EngineError> {
    let started = Instant::now();
    let log = RunLog::start(store, sink)?;
    let (run, sink): (String, &dyn Sink) = (log.run().to_owned(), &log);
    let (name, stages) = (plan.name().to_owned(), plan.order().len());
    sink.emit(&Event::RunStarted { run: run.clone(), name, plan: plan.id(), stages });

    let drive = || Schedule::new(plan, store, options, sink, cancel, &run).drive();
    let mut finished = drive();
    let verdict = worst(finished.products.values().filter_map(|record| record.outcome.verdict));
    let complete = finished.products.len() == plan.order().len();
    let mut unexported = Vec::new();
    if complete && options.whole {
        unexported = exports::swap_in(plan, store, options, &finished.products, verdict, sink);
        if exports::found_damage(&unexported, sink) {
            // It is in quarantine now, so its stages are no hits any more, and run again.
            let again = drive();
            finished.executed += again.executed;
            finished.failures.extend(again.failures);
            unexported = exports::swap_in(plan, store, options, &finished.products, verdict, sink);
        }
    }
    let records: Vec<StageRecord> = plan.order().iter().filter_map(|id| finished.products.get(id).cloned()).collect();
    let experiment = (complete && options.whole).then(|| experiment_id(plan.id(), &records, verdict));
    let mut summary = RunSummary {
        run: run.clone(),
        experiment,
        verdict,
        executed: finished.executed,
        hits: records.len().saturating_sub(finished.executed),
        stages: records,
        failures: finished.failures,
        interrupted: cancel.is_requested(),
    };
    let fail = |what: &str, error: EngineError, failures: &mut Vec<(String, EngineError)>| {
        sink.emit(&Event::Failed { what: what.to_owned(), message: error.with_causes() });
        failures.push((what.to_owned(), error));
    };
    if let Some(id) = experiment {
        if let Err(error) = record_experiment(id, plan, store, options, &summary) {
            fail("experiment", error, &mut summary.failures);
        }
        if !finished.inputs_kept {
            keep_again(id, plan, store, options, sink);
        }
        for error in unexported {
            fail("export", error, &mut summary.failures);
        }
        // Last of all, so that what a lock says is kept and in its place.
        if let (true, Some(target)) = (summary.failures.is_empty(), &options.lock)
            && let Err(error) = pin::write(target, plan, id, &summary, store, sink)
        {
            fail("lock", error, &mut summary.failures);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    if let Err(error) = log.record(store, &run_record(plan, options, &summary, seconds)) {
        fail("run record", error, &mut summary.failures);
    }
    sink.emit(&Event::RunFinished {
        run: summary.run.clone(),
        experiment,
        verdict,
        executed: summary.executed,
        hits: summary.hits,
        failed: summary.failures.len(),
        seconds,
        interrupted: summary.interrupted,
    });
    Ok(summary)
}

/// Keeps a complete run under its id, once.
fn record_experiment(
    id: ExperimentId,
    plan: &Plan,
    store: &Store,
    options: &RunOptions,
    summary: &RunSummary,
) -> Result<(), EngineError> {
    store.renew_experiment(&id)?;
    if matches!(store.experiment(&id)?, Lookup::Found(_)) {
        return Ok(());
    }
    let manifest: Digest = store.put_bytes(options.manifest.text.as_bytes())?;
    let inputs: BTreeMap<String, Content> =
        plan.inputs().map(|input| (input.name.to_string(), input.content)).collect();
    let record = ExperimentRecord {
        version: RECORD_VERSION,
        id,
        name: plan.name().to_owned(),
        manifest_path: options.manifest.path.clone(),
        manifest,
        overrides: options.manifest.overrides.clone(),
        backend: options.manifest.backend,
        inputs,
        plan: plan.id(),
        stages: summary.stages.clone(),
        verdict: summary.verdict,
        run: summary.run.clone(),
    };
    let value = serde_json::to_value(&record).map_err(|error| EngineError::internal("experiment", &error))?;
    store.put_experiment(&id, &value)?;
    Ok(())
}

/// In a run that executed nothing: sees to it that `reproduce` still finds manifest and inputs in the store. A store that
/// can't be written serves hits all the same, so this only warns.
fn keep_again(id: ExperimentId, plan: &Plan, store: &Store, options: &RunOptions, sink: &dyn Sink) {
    let keep_manifest = || -> Result<(), EngineError> {
        let Lookup::Found(value) = store.experiment(&id)? else { return Ok(()) };
        let recorded = typed::<ExperimentRecord>("experiment", value)?.manifest;
        let text = options.manifest.text.as_bytes();
        // A manifest with another comment is the same experiment, and is kept as it was first.
        if recorded == Digest::of(text) && store.check(Content::File(recorded))?.is_some() {
            store.put_bytes(text)?;
        }
        Ok(())
    };
    if let Err(error) = keep_manifest().and_then(|()| keep_inputs(plan, store)) {
        let message = format!("what `pipe reproduce` needs can't be kept: {}", error.with_causes());
        sink.emit(&Event::StageWarning { stage: "inputs".to_owned(), message });
    }
}

fn run_record(plan: &Plan, options: &RunOptions, summary: &RunSummary, seconds: f64) -> RunRecord {
    RunRecord {
        version: RECORD_VERSION,
        run: summary.run.clone(),
        name: plan.name().to_owned(),
        manifest_path: options.manifest.path.clone(),
        seconds,
        keys: summary.stages.iter().map(|stage| (stage.name.clone(), stage.key)).collect(),
        experiment: summary.experiment,
        verdict: summary.verdict,
        executed: summary.executed,
        hits: summary.hits,
        failed: summary.failures.iter().map(|(name, _)| name.clone()).collect(),
        interrupted: summary.interrupted,
    }
}
