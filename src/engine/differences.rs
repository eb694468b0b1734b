//! What differs between two actions of a stage: the ingredients of the key, compared one by one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::engine::key::Action;
use crate::engine::why::Reason;

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

/// Every setting that differs, however deep; `path` is the way to what is compared.
pub fn config_differences(path: &mut Vec<String>, old: Option<&Value>, new: Option<&Value>, reasons: &mut Vec<Reason>) {
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
    reasons.push(Reason::ConfigChanged { path: path.join("."), old: old.cloned(), new: new.cloned(), place: None });
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
                Feed::Input(input) => Reason::FileChanged { input, port, old, new, rows: None },
                Feed::Output(producer) => Reason::InputChanged { producer, port, old, new, rows: None },
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::digest::Digest;

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
