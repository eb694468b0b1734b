//! `inputs:`, the only doors to the outside.

use super::fields::{self, Fields};
use super::problems::Problems;
use super::tree::{Entry, Node, Spanned};
use super::{InputEntry, names};
use crate::relative_path::normalise;
use crate::source::Source;

pub(super) fn read(section: Option<Entry>, problems: &mut Problems) -> Vec<InputEntry> {
    let fields = section.and_then(|entry| Fields::open(entry.node, "`inputs`", problems));
    let mut inputs = Vec::new();
    for entry in fields.into_iter().flat_map(Fields::all) {
        let source = source(&entry.node, &entry.key.value, problems);
        if let Some(name) = names::any(&entry.key, "input", problems) {
            inputs.push(InputEntry { name, source });
        }
    }
    inputs
}

fn source(node: &Node, name: &str, problems: &mut Problems) -> Option<Spanned<Source>> {
    let text = fields::text(node, &format!("the input `{name}`"), problems)?;
    let path = match Source::parse(&text.value) {
        Ok(Source::File(path)) if !path.contains("://") => path,
        Ok(source @ (Source::PyPi(_) | Source::Hub(_) | Source::Experiment(_))) => {
            return Some(Spanned::new(source, text.span));
        }
        Ok(elsewhere) => {
            let help = "give the path of a file or folder in the project, `hf:owner/name@revision`, `pypi:package==version/path` or \
                        `experiment:id#stage.slot`";
            let message = || format!("`{elsewhere}` is no file; this version of pipe reads nothing else yet");
            problems.advise("manifest::unsupported", text.span, "", message, help);
            return None;
        }
        Err(error) => {
            problems.error("manifest::bad_source", text.span, "", || format!("the input `{name}`: {error}"));
            return None;
        }
    };
    match normalise(&path) {
        Ok(path) => Some(Spanned::new(Source::File(path), text.span)),
        Err(expected) => {
            let message = || format!("the input `{name}` is `{}`; expected {expected}", super::tree::excerpt(&path));
            problems.error("manifest::path_outside", text.span, "", message);
            None
        }
    }
}
