//! A part of the examples that is scored on its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Example;

/// Which examples.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Slice {
    /// Rows that came with a context: `with_context`.
    WithContext,
    /// Rows that came without: `without_context`.
    WithoutContext,
    /// Rows with this tag: `tag:NAME`.
    Tag(String),
}

impl Slice {
    /// Whether an example belongs to it.
    #[must_use]
    pub fn holds(&self, example: &Example) -> bool {
        match self {
            Self::WithContext => example.has_context,
            Self::WithoutContext => !example.has_context,
            Self::Tag(tag) => example.tags.contains(tag),
        }
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WithContext => formatter.write_str("with_context"),
            Self::WithoutContext => formatter.write_str("without_context"),
            Self::Tag(tag) => write!(formatter, "tag:{tag}"),
        }
    }
}

/// The text names no slice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("slice is `{0}`; expected `with_context`, `without_context` or `tag:NAME`")]
pub struct BadSlice(String);

impl FromStr for Slice {
    type Err = BadSlice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "with_context" => Ok(Self::WithContext),
            "without_context" => Ok(Self::WithoutContext),
            _ => match text.strip_prefix("tag:") {
                Some(tag) if !tag.is_empty() => Ok(Self::Tag(tag.to_owned())),
                _ => Err(BadSlice(text.chars().take(80).collect())),
            },
        }
    }
}

impl TryFrom<String> for Slice {
    type Error = BadSlice;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Slice> for String {
    fn from(slice: Slice) -> Self {
        slice.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_written_as_they_are_read() {
        for text in ["with_context", "without_context", "tag:policy", "tag:a: b", "tag:with_context"] {
            assert_eq!(text.parse::<Slice>().map(|slice| slice.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "tag:", "policy", "With_context", "tags:policy"] {
            assert!(text.parse::<Slice>().is_err(), "`{text}`");
        }
    }
}
