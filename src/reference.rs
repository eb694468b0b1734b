//! References: what a manifest writes to name an input, another stage's output, or something outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Edge {
    /// `name`: an entry of `inputs:`.
    Input(Name),
    /// `stage.slot`: an output of another stage.
    Output {
        /// The producing stage.
        stage: Name,
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
        match text.split_once('.') {
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

/// Where an input comes from: the text after `name:` under `inputs:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A path relative to the project, `/`-separated; `file:` before it is optional.
    File(String),
    /// `hf:owner/name@revision`.
    Hub(String),
    /// `pypi:package==version/path`.
    PyPi(String),
    /// `experiment:id/stage.slot`.
    Experiment(String),
}

impl Source {
    /// Reads a source; every text without a known scheme is a path.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some(("file", rest)) => Self::File(rest.to_owned()),
            Some(("hf", rest)) => Self::Hub(rest.to_owned()),
            Some(("pypi", rest)) => Self::PyPi(rest.to_owned()),
            Some(("experiment", rest)) => Self::Experiment(rest.to_owned()),
            _ => Self::File(text.to_owned()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => formatter.write_str(path),
            Self::Hub(rest) => write!(formatter, "hf:{rest}"),
            Self::PyPi(rest) => write!(formatter, "pypi:{rest}"),
            Self::Experiment(rest) => write!(formatter, "experiment:{rest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_name_inputs_or_outputs_and_nothing_else() {
        assert_eq!("raw".parse::<Edge>().expect("edge").to_string(), "raw");
        assert_eq!("render-prompts.prompts".parse::<Edge>().expect("edge").to_string(), "render-prompts.prompts");
        for bad in ["", "Raw", "a.b.c", ".b", "a.", "a b", "1a", "../x"] {
            assert!(bad.parse::<Edge>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_without_a_known_scheme_is_a_path() {
        assert_eq!(Source::parse("data/a:b.jsonl"), Source::File("data/a:b.jsonl".into()));
        assert_eq!(Source::parse("hf:a/b@c"), Source::Hub("a/b@c".into()));
        assert_eq!(Source::parse("file:data/x"), Source::File("data/x".into()));
    }
}
