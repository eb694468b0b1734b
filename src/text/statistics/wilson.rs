//! Wilson's score interval, and the normal quantile it needs.
//!
//! Source: Wilson 1927; Brown, Cai and DasGupta 2001 recommend it over p ± z·s, which has length 0 at 20 of 20.

use super::{Interval, Method};

/// The interval of the rate `successes` of `total` at a confidence such as 0.95; none when `total` is 0.
///
/// (p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n), with z the normal quantile at (1 + confidence) / 2.
///
/// # Panics
/// When there are more successes than trials, or the confidence is not between 0 and 1.
#[must_use]
pub fn wilson(successes: u64, total: u64, confidence: f64) -> Option<Interval> {
    assert!(successes <= total, "`{successes}` successes of `{total}`");
    if total == 0 {
        return None;
    }
    let (n, rate) = (total as f64, successes as f64 / total as f64);
    let z = two_sided_quantile(confidence);
    let shrink = 1.0 + z * z / n;
    let centre = (rate + z * z / (2.0 * n)) / shrink;
    let reach = z * (rate * (1.0 - rate) / n + z * z / (4.0 * n * n)).sqrt() / shrink;
    Some(Interval {
        // At both ends the exact bound is 0 or 1; rounding may miss it by a bit.
        lower: if successes == 0 { 0.0 } else { (centre - reach).max(0.0) },
        upper: if successes == total { 1.0 } else { (centre + reach).min(1.0) },
        method: Method::Wilson,
    })
}

/// The z for which a standard normal lies within ±z with this probability, by bisection.
fn two_sided_quantile(confidence: f64) -> f64 {
    assert!(confidence > 0.0 && confidence < 1.0, "confidence is `{confidence}`");
    // Beyond 8 a double can't tell the probability from 1.
    let (mut low, mut high) = (0.0, 8.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if two_sided_probability(middle) < confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// P(|Z| < z) = 2·φ(z)·Σ z^(2k+1) / (2k+1)!!; every term is positive, so nothing cancels.
/// Source: Abramowitz and Stegun 26.2.11.
fn two_sided_probability(z: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (z, 0.0, 1.0);
    while term > sum * 1e-18 {
        sum += term;
        odd += 2.0;
        term *= z * z / odd;
    }
    // 2·φ(z) = √(2/π)·e^(-z²/2), the power as one over a series of positive terms.
    ROOT_TWO_OVER_PI * sum / exponential(z * z / 2.0)
}

/// √(2/π).
const ROOT_TWO_OVER_PI: f64 = 0.797_884_560_802_865_4;

/// e^x for x ≥ 0 by its series.
fn exponential(x: f64) -> f64 {
    let (mut term, mut sum, mut count) = (1.0, 0.0, 0.0);
    while term > sum * 1e-18 {
        sum += term;
        count += 1.0;
        term *= x / count;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: scipy 1.17.1, `norm.ppf(.5 + confidence / 2)`.
    #[test]
    fn quantiles_equal_those_of_scipy() {
        for (confidence, expected) in [
            (0.5, 0.674_489_750_196_081_7),
            (0.8, 1.281_551_565_544_600_4),
            (0.9, 1.644_853_626_951_472_2),
            (0.95, 1.959_963_984_540_054),
            (0.99, 2.575_829_303_548_900_4),
            (0.999, 3.290_526_731_491_925_5),
            (0.999_999, 4.891_638_475_671_085),
        ] {
            let z = two_sided_quantile(confidence);
            assert!((z - expected).abs() < 1e-9, "{confidence}: {z}");
        }
    }

    /// Expected: statsmodels 0.15.0, `proportion_confint(successes, total, 1 - confidence, "wilson")`.
    #[test]
    fn intervals_equal_those_of_statsmodels() {
        for (successes, total, confidence, lower, upper) in [
            (90, 100, 0.95, 0.825_634_338_495_086_5, 0.944_770_862_939_324_9),
            (20, 20, 0.95, 0.838_874_841_947_180_6, 1.0),
            (0, 20, 0.95, 0.0, 0.161_125_158_052_819_38),
            (1, 3, 0.95, 0.061_491_944_720_396_21, 0.792_340_399_197_952_2),
            (7, 50, 0.9, 0.077_720_897_820_629_95, 0.239_238_995_945_484_6),
            (500, 1000, 0.99, 0.459_407_005_212_084_83, 0.540_592_994_787_915_1),
            (1, 100_000, 0.95, 1.765_247_730_378_312_6e-6, 5.664_709_659_040_966e-5),
        ] {
            let interval = wilson(successes, total, confidence).expect("n > 0");
            assert!((interval.lower - lower).abs() < 1e-12, "{successes}/{total}: {interval:?}");
            assert!((interval.upper - upper).abs() < 1e-12, "{successes}/{total}: {interval:?}");
        }
        assert_eq!(wilson(0, 0, 0.95), None);
    }

    #[test]
    fn the_interval_holds_the_rate_and_stays_between_zero_and_one() {
        for total in 1..200 {
            for successes in 0..=total {
                let interval = wilson(successes, total, 0.95).expect("n > 0");
                let rate = successes as f64 / total as f64;
                assert!(0.0 <= interval.lower && interval.lower <= rate, "{successes}/{total}");
                assert!(rate <= interval.upper && interval.upper <= 1.0, "{successes}/{total}");
            }
        }
    }
}
