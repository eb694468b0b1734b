//! The row-wise loops of attention and of the loss: softmax, its gradient, and cross-entropy.

#![expect(clippy::inline_always, reason = "a helper must be compiled into both versions of its caller")]

use super::simd::{LANES, exp, vectorised};

/// The largest number of a row, in lanes.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = if block[lane] > lanes[lane] { block[lane] } else { lanes[lane] };
        }
    }
    for (lane, number) in rest.iter().enumerate() {
        lanes[lane] = lanes[lane].max(*number);
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// Replaces each number by e^(number - shift) and returns their sum.
#[inline(always)]
fn exponentials(row: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (blocks, rest) = row.as_chunks_mut::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            block[lane] = exp(block[lane] - shift);
            lanes[lane] += block[lane];
        }
    }
    for (lane, number) in rest.iter_mut().enumerate() {
        *number = exp(*number - shift);
        lanes[lane] += *number;
    }
    lanes.iter().sum()
}

/// Which columns each row of a block of scores sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    /// How many columns the first row sees up to itself; each further row sees one more.
    pub(super) visible: usize,
    /// The most columns that a row sees, itself included.
    pub(super) window: usize,
}

impl Sight {
    /// The columns that row `index` sees; the others become 0.
    #[inline(always)]
    fn split(self, row: &mut [f32], index: usize) -> &mut [f32] {
        let end = self.visible + index;
        let start = end.saturating_sub(self.window);
        let (seen, after) = row.split_at_mut(end);
        after.fill(0.0);
        let (before, seen) = seen.split_at_mut(start);
        before.fill(0.0);
        seen
    }
}

vectorised! {
    /// Causal softmax in place: row i sees the columns that `sight` lets it see, the others become 0. Keeps the logarithm
    /// of each row's sum of exponentials, from which the backward pass finds the probabilities again.
    ///
    /// # Shapes
    /// scores `[log_sums.len(), columns]`, f32.
    pub(super) fn causal_softmax(scores: &mut [f32], columns: usize, sight: Sight, log_sums: &mut [f32]) {
        for (index, (row, log_sum)) in scores.chunks_exact_mut(columns).zip(log_sums).enumerate() {
            let seen = sight.split(row, index);
            let shift = largest(seen);
            let sum = exponentials(seen, shift);
            let factor = 1.0 / sum;
            for number in seen.iter_mut() {
                *number *= factor;
            }
            *log_sum = shift + sum.ln();
        }
    }
}

vectorised! {
    /// The probabilities again, from scores and the logarithms kept by [`causal_softmax`].
    pub(super) fn causal_softmax_again(scores: &mut [f32], columns: usize, sight: Sight, log_sums: &[f32]) {
        for (index, (row, log_sum)) in scores.chunks_exact_mut(columns).zip(log_sums).enumerate() {
            for number in sight.split(row, index).iter_mut() {
                *number = exp(*number - log_sum);
            }
        }
    }
}

vectorised! {
    /// ds = p (dp - sum(dp p)) in place of dp, where sum(dp p) is known as `projections`; times `scale`.
    pub(super) fn softmax_backward(dp: &mut [f32], p: &[f32], columns: usize, projections: &[f32], scale: f32) {
        let rows = dp.chunks_exact_mut(columns).zip(p.chunks_exact(columns));
        for ((dp, p), projection) in rows.zip(projections) {
            for (dp, p) in dp.iter_mut().zip(p) {
                *dp = p * (*dp - projection) * scale;
            }
        }
    }
}

vectorised! {
    /// The cross-entropy -ln softmax(logits)[label] of one row; `logits` become its gradient, softmax - one-hot.
    pub(super) fn cross_entropy(logits: &mut [f32], label: usize) -> f32 {
        let shift = largest(logits);
        let logit = logits[label] - shift;
        let sum = exponentials(logits, shift);
        let factor = 1.0 / sum;
        for number in logits.iter_mut() {
            *number *= factor;
        }
        logits[label] -= 1.0;
        sum.ln() - logit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_of_equal_logits_is_the_logarithm_of_their_number() {
        let mut logits = [3.0; 37];
        let loss = cross_entropy(&mut logits, 5);
        assert!((loss - 37.0_f32.ln()).abs() < 1e-6);
        assert!((logits[5] - (1.0 / 37.0 - 1.0)).abs() < 1e-7 && (logits[0] - 1.0 / 37.0).abs() < 1e-7);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "equal scores give exact shares")]
    fn a_row_sees_itself_and_what_is_before_it() {
        let mut scores = [0.0; 6];
        let mut log_sums = [0.0; 2];
        causal_softmax(&mut scores, 3, Sight { visible: 2, window: usize::MAX }, &mut log_sums);
        assert_eq!(scores, [0.5, 0.5, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]);
        let mut scores = [0.0; 6];
        causal_softmax(&mut scores, 3, Sight { visible: 2, window: 2 }, &mut log_sums);
        assert_eq!(scores, [0.5, 0.5, 0.0, 0.0, 0.5, 0.5]);
    }
}
