//! What the stages ask of the machine, read while the plan is made.

use serde_json::Value;

use super::configure;
use crate::manifest::{Problems, StageEntry};
use crate::stage::{ConfigIssue, StageConfig};
use crate::surroundings::{Machine, Surroundings};

/// What a stage asked for, unless a program is not there. A variable that is not set is no mistake.
pub(super) fn look(
    entry: &StageEntry,
    config: &StageConfig,
    machine: &dyn Machine,
    problems: &mut Problems,
) -> Option<Surroundings> {
    let needs = &config.needs;
    let value = |name: &String| Some((name.clone(), machine.variable(name)?));
    let mut found = Surroundings {
        variables: needs.variables.iter().filter_map(value).collect(),
        secrets: needs.secrets.iter().filter_map(value).collect(),
        ..Surroundings::default()
    };
    if !needs.tools.is_empty() {
        found.program = machine.program();
    }
    for name in &needs.tools {
        let why = match machine.tool(name) {
            Ok(Some(tool)) => {
                found.tools.insert(name.clone(), tool);
                continue;
            }
            Ok(None) => format!("the program `{name}` is not on the search path"),
            Err(error) => format!("the program `{name}` can't be read: {error}"),
        };
        let path = path_to(&Value::Object(entry.with.value.clone()), name).unwrap_or_default();
        let issue = ConfigIssue { path, code: "tool::not_found", message: why, help: None };
        configure::report(entry, &issue.help("install it, or extend PATH"), problems);
    }
    (found.tools.len() == needs.tools.len()).then_some(found)
}

/// The way to the first setting that is this text.
fn path_to(value: &Value, text: &str) -> Option<Vec<String>> {
    let below = |key: String, value: &Value| Some([vec![key], path_to(value, text)?].concat());
    match value {
        Value::String(found) => (found == text).then(Vec::new),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| below(index.to_string(), item)),
        Value::Object(entries) => entries.iter().find_map(|(key, value)| below(key.clone(), value)),
        _ => None,
    }
}
