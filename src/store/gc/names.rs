//! What a text names: digests and runs, wherever they stand in it.
//!
//! Records, lock files and event logs are read without knowing their forms. A form that is changed or added later can
//! therefore not make the collector overlook what it names: at worst something is kept too long.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::store::run::is_run_id;

/// What was found in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Digests of blobs and folders, keys of actions, ids of experiments: which is which shows where they lie.
    pub digests: BTreeSet<Digest>,
    /// Ids of runs.
    pub runs: BTreeSet<String>,
}

impl Names {
    /// All words of 64 hexadecimal digits, and all ids of runs, in a text that need not be UTF-8.
    #[must_use]
    pub fn in_text(text: &[u8]) -> Self {
        let words = |is_part: fn(&u8) -> bool| {
            let words = text.split(move |byte| !is_part(byte));
            words.filter_map(|word| std::str::from_utf8(word).ok())
        };
        Self {
            digests: words(u8::is_ascii_alphanumeric).filter_map(|word| word.parse().ok()).collect(),
            runs: words(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
                .filter(|word| is_run_id(word))
                .map(str::to_owned)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_runs_are_found_in_any_text_and_nothing_else_is() {
        let digest = Digest::of(b"x");
        let text = format!(
            "a: {digest}\nb: [\"blake3:{digest}\", run=20261123-101530-3fa2b1]\n{}\n{digest}0\n20261123-101530-3fa2b1-9\u{1}",
            &digest.to_hex()[1..]
        );
        let names = Names::in_text(&[text.as_bytes(), b"\xff"].concat());
        assert_eq!(names.digests, BTreeSet::from([digest]));
        assert_eq!(names.runs, BTreeSet::from(["20261123-101530-3fa2b1".to_owned()]));
        assert_eq!(Names::in_text(b""), Names::default());
    }
}
