//! Which part of a manifest a run is about: its targets, the stages that may run, and those that have to.

use std::collections::BTreeSet;

use crate::cli::Failure;
use crate::cli::arguments::{Forced, RunArguments};
use crate::engine::{EngineError, PreviewedStage};
use crate::plan::{Plan, StageId};

/// A part of a plan, by the names of its stages.
pub struct Part {
    /// The plan of the targets and all that they need; the whole one when no target was named.
    pub plan: Plan,
    /// Whether it is the whole one.
    pub whole: bool,
    /// The only stages that may run; all when absent.
    pub may_run: Option<BTreeSet<String>>,
    /// The stages to run even if their results are stored.
    pub force: BTreeSet<String>,
}

impl Part {
    /// The part that the command line asks for.
    ///
    /// # Errors
    /// Every name on it that no stage has.
    pub fn of(arguments: &RunArguments, whole: &Plan) -> Result<Self, Failure> {
        let part = &arguments.part;
        let (named, only) = (whole.named(&arguments.manifest.stages)?, whole.named(&part.only)?);
        let (starts, from) = (whole.named(&part.downstream)?, whole.named(&part.from)?);
        let behind = whole.behind(&starts);
        let targets: BTreeSet<StageId> = [&named, &starts, &behind, &only].into_iter().flatten().copied().collect();
        let names = |ids: &BTreeSet<StageId>| names_of(whole, ids);
        let all: BTreeSet<StageId> = whole.order().iter().copied().collect();
        let may_run = if !only.is_empty() {
            Some(names(&only))
        } else if !from.is_empty() {
            let before = whole.before(&from);
            Some(names(&(&all - &before)))
        } else {
            None
        };
        let is_whole = targets.is_empty();
        let force = forced(part.force.as_slice(), whole, if is_whole { &all } else { &targets })?;
        let targets: Vec<String> = names(&targets).into_iter().collect();
        let plan = if is_whole { whole.clone() } else { whole.select(&targets)? };
        if let Some(outside) = force.iter().find(|name| plan.find(name).is_none()) {
            return Err(Failure::Usage(format!("--force names `{outside}`, which is no part of this run")));
        }
        Ok(Self { plan, whole: is_whole, may_run, force })
    }

    /// Whether the run would fail at once, since a stage that may not run would have to.
    ///
    /// # Errors
    /// [`EngineError::NotStored`] for the first such stage.
    pub fn check(&self, previews: &[PreviewedStage]) -> Result<(), EngineError> {
        let Some(may_run) = &self.may_run else { return Ok(()) };
        let mut runs = previews.iter().filter(|stage| stage.would_run());
        match runs.find(|stage| !may_run.contains(&stage.name)) {
            Some(stage) => Err(EngineError::NotStored { stage: stage.name.clone() }),
            None => Ok(()),
        }
    }
}

fn forced(asked: &[Forced], plan: &Plan, targets: &BTreeSet<StageId>) -> Result<BTreeSet<String>, Failure> {
    let mut force = BTreeSet::new();
    for one in asked {
        match one {
            Forced::Targets => force.append(&mut names_of(plan, targets)),
            Forced::Stage(name) => force.append(&mut names_of(plan, &plan.named(&[name])?)),
        }
    }
    Ok(force)
}

fn names_of(plan: &Plan, ids: &BTreeSet<StageId>) -> BTreeSet<String> {
    ids.iter().map(|id| plan.stage(*id).name.to_string()).collect()
}
