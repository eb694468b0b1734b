//! `run:` stages: a command in place of a stage kind. Its keys stand in the stage itself; a kind of that name reads them
//! as its settings, together with the names under `in`.

use super::fields::Fields;
use super::problems::Problems;
use super::tree::{Entry, Node, Spanned, Yaml};

/// The stage kind that runs commands, and the key that makes a stage one.
pub(crate) const KIND: &str = "run";

/// What else stands beside it.
pub(crate) const KEYS: [&str; 4] = ["out", "env", "secrets", "tools"];

/// The kind and settings of a stage with `run:`; `None` for any other. Reports keys that a command has no use for.
pub(super) fn take(fields: &mut Fields, owner: &str, problems: &mut Problems) -> Option<(Spanned<String>, Node)> {
    let mut run = fields.take(KIND)?;
    let kind = Spanned::new(KIND.to_owned(), run.key.span);
    for key in ["uses", "with"] {
        if let Some(entry) = fields.take(key) {
            let message = || format!("{owner} has `run` and `{key}`; expected one of them");
            let help = "the keys of a command are `run`, `in`, `out`, `env`, `secrets` and `tools`";
            problems.advise("manifest::bad_run", entry.key.span, "", message, help);
        }
    }
    if matches!(run.node.value, Yaml::Text(_)) {
        let message = || format!("`run` of {owner} is {}; expected a list of words", run.node.describe());
        let help = "no shell reads it: write `[program, argument, …]`, or `[sh, -c, \"…\"]` to have one";
        problems.advise("manifest::wrong_type", run.node.span, "", message, help);
        run.node.value = Yaml::Invalid;
    }
    let span = run.key.span;
    let mut entries = vec![run];
    entries.extend(KEYS.iter().filter_map(|key| fields.take(key)));
    entries.extend(fields.peek("in").and_then(names));
    Some((kind, Node { span, value: Yaml::Map(entries) }))
}

/// The names under `in` as a setting.
fn names(ports: &Entry) -> Option<Entry> {
    let Yaml::Map(entries) = &ports.node.value else { return None };
    let name = |entry: &Entry| Node { span: entry.key.span, value: Yaml::Text(entry.key.value.clone()) };
    let names = entries.iter().map(name).collect();
    Some(Entry { key: ports.key.clone(), node: Node { span: ports.node.span, value: Yaml::List(names) } })
}

/// Reports `uses: run`, for which there is nothing to run.
pub(super) fn refuse_uses(uses: Option<&Spanned<String>>, owner: &str, problems: &mut Problems) -> bool {
    let Some(uses) = uses.filter(|uses| uses.value == KIND) else { return false };
    let message = || format!("{owner} is to run a command, and there is none");
    problems.advise("manifest::bad_run", uses.span, "", message, "write `run: [program, argument, …]`");
    true
}
