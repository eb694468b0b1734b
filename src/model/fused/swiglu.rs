//! SwiGLU: y = silu(gate) * up with silu(g) = g sigmoid(g). Shazeer, "GLU variants improve transformer" (2020).

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, activation};
use rayon::prelude::*;

use super::buffer::{contiguous, dimensions, has_kernels, slice, tensor};
use super::simd::{sigmoid, vectorised};

/// Numbers one task works on.
const PER_TASK: usize = 1 << 14;

/// The gated product of two projections.
///
/// # Shapes
/// gate and up `[tokens, d_ff]`, f32 -> `[tokens, d_ff]`.
pub(crate) fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    if !has_kernels(&gate) {
        return plain(gate, up);
    }
    Tensor::from_dispatch(Dispatch::swiglu(gate.into_dispatch(), up.into_dispatch()))
}

fn plain(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    activation::silu(gate) * up
}

/// The operation as burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait SwigluOps: Backend {
    /// See [`swiglu`].
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl SwigluOps for Flex {
    fn swiglu(gate: FlexTensor, up: FlexTensor) -> FlexTensor {
        forward(&contiguous(&gate), &contiguous(&up))
    }
}

fn forward(gate: &FlexTensor, up: &FlexTensor) -> FlexTensor {
    let shape = dimensions(gate);
    let mut y = vec![0.0; shape[0] * shape[1]];
    y.par_chunks_mut(PER_TASK)
        .zip(slice(gate).par_chunks(PER_TASK))
        .zip(slice(up).par_chunks(PER_TASK))
        .for_each(|((y, gate), up)| gated(y, gate, up));
    tensor(y, shape)
}

vectorised! {
    fn gated(y: &mut [f32], gate: &[f32], up: &[f32]) {
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            *y = gate * sigmoid(*gate) * up;
        }
    }
}

vectorised! {
    /// dgate = dy up s (1 + gate (1 - s)) and dup = dy gate s, with s = sigmoid(gate).
    fn backward_numbers(dgate: &mut [f32], dup: &mut [f32], dy: &[f32], gate: &[f32], up: &[f32]) {
        let gradients = dgate.iter_mut().zip(dup);
        for (((dgate, dup), dy), (gate, up)) in gradients.zip(dy).zip(gate.iter().zip(up)) {
            let s = sigmoid(*gate);
            *dgate = dy * up * s * (1.0 + gate * (1.0 - s));
            *dup = dy * gate * s;
        }
    }
}

#[derive(Debug)]
struct SwigluBackward;

impl Backward<Flex, 2> for SwigluBackward {
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let (gate, up) = ops.state;
        let shape = dimensions(&gate);
        let mut dgate = vec![0.0; shape[0] * shape[1]];
        let mut dup = vec![0.0; shape[0] * shape[1]];
        dgate
            .par_chunks_mut(PER_TASK)
            .zip(dup.par_chunks_mut(PER_TASK))
            .zip(slice(&dy).par_chunks(PER_TASK))
            .zip(slice(&gate).par_chunks(PER_TASK).zip(slice(&up).par_chunks(PER_TASK)))
            .for_each(|(((dgate, dup), dy), (gate, up))| backward_numbers(dgate, dup, dy, gate, up));
        for (node, gradient) in ops.parents.into_iter().zip([dgate, dup]) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, tensor(gradient, shape));
            }
        }
    }
}

impl<C: CheckpointStrategy> SwigluOps for Autodiff<Flex, C> {
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [gate.node(), up.node()];
        let (gate, up) = (contiguous(gate.primitive()), contiguous(up.primitive()));
        let y = forward(&gate, &up);
        match SwigluBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((gate, up), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{matrix, same_gradients};
    use super::*;

    #[test]
    fn values_and_gradients_agree_with_the_plain_form() {
        let inputs = [matrix([67, 530], 1), matrix([67, 530], 2)];
        same_gradients(inputs, [], 1e-5, |[gate, up], []| swiglu(gate, up), |[gate, up], []| plain(gate, up));
    }
}
