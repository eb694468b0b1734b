//! The linear layer y = x W^T, with W as the weight files hold it: `[out, in]`.
//!
//! A frozen weight costs nothing in the backward pass: dW exists only when W asks for a gradient.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::buffer::{contiguous, dimensions, has_kernels, slice, tensor};
use super::matrix::{Into, Matrix, Threads, multiply};
use super::simd::{dot, vectorised};

/// Up to this many rows, reading the weights is the cost, and each weight row is read once for all of them.
const FEW_TOKENS: usize = 8;
/// Multiply-adds one task of [`product_of_few`] does at least.
const WORK_PER_TASK: usize = 1 << 16;

/// Applies a weight matrix to each row of `x`.
///
/// # Shapes
/// x `[tokens, in]`, weight `[out, in]`, both f32 -> `[tokens, out]`.
pub(crate) fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    if !has_kernels(&x) {
        return plain(x, weight);
    }
    Tensor::from_dispatch(Dispatch::linear(x.into_dispatch(), weight.into_dispatch()))
}

fn plain(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    x.matmul(weight.transpose())
}

/// The operation as burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LinearOps: Backend {
    /// See [`linear`].
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl LinearOps for Flex {
    fn linear(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
        forward(&contiguous(&x), &contiguous(&weight))
    }
}

fn forward(x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
    tensor(product(x, weight), [dimensions(x)[0], dimensions(weight)[0]])
}

/// x W^T.
pub(super) fn product(x: &FlexTensor, weight: &FlexTensor) -> Vec<f32> {
    let ([tokens, width_in], [width_out, _]) = (dimensions(x), dimensions(weight));
    if tokens <= FEW_TOKENS {
        return product_of_few(x, weight);
    }
    let mut y = vec![0.0; tokens * width_out];
    let weight = Matrix::new(slice(weight), width_out, width_in);
    multiply(&mut y, Matrix::new(slice(x), tokens, width_in), weight.transposed(), 1.0, Into::Replace, Threads::All);
    y
}

/// x W^T for the few tokens of a decoding step: dot products, split between threads by rows of the weight.
fn product_of_few(x: &FlexTensor, weight: &FlexTensor) -> Vec<f32> {
    let ([tokens, width_in], [width_out, _]) = (dimensions(x), dimensions(weight));
    let rows_per_task = WORK_PER_TASK.div_ceil(width_in * tokens);
    let mut transposed = vec![0.0; width_out * tokens]; // [out, tokens]
    transposed
        .par_chunks_mut(rows_per_task * tokens)
        .zip(slice(weight).par_chunks(rows_per_task * width_in))
        .for_each(|(y, weight)| dots(y, slice(x), weight, width_in));
    let mut y = Vec::with_capacity(transposed.len());
    (0..tokens).for_each(|token| y.extend(transposed.iter().skip(token).step_by(tokens)));
    y // [tokens, out]
}

vectorised! {
    /// For each row of `weight`, its dot product with each row of `x`.
    fn dots(y: &mut [f32], x: &[f32], weight: &[f32], width: usize) {
        for (y, weight) in y.chunks_exact_mut(x.len() / width).zip(weight.chunks_exact(width)) {
            for (y, x) in y.iter_mut().zip(x.chunks_exact(width)) {
                *y = dot(x, weight);
            }
        }
    }
}

/// dx = dy W.
pub(super) fn backward_input(dy: &FlexTensor, weight: &FlexTensor) -> Vec<f32> {
    let ([tokens, width_out], [_, width_in]) = (dimensions(dy), dimensions(weight));
    let mut dx = vec![0.0; tokens * width_in];
    let weight = Matrix::new(slice(weight), width_out, width_in);
    multiply(&mut dx, Matrix::new(slice(dy), tokens, width_out), weight, 1.0, Into::Replace, Threads::All);
    dx
}

/// dW = dy^T x.
fn backward_weight(dy: &FlexTensor, x: &FlexTensor) -> Vec<f32> {
    let ([tokens, width_out], [_, width_in]) = (dimensions(dy), dimensions(x));
    let mut dweight = vec![0.0; width_out * width_in];
    let dy = Matrix::new(slice(dy), tokens, width_out);
    let x = Matrix::new(slice(x), tokens, width_in);
    multiply(&mut dweight, dy.transposed(), x, 1.0, Into::Replace, Threads::All);
    dweight
}

#[derive(Debug)]
struct LinearBackward;

#[derive(Debug, Clone)]
struct LinearState {
    /// Kept only for the gradient of the weight.
    x: Option<FlexTensor>,
    weight: FlexTensor,
}

impl Backward<Flex, 2> for LinearBackward {
    type State = LinearState;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let LinearState { x, weight } = ops.state;
        let [width_out, width_in] = dimensions(&weight);
        let [x_node, weight_node] = ops.parents;
        if let Some(node) = x_node {
            let dx = backward_input(&dy, &weight);
            grads.register::<Flex>(node.id, tensor(dx, [dimensions(&dy)[0], width_in]));
        }
        if let (Some(node), Some(x)) = (weight_node, x) {
            grads.register::<Flex>(node.id, tensor(backward_weight(&dy, &x), [width_out, width_in]));
        }
    }
}

impl<C: CheckpointStrategy> LinearOps for Autodiff<Flex, C> {
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let weight_is_trained = Self::float_is_require_grad(&weight);
        let (x, weight) = (contiguous(x.primitive()), contiguous(weight.primitive()));
        let y = forward(&x, &weight);
        match LinearBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(LinearState { x: weight_is_trained.then_some(x), weight }, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{matrix, same_gradients};
    use super::*;

    fn check(tokens: usize, shape: [usize; 2]) {
        let inputs = [matrix([tokens, shape[1]], 1), matrix(shape, 2)];
        same_gradients(inputs, [], 1e-5, |[x, weight], []| linear(x, weight), |[x, weight], []| plain(x, weight));
    }

    #[test]
    fn values_and_gradients_agree_with_the_plain_form() {
        check(130, [96, 48]);
        check(1, [700, 201]);
        check(5, [700, 201]);
    }
}
