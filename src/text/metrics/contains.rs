//! `contains`: the expected answer appears somewhere in the output.
//!
//! Source: the source document's evaluator, "expected substring appears in model output". As there, word borders do
//! not matter: `8%` is found in `18%`. Whoever needs that told apart adds `exact`.

use super::{Metric, Normalisation};

/// A substring test after normalisation.
pub(super) struct Contains;

impl Metric for Contains {
    fn name(&self) -> &'static str {
        "contains"
    }

    fn about(&self) -> &'static str {
        "the expected answer appears in the output"
    }

    fn score(&self, output: &str, answer: &str, normalisation: &Normalisation) -> f64 {
        let (output, answer) = (normalisation.apply(output), normalisation.apply(answer));
        // An empty answer is part of every text; only an empty output deserves the point.
        let found = if answer.is_empty() { output.is_empty() } else { output.contains(&answer) };
        f64::from(u8::from(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, answer: &str, is_right: bool) {
        let score = Contains.score(output, answer, &Normalisation::default());
        assert_eq!(score > 0.5, is_right, "`{output}` against `{answer}`");
    }

    #[test]
    fn the_answer_may_stand_anywhere() {
        check("Revenue grew 18% to $1.2B.", "18%", true);
        check("Revenue grew 18 %", "18%", false);
        check("room\n 12", "room 12", true);
        check("18%", "revenue grew 18%", false);
    }

    #[test]
    fn word_borders_do_not_matter_as_in_the_source() {
        check("118%", "18%", true);
    }

    #[test]
    fn an_empty_answer_is_not_found_in_every_output() {
        check("anything", " ", false);
        check(" ", "", true);
    }
}
