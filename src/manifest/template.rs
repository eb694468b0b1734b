//! A setting in which the cells of a matrix fill in what differs between them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::cell::Cell;
use crate::diagnostic::Span;

/// A setting, as far as it is known before there are cells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Template {
    /// The same in every cell.
    Fixed(Value),
    /// `${matrix.name}`.
    Axis {
        name: String,
        span: Span,
    },
    /// A text made of texts and axes.
    Text(Vec<Self>),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Template {
    pub(super) fn list(items: Vec<Self>) -> Self {
        match items.iter().map(Self::fixed).collect::<Option<Vec<_>>>() {
            Some(values) => Self::Fixed(values.into_iter().cloned().collect()),
            None => Self::List(items),
        }
    }

    pub(super) fn map(entries: Vec<(String, Self)>) -> Self {
        let fixed = entries.iter().map(|(key, value)| Some((key.clone(), value.fixed()?.clone())));
        match fixed.collect::<Option<Map<_, _>>>() {
            Some(values) => Self::Fixed(Value::Object(values)),
            None => Self::Map(entries),
        }
    }

    pub(super) fn text(pieces: Vec<Self>) -> Self {
        match pieces.iter().map(|piece| piece.fixed()?.as_str()).collect::<Option<String>>() {
            Some(text) => Self::Fixed(Value::String(text)),
            None => Self::Text(pieces),
        }
    }

    fn fixed(&self) -> Option<&Value> {
        if let Self::Fixed(value) = self { Some(value) } else { None }
    }

    /// The value in a cell, unless the cell lacks an axis, which is told to `unknown`.
    pub(super) fn fill(&self, cell: &Cell, unknown: &mut impl FnMut(&str, Span)) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Axis { name, span } => {
                let value = cell.get(name);
                if value.is_none() {
                    unknown(name, *span);
                }
                value.map(crate::cell::Scalar::to_json)
            }
            Self::Text(pieces) => {
                let filled: Option<Vec<Value>> = pieces.iter().map(|piece| piece.fill(cell, unknown)).collect();
                let words = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                Some(Value::String(filled?.iter().map(words).collect()))
            }
            Self::List(items) => items.iter().map(|item| item.fill(cell, unknown)).collect(),
            Self::Map(entries) => {
                let filled = entries.iter().map(|(key, value)| Some((key.clone(), value.fill(cell, unknown)?)));
                filled.collect::<Option<Map<_, _>>>().map(Value::Object)
            }
        }
    }

    /// Adds the names of all axes in it.
    pub(super) fn axes<'a>(&'a self, found: &mut BTreeSet<&'a str>) {
        match self {
            Self::Fixed(_) => {}
            Self::Axis { name, .. } => drop(found.insert(name)),
            Self::Text(items) | Self::List(items) => items.iter().for_each(|item| item.axes(found)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.axes(found)),
        }
    }
}
