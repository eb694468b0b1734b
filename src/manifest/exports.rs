//! `exports:`, what is placed in the project after a run.

use super::fields::{self, Fields};
use super::problems::Problems;
use super::tree::{Entry, Node, Spanned, Yaml, excerpt};
use super::{ExportEntry, ExportWhen, stages};
use crate::diagnostic::Diagnostic;
use crate::relative_path::normalise;

pub(super) fn read(section: Option<Entry>, problems: &mut Problems) -> Vec<ExportEntry> {
    let fields = section.and_then(|entry| Fields::open(entry.node, "`exports`", problems));
    fields.into_iter().flat_map(Fields::all).filter_map(|entry| export(entry, problems)).collect()
}

fn export(entry: Entry, problems: &mut Problems) -> Option<ExportEntry> {
    let what = format!("the export `{}`", excerpt(&entry.key.value));
    let target = target(&entry.key, problems);
    let (from, when) = match &entry.node.value {
        Yaml::Map(_) => long_form(entry.node, &what, problems),
        _ => (stages::edge(&entry.node, &what, problems), Some(ExportWhen::default())),
    };
    Some(ExportEntry { target: target?, from: from?, when: when? })
}

fn target(key: &Spanned<String>, problems: &mut Problems) -> Option<Spanned<String>> {
    let outside_git = |path: String| {
        if path == ".git" || path.starts_with(".git/") { Err("a path that is not in `.git`") } else { Ok(path) }
    };
    match normalise(&key.value).and_then(outside_git) {
        Ok(path) => Some(Spanned::new(path, key.span)),
        Err(expected) => {
            let message = || format!("the export goes to `{}`; expected {expected}", excerpt(&key.value));
            problems.error("manifest::path_outside", key.span, "", message);
            None
        }
    }
}

fn long_form(
    node: Node,
    what: &str,
    problems: &mut Problems,
) -> (Option<Spanned<crate::reference::Edge>>, Option<ExportWhen>) {
    let Some(mut fields) = Fields::open(node, what, problems) else { return (None, None) };
    let from = fields.require("from", "say what is placed there, such as `from: train.adapter`");
    let from = from.and_then(|entry| stages::edge(&entry.node, &format!("`from` of {what}"), problems));
    let when = match fields.take("when") {
        None => Some(ExportWhen::default()),
        Some(entry) => when(&entry.node, problems),
    };
    fields.finish(problems, |_| None);
    (from, when)
}

fn when(node: &Node, problems: &mut Problems) -> Option<ExportWhen> {
    let text = fields::text(node, "`when`", problems)?;
    match text.value.as_str() {
        "passed" => Some(ExportWhen::Passed),
        "always" => Some(ExportWhen::Always),
        other => {
            problems.add(|source| {
                let message = format!("`when` is `{}`; expected `passed` or `always`", excerpt(other));
                Diagnostic::error("manifest::invalid_value", message)
                    .at(source, text.span, "")
                    .nearest(other, ["passed", "always"])
            });
            None
        }
    }
}
