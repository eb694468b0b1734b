//! Why a stage runs: the typed difference between what it is about to do and what it did last time.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::engine::key::Action;

/// One reason for a rerun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// No run of this manifest has recorded this stage.
    NeverRan,
    /// A setting differs.
    ConfigChanged {
        /// The way to it below `with:`, joined by dots.
        path: String,
        /// What it was; absent when it was not set.
        old: Option<Value>,
        /// What it is.
        new: Option<Value>,
    },
    /// A file named under `inputs:` differs.
    FileChanged {
        /// The input's name.
        input: String,
        /// The port that reads it.
        port: String,
        /// What was read last time.
        old: Option<Digest>,
        /// What is there now.
        new: Digest,
    },
    /// An upstream stage gives other bytes than last time.
    InputChanged {
        /// The producing stage and slot.
        producer: String,
        /// The port that reads it.
        port: String,
        /// What was read last time.
        old: Option<Digest>,
        /// What is there now.
        new: Digest,
    },
    /// A model is not here, and which bytes of it would be read is not known before it is.
    NotFetched {
        /// The input's name.
        input: String,
    },
    /// An upstream stage will run, so what this one will read is not known yet.
    UpstreamRuns {
        /// The upstream stage.
        stage: String,
    },
    /// A port reads fewer or other edges than last time.
    EdgesChanged {
        /// The port.
        port: String,
    },
    /// `uses:` names another kind.
    KindChanged {
        /// What it was.
        old: String,
        /// What it is.
        new: String,
    },
    /// The stage kind was changed by its authors, so that it gives other bytes.
    EpochBumped {
        /// What it was.
        old: u32,
        /// What it is.
        new: u32,
    },
    /// A variable of the environment that the stage asks for has another value. Which, nobody keeps.
    EnvChanged {
        /// The variable.
        name: String,
    },
    /// A program that the stage asks for is another file.
    ToolChanged {
        /// The program.
        name: String,
        /// Its digest last time.
        old: Option<Digest>,
        /// What it is now.
        new: Option<Digest>,
    },
    /// Another backend or compute type.
    BackendChanged {
        /// What it was.
        old: String,
        /// What it is.
        new: String,
    },
    /// The same action was done before, but its result is no longer in the store.
    Evicted,
    /// The result's bytes were damaged and are in quarantine.
    Damaged {
        /// The slot.
        slot: String,
    },
    /// Asked for.
    Forced,
}

/// What feeds one edge of a port, for naming it in a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// An entry of `inputs:`.
    Input(String),
    /// `stage.slot`.
    Output(String),
}

/// Every difference between two actions, in the order a reader asks for them.
#[must_use]
pub fn differences(old: &Action, new: &Action, feeds: impl Fn(&str, usize) -> Feed) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if old.kind != new.kind {
        reasons.push(Reason::KindChanged { old: old.kind.clone(), new: new.kind.clone() });
        return reasons;
    }
    if old.epoch != new.epoch {
        reasons.push(Reason::EpochBumped { old: old.epoch, new: new.epoch });
    }
    config_differences(&mut Vec::new(), Some(&old.config), Some(&new.config), &mut reasons);
    input_differences(old, new, feeds, &mut reasons);
    machine_differences(old, new, &mut reasons);
    if (old.backend, &old.compute_type) != (new.backend, &new.compute_type) {
        reasons.push(Reason::BackendChanged { old: compute(old), new: compute(new) });
    }
    reasons
}

fn compute(action: &Action) -> String {
    let backend = action.backend.map_or("none", crate::device::Backend::name);
    action.compute_type.as_ref().map_or_else(|| backend.to_owned(), |kind| format!("{backend} {kind}"))
}

fn config_differences(path: &mut Vec<String>, old: Option<&Value>, new: Option<&Value>, reasons: &mut Vec<Reason>) {
    if old == new {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) {
        let added = new.keys().filter(|name| !old.contains_key(*name));
        for name in old.keys().chain(added) {
            path.push(name.clone());
            config_differences(path, old.get(name), new.get(name), reasons);
            path.pop();
        }
        return;
    }
    if let (Some(Value::Array(old)), Some(Value::Array(new))) = (old, new)
        && old.len() == new.len()
    {
        for (index, (old, new)) in old.iter().zip(new).enumerate() {
            path.push(index.to_string());
            config_differences(path, Some(old), Some(new), reasons);
            path.pop();
        }
        return;
    }
    reasons.push(Reason::ConfigChanged { path: path.join("."), old: old.cloned(), new: new.cloned() });
}

fn input_differences(old: &Action, new: &Action, feeds: impl Fn(&str, usize) -> Feed, reasons: &mut Vec<Reason>) {
    for port in old.inputs.keys().filter(|port| !new.inputs.contains_key(*port)) {
        reasons.push(Reason::EdgesChanged { port: port.clone() });
    }
    for port in new.inputs.keys().filter(|port| old.inputs.contains_key(*port)) {
        if old.cells.get(port) != new.cells.get(port) {
            reasons.push(Reason::EdgesChanged { port: port.clone() });
        }
    }
    for (port, digests) in &new.inputs {
        let before = old.inputs.get(port).map_or(&[][..], Vec::as_slice);
        if before.len() > digests.len() {
            reasons.push(Reason::EdgesChanged { port: port.clone() });
        }
        for (index, digest) in digests.iter().enumerate().filter(|(index, digest)| before.get(*index) != Some(digest)) {
            let (port, old, new) = (port.clone(), before.get(index).copied(), *digest);
            reasons.push(match feeds(&port, index) {
                Feed::Input(input) => Reason::FileChanged { input, port, old, new },
                Feed::Output(producer) => Reason::InputChanged { producer, port, old, new },
            });
        }
    }
}

fn machine_differences(old: &Action, new: &Action, reasons: &mut Vec<Reason>) {
    let names: BTreeSet<&String> = old.env.keys().chain(new.env.keys()).collect();
    for name in names.into_iter().filter(|name| old.env.get(*name) != new.env.get(*name)) {
        reasons.push(Reason::EnvChanged { name: name.clone() });
    }
    let names: BTreeSet<&String> = old.tools.keys().chain(new.tools.keys()).collect();
    for name in names.into_iter().filter(|name| old.tools.get(*name) != new.tools.get(*name)) {
        let (old, new) = (old.tools.get(name).copied(), new.tools.get(name).copied());
        reasons.push(Reason::ToolChanged { name: name.clone(), old, new });
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "unset".to_owned(), Value::to_string);
        let short = |digest: &Option<Digest>| digest.map_or_else(|| "none".to_owned(), |digest| digest.short());
        match self {
            Self::NeverRan => write!(out, "never ran"),
            Self::ConfigChanged { path, old, new } => write!(out, "`{path}` changed: {} → {}", shown(old), shown(new)),
            Self::FileChanged { input, old, new, .. } => {
                write!(out, "file of input `{input}` changed: {} → {}", short(old), new.short())
            }
            Self::InputChanged { producer, old, new, .. } => {
                write!(out, "`{producer}` changed: {} → {}", short(old), new.short())
            }
            Self::NotFetched { input } => write!(out, "`{input}` was not fetched yet"),
            Self::UpstreamRuns { stage } => write!(out, "`{stage}` runs first"),
            Self::EdgesChanged { port } => write!(out, "the edges of `{port}` changed"),
            Self::KindChanged { old, new } => write!(out, "`uses` changed: {old} → {new}"),
            Self::EpochBumped { old, new } => write!(out, "this version computes it anew (epoch {old} → {new})"),
            Self::EnvChanged { name } => write!(out, "env `{name}` changed"),
            Self::ToolChanged { name, old, new } => {
                write!(out, "tool `{name}` changed: {} → {}", short(old), short(new))
            }
            Self::BackendChanged { old, new } => write!(out, "backend changed: {old} → {new}"),
            Self::Evicted => write!(out, "its result is no longer in the cache"),
            Self::Damaged { slot } => write!(out, "its `{slot}` was damaged in the cache"),
            Self::Forced => write!(out, "forced"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_changed_setting_is_named_with_both_values() {
        let old = Action::new("gate", 1, json!({ "rules": [{ "min": 0.8 }], "min_examples": 200 }));
        let new = Action::new("gate", 1, json!({ "rules": [{ "min": 0.8 }], "min_examples": 100 }));
        let reasons = differences(&old, &new, |_, _| Feed::Input("x".into()));
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].to_string(), "`min_examples` changed: 200 → 100");
    }

    #[test]
    fn a_change_inside_a_list_is_named_by_its_place() {
        let old = Action::new("gate", 1, json!({ "rules": [{ "min": 0.8 }, { "max": 1 }] }));
        let new = Action::new("gate", 1, json!({ "rules": [{ "min": 0.9 }, { "max": 1 }] }));
        let reasons = differences(&old, &new, |_, _| Feed::Input("x".into()));
        assert_eq!(reasons.iter().map(ToString::to_string).collect::<Vec<_>>(), ["`rules.0.min` changed: 0.8 → 0.9"]);
    }

    #[test]
    fn a_changed_file_is_told_from_a_changed_upstream_output() {
        let mut old = Action::new("clean", 1, json!({}));
        old.inputs.insert("sources".into(), vec![Digest::of(b"a"), Digest::of(b"b")]);
        let mut new = old.clone();
        new.inputs.insert("sources".into(), vec![Digest::of(b"x"), Digest::of(b"y")]);
        let feeds = |_: &str, index: usize| match index {
            0 => Feed::Input("raw".into()),
            _ => Feed::Output("other.records".into()),
        };
        let reasons = differences(&old, &new, feeds);
        assert!(matches!(&reasons[0], Reason::FileChanged { input, .. } if input == "raw"));
        assert!(matches!(&reasons[1], Reason::InputChanged { producer, .. } if producer == "other.records"));
    }
}
