//! What answers that need no model would score: the figures that a good score has to be compared with.
//!
//! Three policies for rows with context, scored by `exact`: the first value of the context, its last value, and the
//! answer that is expected most often. A value is
//! - a word with a digit in it: a number with its currency, percent or unit signs, a date, a code (`18%`, `$1.2B`,
//!   `2025-01-15`, `CS-101`). It counts alone and together with the next word (`12`, `12 credits`), whichever is right;
//! - a name: capitalised words in a row, unless it is the one word that begins a sentence.
//!
//! Brackets, quotation marks and sentence punctuation around words are no part of a value. The majority answer is taken
//! from the very rows it is scored on, so it is the best that any constant answer of the data can do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::eval_report::Score;
use super::metrics::{Exact, Normalisation, best_score};

/// The scores of the trivial policies over rows with context.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baselines {
    /// Answering the first value of the context.
    pub copy_first: Score,
    /// Answering the last value of the context.
    pub copy_last: Score,
    /// Always answering what is expected most often.
    pub majority: Score,
}

/// A row with context.
#[derive(Debug, Clone, Copy)]
pub struct ContextRow<'a> {
    /// The context.
    pub context: &'a str,
    /// The expected answer.
    pub expected: &'a str,
    /// Further answers that count.
    pub accept: &'a [String],
}

impl ContextRow<'_> {
    fn score(&self, output: &str, normalisation: &Normalisation) -> f64 {
        let answers = std::iter::once(self.expected).chain(self.accept.iter().map(String::as_str));
        best_score(&Exact, normalisation, output, answers)
    }

    fn copy_score(&self, value: Option<&Vec<String>>, normalisation: &Normalisation) -> f64 {
        let spellings = value.into_iter().flatten();
        spellings.map(|spelling| self.score(spelling, normalisation)).fold(0.0, f64::max)
    }
}

impl Baselines {
    /// The scores over some rows.
    #[must_use]
    pub fn of(rows: &[ContextRow<'_>], normalisation: &Normalisation) -> Self {
        let majority = majority(rows, normalisation);
        let (mut first, mut last, mut constant) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let values = values(row.context);
            first.push(row.copy_score(values.first(), normalisation));
            last.push(row.copy_score(values.last(), normalisation));
            constant.push(majority.as_deref().map_or(0.0, |answer| row.score(answer, normalisation)));
        }
        Self { copy_first: Score::of(&first), copy_last: Score::of(&last), majority: Score::of(&constant) }
    }
}

/// The answer expected most often, as normalised; of several, the first in byte order.
fn majority(rows: &[ContextRow<'_>], normalisation: &Normalisation) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(normalisation.apply(row.expected)).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(answer, _)| answer)
}

/// The values of a text in order, each in all its spellings.
fn values(text: &str) -> Vec<Vec<String>> {
    let words: Vec<Word<'_>> = text.split_whitespace().map(Word::new).collect();
    let mut values = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let word = &words[at];
        if word.has_digit() {
            let mut spellings = vec![word.core.to_owned()];
            if let Some(next) = words.get(at + 1).filter(|next| !word.is_closed && next.is_unit()) {
                spellings.push(format!("{} {}", word.core, next.core));
            }
            values.push(spellings);
            at += 1;
        } else if word.is_capitalised() {
            let name = name(&words[at..]);
            let begins_sentence = at == 0 || words[at - 1].ends_sentence;
            if name.len() > 1 || !begins_sentence {
                values.push(vec![name.iter().map(|word| word.core).collect::<Vec<_>>().join(" ")]);
            }
            at += name.len();
        } else {
            at += 1;
        }
    }
    values
}

/// The capitalised words at the start, up to the first that punctuation follows.
fn name<'a, 'b>(words: &'a [Word<'b>]) -> &'a [Word<'b>] {
    let mut length = 0;
    while words.get(length).is_some_and(|word| word.is_capitalised() && !word.has_digit()) {
        length += 1;
        if words[length - 1].is_closed {
            break;
        }
    }
    &words[..length]
}

/// A word without the punctuation around it.
struct Word<'a> {
    core: &'a str,
    /// Whether punctuation follows.
    is_closed: bool,
    ends_sentence: bool,
}

impl<'a> Word<'a> {
    fn new(word: &'a str) -> Self {
        const OPENING: [char; 10] = ['(', '[', '{', '"', '\'', '`', '“', '‘', '«', '„'];
        const CLOSING: [char; 16] = ['.', ',', ';', ':', '!', '?', ')', ']', '}', '"', '\'', '`', '”', '’', '»', '…'];
        let core = word.trim_start_matches(OPENING).trim_end_matches(CLOSING);
        let opened = word.trim_start_matches(OPENING);
        let tail = &opened[core.len()..];
        Self { core, is_closed: !tail.is_empty(), ends_sentence: tail.contains(['.', ':', '!', '?', '…']) }
    }

    fn has_digit(&self) -> bool {
        self.core.contains(|char: char| char.is_ascii_digit())
    }

    fn is_capitalised(&self) -> bool {
        self.core.starts_with(char::is_uppercase)
    }

    fn is_unit(&self) -> bool {
        self.core.starts_with(char::is_alphabetic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&[&str]]) {
        assert_eq!(values(text), expected, "values of `{text}`");
    }

    #[test]
    fn values_are_numbers_codes_and_names() {
        check("Revenue grew 18% YoY to $1.2B.", &[&["18%", "18% YoY"], &["YoY"], &["$1.2B"]]);
        check("Students need 12 credits (CS-101).", &[&["12", "12 credits"], &["CS-101"]]);
        check("Ask Dr. Maria Lopez. The deadline is 2025-01-15", &[&["Ask Dr"], &["Maria Lopez"], &["2025-01-15"]]);
        check("Nothing here is worth copying.", &[]);
        check("", &[]);
        check("... -- () 7", &[&["7"]]);
    }

    #[test]
    fn the_policies_score_what_they_copy() {
        let accept = vec!["20 percent".to_owned()];
        let row = |context, expected| ContextRow { context, expected, accept: &[] };
        let rows = [
            row("Growth was 18% and then 19%.", "18%"),
            row("Fees are 30 euros, due by Friday.", "30 euros"),
            row("It was 7, later 18%.", "18%"),
            ContextRow { context: "It was 20 percent.", expected: "20%", accept: &accept },
        ];
        let baselines = Baselines::of(&rows, &Normalisation::default());
        assert_eq!(baselines.copy_first.value, Some(0.75));
        assert_eq!(baselines.copy_last.value, Some(0.5));
        assert_eq!(baselines.majority.value, Some(0.5));
        assert_eq!(baselines.copy_first.n, 4);
    }

    #[test]
    fn no_rows_give_no_value() {
        let baselines = Baselines::of(&[], &Normalisation::default());
        assert_eq!((baselines.majority.value, baselines.majority.n), (None, 0));
    }

    #[test]
    fn a_tie_of_answers_goes_to_the_first_in_byte_order() {
        let rows = ["b", "a", "a", "b", "c"].map(|expected| ContextRow { context: "", expected, accept: &[] });
        assert_eq!(majority(&rows, &Normalisation::default()).as_deref(), Some("a"));
    }
}
