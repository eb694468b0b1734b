//! The lock beside a manifest, `pipelines/<name>.lock`: what the last complete run of it read and gave, to be committed.
//!
//! It pins what a manifest leaves open (which commit a branch is, which bytes a package holds) and lets `pipe check --frozen`
//! decide without data, models or a cache whether a manifest was run as it stands. Everything in it follows from what was
//! computed: no time, host or path of the machine, so two people who ran the same thing have the same file. One fact a
//! line, sorted by name, so that changes of different stages merge.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::artifact::{Content, Verdict};
use crate::device::Backend;
use crate::digest::{ActionKey, Digest, ExperimentId, PlanId};
use crate::plan::{experiment_id, plan_id};
use crate::surroundings::Traces;

mod drift;
mod machine;
mod text;

pub use drift::Drift;
pub use machine::{PinnedMachine, traces};
pub use text::{LockError, read, write};

/// The version of the format.
pub const LOCK_VERSION: u32 = 1;

/// What a lock says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The format's version.
    pub version: u32,
    /// What was run.
    pub plan: PlanId,
    /// What it came to.
    pub experiment: ExperimentId,
    /// The worst verdict of all gates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Where model work ran.
    pub backend: Backend,
    /// Source, as the manifest writes it, to its bytes.
    #[serde(default)]
    pub inputs: BTreeMap<String, Pin>,
    /// What stages that ask for variables and programs were given.
    #[serde(default, skip_serializing_if = "Traces::is_empty")]
    pub machine: Traces,
    /// Stage name to what it gave.
    #[serde(default)]
    pub stages: BTreeMap<String, LockedStage>,
}

/// The bytes of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The commit that a branch or tag was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// All of it.
    #[serde(with = "in_one_word")]
    pub content: Content,
}

/// What a stage gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedStage {
    /// Its kind.
    pub kind: String,
    /// The kind's epoch.
    pub epoch: u32,
    /// What it is and reads, through everything before it: its node of the plan.
    pub node: Digest,
    /// Its action key.
    pub key: ActionKey,
    /// Slot to bytes.
    pub outputs: BTreeMap<String, Bytes>,
    /// The class of the machine that computed it, for float stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerics_class: Option<String>,
    /// A gate's verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Its figures.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metrics: Map<String, Value>,
}

/// The bytes of an output, written in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(#[serde(with = "in_one_word")] pub Content);

/// A [`Content`] as `file:…` or `tree:…`.
mod in_one_word {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::artifact::Content;

    pub(super) fn serialize<S: Serializer>(content: &Content, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(content)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Lock {
    /// Where the lock of a manifest lies: beside it, with the ending `lock`.
    #[must_use]
    pub fn beside(manifest: &Path) -> PathBuf {
        manifest.with_extension("lock")
    }

    /// Whether its parts belong together. A lock that was mended or merged by hand, so that say the verdict is no longer that of
    /// the results, does not.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let digests =
            |stage: &LockedStage| stage.outputs.iter().map(|(slot, bytes)| (slot.clone(), *bytes.0.digest())).collect();
        let results = self.stages.values().map(|stage| (stage.key, digests(stage)));
        let verdict = self.stages.values().filter_map(|stage| stage.verdict).max();
        self.plan == plan_id(self.stages.values().map(|stage| stage.node))
            && self.verdict == verdict
            && self.experiment == experiment_id(self.plan, results, self.verdict)
    }

    /// Whether somebody else's lock says the same as this one but for bits that may differ between classes of machines.
    /// Such a lock stays as it is: two machines that take turns would else rewrite it for ever.
    #[must_use]
    pub fn agrees_across_classes(&self, other: &Self) -> bool {
        let classes = |lock: &Self| -> Vec<Option<String>> {
            lock.stages.values().map(|stage| stage.numerics_class.clone()).collect()
        };
        let is_same_work = (self.plan, self.verdict, &self.inputs) == (other.plan, other.verdict, &other.inputs);
        is_same_work && self.stages.keys().eq(other.stages.keys()) && classes(self) != classes(other)
    }

    /// The stages whose outputs here differ from those of `other` although key and class of machine are the same.
    #[must_use]
    pub fn diverged_from<'a>(&'a self, other: &Self) -> Vec<&'a str> {
        let differs = |stage: &LockedStage| {
            other.stages.values().any(|theirs| {
                (theirs.key, &theirs.numerics_class) == (stage.key, &stage.numerics_class)
                    && theirs.outputs != stage.outputs
            })
        };
        self.stages.iter().filter(|(_, stage)| differs(stage)).map(|(name, _)| name.as_str()).collect()
    }
}
