//! Causal attention of one head of one row, and its gradient, block by block of queries.
//!
//! Scores exist for one block at a time and only up to the block's last visible key, so memory grows with the length
//! and not with its square, and the masked half is not computed. The backward pass recomputes the probabilities from
//! the kept logarithms, as in Dao et al., "FlashAttention" (2022).

use super::matrix::{Into, Matrix, Threads, multiply};
use super::simd::{dot, vectorised};
use super::softmax::{Sight, causal_softmax, causal_softmax_again, softmax_backward};

/// Queries whose scores exist at the same time.
const QUERIES_PER_BLOCK: usize = 64;

/// One head of one row.
///
/// # Shapes
/// queries `[length, head_dim]`, keys and values `[past + length, head_dim]`, f32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionHead<'a> {
    pub(crate) queries: &'a [f32],
    pub(crate) keys: &'a [f32],
    pub(crate) values: &'a [f32],
    pub(crate) head_dim: usize,
    pub(crate) form: AttentionForm,
}

/// What sets the attention of one layer apart from that of another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AttentionForm {
    /// What scores are multiplied by.
    pub(crate) scale: f32,
    /// The most tokens that one sees, itself included; none sees all before it.
    pub(crate) window: Option<usize>,
}

/// A block of queries, and which keys any of them sees.
struct Block {
    first: usize,
    queries: usize,
    /// The first key that the first query sees.
    start: usize,
    /// Keys from there to the last one that the last query sees.
    keys: usize,
    sight: Sight,
}

impl AttentionHead<'_> {
    fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let length = self.queries.len() / self.head_dim;
        let past = self.keys.len() / self.head_dim - length;
        let window = self.form.window.unwrap_or(usize::MAX);
        (0..length).step_by(QUERIES_PER_BLOCK).map(move |first| {
            let queries = QUERIES_PER_BLOCK.min(length - first);
            let start = (past + first + 1).saturating_sub(window);
            let sight = Sight { visible: past + first + 1 - start, window };
            Block { first, queries, start, keys: past + first + queries - start, sight }
        })
    }

    fn queries(&self, block: &Block) -> Matrix<'_> {
        Matrix::new(self.of(block, self.queries), block.queries, self.head_dim)
    }

    fn keys(&self, block: &Block) -> Matrix<'_> {
        Matrix::new(&self.keys[self.seen(block)], block.keys, self.head_dim)
    }

    fn values(&self, block: &Block) -> Matrix<'_> {
        Matrix::new(&self.values[self.seen(block)], block.keys, self.head_dim)
    }

    /// Where the keys that a block sees lie among the numbers of all keys.
    const fn seen(&self, block: &Block) -> std::ops::Range<usize> {
        block.start * self.head_dim..(block.start + block.keys) * self.head_dim
    }

    /// The part of `numbers` that belongs to the queries of a block.
    fn of<'n>(&self, block: &Block, numbers: &'n [f32]) -> &'n [f32] {
        &numbers[block.first * self.head_dim..][..block.queries * self.head_dim]
    }

    /// out = softmax(scale queries keys^T, causal) values.
    ///
    /// # Shapes
    /// out `[length, head_dim]`, log_sums `[length]`.
    pub(crate) fn forward(&self, out: &mut [f32], log_sums: &mut [f32], scratch: &mut Vec<f32>) {
        for block in self.blocks() {
            scratch.resize(block.queries * block.keys, 0.0);
            let keys = self.keys(&block).transposed();
            multiply(scratch, self.queries(&block), keys, self.form.scale, Into::Replace, Threads::One);
            let log_sums = &mut log_sums[block.first..block.first + block.queries];
            causal_softmax(scratch, block.keys, block.sight, log_sums);
            let out = &mut out[block.first * self.head_dim..][..block.queries * self.head_dim];
            let probabilities = Matrix::new(scratch, block.queries, block.keys);
            multiply(out, probabilities, self.values(&block), 1.0, Into::Replace, Threads::One);
        }
    }

    /// The gradients of queries, keys and values, given the output and its gradient; `gradient`'s parts start as zeros.
    pub(crate) fn backward(&self, kept: Kept, gradient: &mut HeadGradient, scratch: &mut [Vec<f32>; 2]) {
        let mut projections = [0.0; QUERIES_PER_BLOCK];
        for block in self.blocks() {
            let [p, ds] = scratch;
            p.resize(block.queries * block.keys, 0.0);
            ds.resize(block.queries * block.keys, 0.0);
            let (queries, keys, values) = (self.queries(&block), self.keys(&block), self.values(&block));
            multiply(p, queries, keys.transposed(), self.form.scale, Into::Replace, Threads::One);
            let log_sums = &kept.log_sums[block.first..block.first + block.queries];
            causal_softmax_again(p, block.keys, block.sight, log_sums);

            let dout = self.of(&block, kept.dout);
            row_dots(&mut projections, dout, self.of(&block, kept.out), self.head_dim);
            let dout = Matrix::new(dout, block.queries, self.head_dim);
            multiply(ds, dout, values.transposed(), 1.0, Into::Replace, Threads::One);
            softmax_backward(ds, p, block.keys, &projections, self.form.scale);

            let (p, ds) = (Matrix::new(p, block.queries, block.keys), Matrix::new(ds, block.queries, block.keys));
            let dqueries = &mut gradient.queries[block.first * self.head_dim..][..block.queries * self.head_dim];
            multiply(dqueries, ds, keys, 1.0, Into::Replace, Threads::One);
            let seen = self.seen(&block);
            multiply(&mut gradient.keys[seen.clone()], ds.transposed(), queries, 1.0, Into::Add, Threads::One);
            multiply(&mut gradient.values[seen], p.transposed(), dout, 1.0, Into::Add, Threads::One);
        }
    }
}

/// What the forward pass kept, and the gradient of its output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    pub(crate) out: &'a [f32],
    pub(crate) log_sums: &'a [f32],
    pub(crate) dout: &'a [f32],
}

/// Where the gradients of one head go; the shapes are those of [`AttentionHead`].
#[derive(Debug)]
pub(crate) struct HeadGradient<'a> {
    pub(crate) queries: &'a mut [f32],
    pub(crate) keys: &'a mut [f32],
    pub(crate) values: &'a mut [f32],
}

vectorised! {
    fn row_dots(dots: &mut [f32], left: &[f32], right: &[f32], width: usize) {
        for (out, (left, right)) in dots.iter_mut().zip(left.chunks_exact(width).zip(right.chunks_exact(width))) {
            *out = dot(left, right);
        }
    }
}
