//! One stage, run in a sandbox: claim, verified inputs, the work, its outputs into the store, the commit.
//!
//! The result is committed last, so a stage that is killed or fails leaves nothing but a sandbox folder, which the next
//! run sweeps away.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::artifact::Content;
use crate::device::DeviceSpec;
use crate::diagnostic::Diagnostic;
use crate::engine::EngineError;
use crate::engine::event::{Event, Sink};
use crate::engine::key::Action;
use crate::engine::record::{OutputRecord, StageRecord};
use crate::engine::resolve::{Products, Stored, content_of, look_up_to_use};
use crate::engine::retry::attempts;
use crate::plan::{Origin, PlannedStage, StageId};
use crate::stage::{Cancel, Input, Numerics, Outcome, Progress, StageContext, StageError, StageObserver};
use crate::store::{Access, Committed, Materialised, Output, ResultRecord, Sandbox, Store, StoreError};

/// What a stage needs to run, and nothing of the rest of the plan.
pub struct Job<'a> {
    /// The stage.
    pub stage: &'a PlannedStage,
    /// Its action.
    pub action: &'a Action,
    /// What its upstream gave.
    pub products: &'a Products,
    /// Whether to run even if a result is stored.
    pub force: bool,
    /// The run's id.
    pub run: &'a str,
    /// Where model work runs.
    pub device: DeviceSpec,
    /// The class of this machine.
    pub numerics_class: &'a str,
}

/// How a job ended.
pub enum JobEnd {
    /// The stage ran.
    Executed(Box<StageRecord>),
    /// Another run made the result meanwhile.
    Hit(Box<StageRecord>),
    /// What it was to read was damaged; the stage or input that gives it has to be done again.
    InputDamaged {
        /// The producing stage; none for an input of the manifest.
        producer: Option<StageId>,
        /// What was found.
        message: String,
    },
    /// It failed.
    Failed(EngineError),
    /// It was interrupted.
    Cancelled,
}

/// Runs one job to its end. Never panics on behalf of the stage: a panic inside it is a failure of the stage.
pub fn execute(job: &Job<'_>, store: &Store, sink: &dyn Sink, cancel: &Cancel) -> JobEnd {
    // The coordinator waits for every job's end, so a job has to have one.
    let ended = catch_unwind(AssertUnwindSafe(|| try_execute(job, store, sink, cancel)));
    match ended.unwrap_or_else(|panic| Err(panicked(job, &*panic))) {
        Ok(end) => end,
        Err(EngineError::Stage { error: StageError::Cancelled, .. } | EngineError::Store(StoreError::Cancelled)) => {
            JobEnd::Cancelled
        }
        Err(_) if cancel.is_requested() => JobEnd::Cancelled,
        Err(error) => JobEnd::Failed(error),
    }
}

fn try_execute(job: &Job<'_>, store: &Store, sink: &dyn Sink, cancel: &Cancel) -> Result<JobEnd, EngineError> {
    let name = job.stage.name.to_string();
    let claim = store.claim(&job.action.key(), &|| cancel.is_requested(), &mut |holder| {
        sink.emit(&Event::StageWaiting { stage: name.clone(), holder: holder.to_string() });
    })?;
    if let (false, Stored::Hit(found)) = (job.force, look_up_to_use(job.stage, job.action, store)?) {
        return Ok(JobEnd::Hit(found));
    }
    let end = attempts(job, sink, cancel, || try_once(job, store, sink, cancel));
    drop(claim);
    end
}

/// One attempt, in a sandbox of its own.
fn try_once(job: &Job<'_>, store: &Store, sink: &dyn Sink, cancel: &Cancel) -> Result<JobEnd, EngineError> {
    let sandbox = store.sandbox()?;
    let started = Instant::now();
    let outcome = match run_in(job, store, &sandbox, sink, cancel)? {
        Ran::Outcome(outcome) => outcome,
        Ran::InputDamaged { producer, message } => return Ok(JobEnd::InputDamaged { producer, message }),
    };
    let outputs = take_outputs(job, store, &output_folder(&sandbox))?;
    let record = commit(job, store, sink, outputs, outcome, started.elapsed().as_secs_f64())?;
    Ok(JobEnd::Executed(Box::new(record)))
}

/// How the work in a sandbox ended.
pub enum Ran {
    /// It succeeded; the outputs are in [`output_folder`].
    Outcome(Outcome),
    /// What it was to read was damaged.
    InputDamaged {
        /// The producing stage; none for an input of the manifest.
        producer: Option<StageId>,
        /// What was found.
        message: String,
    },
}

/// Where a stage that runs in a sandbox writes.
pub fn output_folder(sandbox: &Sandbox) -> PathBuf {
    sandbox.path().join("out")
}

/// Hands the inputs over, verified, and does the work; touches nothing outside the sandbox.
pub fn run_in(
    job: &Job<'_>,
    store: &Store,
    sandbox: &Sandbox,
    sink: &dyn Sink,
    cancel: &Cancel,
) -> Result<Ran, EngineError> {
    let (inputs, handed) = match hand_over(job, store, sandbox)? {
        Handed::Over(inputs, handed) => (inputs, handed),
        Handed::Damaged(ran) => return Ok(ran),
    };
    let output_folder = output_folder(sandbox);
    std::fs::create_dir(&output_folder).map_err(|error| EngineError::sandbox(&output_folder, error))?;
    let name = job.stage.name.to_string();
    let observer = Relay { stage: &name, sink };
    let limit = job.stage.policy.timeout;
    // The clock is for the work alone, not for what was waited for.
    let cancel_or_late = cancel.until(limit.and_then(|limit| Instant::now().checked_add(limit)));
    let context = StageContext {
        inputs,
        output_folder,
        device: job.device,
        surroundings: &job.stage.surroundings,
        observer: &observer,
        cancel: cancel_or_late,
    };
    let outcome = match (run_caught(job, &context), limit) {
        (Err(EngineError::Stage { stage, error: StageError::Cancelled }), Some(limit)) if !cancel.is_requested() => {
            return Err(EngineError::TimedOut { stage, limit });
        }
        (ran, _) => ran.map_err(|error| name_inputs(error, job, sandbox))?,
    };
    handed.iter().try_for_each(Materialised::check_unchanged)?;
    Ok(Ran::Outcome(outcome))
}

enum Handed<'a> {
    Over(BTreeMap<&'a str, Vec<Input>>, Vec<Materialised>),
    Damaged(Ran),
}

/// Puts each input into the sandbox; every byte is hashed on the way.
fn hand_over<'a>(job: &Job<'a>, store: &Store, sandbox: &Sandbox) -> Result<Handed<'a>, EngineError> {
    let (mut inputs, mut handed) = (BTreeMap::new(), Vec::new());
    for edges in job.stage.inputs.iter().filter(|edges| !edges.origins.is_empty()) {
        let folder = sandbox.path().join("in").join(&*edges.port.name);
        std::fs::create_dir_all(&folder).map_err(|error| EngineError::sandbox(&folder, error))?;
        let mut artifacts = Vec::new();
        for (index, origin) in edges.origins.iter().enumerate() {
            let path = folder.join(index.to_string());
            let content = content_of(origin, job.products);
            match store.materialise(content, edges.port.projection, &path, Access::ReadOnly) {
                Ok(materialised) => handed.push(materialised),
                Err(error @ (StoreError::Damaged { .. } | StoreError::ReferenceLost { .. })) => {
                    let producer = match origin {
                        Origin::Input { .. } => None,
                        Origin::Output { stage, .. } => Some(*stage),
                    };
                    return Ok(Handed::Damaged(Ran::InputDamaged { producer, message: error.to_string() }));
                }
                Err(error) => return Err(error.into()),
            }
            let cell = edges.cells.get(index).cloned().unwrap_or_default();
            artifacts.push(Input { label: edges.labels[index].clone(), kind: edges.kinds[index], cell, path });
        }
        inputs.insert(&*edges.port.name, artifacts);
    }
    Ok(Handed::Over(inputs, handed))
}

fn run_caught(job: &Job<'_>, context: &StageContext<'_>) -> Result<Outcome, EngineError> {
    let ran = catch_unwind(AssertUnwindSafe(|| job.stage.stage.run(&job.stage.config, context)));
    let failed = |error| EngineError::Stage { stage: job.stage.name.to_string(), error };
    match ran {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) => Err(failed(error)),
        Err(panic) => Err(panicked(job, &*panic)),
    }
}

/// Says an input's name where an error says where it lies in the sandbox, which is gone when the error is read.
fn name_inputs(error: EngineError, job: &Job<'_>, sandbox: &Sandbox) -> EngineError {
    let mut text = error.with_causes();
    let inside = sandbox.path().join("in");
    let EngineError::Stage { stage, error: StageError::Failed(_) | StageError::Transient(_) } = &error else {
        return error;
    };
    if !text.contains(&*inside.to_string_lossy()) {
        return error;
    }
    for edges in &job.stage.inputs {
        for (index, label) in edges.labels.iter().enumerate() {
            let path = inside.join(&*edges.port.name).join(index.to_string());
            for end in ["/", "`"] {
                text = text.replace(&format!("{}{end}", path.display()), &format!("{label}{end}"));
            }
        }
    }
    let transient = error.is_transient();
    let named = if transient { StageError::Transient(text.into()) } else { StageError::failed(text) };
    EngineError::Stage { stage: stage.clone(), error: named }
}

fn panicked(job: &Job<'_>, panic: &(dyn Any + Send)) -> EngineError {
    let error = StageError::failed(format!("the stage panicked, which is a defect of pipe: {}", told(panic)));
    EngineError::Stage { stage: job.stage.name.to_string(), error }
}

fn told(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Moves the declared outputs into the store; a missing or an undeclared one is an error.
fn take_outputs(job: &Job<'_>, store: &Store, folder: &Path) -> Result<BTreeMap<String, OutputRecord>, EngineError> {
    let stage = job.stage.name.to_string();
    let mut outputs = BTreeMap::new();
    for port in &*job.stage.config.outputs {
        let path = folder.join(&*port.name);
        if !path.exists() {
            return Err(EngineError::MissingOutput { stage, slot: port.name.to_string() });
        }
        let content = store.adopt(&path)?;
        if matches!(content, Content::Tree(_)) != port.kind.is_folder() {
            return Err(EngineError::MissingOutput { stage, slot: port.name.to_string() });
        }
        outputs.insert(port.name.to_string(), OutputRecord { kind: port.kind, content });
    }
    let left = std::fs::read_dir(folder).map_err(|error| EngineError::sandbox(folder, error))?;
    if let Some(entry) = left.flatten().find(|entry| !outputs.contains_key(&*entry.file_name().to_string_lossy())) {
        return Err(EngineError::UndeclaredOutput { stage, slot: entry.file_name().to_string_lossy().into_owned() });
    }
    Ok(outputs)
}

/// Writes action and result; the first result of a key wins, and another one with other bytes is a divergence. A first
/// result whose bytes are lost gives way, or the stage would run and fail for ever.
fn commit(
    job: &Job<'_>,
    store: &Store,
    sink: &dyn Sink,
    outputs: BTreeMap<String, OutputRecord>,
    outcome: Outcome,
    seconds: f64,
) -> Result<StageRecord, EngineError> {
    let stage = job.stage.name.to_string();
    let float = job.stage.stage.numerics() == Numerics::Float;
    let numerics_class = float.then(|| job.numerics_class.to_owned());
    let stored =
        outputs.iter().map(|(slot, output)| (slot.clone(), Output { kind: output.kind, content: output.content }));
    let key = job.action.key();
    let outcome_value = serde_json::to_value(&outcome).map_err(|error| EngineError::internal("outcome", &error))?;
    let mut record = ResultRecord::new(key, &job.action.kind, stored.collect(), outcome_value, job.run);
    record.numerics_class.clone_from(&numerics_class);
    record.seconds = seconds;
    let mut committed = store.commit(job.action, &record)?;
    if let Committed::Diverged { existing } = &committed
        && is_lost(store, existing)?
        && store.retire_result(&key, "its bytes were lost, and the stage gave others when it was done again")?.is_some()
    {
        let message = "the result stored before was lost and these are other bytes: what was made from it is made anew";
        sink.emit(&Event::StageWarning { stage: stage.clone(), message: message.to_owned() });
        committed = store.commit(job.action, &record)?;
    }
    if let Committed::Diverged { existing } = committed
        && existing.numerics_class == numerics_class
    {
        let differs = |slot: &&String| existing.outputs.get(*slot) != record.outputs.get(*slot);
        let slots: Vec<String> = record.outputs.keys().filter(differs).cloned().collect();
        return Err(EngineError::Diverged { stage, slots, run: existing.run.clone() });
    }
    Ok(StageRecord {
        name: stage,
        kind: job.action.kind.clone(),
        epoch: job.action.epoch,
        key,
        outputs,
        outcome,
        numerics_class,
        seconds,
    })
}

/// Whether some output of a result can't be read any more.
fn is_lost(store: &Store, result: &ResultRecord) -> Result<bool, EngineError> {
    for output in result.outputs.values() {
        if store.check(output.content)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Turns what a stage tells its observer into events.
struct Relay<'a> {
    stage: &'a str,
    sink: &'a dyn Sink,
}

impl StageObserver for Relay<'_> {
    fn progress(&self, progress: Progress) {
        let fields = progress.fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let Progress { done, total, unit, .. } = progress;
        let (stage, unit) = (self.stage.to_owned(), unit.to_owned());
        self.sink.emit(&Event::StageProgress { stage, done, total, unit, fields });
    }

    fn warning(&self, diagnostic: Diagnostic) {
        let place = diagnostic.location().map_or_else(String::new, |place| format!("{place}: "));
        let help = diagnostic.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        let message = format!("{place}{}{help}", diagnostic.message);
        self.sink.emit(&Event::StageWarning { stage: self.stage.to_owned(), message });
    }

    fn line(&self, text: &str) {
        self.sink.emit(&Event::StageLine { stage: self.stage.to_owned(), text: text.to_owned() });
    }
}
