//! `exact`: the output equals the expected answer.
//!
//! Source: the source document's evaluator, "exact string match with expected", both sides trimmed.

use super::{Metric, Normalisation};

/// Equality after normalisation.
pub struct Exact;

impl Metric for Exact {
    fn name(&self) -> &'static str {
        "exact"
    }

    fn about(&self) -> &'static str {
        "the output equals the expected answer"
    }

    fn score(&self, output: &str, answer: &str, normalisation: &Normalisation) -> f64 {
        f64::from(u8::from(normalisation.apply(output) == normalisation.apply(answer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, answer: &str, is_right: bool) {
        let score = Exact.score(output, answer, &Normalisation::default());
        assert_eq!(score > 0.5, is_right, "`{output}` against `{answer}`");
    }

    #[test]
    fn only_the_same_text_is_exact() {
        check(" 18%\n", "18%", true);
        check("x =  5", "x = 5", true);
        check("18%.", "18%", false);
        check("It is 18%", "18%", false);
        check("yoy", "YoY", false);
        check("", "18%", false);
    }
}
