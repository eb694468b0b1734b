//! How an answer is scored against what was expected: one file a metric, and the list of them all.
//!
//! A metric gives one output a score from 0 to 1; rates, means and intervals are made of scores elsewhere. Where a row
//! accepts several answers, the best score counts. A new metric is one file here and one line in [`METRICS`].

mod contains;
mod exact;
mod normalise;
mod semantic;
mod token_f1;

use crate::diagnostic::nearest;

pub use exact::Exact;
pub use normalise::{Normalisation, Normalise};
pub use semantic::{BadSemantic, Scope, Semantic};

/// A way to score one output.
pub trait Metric: Send + Sync {
    /// The name used in manifests and reports.
    fn name(&self) -> &'static str;
    /// One sentence for help and schema.
    fn about(&self) -> &'static str;
    /// The score of an output against one answer, from 0 (wrong) to 1 (right).
    fn score(&self, output: &str, answer: &str, normalisation: &Normalisation) -> f64;
}

/// Every metric, in the order of help texts.
pub const METRICS: &[&dyn Metric] = &[&Exact, &contains::Contains, &token_f1::TokenF1];

/// The metric of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Metric> {
    METRICS.iter().copied().find(|metric| metric.name() == name)
}

/// Whether a name is that of a metric: one of the list, or a semantic one.
#[must_use]
pub fn is_known(name: &str) -> bool {
    find(name).is_some() || name.parse::<Semantic>().is_ok()
}

/// What is expected where a metric's name is wrong.
#[must_use]
pub fn expected() -> String {
    let known: Vec<String> = names().map(|name| format!("`{name}`")).collect();
    format!("one of {}, or `semantic@τ` such as `semantic@0.8`", known.join(", "))
}

/// What to do about a name that is no metric.
#[must_use]
pub fn hint(name: &str) -> Option<String> {
    if name.starts_with("semantic") {
        return Some(BadSemantic.to_string());
    }
    nearest(name, names()).filter(|near| *near != name).map(|near| format!("did you mean `{near}`?"))
}

/// The names of all metrics of texts alone.
pub fn names() -> impl Iterator<Item = &'static str> {
    METRICS.iter().map(|metric| metric.name())
}

/// The best score of an output over all answers that count.
#[must_use]
pub fn best_score<'a>(
    metric: &dyn Metric,
    normalisation: &Normalisation,
    output: &str,
    answers: impl IntoIterator<Item = &'a str>,
) -> f64 {
    answers.into_iter().map(|answer| metric.score(output, answer, normalisation)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_right(metric: &str, output: &str, answers: &[&str]) -> bool {
        let metric = find(metric).expect("a registered metric");
        best_score(metric, &Normalisation::default(), output, answers.iter().copied()) > 0.5
    }

    #[test]
    fn any_accepted_answer_counts() {
        assert!(is_right("exact", "18 percent", &["18%", "18 percent"]));
        assert!(!is_right("exact", "19%", &["18%", "18 percent"]));
        assert!(!is_right("exact", "19%", &[]));
    }

    #[test]
    fn names_are_unique_and_found() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), METRICS.len());
        assert!(find("exact").is_some());
        assert!(find("Exact").is_none());
    }

    #[test]
    fn every_score_is_from_zero_to_one() {
        let texts = ["", " ", "a", "a a", "18%", "é\u{301}", "\u{0}", "a b c d"];
        for metric in METRICS {
            for output in texts {
                for answer in texts {
                    let score = metric.score(output, answer, &Normalisation::default());
                    assert!((0.0..=1.0).contains(&score), "{} of `{output}` and `{answer}`: {score}", metric.name());
                }
            }
        }
    }
}
