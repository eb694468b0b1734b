//! Finds training rows that give away what an exam asks.
//!
//! A row overlaps when one of its user messages equals a held-out query, or when one of its passages shares a run of
//! words with a held-out query, context or observation. System texts, tools and arguments are not compared: rows of a
//! set share them by design. Only 64-bit hashes of the held-out side are kept; with a million held-out runs and a
//! billion words of training text a row is suspected wrongly with a probability of about 5e-5.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::formats::{Passage, Speaker};
use super::words::{for_each_word, spread};

/// The base of the rolling hash; odd, so that nothing is lost in multiplying.
const BASE: u64 = 0xd6e8_feb8_6659_fd93;

/// A line of one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Origin {
    /// Which file of its port, from 0.
    pub source: u32,
    /// The line, from 1.
    pub line: u64,
}

/// What a training row shares with a held-out line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// The held-out line.
    pub origin: Origin,
    /// Whether it is the whole query rather than a run of words.
    pub is_query: bool,
    /// The words shared, as the training row spells them.
    pub shared: String,
}

/// What is held out.
#[derive(Debug)]
pub(crate) struct HeldOut {
    run_length: usize,
    /// `BASE` to the power of the run's length.
    leaving: u64,
    queries: HashMap<u64, Origin, BuildHasherDefault<Spread>>,
    runs: HashMap<u64, Origin, BuildHasherDefault<Spread>>,
    /// One bit for each value of some of a run's bits: spares most look-ups.
    filter: Vec<u64>,
}

impl HeldOut {
    /// Nothing yet; a run has so many words.
    pub fn new(run_length: usize) -> Self {
        let leaving = (0..run_length).fold(1_u64, |power, _| power.wrapping_mul(BASE));
        let (queries, runs) = (HashMap::default(), HashMap::default());
        Self { run_length, leaving, queries, runs, filter: vec![0; 1024] }
    }

    /// Holds out a query.
    pub fn add_query(&mut self, text: &[u8], origin: Origin) {
        let mut words = Vec::new();
        for_each_word(text, |hash, _| words.push(hash));
        if !words.is_empty() {
            self.queries.entry(query_hash(&words)).or_insert(origin);
        }
    }

    /// Holds out all runs of words of a text.
    pub fn add_runs(&mut self, text: &[u8], origin: Origin) {
        let mut words = Vec::new();
        for_each_word(text, |hash, _| words.push(hash));
        let (length, leaving) = (self.run_length, self.leaving);
        for_each_run(&words, length, leaving, |hash, _| {
            self.runs.entry(hash).or_insert(origin);
            false
        });
    }

    /// Makes the filter fit; to be called once all is held out.
    pub fn seal(&mut self) {
        let words = (self.runs.len() / 4).next_power_of_two().clamp(1024, 1 << 22);
        self.filter = vec![0; words];
        for hash in self.runs.keys() {
            let (word, bit) = slot(*hash, words);
            self.filter[word] |= bit;
        }
    }

    /// How many different queries and runs are held out.
    pub fn len(&self) -> (usize, usize) {
        (self.queries.len(), self.runs.len())
    }

    /// The first overlap of a row; `passages` lie in `text`, `words` is memory to work in.
    pub fn find(&self, text: &[u8], passages: &[Passage], words: &mut Vec<u64>) -> Option<Overlap> {
        passages.iter().find_map(|passage| {
            let inside = &text[passage.start..passage.end];
            words.clear();
            for_each_word(inside, |hash, _| words.push(hash));
            if passage.speaker == Speaker::User
                && !words.is_empty()
                && let Some(origin) = self.queries.get(&query_hash(words))
            {
                let shared = String::from_utf8_lossy(inside).into_owned();
                return Some(Overlap { origin: *origin, is_query: true, shared });
            }
            let mut found = None;
            for_each_run(words, self.run_length, self.leaving, |hash, last| {
                let (word, bit) = slot(hash, self.filter.len());
                if self.filter[word] & bit != 0 {
                    found = self.runs.get(&hash).map(|origin| (*origin, last));
                }
                found.is_some()
            });
            let (origin, last) = found?;
            let shared = shared_words(inside, last + 1 - self.run_length, last);
            Some(Overlap { origin, is_query: false, shared })
        })
    }
}

/// The hash of a whole query.
fn query_hash(words: &[u64]) -> u64 {
    words.iter().fold(words.len() as u64, |hash, word| spread(hash.wrapping_mul(BASE) ^ word))
}

/// Gives the hash of each run of words and the index of its last word, until told to stop.
#[inline]
fn for_each_run(words: &[u64], length: usize, leaving: u64, mut found: impl FnMut(u64, usize) -> bool) {
    let mut rolling = 0_u64;
    for (index, word) in words.iter().enumerate() {
        rolling = rolling.wrapping_mul(BASE).wrapping_add(*word);
        if index >= length {
            rolling = rolling.wrapping_sub(words[index - length].wrapping_mul(leaving));
        }
        if index + 1 >= length && found(rolling, index) {
            return;
        }
    }
}

/// The words from one index to another, as they are spelled.
fn shared_words(text: &[u8], first: usize, last: usize) -> String {
    let mut ends = Vec::new();
    for_each_word(text, |_, end| ends.push(end));
    let start = if first == 0 { 0 } else { ends[first - 1] };
    let shared = String::from_utf8_lossy(&text[start..ends[last]]).into_owned();
    shared.trim_start_matches(|character: char| !character.is_alphanumeric()).to_owned()
}

/// Where in the filter a hash is noted.
#[inline]
fn slot(hash: u64, words: usize) -> (usize, u64) {
    let spread = spread(hash);
    let word = (spread >> 6) as usize & (words - 1);
    (word, 1 << (spread & 63))
}

/// A hasher for keys that are hashes already.
#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = spread(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = spread(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { source: 0, line: 7 };

    fn find(held_out: &HeldOut, speaker: Speaker, text: &str) -> Option<Overlap> {
        let passages = [Passage { speaker, start: 0, end: text.len() }];
        held_out.find(text.as_bytes(), &passages, &mut Vec::new())
    }

    #[test]
    fn a_run_is_found_anywhere_in_a_passage_and_shown_as_spelled() {
        let mut held_out = HeldOut::new(8);
        held_out.add_runs(b"x one two three four five six seven eight y", ORIGIN);
        held_out.seal();
        let found = find(&held_out, Speaker::Source, "zero, ONE two; three four (five) six\\nseven: Eight!").unwrap();
        assert_eq!((found.origin, found.is_query), (ORIGIN, false));
        assert_eq!(found.shared, "ONE two; three four (five) six\\nseven: Eight");
        assert_eq!(find(&held_out, Speaker::Source, "one two three four five six seven nine"), None);
        assert_eq!(find(&held_out, Speaker::Source, "two three four five six seven eight"), None);
    }

    #[test]
    fn a_query_counts_only_as_a_whole_and_only_from_the_user() {
        let mut held_out = HeldOut::new(8);
        held_out.add_query("What was ACME's growth?".as_bytes(), ORIGIN);
        held_out.add_query("?!".as_bytes(), ORIGIN);
        held_out.seal();
        assert!(find(&held_out, Speaker::User, "what was acme s growth").is_some_and(|found| found.is_query));
        assert_eq!(find(&held_out, Speaker::Assistant, "what was acme s growth"), None);
        assert_eq!(find(&held_out, Speaker::User, "what was acme s growth then"), None);
        assert_eq!(find(&held_out, Speaker::User, "…"), None);
    }

    #[test]
    fn every_held_out_run_is_found_among_many() {
        let mut held_out = HeldOut::new(3);
        let text: Vec<String> = (0..5000).map(|number| format!("w{number}")).collect();
        held_out.add_runs(text.join(" ").as_bytes(), ORIGIN);
        held_out.seal();
        for window in text.windows(3) {
            assert!(find(&held_out, Speaker::Source, &format!("a b {} c", window.join(", "))).is_some());
        }
        assert_eq!(find(&held_out, Speaker::Source, "w1 w3 w5 w7"), None);
    }
}
