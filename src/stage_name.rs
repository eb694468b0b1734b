//! What names a stage or cells of it: `train`, `train[seed=1]`, `eval[*]`, `eval[lora_r=8, seed=*]`.
//!
//! The same type names one cell in a plan, where every axis has its value, and addresses cells in a reference, where a
//! label may be partial. Whether such cells exist is seen when the plan is made.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::cell::{Cell, Scalar};
use crate::reference::{BadReference, Name};

/// A stage's name with a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StageName {
    base: Name,
    label: Label,
    /// The one spelling of both.
    text: Arc<str>,
}

/// What stands between `[` and `]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Label {
    /// The axes that have one value.
    pub fixed: Cell,
    /// The axes over which an edge takes all values, sorted.
    pub starred: Vec<Name>,
    /// `[*]`: all axes that are not fixed.
    pub all: bool,
}

impl Label {
    /// Whether nothing stands there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.starred.is_empty() && !self.all
    }

    /// Whether an edge with this label takes all values of an axis.
    #[must_use]
    pub fn reduces(&self, axis: &Name) -> bool {
        !self.fixed.0.contains_key(axis) && (self.all || self.starred.contains(axis))
    }

    /// Whether a cell has the values that are fixed.
    #[must_use]
    pub fn matches(&self, cell: &Cell) -> bool {
        self.fixed.0.iter().all(|(axis, value)| cell.get(axis.as_str()).is_some_and(|own| own.reads_as(value)))
    }

    /// All axes it speaks of.
    pub fn axes(&self) -> impl Iterator<Item = &Name> {
        self.fixed.0.keys().chain(&self.starred)
    }
}

impl StageName {
    /// One cell of a stage; of a stage without a matrix, the stage.
    #[must_use]
    pub fn cell_of(base: &Name, cell: Cell) -> Self {
        Self::new(base.clone(), Label { fixed: cell, ..Label::default() })
    }

    fn new(base: Name, label: Label) -> Self {
        let text = if label.is_empty() { base.as_str().into() } else { format!("{base}[{label}]").into() };
        Self { base, label, text }
    }

    /// The name the manifest gives the stage.
    #[must_use]
    pub const fn base(&self) -> &Name {
        &self.base
    }

    /// The label.
    #[must_use]
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// The cell, for a name of one.
    #[must_use]
    pub const fn cell(&self) -> &Cell {
        &self.label.fixed
    }

    /// Name and label in their one spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<Name> for StageName {
    fn from(base: Name) -> Self {
        Self::new(base, Label::default())
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let starred = self.starred.iter().map(|axis| format!("{axis}=*"));
        let mut parts: Vec<String> = (!self.fixed.is_empty()).then(|| self.fixed.to_string()).into_iter().collect();
        parts.extend(starred.chain(self.all.then(|| "*".to_owned())));
        formatter.write_str(&parts.join(", "))
    }
}

impl FromStr for StageName {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadReference {
            what: "stage",
            found: text.chars().take(80).collect(),
            expected: "the name of a stage, with a label such as `[axis=value]` or `[*]` if it has cells",
        };
        let Some((base, rest)) = text.split_once('[') else {
            return text.trim().parse::<Name>().map(Self::from).map_err(|_| bad());
        };
        let label = rest.trim_end().strip_suffix(']').and_then(parse_label).ok_or_else(bad)?;
        Ok(Self::new(base.trim().parse().map_err(|_| bad())?, label))
    }
}

fn parse_label(text: &str) -> Option<Label> {
    let mut label = Label::default();
    let (mut fixed, mut starred) = (BTreeMap::new(), Vec::new());
    for part in split(text) {
        let part = part.trim();
        if part == "*" {
            label.all = true;
            continue;
        }
        let (axis, value) = part.split_once('=')?;
        let (axis, value) = (axis.trim().parse::<Name>().ok()?, value.trim());
        if value.is_empty() || fixed.contains_key(&axis) || starred.contains(&axis) {
            return None;
        }
        match value {
            "*" => starred.push(axis),
            _ => drop(fixed.insert(axis, Scalar::typed(value))),
        }
    }
    starred.sort_unstable();
    (label.fixed, label.starred) = (Cell(fixed), starred);
    if label.is_empty() { None } else { Some(label) }
}

/// The parts between the commas that stand outside of quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, char) in text.char_indices() {
        match char {
            '"' if !escaped => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        escaped = char == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_spaces_of_a_label_do_not_matter() {
        for text in ["train[seed=1, lora_r=8]", "train[lora_r=8,seed=1]", "train [ lora_r = 8 , seed = 1 ] "] {
            assert_eq!(text.parse::<StageName>().expect(text).as_str(), "train[lora_r=8, seed=1]");
        }
        assert_eq!(
            "e[ seed=*, a=\"x, ]\", *]".parse::<StageName>().expect("label").as_str(),
            "e[a=\"x, ]\", seed=*, *]"
        );
    }

    #[test]
    fn what_is_no_label_is_refused() {
        for text in [
            "",
            "train[",
            "train[]",
            "train]",
            "train[seed]",
            "train[seed=]",
            "train[seed=1]x",
            "train[s=1,s=2]",
            "T[*]",
        ] {
            assert!(text.parse::<StageName>().is_err(), "{text}");
        }
    }
}
