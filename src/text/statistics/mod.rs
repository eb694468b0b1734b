//! What a set of scores says about the model behind it: intervals, paired comparisons, and what a set is too small for.
//!
//! Everything here is a pure function made of `+ - * /` and `sqrt` alone, which IEEE 754 rounds in one way: the same
//! scores give the same bits on every machine and with any number of threads. No logarithm or exponential of a maths
//! library is called, because those differ in the last bit.

mod binomial;
mod bootstrap;
mod mcnemar;
mod wilson;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use bootstrap::Bootstrap;
pub use mcnemar::{detectable_difference, mcnemar_exact, mcnemar_power};
pub use wilson::wilson;

/// How an interval was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Wilson's score interval of a rate.
    Wilson,
    /// Percentiles of resampled means.
    Bootstrap,
    /// The intervals of two independent means, combined as in Newcombe 1998.
    Newcombe,
}

/// A two-sided confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// How it was made.
    pub method: Method,
}

/// The mean of some scores; none when there are none.
#[must_use]
pub fn mean(scores: &[f64]) -> Option<f64> {
    if scores.is_empty() { None } else { Some(scores.iter().sum::<f64>() / scores.len() as f64) }
}

/// How many scores are 1, when every score is 0 or 1: then their mean is a rate.
#[must_use]
pub fn successes(scores: &[f64]) -> Option<u64> {
    let mut count = 0;
    for score in scores {
        if score.to_bits() == 1.0f64.to_bits() {
            count += 1;
        } else if *score != 0.0 {
            return None;
        }
    }
    Some(count)
}

/// The interval of a mean: Wilson's for a rate, resampled otherwise; none without scores.
#[must_use]
pub fn mean_interval(scores: &[f64], bootstrap: &Bootstrap) -> Option<Interval> {
    match successes(scores) {
        Some(count) => wilson(count, scores.len() as u64, bootstrap.confidence),
        None => bootstrap.mean(scores),
    }
}

/// The interval of a difference of two independent means, from the mean and interval of each.
///
/// Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10.
#[must_use]
pub fn independent_difference(left: (f64, Interval), right: (f64, Interval)) -> Interval {
    let difference = left.0 - right.0;
    let reach = |one: f64, other: f64| (one * one + other * other).sqrt();
    Interval {
        lower: difference - reach(left.0 - left.1.lower, right.1.upper - right.0),
        upper: difference + reach(left.1.upper - left.0, right.0 - right.1.lower),
        method: Method::Newcombe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zeros_and_ones_are_a_rate() {
        assert_eq!(successes(&[1.0, 0.0, -0.0, 1.0]), Some(2));
        assert_eq!(successes(&[]), Some(0));
        assert_eq!(successes(&[1.0, 0.5]), None);
        assert_eq!(successes(&[f64::NAN]), None);
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[1.0, 0.5]), Some(0.75));
    }

    #[test]
    fn the_interval_of_scores_between_zero_and_one_is_resampled() {
        let bootstrap = Bootstrap { seed: 1, resamples: 100, confidence: 0.95 };
        assert_eq!(mean_interval(&[1.0, 0.0], &bootstrap).map(|interval| interval.method), Some(Method::Wilson));
        assert_eq!(mean_interval(&[1.0, 0.5], &bootstrap).map(|interval| interval.method), Some(Method::Bootstrap));
        assert_eq!(mean_interval(&[], &bootstrap), None);
    }

    /// Expected: statsmodels 0.15.0, `confint_proportions_2indep(.., method="newcomb", compare="diff", alpha=.05)`.
    #[test]
    fn independent_rates_differ_within_newcombes_interval() {
        let rate = |count: u64, total: u64| (count as f64 / total as f64, wilson(count, total, 0.95).expect("n > 0"));
        for (left, right, lower, upper) in [
            ((90, 100), (80, 100), 0.000_149_025_118_557_549_74, 0.199_473_870_078_069_5),
            ((50, 60), (10, 40), 0.393_591_805_845_470_27, 0.714_097_324_519_279_9),
            ((20, 20), (18, 20), -0.076_534_872_164_198_05, 0.301_033_645_228_487_3),
            ((0, 30), (0, 50), -0.071_347_599_133_358_74, 0.113_513_393_173_988_5),
        ] {
            let interval = independent_difference(rate(left.0, left.1), rate(right.0, right.1));
            assert!((interval.lower - lower).abs() < 1e-12, "{left:?} {right:?}: {interval:?}");
            assert!((interval.upper - upper).abs() < 1e-12, "{left:?} {right:?}: {interval:?}");
        }
    }
}
