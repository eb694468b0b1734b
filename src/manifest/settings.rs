//! The settings of a stage as JSON, and the way back from a setting to its place in the text.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::interpolate;
use super::params::Params;
use super::problems::Problems;
use super::template::Template;
use super::tree::{Node, Yaml};
use crate::cell::Cell;
use crate::diagnostic::Span;

/// What stands under `with:`, filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The settings; those in which something was reported are left out.
    pub value: Map<String, Value>,
    /// The names of the settings left out.
    pub left_out: Vec<String>,
    /// The settings that differ between the cells of a matrix.
    pub(crate) open: Vec<(String, Template)>,
    node: Option<Arc<Node>>,
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
    pub(crate) fn none() -> Self {
        Self { value: Map::new(), left_out: Vec::new(), open: Vec::new(), node: None }
    }

    /// Fills in what a `with:` says.
    pub(super) fn read(node: Node, params: &mut Params, problems: &mut Problems) -> Self {
        let mut settings = Self::none();
        if let Yaml::Map(entries) = &node.value {
            for entry in entries {
                let key = entry.key.value.clone();
                match interpolate::fill(&entry.node, params, problems) {
                    Some(Template::Fixed(value)) => drop(settings.value.insert(key, value)),
                    Some(open) => settings.open.push((key, open)),
                    None => settings.left_out.push(key),
                }
            }
        }
        settings.node = Some(Arc::new(node));
        settings
    }

    /// The settings of one cell. What can't be filled in is left out and told to `unknown`, with the axis that the cell
    /// has not.
    #[must_use]
    pub(crate) fn in_cell(&self, cell: &Cell, mut unknown: impl FnMut(&str, Span)) -> Self {
        let mut settings = Self { open: Vec::new(), ..self.clone() };
        for (name, template) in &self.open {
            match template.fill(cell, &mut unknown) {
                Some(value) => drop(settings.value.insert(name.clone(), value)),
                None => settings.left_out.push(name.clone()),
            }
        }
        settings
    }

    /// Whether a setting is written down.
    #[must_use]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value.contains_key(name) || self.open.iter().any(|(open, _)| open == name)
    }

    /// The place of the setting at `path`, or of the last step towards it that is written down; `None` when there is
    /// no `with:` at all.
    #[must_use]
    pub fn locate(&self, path: &[String], facet: Facet) -> Option<Span> {
        let mut node = self.node.as_deref()?;
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
