//! What a run would do, without doing it: for `plan`, `why` and `run --dry-run`.
//!
//! Behind a stage that would run nothing is certain, since its bytes may come out as before; such stages say so.

use std::collections::BTreeSet;

use crate::engine::EngineError;
use crate::engine::causes::{Known, origin};
use crate::engine::differences::differences;
use crate::engine::history::History;
use crate::engine::record::StageRecord;
use crate::engine::resolve::{Products, Stored, action, content_of, feed, look_up, stage_record};
use crate::engine::row_counts::RowCounts;
use crate::engine::why::{Cause, Reason};
use crate::plan::{Origin, Plan, PlannedStage, StageId};
use crate::reference::Name;
use crate::store::Store;
use crate::surroundings::Traces;

/// How many causes of one stage are kept: a chain of stages that all changed has as many as it is long.
const MOST_CAUSES: usize = 8;

/// What would become of one stage.
#[derive(Debug, Clone, PartialEq)]
pub enum StagePreview {
    /// Its result is stored.
    Hit(Box<StageRecord>),
    /// It would run.
    Run(Vec<Reason>),
}

/// One stage of a preview.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewedStage {
    /// The stage's name.
    pub name: String,
    /// What would become of it.
    pub preview: StagePreview,
    /// What in the end makes it run: reasons of its own or of stages before it.
    pub causes: Vec<Cause>,
}

impl PreviewedStage {
    /// Whether it would run.
    #[must_use]
    pub const fn would_run(&self) -> bool {
        matches!(self.preview, StagePreview::Run(_))
    }
}

/// Looks at every stage in topological order; `forced` are those to run even if their results are stored.
///
/// # Errors
/// When the store can't be read.
pub fn preview(plan: &Plan, store: &Store, forced: &BTreeSet<String>) -> Result<Vec<PreviewedStage>, EngineError> {
    let history = History::new(store, plan.name());
    let (products, stages) = (Products::new(), Vec::with_capacity(plan.order().len()));
    let mut ahead = Ahead { plan, store, forced, history, products, rows: RowCounts::default(), stages };
    plan.order().iter().try_for_each(|id| ahead.look(*id))?;
    Ok(ahead.stages)
}

/// A look ahead, stage by stage.
struct Ahead<'a> {
    plan: &'a Plan,
    store: &'a Store,
    forced: &'a BTreeSet<String>,
    history: History<'a>,
    products: Products,
    rows: RowCounts,
    /// By the order of the plan.
    stages: Vec<PreviewedStage>,
}

impl Ahead<'_> {
    fn look(&mut self, id: StageId) -> Result<(), EngineError> {
        let name = self.plan.stage(id).name.to_string();
        let (preview, causes) = match self.preview_of(id)? {
            StagePreview::Run(mut reasons) => {
                let known = Known { plan: self.plan, products: &self.products, store: self.store };
                for reason in &mut reasons {
                    self.rows.add(known, self.plan.stage(id), reason);
                }
                let causes = self.causes(id, &reasons);
                (StagePreview::Run(reasons), causes)
            }
            StagePreview::Hit(record) => {
                self.products.insert(id, (*record).clone());
                (StagePreview::Hit(record), Vec::new())
            }
        };
        self.stages.push(PreviewedStage { name, preview, causes });
        Ok(())
    }

    fn preview_of(&self, id: StageId) -> Result<StagePreview, EngineError> {
        let stage = self.plan.stage(id);
        let is_forced = self.forced.contains(stage.name.as_str());
        let running = self.plan.upstream(id).iter().filter(|upstream| !self.products.contains_key(upstream));
        let upstream: Vec<Reason> =
            running.map(|id| Reason::UpstreamRuns { stage: self.plan.stage(*id).name.to_string() }).collect();
        if !upstream.is_empty() {
            let own = if is_forced { vec![Reason::Forced] } else { self.own_changes(stage) };
            return Ok(StagePreview::Run(own.into_iter().chain(upstream).collect()));
        }
        if is_forced {
            return Ok(StagePreview::Run(vec![Reason::Forced]));
        }
        if let Some(input) = absent_folder(self.plan, stage, self.store) {
            return Ok(StagePreview::Run(vec![Reason::NotFetched { input }]));
        }
        let action = action(self.plan, stage, &self.products, self.store)?;
        let known = Known { plan: self.plan, products: &self.products, store: self.store };
        Ok(match look_up(stage, &action, self.store)? {
            Stored::Hit(record) => StagePreview::Hit(record),
            Stored::Miss(Some(reason), _) => StagePreview::Run(vec![*reason]),
            Stored::Miss(None, _) => StagePreview::Run(known.reasons(&self.history, id, &action)),
        })
    }

    /// What changed about a stage itself, while some of what it reads is not known yet.
    fn own_changes(&self, stage: &PlannedStage) -> Vec<Reason> {
        let name = stage.name.as_str();
        let last = self.history.last_run(name).and_then(|run| self.history.action(run, name));
        let Some(last) = last else { return vec![Reason::NeverRan] };
        let mut now = last.clone();
        stage.stage.kind().clone_into(&mut now.kind);
        now.epoch = stage.stage.epoch();
        now.config = stage.config.keyed.clone();
        let Traces { variables, tools } = stage.surroundings.traces(&stage.config.needs);
        (now.env, now.tools) = (variables, tools);
        if now.backend.is_some() {
            now.backend = Some(self.plan.device().backend);
        }
        now.inputs.retain(|port, _| stage.inputs.iter().any(|edges| edges.port.name == *port));
        let with_cells = stage.inputs.iter().filter(|edges| !edges.cells.is_empty());
        now.cells = with_cells.map(|edges| (edges.port.name.to_string(), edges.cells.clone())).collect();
        for edges in &stage.inputs {
            let is_known = |origin: &Origin| match origin {
                Origin::Input { .. } => true,
                Origin::Output { stage, .. } => self.products.contains_key(stage),
            };
            if edges.origins.is_empty() || !edges.origins.iter().all(is_known) {
                continue;
            }
            let read = |origin| self.store.project(content_of(origin, &self.products), edges.port.projection).ok();
            if let Some(digests) = edges.origins.iter().map(read).collect() {
                now.inputs.insert(edges.port.name.to_string(), digests);
            }
        }
        differences(&last, &now, |port, index| feed(stage, port, index))
    }

    /// What in the end makes a stage run: reasons that are about something before it are followed there.
    fn causes(&mut self, id: StageId, reasons: &[Reason]) -> Vec<Cause> {
        let stage = self.plan.stage(id);
        let mut found = Vec::new();
        for reason in reasons {
            let mut causes = match reason {
                Reason::UpstreamRuns { stage } => {
                    let mut upstream = self.plan.upstream(id).iter().map(|upstream| &self.stages[upstream.index()]);
                    upstream
                        .find(|upstream| upstream.name == *stage)
                        .map_or_else(Vec::new, |found| found.causes.clone())
                }
                Reason::InputChanged { producer, port, .. } => self.behind(stage, producer, port),
                _ => Vec::new(),
            };
            if causes.is_empty() {
                causes.push(Cause { stage: stage.name.to_string(), because: reason.clone() });
            }
            found.extend(causes.into_iter().take(MOST_CAUSES));
            // A stage that never ran needs no other cause.
            if matches!(reason, Reason::NeverRan) {
                break;
            }
        }
        let mut causes: Vec<Cause> = Vec::new();
        for cause in found {
            if !causes.contains(&cause) && causes.len() < MOST_CAUSES {
                causes.push(cause);
            }
        }
        causes
    }

    /// Why a stored output is another one than the stage read last time.
    fn behind(&mut self, stage: &PlannedStage, producer: &str, port: &str) -> Vec<Cause> {
        let Some(Origin::Output { stage: upstream, .. }) = origin(stage, port, producer) else { return Vec::new() };
        let known = Known { plan: self.plan, products: &self.products, store: self.store };
        let mut causes = known.causes(&self.history, stage.name.as_str(), *upstream);
        for cause in &mut causes {
            if let Some(id) = self.plan.find(&cause.stage) {
                self.rows.add(known, self.plan.stage(id), &mut cause.because);
            }
        }
        causes
    }
}

/// An input of a stage that is not here and of which the stage reads a part that is not known: a lock pins a model's digest, not
/// those of its files.
fn absent_folder(plan: &Plan, stage: &PlannedStage, store: &Store) -> Option<String> {
    let absent = stage.inputs.iter().flat_map(|edges| edges.origins.iter().map(move |origin| (origin, &edges.port)));
    let absent = absent.filter_map(|(origin, port)| match origin {
        Origin::Input { name, content, .. } => Some((name, content, port)),
        Origin::Output { .. } => None,
    });
    let is_here = |name: &Name| plan.inputs().any(|input| input.name == *name && input.path.is_some());
    let mut absent = absent.filter(|(name, ..)| !is_here(name));
    let (name, ..) = absent.find(|(_, content, port)| store.project(**content, port.projection).is_err())?;
    Some(name.to_string())
}

/// The stages that have no stored result, or stand behind one that has none, by name. A guess for what is done before a
/// run: outputs are not looked at, and damage is left to the run itself, which reports it.
#[must_use]
pub fn unstored(plan: &Plan, store: &Store) -> BTreeSet<String> {
    let mut products = Products::new();
    let mut names = BTreeSet::new();
    for id in plan.order() {
        let stage = plan.stage(*id);
        let is_known = plan.upstream(*id).iter().all(|upstream| products.contains_key(upstream));
        let action = is_known.then(|| action(plan, stage, &products, store).ok()).flatten();
        let found = action.and_then(|action| stage_record(stage, &action, &store.peek_result(&action.key())?));
        match found {
            Some(record) => drop(products.insert(*id, record)),
            None => drop(names.insert(stage.name.to_string())),
        }
    }
    names
}
