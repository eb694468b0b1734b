//! Output head and cross-entropy in one, for the tokens that have a label and no others.
//!
//! The logits of a batch are its largest tensor by far; here they exist for a chunk of tokens at a time, and their
//! gradient replaces them at once, because the gradient of a sum is known before the backward pass runs (Hsu et al.,
//! "Liger Kernel", 2024). Peak memory: one chunk of logits, the gradient of the hidden states and, if it is trained,
//! that of the head.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor, TensorData, activation};
use rayon::prelude::*;

use super::buffer::{contiguous, dimensions, has_kernels, slice, tensor};
use super::matrix::{Into, Matrix, Threads, multiply};
use super::softmax::cross_entropy;

/// Numbers in one chunk of logits.
const LOGITS_PER_CHUNK: usize = 1 << 19;

/// The hidden state of `token` should predict `label`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) token: usize,
    pub(crate) label: usize,
}

/// The sum of the cross-entropies, in nats, of the hidden states that have a target.
///
/// # Shapes
/// hidden `[tokens, d_model]`, head `[vocab, d_model]`, f32 -> `[1]`.
pub(crate) fn linear_cross_entropy(hidden: Tensor<2>, head: Tensor<2>, targets: Arc<[Target]>) -> Tensor<1> {
    if !has_kernels(&hidden) {
        return plain(hidden, head, &targets);
    }
    let loss = Dispatch::linear_cross_entropy(hidden.into_dispatch(), head.into_dispatch(), targets);
    Tensor::from_dispatch(loss)
}

fn plain(hidden: Tensor<2>, head: Tensor<2>, targets: &[Target]) -> Tensor<1> {
    let device = hidden.device();
    let index = |numbers: Vec<usize>| {
        let numbers: Vec<i64> = numbers.into_iter().map(|number| number.try_into().expect("fits in memory")).collect();
        let count = numbers.len();
        Tensor::<1, Int>::from_data(TensorData::new(numbers, [count]), &device)
    };
    let tokens = index(targets.iter().map(|target| target.token).collect());
    let labels = index(targets.iter().map(|target| target.label).collect());
    let logits = hidden.select(0, tokens).matmul(head.transpose()); // [targets, vocab]
    let log_probabilities = activation::log_softmax(logits, 1).gather(1, labels.unsqueeze_dim(1)); // [targets, 1]
    -log_probabilities.sum()
}

/// The operation as burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait CrossEntropyOps: Backend {
    /// See [`linear_cross_entropy`].
    fn linear_cross_entropy(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: Arc<[Target]>,
    ) -> FloatTensor<Self>;
}

impl CrossEntropyOps for Flex {
    fn linear_cross_entropy(hidden: FlexTensor, head: FlexTensor, targets: Arc<[Target]>) -> FlexTensor {
        let (loss, _) = forward(&contiguous(&hidden), &contiguous(&head), &targets, Wanted::Loss);
        tensor(vec![loss], [1])
    }
}

/// What is wanted besides the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Loss,
    HiddenGradient,
    BothGradients,
}

/// The gradients for an output gradient of one; the second is empty unless it is wanted.
#[derive(Debug, Clone)]
struct HeadGradients {
    hidden: FlexTensor,
    head: Option<FlexTensor>,
}

fn forward(hidden: &FlexTensor, head: &FlexTensor, targets: &[Target], wanted: Wanted) -> (f32, HeadGradients) {
    let ([tokens, width], [vocab, _]) = (dimensions(hidden), dimensions(head));
    let numbers = slice(hidden);
    let head = Matrix::new(slice(head), vocab, width);
    let mut dhidden = vec![0.0; if wanted == Wanted::Loss { 0 } else { tokens * width }];
    let mut dhead = vec![0.0; if wanted == Wanted::BothGradients { vocab * width } else { 0 }];
    let mut loss = 0.0_f64;
    let per_chunk = (LOGITS_PER_CHUNK / vocab).clamp(32, 512);
    let mut logits = Vec::new();
    for targets in targets.chunks(per_chunk) {
        let rows: Vec<f32> =
            targets.iter().flat_map(|target| &numbers[target.token * width..][..width]).copied().collect();
        let rows = Matrix::new(&rows, targets.len(), width);
        logits.resize(targets.len() * vocab, 0.0);
        multiply(&mut logits, rows, head.transposed(), 1.0, Into::Replace, Threads::All);
        let losses: Vec<f32> = logits
            .par_chunks_mut(vocab)
            .zip(targets)
            .map(|(logits, target)| cross_entropy(logits, target.label))
            .collect();
        loss += losses.into_iter().map(f64::from).sum::<f64>();
        let dlogits = Matrix::new(&logits, targets.len(), vocab);
        if wanted != Wanted::Loss {
            let mut drows = vec![0.0; targets.len() * width];
            multiply(&mut drows, dlogits, head, 1.0, Into::Replace, Threads::All);
            for (target, drow) in targets.iter().zip(drows.chunks_exact(width)) {
                let out = &mut dhidden[target.token * width..][..width];
                out.iter_mut().zip(drow).for_each(|(sum, number)| *sum += number);
            }
        }
        if wanted == Wanted::BothGradients {
            multiply(&mut dhead, dlogits.transposed(), rows, 1.0, Into::Add, Threads::All);
        }
    }
    let hidden = tensor(dhidden, if wanted == Wanted::Loss { [0, width] } else { [tokens, width] });
    let head = (wanted == Wanted::BothGradients).then(|| tensor(dhead, [vocab, width]));
    #[expect(clippy::cast_possible_truncation, reason = "tensors are f32")]
    let loss = loss as f32;
    (loss, HeadGradients { hidden, head })
}

#[derive(Debug)]
struct CrossEntropyBackward;

impl Backward<Flex, 2> for CrossEntropyBackward {
    type State = HeadGradients;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let factor = slice(&contiguous(&grads.consume::<Flex>(&ops.node)))[0];
        let scaled = |gradient: FlexTensor| {
            if factor.to_bits() == 1.0_f32.to_bits() {
                gradient
            } else {
                Flex::float_mul_scalar(gradient, factor.into())
            }
        };
        let [hidden_node, head_node] = ops.parents;
        if let Some(node) = hidden_node {
            grads.register::<Flex>(node.id, scaled(ops.state.hidden));
        }
        if let (Some(node), Some(gradient)) = (head_node, ops.state.head) {
            grads.register::<Flex>(node.id, scaled(gradient));
        }
    }
}

impl<C: CheckpointStrategy> CrossEntropyOps for Autodiff<Flex, C> {
    fn linear_cross_entropy(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: Arc<[Target]>,
    ) -> FloatTensor<Self> {
        let nodes = [hidden.node(), head.node()];
        let wanted = if Self::float_is_require_grad(&head) { Wanted::BothGradients } else { Wanted::HiddenGradient };
        let (hidden, head) = (contiguous(hidden.primitive()), contiguous(head.primitive()));
        match CrossEntropyBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (loss, gradients) = forward(&hidden, &head, &targets, wanted);
                prep.finish(gradients, tensor(vec![loss], [1]))
            }
            OpsKind::UnTracked(prep) => {
                let (loss, _) = forward(&hidden, &head, &targets, Wanted::Loss);
                prep.finish(tensor(vec![loss], [1]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{matrix, same_gradients};
    use super::*;

    #[test]
    fn values_and_gradients_agree_with_the_plain_form() {
        let inputs = [matrix([90, 24], 1), matrix([77, 24], 2)];
        let targets: Arc<[Target]> = (0..60).map(|index| Target { token: index + 10, label: index * 7 % 77 }).collect();
        let fused = |[hidden, head]: [Tensor<2>; 2], []: [Tensor<1>; 0]| {
            linear_cross_entropy(hidden, head, targets.clone()).unsqueeze()
        };
        same_gradients(inputs, [], 1e-5, fused, |[hidden, head], []| plain(hidden, head, &targets).unsqueeze());
    }
}
