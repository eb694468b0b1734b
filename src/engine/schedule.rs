//! Which stage runs when: as soon as its upstream is done and there are cores for it.
//!
//! Hits are resolved on the spot, in the coordinating thread, so a run in which nothing changed starts no thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use crate::diagnostic::Diagnostic;
use crate::digest::ActionKey;
use crate::engine::causes::Known;
use crate::engine::event::{Event, Sink};
use crate::engine::execute::{Job, JobEnd, execute};
use crate::engine::history::History;
use crate::engine::inputs::keep_inputs;
use crate::engine::key::Action;
use crate::engine::record::StageRecord;
use crate::engine::resolve::{Products, Stored, action, look_up_to_use};
use crate::engine::why::Reason;
use crate::engine::{EngineError, RunOptions, numerics_class};
use crate::plan::{Origin, Plan, StageId};
use crate::stage::{Cancel, Numerics, StageError};
use crate::store::Store;

/// How often damaged bytes are made again before the disk is given up on.
const MAX_REMAKES: u32 = 2;

/// What is left when no stage can run any more.
pub struct Finished {
    /// What the successful stages gave.
    pub products: Products,
    /// How many of them ran.
    pub executed: usize,
    /// The failed ones.
    pub failures: Vec<(String, EngineError)>,
    /// Whether the inputs are known to be in the store; not looked at when no stage had to run.
    pub inputs_kept: bool,
}

enum State {
    Waiting { force: bool },
    Running { cores: usize, key: ActionKey },
    Done,
    Failed,
    Skipped,
}

/// The state of a run.
pub struct Schedule<'a> {
    plan: &'a Plan,
    store: &'a Store,
    options: &'a RunOptions,
    sink: &'a dyn Sink,
    cancel: &'a Cancel,
    run: &'a str,
    history: History<'a>,
    numerics_class: String,
    states: BTreeMap<StageId, State>,
    products: Products,
    executed: BTreeSet<StageId>,
    failures: Vec<(String, EngineError)>,
    remakes: BTreeMap<String, u32>,
    inputs_kept: bool,
}

type Report = (StageId, JobEnd);

impl<'a> Schedule<'a> {
    /// Nothing is done yet.
    pub fn new(
        plan: &'a Plan,
        store: &'a Store,
        options: &'a RunOptions,
        sink: &'a dyn Sink,
        cancel: &'a Cancel,
        run: &'a str,
    ) -> Self {
        let waiting = |id: &StageId| {
            let force = options.force.contains(plan.stage(*id).name.as_str());
            (*id, State::Waiting { force })
        };
        Self {
            plan,
            store,
            options,
            sink,
            cancel,
            run,
            history: History::new(store, plan.name()),
            numerics_class: numerics_class::detect(),
            states: plan.order().iter().map(waiting).collect(),
            products: Products::new(),
            executed: BTreeSet::new(),
            failures: Vec::new(),
            remakes: BTreeMap::new(),
            inputs_kept: false,
        }
    }

    /// Runs until no stage can run any more.
    pub fn drive(mut self) -> Finished {
        let (sender, receiver) = channel();
        std::thread::scope(|scope| self.coordinate(scope, &sender, &receiver));
        let Self { products, executed, failures, inputs_kept, .. } = self;
        Finished { products, executed: executed.len(), failures, inputs_kept }
    }

    fn coordinate<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<Report>,
        receiver: &Receiver<Report>,
    ) where
        'a: 'scope,
    {
        loop {
            self.start_all_that_can(scope, sender);
            if !self.states.values().any(|state| matches!(state, State::Running { .. })) {
                return;
            }
            // A running job holds a sender, so the channel is open.
            let Ok((id, end)) = receiver.recv() else { return };
            self.take(id, end);
        }
    }

    /// One pass over the stages in topological order; hits make later ones ready within the same pass.
    fn start_all_that_can<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, sender: &Sender<Report>)
    where
        'a: 'scope,
    {
        for id in self.plan.order() {
            let Some(State::Waiting { force }) = self.states.get(id) else { continue };
            let force = *force;
            if self.cancel.is_requested() {
                self.states.insert(*id, State::Skipped);
                continue;
            }
            match self.blocker(*id) {
                Some(Blocker::NotReady) => continue,
                Some(Blocker::DidNotSucceed(because)) => {
                    self.skip(*id, because);
                    continue;
                }
                None => {}
            }
            if let Err(error) = self.serve_or_start(*id, force, scope, sender) {
                self.fail(*id, error);
            }
        }
    }

    /// Takes a ready stage from the store, or starts it if there are cores for it.
    fn serve_or_start<'scope>(
        &mut self,
        id: StageId,
        force: bool,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<Report>,
    ) -> Result<(), EngineError>
    where
        'a: 'scope,
    {
        let action = action(self.plan, self.plan.stage(id), &self.products, self.store)?;
        let key = action.key();
        // Of cells that come to the same action, one runs and the others are served with what it gave.
        if self.states.values().any(|state| matches!(state, State::Running { key: running, .. } if *running == key)) {
            return Ok(());
        }
        let force =
            force && !self.executed.iter().any(|done| self.products.get(done).is_some_and(|done| done.key == key));
        let mut stored_reason = None;
        if !force {
            match look_up_to_use(self.plan.stage(id), &action, self.store)? {
                Stored::Hit(record) => {
                    self.hit(id, *record);
                    return Ok(());
                }
                Stored::Miss(reason, damage) => {
                    stored_reason = reason.map(|reason| *reason);
                    self.report_damage(id, damage);
                }
            }
        }
        let name = self.plan.stage(id).name.as_str();
        if self.options.may_run.as_ref().is_some_and(|may_run| !may_run.contains(name)) {
            return Err(EngineError::NotStored { stage: name.to_owned() });
        }
        let cores = self.cores_of(id);
        if self.cores_in_use() + cores <= self.options.cores.get() && !self.at_its_most(id) {
            if !self.inputs_kept {
                keep_inputs(self.plan, self.store)?;
                self.inputs_kept = true;
            }
            self.start(scope, sender, id, action, force, stored_reason, cores);
        }
        Ok(())
    }

    fn skip(&mut self, id: StageId, because: String) {
        self.states.insert(id, State::Skipped);
        let stage = self.plan.stage(id).name.to_string();
        self.sink.emit(&Event::StageSkipped { stage, because });
    }

    /// Why a stage can't be looked at yet, or at all. As with cargo and nextest, the first failure lets what runs come to
    /// its end and starts nothing more, unless the run is to keep going.
    fn blocker(&self, id: StageId) -> Option<Blocker> {
        if let (false, Some((failed, _))) = (self.options.keep_going, self.failures.first()) {
            return Some(Blocker::DidNotSucceed(failed.clone()));
        }
        let mut blocker = None;
        for upstream in self.plan.upstream(id) {
            match self.states.get(upstream) {
                Some(State::Done) => {}
                Some(State::Failed | State::Skipped) => {
                    return Some(Blocker::DidNotSucceed(self.plan.stage(*upstream).name.to_string()));
                }
                _ => blocker = Some(Blocker::NotReady),
            }
        }
        blocker
    }

    fn cores_of(&self, id: StageId) -> usize {
        match self.plan.stage(id).stage.numerics() {
            Numerics::Exact => 1,
            Numerics::Float => self.options.cores.get(),
        }
    }

    /// Whether as many cells of the stage run as may.
    fn at_its_most(&self, id: StageId) -> bool {
        let stage = self.plan.stage(id);
        let running = |(other, state): &(&StageId, &State)| {
            matches!(state, State::Running { .. }) && self.plan.stage(**other).name.base() == stage.name.base()
        };
        stage.max_parallel.is_some_and(|most| self.states.iter().filter(running).count() >= most.get())
    }

    fn cores_in_use(&self) -> usize {
        let cores = |state: &State| if let State::Running { cores, .. } = state { *cores } else { 0 };
        self.states.values().map(cores).sum()
    }

    #[expect(clippy::too_many_arguments, reason = "all of them were just computed by the only caller")]
    fn start<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        sender: &Sender<Report>,
        id: StageId,
        action: Action,
        force: bool,
        stored_reason: Option<Reason>,
        cores: usize,
    ) where
        'a: 'scope,
    {
        let stage = self.plan.stage(id);
        let reasons = match (force, stored_reason) {
            (true, _) => vec![Reason::Forced],
            (_, Some(reason)) => vec![reason],
            _ => Known { plan: self.plan, products: &self.products, store: self.store }.reasons(
                &self.history,
                id,
                &action,
            ),
        };
        self.sink.emit(&Event::StageStarted { stage: stage.name.to_string(), key: action.key(), reasons });
        self.states.insert(id, State::Running { cores, key: action.key() });
        let upstream = self.plan.upstream(id).iter().filter_map(|id| Some((*id, self.products.get(id)?.clone())));
        let products: Products = upstream.collect();
        let (store, sink, cancel, run) = (self.store, self.sink, self.cancel, self.run);
        let (device, numerics_class, sender) = (self.plan.device(), self.numerics_class.clone(), sender.clone());
        scope.spawn(move || {
            let (action, products, numerics_class) = (&action, &products, &*numerics_class);
            let end =
                execute(&Job { stage, action, products, force, run, device, numerics_class }, store, sink, cancel);
            // The coordinator outlives the jobs; were it gone, nobody would want the report.
            let _ = sender.send((id, end));
        });
    }

    fn take(&mut self, id: StageId, end: JobEnd) {
        let name = self.plan.stage(id).name.to_string();
        match end {
            JobEnd::Executed(record) => {
                let StageRecord { key, seconds, outcome, .. } = &*record;
                let (verdict, metrics) = (outcome.verdict, outcome.metrics.clone());
                let (key, seconds) = (*key, *seconds);
                self.sink.emit(&Event::StageFinished { stage: name, key, seconds, verdict, metrics });
                self.executed.insert(id);
                self.done(id, *record);
            }
            JobEnd::Hit(record) => self.hit(id, *record),
            JobEnd::InputDamaged { producer, message } => self.remake(id, producer, message),
            JobEnd::Cancelled => {
                self.states.insert(id, State::Skipped);
            }
            JobEnd::Failed(error) => self.fail(id, error),
        }
    }

    fn hit(&mut self, id: StageId, record: StageRecord) {
        self.sink.emit(&Event::StageHit {
            stage: record.name.clone(),
            key: record.key,
            verdict: record.outcome.verdict,
            metrics: record.outcome.metrics.clone(),
            saved_seconds: record.seconds,
        });
        self.done(id, record);
    }

    fn done(&mut self, id: StageId, record: StageRecord) {
        self.states.insert(id, State::Done);
        self.products.insert(id, record);
    }

    fn fail(&mut self, id: StageId, mut error: EngineError) {
        if let EngineError::Stage { error: StageError::Data(found), .. } = &mut error {
            name_files(found, self.plan);
        }
        let stage = self.plan.stage(id).name.to_string();
        self.sink.emit(&Event::StageFailed { stage: stage.clone(), message: error.with_causes() });
        self.states.insert(id, State::Failed);
        self.failures.push((stage, error));
    }

    fn report_damage(&mut self, id: StageId, damage: Option<String>) {
        if let Some(message) = damage {
            let owner = self.plan.stage(id).name.to_string();
            self.sink.emit(&Event::Damaged { owner, message });
        }
    }

    /// Damaged bytes are made again: by their stage, or from the input's file; then the reader is tried again.
    fn remake(&mut self, reader: StageId, producer: Option<StageId>, message: String) {
        let owner = match producer {
            Some(producer) => self.plan.stage(producer).name.to_string(),
            None => self.input_names(reader),
        };
        self.states.insert(reader, State::Waiting { force: false });
        // Another reader has reported it already, and it is being made again.
        if producer.is_some_and(|producer| !matches!(self.states.get(&producer), Some(State::Done))) {
            return;
        }
        self.sink.emit(&Event::Damaged { owner: owner.clone(), message });
        let remakes = self.remakes.entry(owner.clone()).or_insert(0);
        *remakes += 1;
        if *remakes > MAX_REMAKES {
            self.fail(reader, EngineError::StillDamaged { owner });
            return;
        }
        if let Some(producer) = producer {
            self.products.remove(&producer);
            self.executed.remove(&producer);
            self.states.insert(producer, State::Waiting { force: true });
        } else {
            self.inputs_kept = false;
        }
    }

    fn input_names(&self, reader: StageId) -> String {
        let origins = self.plan.stage(reader).inputs.iter().flat_map(|edges| &edges.origins);
        let names = origins.filter_map(|origin| match origin {
            Origin::Input { name, .. } => Some(name.to_string()),
            Origin::Output { .. } => None,
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

/// A stage knows what it reads by the names of the manifest's inputs; a person looks for the file.
fn name_files(found: &mut [Diagnostic], plan: &Plan) {
    for source in found.iter_mut().filter_map(|diagnostic| diagnostic.source.as_mut()) {
        if let Some(input) = plan.inputs().find(|input| input.name.as_str() == &*source.name) {
            source.name = input.source.to_string().into();
        }
    }
}

enum Blocker {
    NotReady,
    DidNotSucceed(String),
}
