//! McNemar's exact test for two models on the same examples, and what a number of pairs can show at all.
//!
//! Only the pairs that differ count: of `gained + lost` of them, either direction has probability 1/2 under the null.
//! Source: McNemar 1947; the exact form is a two-sided binomial test.

use super::binomial::Binomial;

/// Terms below this share of the largest are left out of p-values: none that a double could show.
const P_VALUE_FLOOR: f64 = 1e-300;
/// The same for power, where only a few digits matter.
const POWER_FLOOR: f64 = 1e-20;

/// The two-sided p-value of `gained` pairs that only the first model got right and `lost` that only the second did.
#[must_use]
pub fn mcnemar_exact(gained: u64, lost: u64) -> f64 {
    let null = Binomial::new(gained + lost, 0.5, P_VALUE_FLOOR);
    (2.0 * null.at_most(gained.min(lost))).min(1.0)
}

/// The probability that the test at level `alpha` finds a true `difference` of the two rates, when a share
/// `discordant_rate` of `pairs` differs.
///
/// Σ over m discordant pairs of Bin(m; pairs, discordant_rate) · P(the test rejects | m), where a discordant pair is
/// a gain with probability (discordant_rate + difference) / (2·discordant_rate).
///
/// # Panics
/// When not 0 ≤ |difference| ≤ discordant_rate ≤ 1.
#[must_use]
pub fn mcnemar_power(pairs: u64, discordant_rate: f64, difference: f64, alpha: f64) -> f64 {
    power(&rejections(pairs, discordant_rate, alpha), discordant_rate, difference)
}

/// The smallest difference of two rates that the test at level `alpha` finds with probability `power`; none when even
/// the largest, with all discordant pairs in one direction, is missed more often.
///
/// # Panics
/// When not 0 ≤ discordant_rate ≤ 1.
#[must_use]
pub fn detectable_difference(pairs: u64, discordant_rate: f64, alpha: f64, wanted_power: f64) -> Option<f64> {
    let rejections = rejections(pairs, discordant_rate, alpha);
    if discordant_rate <= 0.0 || power(&rejections, discordant_rate, discordant_rate) < wanted_power {
        return None;
    }
    let (mut low, mut high) = (0.0, discordant_rate);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if power(&rejections, discordant_rate, middle) < wanted_power {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high)
}

/// For a number of discordant pairs: how likely it is, and the largest minority that the test still rejects.
struct Rejection {
    discordant: u64,
    probability: f64,
    largest_minority: u64,
}

fn rejections(pairs: u64, discordant_rate: f64, alpha: f64) -> Vec<Rejection> {
    Binomial::new(pairs, discordant_rate, POWER_FLOOR)
        .iter()
        .filter_map(|(discordant, probability)| {
            let largest_minority = largest_minority(discordant, alpha)?;
            Some(Rejection { discordant, probability, largest_minority })
        })
        .collect()
}

fn largest_minority(discordant: u64, alpha: f64) -> Option<u64> {
    let mut tail = 0.0;
    let mut largest = None;
    for (minority, mass) in Binomial::new(discordant, 0.5, POWER_FLOOR).iter() {
        tail += mass;
        if 2.0 * tail > alpha {
            break;
        }
        largest = Some(minority);
    }
    largest
}

fn power(rejections: &[Rejection], discordant_rate: f64, difference: f64) -> f64 {
    assert!(difference.abs() <= discordant_rate, "difference `{difference}` of discordant `{discordant_rate}`");
    if discordant_rate <= 0.0 {
        return 0.0;
    }
    let gain = f64::midpoint(discordant_rate, difference) / discordant_rate;
    rejections
        .iter()
        .map(|Rejection { discordant, probability, largest_minority }| {
            let gains = Binomial::new(*discordant, gain, POWER_FLOOR);
            probability * (gains.at_most(*largest_minority) + gains.at_least(discordant - largest_minority))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: scipy 1.17.1, `binomtest(gained, gained + lost, .5).pvalue`; statsmodels' `mcnemar(exact=True)` agrees.
    #[test]
    fn p_values_equal_those_of_scipy() {
        for (gained, lost, expected) in [
            (6, 0, 0.031_25),
            (0, 6, 0.031_25),
            (5, 0, 0.0625),
            (10, 2, 0.038_574_218_75),
            (3, 3, 1.0),
            (1, 0, 1.0),
            (0, 0, 1.0),
            (45, 20, 0.002_626_376_810_684_037_4),
            (1200, 1100, 0.038_966_852_683_820_23),
            (120, 20, 1.418_833_936_983_132_8e-18),
        ] {
            let p_value: f64 = mcnemar_exact(gained, lost);
            assert!((p_value - expected).abs() <= expected * 1e-11, "{gained}-{lost}: {p_value}");
        }
    }

    /// Expected: the sum over `scipy.stats.binom` (scipy 1.17.1) of the rejection region, as in [`mcnemar_power`].
    #[test]
    fn power_equals_that_of_scipy() {
        for (pairs, discordant, difference, expected) in [
            (50, 0.1, 0.1, 0.383_876_992_275_723_4),
            (100, 0.1, 0.09, 0.822_679_637_607_630_3),
            (200, 0.1, 0.063, 0.783_845_250_184_782_2),
            (1000, 0.1, 0.028, 0.777_989_801_838_779_5),
            (1000, 0.3, 0.05, 0.810_558_082_307_588_3),
        ] {
            let power = mcnemar_power(pairs, discordant, difference, 0.05);
            assert!((power - expected).abs() < 1e-9, "{pairs} pairs: {power}");
        }
    }

    /// Expected: `scipy.optimize.brentq` over the same sum, at 80 % power.
    #[test]
    fn detectable_differences_equal_those_of_scipy() {
        for (pairs, discordant, expected) in [
            (100, 0.1, 0.088_417_282_919_931_49),
            (200, 0.1, 0.064_026_934_112_268_81),
            (1000, 0.1, 0.028_736_889_552_875_896),
            (50, 0.3, 0.218_830_813_352_964),
        ] {
            let found = detectable_difference(pairs, discordant, 0.05, 0.8).expect("detectable");
            assert!((found - expected).abs() < 1e-7, "{pairs} pairs: {found}");
        }
    }

    #[test]
    fn what_no_result_could_show_is_not_detectable() {
        assert_eq!(detectable_difference(50, 0.1, 0.05, 0.8), None);
        assert_eq!(detectable_difference(0, 0.1, 0.05, 0.8), None);
        assert_eq!(detectable_difference(1000, 0.0, 0.05, 0.8), None);
        assert_eq!(Some(mcnemar_power(1000, 0.0, 0.0, 0.05)), Some(0.0));
    }
}
