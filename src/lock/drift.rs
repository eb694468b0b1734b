//! How a plan differs from the one that a lock pins: the causes, not everything they touch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::{Lock, LockedStage, traces};
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
    /// A variable that stages ask for has another value.
    Variable {
        /// Its name.
        name: String,
    },
    /// A program that stages use has other bytes.
    Tool {
        /// Its name.
        name: String,
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
        let outside = self.outside_drift(plan);
        let stages = self.stage_drift(plan, &outside);
        let is_gone = |name: &str, stage: &LockedStage| {
            plan.find(name).is_none() && plan.order().iter().all(|id| plan.stage(*id).node != stage.node)
        };
        let gone = self.stages.iter().filter(|(name, stage)| is_gone(name, stage));
        let gone = gone.map(|(stage, _)| Drift::StageRemoved { stage: stage.clone() });
        let (causes, after): (Vec<Drift>, Vec<Drift>) =
            stages.into_iter().partition(|drift| !matches!(drift, Drift::After { .. }));
        outside.into_iter().chain(causes).chain(gone).chain(after).collect()
    }

    /// What differs outside of the stages themselves: inputs, the machine, the backend.
    fn outside_drift(&self, plan: &Plan) -> Vec<Drift> {
        let inputs = plan.inputs().filter_map(|input| {
            let source = input.source.to_string();
            match self.inputs.get(&source) {
                None => Some(Drift::InputAdded { source }),
                Some(pin) if pin.content != input.content => {
                    Some(Drift::InputChanged { source, locked: pin.content, now: input.content })
                }
                Some(_) => None,
            }
        });
        let now = traces(plan);
        let variables = changed(&self.machine.variables, &now.variables).map(|name| Drift::Variable { name });
        let tools = changed(&self.machine.tools, &now.tools).map(|name| Drift::Tool { name });
        let backend = plan.device().backend;
        let backend = (self.backend != backend).then_some(Drift::Backend { locked: self.backend, now: backend });
        inputs.chain(variables).chain(tools).chain(backend).collect()
    }

    /// The stages that differ: each with its own cause, and how many differ only because of others or of what is `outside`.
    fn stage_drift(&self, plan: &Plan, outside: &[Drift]) -> Vec<Drift> {
        let nodes: BTreeSet<_> = self.stages.values().map(|stage| stage.node).collect();
        let moved: BTreeSet<StageId> =
            plan.order().iter().copied().filter(|id| !nodes.contains(&plan.stage(*id).node)).collect();
        let (mut found, mut after) = (Vec::new(), 0);
        for id in &moved {
            let stage = plan.stage(*id);
            let is_after = plan.upstream(*id).iter().any(|upstream| moved.contains(upstream))
                || outside.iter().any(|drift| drift.reaches(stage));
            match cause(stage, self.stages.get(stage.name.as_str())) {
                // What it reads differs, which is enough of a cause unless something of its own does so visibly.
                Drift::Stage { .. } if is_after => after += 1,
                cause => found.push(cause),
            }
        }
        found.extend((after > 0).then_some(Drift::After { stages: after }));
        found
    }
}

impl Drift {
    /// Whether a difference outside of the stages makes this one differ by itself.
    fn reaches(&self, stage: &PlannedStage) -> bool {
        match self {
            Self::InputChanged { source, .. } | Self::InputAdded { source } => reads(stage, source),
            Self::Variable { name } => stage.config.needs.variables.contains(name),
            Self::Tool { name } => stage.config.needs.tools.contains(name),
            Self::Backend { .. } => stage.stage.numerics() == Numerics::Float,
            _ => false,
        }
    }
}

/// The names that both know, with another value.
fn changed<'a, T: PartialEq>(
    locked: &'a BTreeMap<String, T>,
    now: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = String> + 'a {
    let differs = |(name, value): &(&String, &T)| locked.get(*name).is_some_and(|locked| locked != *value);
    now.iter().filter(differs).map(|(name, _)| name.clone())
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

/// Whether a stage reads a source directly.
fn reads(stage: &PlannedStage, wanted: &str) -> bool {
    stage.inputs.iter().flat_map(|edges| &edges.origins).any(|origin| match origin {
        Origin::Input { source, .. } => source.to_string() == wanted,
        Origin::Output { .. } => false,
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
            Self::Variable { name } => write!(formatter, "the variable `{name}` has another value"),
            Self::Tool { name } => write!(formatter, "the program `{name}` has other bytes"),
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
