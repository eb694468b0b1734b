//! The settings of a stage as JSON, and the way back from a setting to its place in the text.

use serde_json::{Map, Value};

use super::interpolate;
use super::params::Params;
use super::problems::Problems;
use super::tree::{Node, Yaml};
use crate::diagnostic::Span;

/// What stands under `with:`, filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The settings; those in which something was reported are left out.
    pub value: Map<String, Value>,
    /// The names of the settings left out.
    pub left_out: Vec<String>,
    node: Option<Node>,
}

/// Which end of an entry a diagnostic is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facet {
    /// Its name.
    Key,
    /// What it is set to.
    Value,
}

impl Settings {
    /// No settings.
    pub(super) fn none() -> Self {
        Self { value: Map::new(), left_out: Vec::new(), node: None }
    }

    /// Fills in what a `with:` says.
    pub(super) fn read(node: Node, params: &mut Params, problems: &mut Problems) -> Self {
        let mut settings = Self::none();
        if let Yaml::Map(entries) = &node.value {
            for entry in entries {
                let key = entry.key.value.clone();
                match interpolate::fill(&entry.node, params, problems) {
                    Some(value) => drop(settings.value.insert(key, value)),
                    None => settings.left_out.push(key),
                }
            }
        }
        settings.node = Some(node);
        settings
    }

    /// The place of the setting at `path`, or of the last step towards it that is written down; `None` when there is
    /// no `with:` at all.
    #[must_use]
    pub fn locate(&self, path: &[String], facet: Facet) -> Option<Span> {
        let mut node = self.node.as_ref()?;
        let mut span = node.span;
        for (depth, part) in path.iter().enumerate() {
            match &node.value {
                Yaml::List(items) => {
                    let Some(item) = part.parse::<usize>().ok().and_then(|index| items.get(index)) else { break };
                    node = item;
                    span = item.span;
                }
                Yaml::Map(entries) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key.value == *part) else { break };
                    node = &entry.node;
                    let last = depth + 1 == path.len();
                    let empty = entry.node.span.length == 0;
                    span = if (last && facet == Facet::Key) || empty { entry.key.span } else { entry.node.span };
                }
                _ => break,
            }
        }
        Some(span)
    }
}
