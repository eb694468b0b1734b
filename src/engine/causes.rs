//! Why an action is not stored: what differs from the last run that knew the stage, followed to the stages before it.
//!
//! Explains and decides nothing: what of the past can't be read is left out.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::engine::differences::differences;
use crate::engine::history::History;
use crate::engine::key::Action;
use crate::engine::record::RunRecord;
use crate::engine::resolve::{Products, action, feed};
use crate::engine::why::{Cause, Reason};
use crate::plan::{Origin, Plan, PlannedStage, StageId};
use crate::store::Store;

/// How many stages are followed: a plan can be deep, and reading what there was costs a file a stage.
const MOST_STAGES: usize = 200;

/// What is known of the run that is made or looked ahead to.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What the stages that are done, or stored, gave.
    pub products: &'a Products,
    /// The store.
    pub store: &'a Store,
}

impl Known<'_> {
    /// Why an action that is not stored has to be done.
    pub fn reasons(&self, history: &History<'_>, id: StageId, action: &Action) -> Vec<Reason> {
        let name = self.plan.stage(id).name.as_str();
        let Some(run) = history.last_run(name) else { return vec![Reason::NeverRan] };
        let found = self.since(history, run, id, action).unwrap_or_else(|| vec![Reason::NeverRan]);
        if found.is_empty() { vec![Reason::Evicted] } else { found }
    }

    /// The causes of a change in what a stage reads, in that stage and those before it, since the last run that knew the
    /// reader.
    pub fn causes(&self, history: &History<'_>, reader: &str, producer: StageId) -> Vec<Cause> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        if let Some(run) = history.last_run(reader) {
            self.trace(history, run, producer, &mut seen, &mut found);
        }
        found
    }

    fn trace(
        &self,
        history: &History<'_>,
        run: &RunRecord,
        id: StageId,
        seen: &mut BTreeSet<StageId>,
        found: &mut Vec<Cause>,
    ) {
        let stage = self.plan.stage(id);
        if seen.len() >= MOST_STAGES || !seen.insert(id) {
            return;
        }
        let Ok(action) = action(self.plan, stage, self.products, self.store) else { return };
        for because in self.since(history, run, id, &action).unwrap_or_else(|| vec![Reason::NeverRan]) {
            match &because {
                Reason::InputChanged { producer, port, .. } => {
                    if let Some(Origin::Output { stage, .. }) = origin(stage, port, producer) {
                        self.trace(history, run, *stage, seen, found);
                    }
                }
                _ => found.push(Cause { stage: stage.name.to_string(), because }),
            }
        }
    }

    /// What differs from a run; nothing when the stage's action in it is not known.
    fn since(&self, history: &History<'_>, run: &RunRecord, id: StageId, action: &Action) -> Option<Vec<Reason>> {
        let stage = self.plan.stage(id);
        let last = history.action(run, stage.name.as_str())?;
        let found = differences(&last, action, |port, index| feed(stage, port, index));
        Some(found.into_iter().map(|reason| self.told_apart(run, stage, reason)).collect())
    }

    /// A changed input whose producer did the same as in that run is none: the edge was led elsewhere, or the producer
    /// gave other bytes.
    fn told_apart(&self, run: &RunRecord, stage: &PlannedStage, reason: Reason) -> Reason {
        let Reason::InputChanged { producer, port, old: Some(old), new, .. } = &reason else { return reason };
        let Some(Origin::Output { stage: upstream, .. }) = origin(stage, port, producer) else { return reason };
        let now = self.products.get(upstream).map(|record| record.key);
        if now.is_none() || run.keys.get(self.plan.stage(*upstream).name.as_str()) != now.as_ref() {
            return reason;
        }
        if self.was_output(run, stage, port, old) {
            return Reason::EdgesChanged { port: port.clone() };
        }
        Reason::Diverged { producer: producer.clone(), port: port.clone(), old: *old, new: *new }
    }

    /// Whether some stage of a run still has a result with these bytes.
    fn was_output(&self, run: &RunRecord, stage: &PlannedStage, port: &str, digest: &Digest) -> bool {
        let Some(edges) = stage.inputs.iter().find(|edges| edges.port.name == port) else { return false };
        let outputs = run.keys.values().filter_map(|key| self.store.peek_result(key)).flat_map(|result| result.outputs);
        let mut read = outputs.filter_map(|(_, output)| self.store.project(output.content, edges.port.projection).ok());
        read.any(|output| output == *digest)
    }
}

/// The other end of the edge that a port has under a label.
pub fn origin<'a>(stage: &'a PlannedStage, port: &str, label: &str) -> Option<&'a Origin> {
    let edges = stage.inputs.iter().find(|edges| edges.port.name == port)?;
    edges.labels.iter().zip(&edges.origins).find(|(known, _)| *known == label).map(|(_, origin)| origin)
}
