//! Finds every issue of some settings in one go, each with the way to the setting it is about.
//!
//! That takes more than one attempt, because serde stops at the first error: each key is tried alone, and each item of
//! a list alone.

use serde_json::{Map, Value};

use super::{deserialize, error, finish, foreign};
use crate::diagnostic::nearest;
use crate::stage::{ConfigIssue, StageConfig, StageKind};

/// Settings that did not read as a whole: finds all that is wrong with them.
pub(super) fn configure_slowly<K: StageKind>(
    mut settings: Map<String, Value>,
) -> Result<StageConfig, Vec<ConfigIssue>> {
    let known = Known::of::<K>();
    let unknown: Vec<String> = settings.keys().filter(|key| !known.has(key)).cloned().collect();
    settings.retain(|key, _| known.has(key));
    let mut issues: Vec<ConfigIssue> = unknown.iter().map(|key| known.unknown_key::<K>(key)).collect();
    issues.extend(known.missing_keys(&settings, &unknown));
    let config = match deserialize::<K>(&settings) {
        Ok(config) => Some(config),
        Err(whole) => {
            let found = issues_by_key::<K>(&settings);
            if found.is_empty() && issues.is_empty() {
                issues.push(whole);
            }
            settings.retain(|key, _| found.iter().all(|issue| issue.path.first() != Some(key)));
            issues.extend(found);
            deserialize::<K>(&settings).ok()
        }
    };
    // With a part of the settings dropped, only what is said about the rest can be trusted.
    let complete = issues.is_empty();
    let trusted = |issue: &ConfigIssue| complete || issue.path.first().is_some_and(|key| settings.contains_key(key));
    issues.extend(config.as_ref().map(K::check).into_iter().flatten().filter(trusted));
    match config {
        Some(config) if issues.is_empty() => finish::<K>(&config),
        _ => Err(issues),
    }
}

/// Tries each key alone. A config that lacks the other keys may be refused for that, but only after its own keys were
/// read, so an error at or below the key is about the key.
fn issues_by_key<K: StageKind>(settings: &Map<String, Value>) -> Vec<ConfigIssue> {
    let mut issues = Vec::new();
    for (key, value) in settings {
        let Some(issue) = issue_at::<K>(key, value) else { continue };
        let items = match value {
            Value::Array(items) => issues_by_item::<K>(key, items),
            _ => Vec::new(),
        };
        if items.is_empty() {
            issues.push(issue);
        } else {
            issues.extend(items);
        }
    }
    issues
}

fn issues_by_item<K: StageKind>(key: &str, items: &[Value]) -> Vec<ConfigIssue> {
    let issue = |(index, item): (usize, &Value)| {
        let mut issue = issue_at::<K>(key, &Value::Array(vec![item.clone()]))?;
        let position = issue.path.get_mut(1).filter(|position| *position == "0")?;
        let before = format!("{key}[0]");
        *position = index.to_string();
        if let Some(rest) = issue.message.strip_prefix(&before) {
            issue.message = format!("{}{rest}", error::dotted(&issue.path[..2]));
        }
        Some(issue)
    };
    items.iter().enumerate().filter_map(issue).collect()
}

fn issue_at<K: StageKind>(key: &str, value: &Value) -> Option<ConfigIssue> {
    let alone = Map::from_iter([(key.to_owned(), value.clone())]);
    deserialize::<K>(&alone).err().filter(|issue| issue.path.first().is_some_and(|first| first == key))
}

/// What a kind's schema says about its settings. Generating one costs more than reading settings does, so this is only
/// done once something is wrong.
struct Known {
    schema: Value,
}

impl Known {
    fn of<K: StageKind>() -> Self {
        Self { schema: schemars::schema_for!(K::Config).to_value() }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str)
    }

    fn required(&self) -> impl Iterator<Item = &str> {
        self.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    fn unknown_key<K: StageKind>(&self, key: &str) -> ConfigIssue {
        let own = K::FOREIGN.iter().find(|(name, _)| *name == key).map(|(_, hint)| (*hint).to_owned());
        let is_port = || K::INPUTS.iter().any(|port| port.name == key);
        let help = own
            .or_else(|| is_port().then(|| format!("`{key}` is an input of `{}`: write it under `in`", K::NAME)))
            .or_else(|| foreign::setting(key).filter(|ours| self.has(ours)).map(|ours| format!("here it is `{ours}`")))
            .or_else(|| foreign::wiring(key).map(str::to_owned))
            .or_else(|| nearest(key, self.names()).map(|name| format!("did you mean `{name}`?")))
            .unwrap_or_else(|| self.list::<K>());
        let message = format!("there is no setting `{key}`");
        ConfigIssue { path: vec![key.to_owned()], code: "config::unknown_key", message, help: Some(help) }
    }

    fn list<K: StageKind>(&self) -> String {
        let names: Vec<String> = self.names().map(|name| format!("`{name}`")).collect();
        match names.as_slice() {
            [] => format!("`{}` has no settings", K::NAME),
            _ => format!("the settings of `{}` are {}", K::NAME, names.join(", ")),
        }
    }

    /// The settings that are needed and not there, without those that an unknown key was meant to be.
    fn missing_keys(&self, settings: &Map<String, Value>, unknown: &[String]) -> Vec<ConfigIssue> {
        let meant = |name: &str| unknown.iter().any(|key| nearest(key, self.names()) == Some(name));
        self.required()
            .filter(|name| !settings.contains_key(*name) && !meant(name))
            .map(|name| {
                error::missing(vec![name.to_owned()], format!("the setting `{name}` is missing; it has no default"))
            })
            .collect()
    }
}
