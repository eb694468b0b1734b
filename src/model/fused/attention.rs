//! Causal grouped-query attention with rotary embeddings over the rows of a batch, each row on its own.
//!
//! Vaswani et al. (2017); grouped queries: Ainslie et al., "GQA" (2023); rotary embeddings: see `rope.rs`.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use rayon::prelude::*;

use super::attend::{AttentionForm, AttentionHead, HeadGradient, Kept};
use super::buffer::{contiguous, has_kernels, slice, tensor};
use super::heads::Heads;
use crate::model::batch::Rows;
use crate::model::rope::RotaryTable;

/// The shape of an attention layer and the rows it is applied to.
#[derive(Debug, Clone)]
pub(crate) struct AttentionLayout {
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) rows: Arc<Rows>,
    pub(crate) rotary: Arc<RotaryTable>,
    pub(crate) form: AttentionForm,
}

impl AttentionLayout {
    fn heads(&self) -> Heads<'_> {
        Heads { rows: &self.rows, count: self.n_heads, head_dim: self.head_dim }
    }

    fn kv_heads(&self) -> Heads<'_> {
        Heads { rows: &self.rows, count: self.n_kv_heads, head_dim: self.head_dim }
    }

    const fn group(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }
}

/// Lets every token look at the tokens of its row up to itself.
///
/// # Shapes
/// queries `[tokens, n_heads * head_dim]`, keys and values `[tokens, n_kv_heads * head_dim]`, f32 ->
/// `[tokens, n_heads * head_dim]`.
pub(crate) fn attention(queries: Tensor<2>, keys: Tensor<2>, values: Tensor<2>, layout: AttentionLayout) -> Tensor<2> {
    if !has_kernels(&queries) {
        return plain(queries, keys, values, &layout);
    }
    let [queries, keys, values] = [queries, keys, values].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::causal_attention(queries, keys, values, layout))
}

/// The same in burn's own operations: rows are padded to the longest on the right, where causality hides the padding.
fn plain(queries: Tensor<2>, keys: Tensor<2>, values: Tensor<2>, layout: &AttentionLayout) -> Tensor<2> {
    let (device, length, count) = (queries.device(), layout.rows.longest(), layout.rows.count());
    let (into_padded, from_padded) = padding(&layout.rows, &device);
    let head_dim = layout.head_dim;
    let spread = |x: Tensor<2>, heads: usize| -> Tensor<4> {
        x.select(0, into_padded.clone()).reshape([count, length, heads, head_dim]).swap_dims(1, 2) // [batch, heads, seq, head_dim]
    };
    let group = layout.group();
    let repeat = |x: Tensor<4>| -> Tensor<4> {
        x.unsqueeze_dim::<5>(2).repeat_dim(2, group).reshape([count, layout.n_heads, length, head_dim]) // [batch, n_heads, seq, head_dim]
    };
    let queries = rotate(spread(queries, layout.n_heads), layout);
    let keys = repeat(rotate(spread(keys, layout.n_kv_heads), layout));
    let values = repeat(spread(values, layout.n_kv_heads));
    let scores = queries.matmul(keys.swap_dims(2, 3)) * layout.form.scale; // [batch, n_heads, seq, seq]
    let ones = Tensor::<2>::ones([length, length], &device);
    let mut hidden = ones.clone().triu(1);
    if let Some(window) = layout.form.window.filter(|window| *window < length) {
        hidden = hidden + ones.tril(-i64::try_from(window).expect("a window is shorter than a batch"));
    }
    let probabilities = activation::softmax(scores + hidden.mul_scalar(-1e9).unsqueeze(), 3);
    let out = probabilities.matmul(values).swap_dims(1, 2); // [batch, seq, n_heads, head_dim]
    out.reshape([count * length, layout.n_heads * head_dim]).select(0, from_padded) // [tokens, n_heads * head_dim]
}

/// For each place of the padded batch its token (padding: token 0), and for each token its place.
fn padding(rows: &Rows, device: &Device) -> (Tensor<1, Int>, Tensor<1, Int>) {
    let length = rows.longest();
    let mut into_padded = vec![0_i64; rows.count() * length];
    let mut from_padded = Vec::with_capacity(rows.tokens());
    for (index, row) in rows.iter().enumerate() {
        for (position, token) in row.enumerate() {
            let place = index * length + position;
            into_padded[place] = i64::try_from(token).expect("a batch fits in memory");
            from_padded.push(i64::try_from(place).expect("a batch fits in memory"));
        }
    }
    let index = |places: Vec<i64>| {
        let count = places.len();
        Tensor::from_data(TensorData::new(places, [count]), device)
    };
    (index(into_padded), index(from_padded))
}

fn rotate(x: Tensor<4>, layout: &AttentionLayout) -> Tensor<4> {
    let [_, _, length, head_dim] = x.dims();
    let table = |numbers: Vec<f32>| {
        Tensor::<2>::from_data(TensorData::new(numbers, [length, head_dim]), &x.device()).unsqueeze::<4>()
    };
    let cosines = table((0..length).flat_map(|position| layout.rotary.at(position).0.repeat(2)).collect());
    let sines = table((0..length).flat_map(|position| layout.rotary.at(position).1.repeat(2)).collect());
    let half = head_dim / 2;
    let left = x.clone().narrow(3, 0, half);
    let right = x.clone().narrow(3, half, half);
    x * cosines + Tensor::cat(vec![-right, left], 3) * sines
}

/// The operation as burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait AttentionOps: Backend {
    /// See [`attention`].
    fn causal_attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        layout: AttentionLayout,
    ) -> FloatTensor<Self>;
}

impl AttentionOps for Flex {
    fn causal_attention(
        queries: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        layout: AttentionLayout,
    ) -> FlexTensor {
        forward(&queries, &keys, &values, &layout).output()
    }
}

/// What the forward pass leaves for the backward pass; all but `log_sums` in head order.
#[derive(Debug, Clone)]
struct AttentionState {
    layout: AttentionLayout,
    queries: Arc<[f32]>,
    keys: Arc<[f32]>,
    values: Arc<[f32]>,
    out: Arc<[f32]>,
    log_sums: Arc<[f32]>,
}

impl AttentionState {
    fn output(&self) -> FlexTensor {
        let layout = &self.layout;
        let out = layout.heads().scatter(&self.out, 1, None);
        tensor(out, [layout.rows.tokens(), layout.n_heads * layout.head_dim])
    }

    /// One head of one row.
    fn head(&self, row: &std::ops::Range<usize>, head: usize) -> AttentionHead<'_> {
        let layout = &self.layout;
        let kv_head = head / layout.group();
        AttentionHead {
            queries: layout.heads().piece(&self.queries, row, head),
            keys: layout.kv_heads().piece(&self.keys, row, kv_head),
            values: layout.kv_heads().piece(&self.values, row, kv_head),
            head_dim: layout.head_dim,
            form: layout.form,
        }
    }

    /// Every row with each of its heads, in the order of the pieces.
    fn places(&self) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> {
        self.layout.rows.iter().flat_map(|row| (0..self.layout.n_heads).map(move |head| (row.clone(), head)))
    }
}

fn forward(queries: &FlexTensor, keys: &FlexTensor, values: &FlexTensor, layout: &AttentionLayout) -> AttentionState {
    let rotary = Some(&*layout.rotary);
    let queries = layout.heads().gather(slice(&contiguous(queries)), rotary);
    let keys = layout.kv_heads().gather(slice(&contiguous(keys)), rotary);
    let values = layout.kv_heads().gather(slice(&contiguous(values)), None);
    let (heads, row_sums) = (layout.heads(), Heads { head_dim: 1, ..layout.heads() });
    let (mut out, mut log_sums) = (vec![0.0; heads.len()], vec![0.0; row_sums.len()]);
    let (outs, sums) = (heads.split_mut(&mut out), row_sums.split_mut(&mut log_sums));
    let mut state = AttentionState {
        queries: queries.into(),
        keys: keys.into(),
        values: values.into(),
        out: Arc::default(),
        log_sums: Arc::default(),
        layout: layout.clone(),
    };
    let tasks: Vec<_> = state.places().zip(outs.into_iter().zip(sums)).collect();
    tasks.into_par_iter().with_max_len(1).for_each_init(Vec::new, |scratch, ((row, head), (out, log_sums))| {
        state.head(&row, head).forward(out, log_sums, scratch);
    });
    state.out = out.into();
    state.log_sums = log_sums.into();
    state
}

/// The gradients of queries, keys and values in token order, before the rotation.
fn backward(state: &AttentionState, dout: &FlexTensor) -> [FlexTensor; 3] {
    let layout = &state.layout;
    let heads = layout.heads();
    let dout = heads.gather(slice(dout), None);
    let [mut dqueries, mut dkeys, mut dvalues] = [(); 3].map(|()| vec![0.0; heads.len()]);
    let pieces = heads.split_mut(&mut dqueries).into_iter();
    let pieces = pieces.zip(heads.split_mut(&mut dkeys)).zip(heads.split_mut(&mut dvalues));
    let tasks: Vec<_> = state.places().zip(pieces).collect();
    let new_scratch = || [Vec::new(), Vec::new()];
    tasks.into_par_iter().with_max_len(1).for_each_init(new_scratch, |scratch, ((row, head), piece)| {
        let ((queries, keys), values) = piece;
        let sums = Heads { head_dim: 1, ..heads };
        let kept = Kept {
            out: heads.piece(&state.out, &row, head),
            log_sums: sums.piece(&state.log_sums, &row, head),
            dout: heads.piece(&dout, &row, head),
        };
        state.head(&row, head).backward(kept, &mut HeadGradient { queries, keys, values }, scratch);
    });
    let (rotary, group, tokens) = (Some(&*layout.rotary), layout.group(), layout.rows.tokens());
    let kv_width = layout.n_kv_heads * layout.head_dim;
    [
        tensor(heads.scatter(&dqueries, 1, rotary), [tokens, layout.n_heads * layout.head_dim]),
        tensor(heads.scatter(&dkeys, group, rotary), [tokens, kv_width]),
        tensor(heads.scatter(&dvalues, group, None), [tokens, kv_width]),
    ]
}

#[derive(Debug)]
struct AttentionBackward;

impl Backward<Flex, 3> for AttentionBackward {
    type State = AttentionState;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dout = contiguous(&grads.consume::<Flex>(&ops.node));
        for (node, gradient) in ops.parents.into_iter().zip(backward(&ops.state, &dout)) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, gradient);
            }
        }
    }
}

impl<C: CheckpointStrategy> AttentionOps for Autodiff<Flex, C> {
    fn causal_attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        layout: AttentionLayout,
    ) -> FloatTensor<Self> {
        let nodes = [queries.node(), keys.node(), values.node()];
        let state = forward(queries.primitive(), keys.primitive(), values.primitive(), &layout);
        let out = state.output();
        match AttentionBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(state, out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{matrix, same_gradients};
    use super::*;
    use crate::model::rope::Rope;

    /// Rows of 1, 150 and 70 tokens: shorter than a block of queries, longer than two, and in between.
    #[test]
    fn values_and_gradients_agree_with_the_plain_form() {
        let rope = Rope::from_fields(None, None, None, 256).expect("the default embedding is valid");
        for window in [None, Some(2), Some(8), Some(65), Some(200)] {
            let layout = AttentionLayout {
                n_heads: 6,
                n_kv_heads: 2,
                head_dim: 12,
                rows: Arc::new(Rows::new([1, 150, 70])),
                rotary: Arc::new(RotaryTable::new(rope, 12, 150)),
                form: AttentionForm { scale: 0.3, window },
            };
            let inputs = [matrix([221, 72], 1), matrix([221, 24], 2), matrix([221, 24], 3)];
            let fused = |[q, k, v]: [Tensor<2>; 3], []: [Tensor<1>; 0]| attention(q, k, v, layout.clone());
            same_gradients(inputs, [], 1e-5, fused, |[q, k, v], []| plain(q, k, v, &layout));
        }
    }
}
