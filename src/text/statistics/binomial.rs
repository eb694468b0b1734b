//! The binomial distribution, computed outwards from its mode so that nothing underflows that matters.

/// The probabilities of a run of neighbouring counts; all others are below the floor.
pub(super) struct Binomial {
    first: u64,
    masses: Vec<f64>,
}

impl Binomial {
    /// The distribution of the successes in `trials` trials of `probability`, without the counts whose probability is
    /// below `floor` times that of the mode.
    pub(super) fn new(trials: u64, probability: f64, floor: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "probability is `{probability}`");
        let odds = probability / (1.0 - probability);
        if probability <= 0.0 || !odds.is_finite() {
            return Self { first: if probability <= 0.0 { 0 } else { trials }, masses: vec![1.0] };
        }
        let mode = mode(trials, probability);
        let mut below = Vec::new();
        let (mut count, mut mass) = (mode, 1.0);
        while count > 0 && mass > floor {
            // P(k-1) / P(k) = k / ((n-k+1)·odds)
            mass *= count as f64 / ((trials - count + 1) as f64 * odds);
            count -= 1;
            below.push(mass);
        }
        let mut masses: Vec<f64> = below.into_iter().rev().collect();
        masses.push(1.0);
        let (mut above, mut mass) = (mode, 1.0);
        while above < trials && mass > floor {
            mass *= (trials - above) as f64 * odds / (above + 1) as f64;
            above += 1;
            masses.push(mass);
        }
        let total: f64 = masses.iter().sum();
        Self { first: count, masses: masses.into_iter().map(|mass| mass / total).collect() }
    }

    /// Each count with its probability, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, f64)> + '_ {
        (self.first..).zip(self.masses.iter().copied())
    }

    /// The probability of at most `count`, summed from the smallest term up.
    pub(super) fn at_most(&self, count: u64) -> f64 {
        self.iter().take_while(|(at, _)| *at <= count).map(|(_, mass)| mass).sum()
    }

    /// The probability of at least `count`.
    pub(super) fn at_least(&self, count: u64) -> f64 {
        let skip = usize::try_from(count.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.masses.iter().skip(skip).rev().sum()
    }
}

/// The likeliest count: ⌊(n + 1)·p⌋.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ p ≤ 1, and the result is capped")]
fn mode(trials: u64, probability: f64) -> u64 {
    (((trials + 1) as f64 * probability).floor() as u64).min(trials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_distributions_are_exact() {
        let four = Binomial::new(4, 0.5, 1e-300);
        let masses: Vec<_> = four.iter().collect();
        assert_eq!(masses, [(0, 0.0625), (1, 0.25), (2, 0.375), (3, 0.25), (4, 0.0625)]);
        assert_eq!((four.at_most(1), four.at_least(3), four.at_least(9)), (0.3125, 0.3125, 0.0));
    }

    #[test]
    fn the_ends_are_certain() {
        assert_eq!(Binomial::new(7, 0.0, 1e-30).iter().collect::<Vec<_>>(), [(0, 1.0)]);
        assert_eq!(Binomial::new(7, 1.0, 1e-30).iter().collect::<Vec<_>>(), [(7, 1.0)]);
        assert_eq!(Binomial::new(0, 0.3, 1e-30).iter().collect::<Vec<_>>(), [(0, 1.0)]);
    }
}
