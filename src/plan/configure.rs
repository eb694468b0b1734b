//! The settings of a stage checked by its kind, and what the kind says brought back to the manifest's text.

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Span};
use crate::manifest::{Facet, Problems, StageEntry};
use crate::stage::{ConfigIssue, Stage, StageConfig};

/// A stage kind and what planning asks of it again and again.
#[derive(Clone, Copy)]
pub(super) struct KnownKind {
    pub stage: &'static dyn Stage,
    /// Whether it has a setting `seed`, which the manifest's seed fills in.
    seeded: bool,
}

impl KnownKind {
    pub(super) fn new(stage: &'static dyn Stage) -> Self {
        Self { stage, seeded: stage.schema()["properties"].get("seed").is_some() }
    }
}

/// The typed settings of a stage, unless something is wrong with them.
pub(super) fn configure(
    entry: &StageEntry,
    kind: KnownKind,
    seed: u64,
    problems: &mut Problems,
) -> Option<StageConfig> {
    let with = &entry.with;
    let mut settings = with.value.clone();
    let sets_seed = settings.contains_key("seed") || with.left_out.iter().any(|name| name == "seed");
    if kind.seeded && !sets_seed {
        settings.insert("seed".to_owned(), Value::from(seed));
    }
    match kind.stage.configure(&Value::Object(settings)) {
        Ok(config) if with.left_out.is_empty() => Some(config),
        Ok(_) => None,
        Err(issues) => {
            let known = |issue: &&ConfigIssue| issue.path.first().is_some_and(|name| with.left_out.contains(name));
            for issue in issues.iter().filter(|issue| !known(issue)) {
                report(entry, issue, problems);
            }
            None
        }
    }
}

/// Reports what a kind says of a setting, at the setting's place.
pub(super) fn report(entry: &StageEntry, issue: &ConfigIssue, problems: &mut Problems) {
    problems.add(|source| {
        let message = format!("stage `{}`: {}", entry.name.value, issue.message);
        let diagnostic = Diagnostic::error(issue.code, message).at(source, place(entry, issue), "");
        match &issue.help {
            Some(help) => diagnostic.help(help.as_str()),
            None => diagnostic,
        }
    });
}

fn place(entry: &StageEntry, issue: &ConfigIssue) -> Span {
    let facet = if issue.code == "config::unknown_key" { Facet::Key } else { Facet::Value };
    let absent = issue.path.first().is_some_and(|name| !entry.with.has(name));
    let located = if absent { None } else { entry.with.locate(&issue.path, facet) };
    located.filter(|span| span.length > 0).unwrap_or(entry.name.span)
}
