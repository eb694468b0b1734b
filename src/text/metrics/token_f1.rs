//! `token_f1`: how many words the output and the expected answer share.
//!
//! F1 = 2·P·R / (P + R) over the bags of words, with P the share of the output's words that are expected and R the
//! share of expected words that the output has. Source: SQuAD, Rajpurkar et al. 2016, section 6.1; articles and
//! punctuation are dropped there, here only what `normalize` names.

use std::collections::HashMap;

use super::{Metric, Normalisation};

/// The overlap of two bags of words.
pub(super) struct TokenF1;

impl Metric for TokenF1 {
    fn name(&self) -> &'static str {
        "token_f1"
    }

    fn about(&self) -> &'static str {
        "the harmonic mean of precision and recall over words"
    }

    fn score(&self, output: &str, answer: &str, normalisation: &Normalisation) -> f64 {
        let (output, answer) = (normalisation.apply(output), normalisation.apply(answer));
        let mut unmatched: HashMap<&str, usize> = HashMap::new();
        let mut answer_words = 0usize;
        for word in answer.split_whitespace() {
            *unmatched.entry(word).or_default() += 1;
            answer_words += 1;
        }
        let (mut output_words, mut shared) = (0usize, 0usize);
        for word in output.split_whitespace() {
            output_words += 1;
            if let Some(left) = unmatched.get_mut(word).filter(|left| **left > 0) {
                *left -= 1;
                shared += 1;
            }
        }
        if output_words + answer_words == 0 {
            return 1.0;
        }
        // 2·P·R / (P + R) with P = shared / output_words and R = shared / answer_words.
        2.0 * shared as f64 / (output_words + answer_words) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, answer: &str, expected: f64) {
        let score = TokenF1.score(output, answer, &Normalisation::default());
        assert!((score - expected).abs() < 1e-12, "`{output}` against `{answer}`: {score}");
    }

    #[test]
    fn shared_words_count_once_each() {
        check("18%", "18%", 1.0);
        check("it is 18%", "18%", 0.5);
        check("a a a", "a a b", 2.0 / 3.0);
        check("x", "y", 0.0);
        check("", "y", 0.0);
        check("", "", 1.0);
    }
}
