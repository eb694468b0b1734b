//! References: what a manifest writes to name an input or another stage's output.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::stage_name::StageName;

/// The name of a stage or input: lower-case letters, digits and `-`, beginning with a letter. `_` is allowed in the
/// names of inputs and params, which are not kebab-case by convention.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The text is no reference of the expected sort.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is `{found}`; expected {expected}")]
pub struct BadReference {
    /// What was read: `name`, `edge`, `input`.
    pub what: &'static str,
    /// The text found.
    pub found: String,
    /// What would be right.
    pub expected: &'static str,
}

impl FromStr for Name {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let letters = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if letters && text.len() <= 64 && text.starts_with(|first: char| first.is_ascii_lowercase()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadReference {
                what: "name",
                found: text.chars().take(80).collect(),
                expected: "at most 64 lower-case letters, digits, `-` or `_`, beginning with a letter",
            })
        }
    }
}

/// The other end of an edge under `in:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Edge {
    /// `name`: an entry of `inputs:`.
    Input(Name),
    /// `stage.slot` or `stage[label].slot`: an output of another stage, or of cells of it.
    Output {
        /// The producing stage, with a label if it has one.
        stage: StageName,
        /// The output port of its kind.
        slot: Name,
    },
}

impl FromStr for Edge {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |_| BadReference {
            what: "edge",
            found: text.chars().take(80).collect(),
            expected: "the name of an input, or `stage.slot`",
        };
        // A value within a label may hold dots.
        let after_label = text.rfind(']').unwrap_or(0);
        let dot = text[after_label..].find('.').map(|at| after_label + at);
        match dot.map(|at| (&text[..at], &text[at + 1..])) {
            None => Ok(Self::Input(text.parse().map_err(bad)?)),
            Some((stage, slot)) => {
                Ok(Self::Output { stage: stage.parse().map_err(bad)?, slot: slot.parse().map_err(bad)? })
            }
        }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(name) => write!(formatter, "{name}"),
            Self::Output { stage, slot } => write!(formatter, "{stage}.{slot}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_name_inputs_or_outputs_and_nothing_else() {
        assert_eq!("raw".parse::<Edge>().expect("edge").to_string(), "raw");
        assert_eq!("t[lr=0.1 ,a=x].out".parse::<Edge>().expect("edge").to_string(), "t[a=x, lr=0.1].out");
        assert_eq!("render-prompts.prompts".parse::<Edge>().expect("edge").to_string(), "render-prompts.prompts");
        for bad in ["", "Raw", "a.b.c", ".b", "a.", "a b", "1a", "../x", "a[*]", "a[*]b", "a[].b"] {
            assert!(bad.parse::<Edge>().is_err(), "{bad}");
        }
    }
}
