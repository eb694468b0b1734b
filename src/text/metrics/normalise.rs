//! What counts as the same text: the `normalize` setting.
//!
//! Both sides are always trimmed, because a decoded answer often begins with the space of its first token. All else
//! is opt-in or opt-out, and named in the report.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One way in which two texts may differ and still be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// Letters are compared in lower case.
    Case,
    /// Sentence punctuation, brackets and quotation marks are dropped, except between two digits (`1.5`, `1,200`,
    /// `10:30`). Signs with a meaning of their own (`%`, `$`, `+`, `-`, `/`, `=`) stay.
    Punct,
    /// Each run of white space is one space.
    Whitespace,
}

/// A set of them; `[whitespace]` unless set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Normalisation(BTreeSet<Normalise>);

impl Default for Normalisation {
    fn default() -> Self {
        Self::new([Normalise::Whitespace])
    }
}

impl Normalisation {
    /// The set of these.
    #[must_use]
    pub fn new(all: impl IntoIterator<Item = Normalise>) -> Self {
        Self(all.into_iter().collect())
    }

    /// The text in the form in which it is compared.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.trim().to_owned();
        if self.0.contains(&Normalise::Case) {
            text = text.to_lowercase();
        }
        if self.0.contains(&Normalise::Punct) {
            text = without_punctuation(&text);
        }
        if self.0.contains(&Normalise::Whitespace) {
            text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        text.trim().to_owned()
    }
}

fn without_punctuation(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        let is_digit = |neighbour: Option<&char>| neighbour.is_some_and(char::is_ascii_digit);
        if !is_punctuation(char) || (is_digit(before.as_ref()) && is_digit(rest.peek())) {
            kept.push(char);
        }
        before = Some(char);
    }
    kept
}

const fn is_punctuation(char: char) -> bool {
    matches!(
        char,
        '.' | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | '\''
            | '"'
            | '`'
            | '('
            | ')'
            | '['
            | ']'
            | '{'
            | '}'
            | '…'
            | '«'
            | '»'
            | '‘'
            | '’'
            | '‚'
            | '“'
            | '”'
            | '„'
            | '‹'
            | '›'
            | '¿'
            | '¡'
            | '、'
            | '。'
            | '，'
            | '！'
            | '？'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(all: &[Normalise], text: &str, expected: &str) {
        assert_eq!(Normalisation::new(all.iter().copied()).apply(text), expected, "{all:?} of `{text}`");
    }

    #[test]
    fn each_normalisation_does_what_it_says_and_no_more() {
        use Normalise::{Case, Punct, Whitespace};
        check(&[], "  A  b. ", "A  b.");
        check(&[Whitespace], " A \t\n b. ", "A b.");
        check(&[Case], "Ärger İ", "ärger i\u{307}");
        check(&[Punct], "(18%.)", "18%");
        check(&[Punct], "“x = -5.”", "x = -5");
        check(&[Case, Punct, Whitespace], "Yes , Sir!", "yes sir");
    }

    #[test]
    fn punctuation_inside_a_number_stays() {
        check(&[Normalise::Punct], "1.5, 1,200; 10:30.", "1.5 1,200 10:30");
        check(&[Normalise::Punct], ".5", "5");
    }

    #[test]
    fn the_default_trims_and_collapses() {
        assert_eq!(Normalisation::default().apply(" a  b\n"), "a b");
        assert_eq!(serde_json::to_string(&Normalisation::default()).expect("json"), r#"["whitespace"]"#);
    }
}
