//! How a plan differs from the one that a lock pins: the causes, not everything they touch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::{Lock, LockedStage};
use crate::artifact::Content;
use crate::device::Backend;
use crate::plan::{Origin, Plan, PlannedStage, StageId};
use crate::stage::Numerics;

/// One reason why a lock is not up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "drift", rename_all = "snake_case")]
pub enum Drift {
    /// An input has other bytes.
    InputChanged {
        /// The source, as the manifest writes it.
        source: String,
        /// What the lock has.
        #[serde(serialize_with = "super::in_one_word::serialize")]
        locked: Content,
        /// What is there.
        #[serde(serialize_with = "super::in_one_word::serialize")]
        now: Content,
    },
    /// The manifest reads what the lock does not know.
    InputAdded {
        /// The source.
        source: String,
    },
    /// Model work is to run elsewhere.
    Backend {
        /// What the lock has.
        locked: Backend,
        /// What the manifest says.
        now: Backend,
    },
    /// A stage that the lock does not know.
    StageAdded {
        /// The stage.
        stage: String,
    },
    /// A stage that the manifest has no longer.
    StageRemoved {
        /// The stage.
        stage: String,
    },
    /// A stage is of another kind.
    Kind {
        /// The stage.
        stage: String,
        /// What the lock has.
        locked: String,
        /// What the manifest says.
        now: String,
    },
    /// This version of the program computes a stage otherwise.
    Epoch {
        /// The stage.
        stage: String,
        /// What the lock has.
        locked: u32,
        /// That of this version.
        now: u32,
    },
    /// A stage has other settings or other edges.
    Stage {
        /// The stage.
        stage: String,
    },
    /// Stages that differ only because of what they read.
    After {
        /// How many.
        stages: usize,
    },
}

impl Lock {
    /// What differs; nothing exactly when the lock is of this plan. A rename differs in nothing.
    #[must_use]
    pub fn drift(&self, plan: &Plan) -> Vec<Drift> {
        if plan.id() == self.plan {
            return Vec::new();
        }
        let mut found = self.input_drift(plan);
        let changed_inputs: BTreeSet<&str> = found
            .iter()
            .filter_map(|drift| match drift {
                Drift::InputChanged { source, .. } | Drift::InputAdded { source } => Some(source.as_str()),
                _ => None,
            })
            .collect();
        let by_name: BTreeMap<&str, &LockedStage> =
            self.stages.iter().map(|(name, stage)| (name.as_str(), stage)).collect();
        let nodes: BTreeSet<_> = self.stages.values().map(|stage| stage.node).collect();
        let moved: Vec<StageId> =
            plan.order().iter().copied().filter(|id| !nodes.contains(&plan.stage(*id).node)).collect();
        let (mut stages, mut after) = (Vec::new(), 0);
        for id in &moved {
            let stage = plan.stage(*id);
            let is_moved_by_input = sources(stage).any(|source| changed_inputs.contains(source.as_str()));
            let cause = cause(stage, by_name.get(stage.name.as_str()).copied());
            // Where what it reads differs, that is enough of a cause, unless something of its own does so visibly.
            let is_moved = is_moved_by_input || plan.upstream(*id).iter().any(|upstream| moved.contains(upstream));
            match cause {
                Drift::Stage { .. } if is_moved || self.backend_moves(stage, plan) => after += 1,
                cause => stages.push(cause),
            }
        }
        if self.backend != plan.device().backend {
            found.push(Drift::Backend { locked: self.backend, now: plan.device().backend });
        }
        found.extend(stages);
        let is_gone = |name: &str, stage: &LockedStage| {
            plan.find(name).is_none() && plan.order().iter().all(|id| plan.stage(*id).node != stage.node)
        };
        let gone = self.stages.iter().filter(|(name, stage)| is_gone(name, stage));
        found.extend(gone.map(|(stage, _)| Drift::StageRemoved { stage: stage.clone() }));
        if after > 0 {
            found.push(Drift::After { stages: after });
        }
        found
    }

    fn input_drift(&self, plan: &Plan) -> Vec<Drift> {
        let drift = plan.inputs().filter_map(|input| {
            let source = input.source.to_string();
            match self.inputs.get(&source) {
                None => Some(Drift::InputAdded { source }),
                Some(pin) if pin.content != input.content => {
                    Some(Drift::InputChanged { source, locked: pin.content, now: input.content })
                }
                Some(_) => None,
            }
        });
        drift.collect()
    }

    fn backend_moves(&self, stage: &PlannedStage, plan: &Plan) -> bool {
        stage.stage.numerics() == Numerics::Float && self.backend != plan.device().backend
    }
}

/// What of a stage itself differs from what is locked under its name.
fn cause(stage: &PlannedStage, locked: Option<&LockedStage>) -> Drift {
    let (name, kind, epoch) = (stage.name.to_string(), stage.stage.kind(), stage.stage.epoch());
    match locked {
        None => Drift::StageAdded { stage: name },
        Some(locked) if locked.kind != kind => {
            Drift::Kind { stage: name, locked: locked.kind.clone(), now: kind.to_owned() }
        }
        Some(locked) if locked.epoch != epoch => Drift::Epoch { stage: name, locked: locked.epoch, now: epoch },
        Some(_) => Drift::Stage { stage: name },
    }
}

/// The sources that a stage reads directly.
fn sources(stage: &PlannedStage) -> impl Iterator<Item = String> {
    stage.inputs.iter().flat_map(|edges| &edges.origins).filter_map(|origin| match origin {
        Origin::Input { source, .. } => Some(source.to_string()),
        Origin::Output { .. } => None,
    })
}

impl fmt::Display for Drift {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputChanged { source, locked, now } => {
                let (locked, now) = (locked.digest().short(), now.digest().short());
                write!(formatter, "the input `{source}` changed: {locked} → {now}")
            }
            Self::InputAdded { source } => write!(formatter, "the input `{source}` is new"),
            Self::Backend { locked, now } => write!(formatter, "the backend changed: {locked} → {now}"),
            Self::StageAdded { stage } => write!(formatter, "the stage `{stage}` is new"),
            Self::StageRemoved { stage } => write!(formatter, "the stage `{stage}` is gone"),
            Self::Kind { stage, locked, now } => write!(formatter, "`{stage}` is of another kind: {locked} → {now}"),
            Self::Epoch { stage, locked, now } => {
                write!(formatter, "this version of pipe computes `{stage}` otherwise: epoch {locked} → {now}")
            }
            Self::Stage { stage } => write!(formatter, "`{stage}` has other settings or reads something else"),
            Self::After { stages: 1 } => formatter.write_str("1 stage differs because of that"),
            Self::After { stages } => write!(formatter, "{stages} stages differ because of that"),
        }
    }
}
