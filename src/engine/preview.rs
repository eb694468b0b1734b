//! What a run would do, without doing it: for `plan`, `why` and `run --dry-run`.
//!
//! Behind a stage that would run nothing is certain, since its bytes may come out as before; such stages say so.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::EngineError;
use crate::engine::history::History;
use crate::engine::record::StageRecord;
use crate::engine::resolve::{Products, Stored, action, look_up, stage_record};
use crate::engine::why::Reason;
use crate::plan::{Origin, Plan, PlannedStage, StageId};
use crate::reference::Name;
use crate::store::Store;

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
}

/// Looks at every stage in topological order.
///
/// # Errors
/// When the store can't be read.
pub fn preview(plan: &Plan, store: &Store) -> Result<Vec<PreviewedStage>, EngineError> {
    let history = History::new(store, plan.name());
    let mut products = Products::new();
    let mut running: BTreeMap<StageId, String> = BTreeMap::new();
    let mut previews = Vec::with_capacity(plan.order().len());
    for id in plan.order() {
        let stage = plan.stage(*id);
        let name = stage.name.to_string();
        let upstream: Vec<Reason> = plan
            .upstream(*id)
            .iter()
            .filter_map(|upstream| running.get(upstream))
            .map(|stage| Reason::UpstreamRuns { stage: stage.clone() })
            .collect();
        let preview = if let (Some(input), true) = (absent_folder(plan, stage, store), upstream.is_empty()) {
            StagePreview::Run(vec![Reason::NotFetched { input }])
        } else if upstream.is_empty() {
            let action = action(plan, stage, &products, store)?;
            match look_up(stage, &action, store)? {
                Stored::Hit(record) => StagePreview::Hit(record),
                Stored::Miss(Some(reason), _) => StagePreview::Run(vec![reason]),
                Stored::Miss(None, _) => StagePreview::Run(history.reasons(stage, &action)),
            }
        } else {
            StagePreview::Run(own_changes(&history, stage, plan).into_iter().chain(upstream).collect())
        };
        match &preview {
            StagePreview::Hit(record) => drop(products.insert(*id, (**record).clone())),
            StagePreview::Run(_) => drop(running.insert(*id, name.clone())),
        }
        previews.push(PreviewedStage { name, preview });
    }
    Ok(previews)
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

/// What changed about a stage itself, while its inputs are not known yet.
fn own_changes(history: &History<'_>, stage: &PlannedStage, plan: &Plan) -> Vec<Reason> {
    let Some(last) = history.last_action(stage.name.as_str()) else { return vec![Reason::NeverRan] };
    let mut now = last.clone();
    stage.stage.kind().clone_into(&mut now.kind);
    now.epoch = stage.stage.epoch();
    now.config = stage.config.keyed.clone();
    let traces = stage.surroundings.traces(&stage.config.needs);
    (now.env, now.tools) = (traces.variables, traces.tools);
    if now.backend.is_some() {
        now.backend = Some(plan.device().backend);
    }
    crate::engine::why::differences(&last, &now, |port, _| crate::engine::why::Feed::Input(port.to_owned()))
}
