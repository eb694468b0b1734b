//! `semantic@τ`: whether an answer means what was expected, as the cosine of two sentence embeddings.
//!
//! The name says the threshold, `semantic@0.8`, and the form says what of the answer is compared:
//! - `semantic@τ`: the whole answer. A short expected value against a sentence that holds it has a cosine of about 0.4,
//!   so this one is for answers that are as long as what is expected.
//! - `semantic-sentence@τ`: the best of its sentences.
//! - `semantic-span@τ`: the best run of words that is about as long as what is expected. Kind to wordy answers, and
//!   blind to what stands around the run: `not 10 %` has the span `10 %`.
//!
//! This file knows texts; whoever has an encoder measures the cosines.

use std::str::FromStr;

/// A semantic metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Semantic {
    /// What of the answer is compared.
    pub scope: Scope,
    /// The least cosine that counts as right, above 0 and at most 1.
    pub threshold: f64,
}

/// What of an answer is compared with what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Whole,
    /// The best sentence.
    Sentence,
    /// The best run of words.
    Span,
}

const SCOPES: [(&str, Scope); 3] =
    [("semantic", Scope::Whole), ("semantic-sentence", Scope::Sentence), ("semantic-span", Scope::Span)];

/// What a cosine of two equal vectors of singles may lack of one.
const ROUNDING: f64 = 1e-6;

/// The most words of an answer whose runs are looked at; what follows is left out.
const MOST_WORDS: usize = 256;

/// Why a name is no semantic metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `semantic@τ`, `semantic-sentence@τ` or `semantic-span@τ` with τ above 0 and at most 1")]
pub struct BadSemantic;

impl FromStr for Semantic {
    type Err = BadSemantic;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let (form, threshold) = name.split_once('@').ok_or(BadSemantic)?;
        let (_, scope) = SCOPES.iter().find(|(known, _)| *known == form).ok_or(BadSemantic)?;
        let plain = threshold.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let threshold: f64 = threshold.parse().ok().filter(|_| plain).ok_or(BadSemantic)?;
        if threshold > 0.0 && threshold <= 1.0 { Ok(Self { scope: *scope, threshold }) } else { Err(BadSemantic) }
    }
}

impl Semantic {
    /// The parts of an answer whose cosine with `expected` is to be measured; the greatest counts.
    #[must_use]
    pub fn parts<'a>(&self, output: &'a str, expected: &str) -> Vec<&'a str> {
        let mut parts = match self.scope {
            Scope::Whole => vec![output.trim()],
            Scope::Sentence => sentences(output),
            Scope::Span => spans(output, expected.split_whitespace().count()),
        };
        parts.sort_unstable();
        parts.dedup();
        parts
    }

    /// The score that the greatest cosine gives; none means that there was nothing to compare.
    #[must_use]
    pub fn score(&self, cosine: Option<f64>) -> f64 {
        if cosine.is_some_and(|cosine| cosine + ROUNDING >= self.threshold) { 1.0 } else { 0.0 }
    }
}

/// Sentences: what ends with `.`, `!` or `?` before white space, or with a line.
fn sentences(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for line in text.lines() {
        let mut start = 0;
        let mut letters = line.char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            let ends = matches!(letter, '.' | '!' | '?' | '。')
                && letters.peek().is_none_or(|(_, next)| next.is_whitespace() || letter == '。');
            if ends {
                let end = at + letter.len_utf8();
                parts.push(line[start..end].trim());
                start = end;
            }
        }
        parts.push(line[start..].trim());
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Runs of one word less, as many, and one more than are expected.
fn spans(text: &str, words: usize) -> Vec<&str> {
    let places: Vec<(usize, usize)> = text
        .split_whitespace()
        .take(MOST_WORDS)
        .map(|word| {
            let start = word.as_ptr().addr() - text.as_ptr().addr();
            (start, start + word.len())
        })
        .collect();
    let lengths = words.saturating_sub(1).max(1)..=words + 1;
    let runs = |length: usize| {
        // An answer that is shorter than asked for is one run.
        let length = length.min(places.len()).max(1);
        places.windows(length).map(|run| &text[run[0].0..run[run.len() - 1].1]).collect::<Vec<_>>()
    };
    lengths.flat_map(runs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_scope_and_threshold() {
        assert_eq!("semantic@0.8".parse(), Ok(Semantic { scope: Scope::Whole, threshold: 0.8 }));
        assert_eq!("semantic-span@1".parse(), Ok(Semantic { scope: Scope::Span, threshold: 1.0 }));
        for bad in [
            "semantic",
            "semantic@",
            "semantic@0",
            "semantic@1.1",
            "semantic@nan",
            "semantic@-1",
            "span@.5",
            "semantic@1e-1",
        ] {
            assert!(bad.parse::<Semantic>().is_err(), "{bad}");
        }
    }

    fn check(name: &str, output: &str, expected: &str, parts: &[&str]) {
        assert_eq!(name.parse::<Semantic>().expect("a metric").parts(output, expected), parts, "{name} of {output:?}");
    }

    #[test]
    fn an_answer_is_compared_in_parts() {
        check("semantic@0.8", " It is 10 %. ", "10 %", &["It is 10 %."]);
        check("semantic-sentence@0.8", "It grew 1.5 %. Yes!\nSo it did", "x", &["It grew 1.5 %.", "So it did", "Yes!"]);
        check("semantic-span@0.8", "it is due", "due", &["due", "is", "is due", "it", "it is"]);
        check("semantic-span@0.8", "due", "due on Friday at noon", &["due"]);
        check("semantic-span@0.8", "", "due", &[]);
        check("semantic-sentence@0.8", " \n ", "due", &[]);
    }

    #[test]
    fn only_a_cosine_of_the_threshold_counts() {
        let metric = "semantic@0.8".parse::<Semantic>().expect("a metric");
        let is_right = |cosine| metric.score(cosine) > 0.5;
        assert_eq!([is_right(Some(0.8)), is_right(Some(0.79)), is_right(None)], [true, false, false]);
    }
}
