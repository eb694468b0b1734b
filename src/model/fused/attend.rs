//! Causal attention of one head of one row, and its gradient, block by block of queries.
//!
//! Scores exist for one block at a time and only up to the block's last visible key, so memory grows with the length
//! and not with its square, and the masked half is not computed. The backward pass recomputes the probabilities from
//! the kept logarithms, as in Dao et al., "FlashAttention" (2022).

use super::matrix::{Into, Matrix, Threads, multiply};
use super::simd::{dot, vectorised};
use super::softmax::{causal_softmax, causal_softmax_again, softmax_backward};

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
}

/// A block of queries, and how many keys its last query sees.
struct Block {
    first: usize,
    queries: usize,
    keys: usize,
    visible: usize,
}

impl AttentionHead<'_> {
    fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let length = self.queries.len() / self.head_dim;
        let past = self.keys.len() / self.head_dim - length;
        (0..length).step_by(QUERIES_PER_BLOCK).map(move |first| {
            let queries = QUERIES_PER_BLOCK.min(length - first);
            Block { first, queries, keys: past + first + queries, visible: past + first + 1 }
        })
    }
    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    fn queries(&self, block: &Block) -> Matrix<'_> {
        Matrix::new(self.of(block, self.queries), block.queries, self.head_dim)
    }

    fn keys(&self, block: &Block) -> Matrix<'_> {
        Matrix::new(&self.keys[..block.keys * self.head_dim], block.keys, self.head_dim)
    }

    fn values(&self, block: &Block) -> Matrix<'_> {
        Matrix::new(&self.values[..block.keys * self.head_dim], block.keys, self.head_dim)
    }

    /// The part of `numbers` that belongs to the queries of a block.
    fn of<'n>(&self, block: &Block, numbers: &'n [f32]) -> &'n [f32] {
        &numbers[block.first * self.head_dim..][..block.queries * self.head_dim]
    }

    /// out = softmax(queries keys^T / sqrt(head_dim), causal) values.
    ///
    /// # Shapes
    /// out `[length, head_dim]`, log_sums `[length]`.
    pub(crate) fn forward(&self, out: &mut [f32], log_sums: &mut [f32], scratch: &mut Vec<f32>) {
        for block in self.blocks() {
            scratch.resize(block.queries * block.keys, 0.0);
            let keys = self.keys(&block).transposed();
            multiply(scratch, self.queries(&block), keys, self.scale(), Into::Replace, Threads::One);
            let log_sums = &mut log_sums[block.first..block.first + block.queries];
            causal_softmax(scratch, block.keys, block.visible, log_sums);
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
            multiply(p, queries, keys.transposed(), self.scale(), Into::Replace, Threads::One);
            let log_sums = &kept.log_sums[block.first..block.first + block.queries];
            causal_softmax_again(p, block.keys, block.visible, log_sums);

            let dout = self.of(&block, kept.dout);
            row_dots(&mut projections, dout, self.of(&block, kept.out), self.head_dim);
            let dout = Matrix::new(dout, block.queries, self.head_dim);
            multiply(ds, dout, values.transposed(), 1.0, Into::Replace, Threads::One);
            softmax_backward(ds, p, block.keys, &projections, self.scale());

            let (p, ds) = (Matrix::new(p, block.queries, block.keys), Matrix::new(ds, block.queries, block.keys));
            let dqueries = &mut gradient.queries[block.first * self.head_dim..][..block.queries * self.head_dim];
            multiply(dqueries, ds, keys, 1.0, Into::Replace, Threads::One);
            let seen = block.keys * self.head_dim;
            multiply(&mut gradient.keys[..seen], ds.transposed(), queries, 1.0, Into::Add, Threads::One);
            multiply(&mut gradient.values[..seen], p.transposed(), dout, 1.0, Into::Add, Threads::One);
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
