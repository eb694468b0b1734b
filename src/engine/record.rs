//! Records: what a run did, and what a complete run amounts to.
//!
//! The experiment id is made of what was computed, never of names, paths or times, so the same experiment has the same
//! id in another clone, under another file name, at another hour.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::artifact::{ArtifactKind, Content, Verdict};
use crate::device::Backend;
use crate::digest::{ActionKey, Digest, ExperimentId, PlanId};
use crate::plan;
use crate::stage::Outcome;

/// The version of both records' formats.
pub const RECORD_VERSION: u32 = 1;

/// One output of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRecord {
    /// What it is.
    pub kind: ArtifactKind,
    /// Its bytes.
    pub content: Content,
}

/// What one stage did, here or in an earlier run whose result was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRecord {
    /// The stage's name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// The kind's epoch.
    pub epoch: u32,
    /// Its action key.
    pub key: ActionKey,
    /// Its outputs.
    pub outputs: BTreeMap<String, OutputRecord>,
    /// Verdict and figures.
    pub outcome: Outcome,
    /// The class of the machine that computed it, for float stages.
    pub numerics_class: Option<String>,
    /// How long it took when it was computed.
    pub seconds: f64,
}

/// A complete run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentRecord {
    /// The format's version.
    pub version: u32,
    /// The experiment's id.
    pub id: ExperimentId,
    /// The manifest's name.
    pub name: String,
    /// The path the manifest had, for people.
    pub manifest_path: String,
    /// The blob with the manifest's text.
    pub manifest: Digest,
    /// `-p` overrides, name to YAML text.
    pub overrides: BTreeMap<String, String>,
    /// The backend chosen on the command line, when one was.
    pub backend: Option<Backend>,
    /// Input name to its bytes.
    pub inputs: BTreeMap<String, Content>,
    /// The plan's id.
    pub plan: PlanId,
    /// The stages in topological order.
    pub stages: Vec<StageRecord>,
    /// The worst verdict of all gates.
    pub verdict: Option<Verdict>,
    /// The run that was the first to be complete; its id begins with the time.
    pub run: String,
}

/// Any run, complete or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The format's version.
    pub version: u32,
    /// The run's id, which begins with the time (UTC) at which it began.
    pub run: String,
    /// The manifest's name.
    pub name: String,
    /// The path the manifest had.
    pub manifest_path: String,
    /// How long it took.
    pub seconds: f64,
    /// Stage name to the key it had, for those whose inputs were known.
    pub keys: BTreeMap<String, ActionKey>,
    /// The experiment, when the run was complete.
    pub experiment: Option<ExperimentId>,
    /// The worst verdict.
    pub verdict: Option<Verdict>,
    /// Stages that ran.
    pub executed: usize,
    /// Stages served from the store.
    pub hits: usize,
    /// Stages that failed.
    pub failed: Vec<String>,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// The id of the experiment that these stages were.
#[must_use]
pub fn experiment_id(plan: PlanId, stages: &[StageRecord], verdict: Option<Verdict>) -> ExperimentId {
    let digests = |stage: &StageRecord| {
        stage.outputs.iter().map(|(slot, output)| (slot.clone(), *output.content.digest())).collect()
    };
    plan::experiment_id(plan, stages.iter().map(|stage| (stage.key, digests(stage))), verdict)
}

/// The worst of several verdicts: failed, then inconclusive, then passed.
pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Option<Verdict> {
    verdicts.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Canonical;

    fn stage(name: &str, output: &[u8]) -> StageRecord {
        let content = Content::File(Digest::of(output));
        StageRecord {
            name: name.into(),
            kind: "clean".into(),
            epoch: 1,
            key: ActionKey::of(&Canonical::Null),
            outputs: BTreeMap::from([("records".into(), OutputRecord { kind: ArtifactKind::Records, content })]),
            outcome: Outcome::default(),
            numerics_class: None,
            seconds: 1.0,
        }
    }

    #[test]
    fn names_and_times_are_not_in_the_experiment_id_but_bytes_and_verdict_are() {
        let plan = PlanId::of(&Canonical::Null);
        let id = experiment_id(plan, &[stage("a", b"x")], Some(Verdict::Passed));
        let renamed = StageRecord { seconds: 9.0, ..stage("b", b"x") };
        assert_eq!(experiment_id(plan, &[renamed], Some(Verdict::Passed)), id);
        assert_ne!(experiment_id(plan, &[stage("a", b"y")], Some(Verdict::Passed)), id);
        assert_ne!(experiment_id(plan, &[stage("a", b"x")], Some(Verdict::Failed)), id);
    }

    #[test]
    fn failed_outranks_inconclusive_and_inconclusive_outranks_passed() {
        assert_eq!(worst([Verdict::Passed, Verdict::Failed, Verdict::Inconclusive]), Some(Verdict::Failed));
        assert_eq!(worst([Verdict::Passed, Verdict::Inconclusive]), Some(Verdict::Inconclusive));
        assert_eq!(worst([]), None);
    }
}
