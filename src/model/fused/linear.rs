//! The linear layer y = x W^T, with W as the weight files hold it: `[out, in]`.
//!
//! A frozen weight costs nothing in the backward pass: dW exists only when W asks for a gradient. A packed weight is
//! widened where it is used, some rows at a time, forward and backward: y is the same to the last bit where one stretch
//! of rows holds the whole matrix, which it does up to [`STRETCH`] numbers.

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
use super::matrix::{Into, Matrix, Threads, multiply, multiply_into};
use super::simd::{dot, vectorised};
use crate::model::quantised::PackedMatrix;
use crate::model::weights::WeightMatrix;

/// Up to this many rows, reading the weights is the cost, and each weight row is read once for all of them.
const FEW_TOKENS: usize = 8;
/// Multiply-adds one task of [`Weight::product_of_few`] does at least.
const WORK_PER_TASK: usize = 1 << 16;
/// The most numbers of a packed weight that are widened at once: 64 MB.
const STRETCH: usize = 1 << 24;

/// Applies a weight matrix to each row of `x`.
///
/// # Shapes
/// x `[tokens, in]` f32, weight `[out, in]` -> `[tokens, out]`.
pub(crate) fn linear(x: Tensor<2>, weight: &WeightMatrix) -> Tensor<2> {
    if !has_kernels(&x) {
        let weight = weight.dense(&x.device());
        return plain(x, weight);
    }
    Tensor::from_dispatch(match weight {
        WeightMatrix::Dense(weight) => Dispatch::linear(x.into_dispatch(), weight.clone().into_dispatch()),
        WeightMatrix::Packed(weight) => Dispatch::packed_linear(x.into_dispatch(), weight.clone()),
    })
}

fn plain(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    x.matmul(weight.transpose())
}

/// The operation as burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LinearOps: Backend {
    /// See [`linear`].
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The same with a packed weight.
    fn packed_linear(x: FloatTensor<Self>, weight: PackedMatrix) -> FloatTensor<Self>;
}

impl LinearOps for Flex {
    fn linear(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
        Weight::Dense(contiguous(&weight)).apply(&contiguous(&x))
    }

    fn packed_linear(x: FlexTensor, weight: PackedMatrix) -> FlexTensor {
        Weight::Packed(weight).apply(&contiguous(&x))
    }
}

/// A weight as the kernels see it.
#[derive(Debug, Clone)]
pub(super) enum Weight {
    /// In f32, contiguous.
    Dense(FlexTensor),
    Packed(PackedMatrix),
}

impl Weight {
    /// `[out, in]`.
    pub(super) fn shape(&self) -> [usize; 2] {
        match self {
            Self::Dense(weight) => dimensions(weight),
            Self::Packed(weight) => weight.shape(),
        }
    }

    fn apply(&self, x: &FlexTensor) -> FlexTensor {
        tensor(self.product(x), [dimensions(x)[0], self.shape()[0]])
    }

    /// x W^T.
    pub(super) fn product(&self, x: &FlexTensor) -> Vec<f32> {
        let ([tokens, width_in], [width_out, _]) = (dimensions(x), self.shape());
        if tokens <= FEW_TOKENS {
            return self.product_of_few(slice(x), tokens);
        }
        let mut y = vec![0.0; tokens * width_out];
        let x = Matrix::new(slice(x), tokens, width_in);
        self.each_stretch(|first, rows| {
            multiply_into(&mut y, first, width_out, x, rows.transposed());
        });
        y
    }

    /// x W^T for the few tokens of a decoding step: dot products, split between threads by rows of the weight.
    fn product_of_few(&self, x: &[f32], tokens: usize) -> Vec<f32> {
        let [width_out, width_in] = self.shape();
        let rows_per_task = WORK_PER_TASK.div_ceil(width_in * tokens);
        let mut transposed = vec![0.0; width_out * tokens]; // [out, tokens]
        transposed.par_chunks_mut(rows_per_task * tokens).enumerate().for_each(|(task, y)| {
            let first = task * rows_per_task;
            match self {
                Self::Dense(weight) => {
                    let rows = &slice(weight)[first * width_in..][..y.len() / tokens * width_in];
                    dots(y, x, rows, width_in);
                }
                Self::Packed(weight) => {
                    let mut row = vec![0.0; width_in];
                    for (index, y) in y.chunks_exact_mut(tokens).enumerate() {
                        weight.decode_row(first + index, &mut row);
                        dots(y, x, &row, width_in);
                    }
                }
            }
        });
        let mut y = Vec::with_capacity(transposed.len());
        (0..tokens).for_each(|token| y.extend(transposed.iter().skip(token).step_by(tokens)));
        y // [tokens, out]
    }

    /// dx = dy W.
    pub(super) fn backward_input(&self, dy: &FlexTensor) -> Vec<f32> {
        let ([tokens, width_out], [_, width_in]) = (dimensions(dy), self.shape());
        let mut dx = vec![0.0; tokens * width_in];
        let dy = Matrix::new(slice(dy), tokens, width_out);
        self.each_stretch(|first, rows| {
            let into = if first == 0 { Into::Replace } else { Into::Add };
            multiply(&mut dx, dy.columns(first, rows.rows()), rows, 1.0, into, Threads::All);
        });
        dx
    }

    /// Shows the matrix in f32, some whole rows at a time: from which row, and the rows.
    fn each_stretch(&self, mut work: impl FnMut(usize, Matrix)) {
        let [width_out, width_in] = self.shape();
        match self {
            Self::Dense(weight) => work(0, Matrix::new(slice(weight), width_out, width_in)),
            Self::Packed(weight) => {
                let most = (STRETCH / width_in).clamp(1, width_out);
                let mut numbers = vec![0.0; most * width_in];
                for first in (0..width_out).step_by(most) {
                    let rows = most.min(width_out - first);
                    let numbers = &mut numbers[..rows * width_in];
                    weight.decode_rows(first, numbers);
                    work(first, Matrix::new(numbers, rows, width_in));
                }
            }
        }
    }
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
    weight: Weight,
}

impl Backward<Flex, 2> for LinearBackward {
    type State = LinearState;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let LinearState { x, weight } = ops.state;
        let [width_out, width_in] = weight.shape();
        let [x_node, weight_node] = ops.parents;
        if let Some(node) = x_node {
            let dx = weight.backward_input(&dy);
            grads.register::<Flex>(node.id, tensor(dx, [dimensions(&dy)[0], width_in]));
        }
        if let (Some(node), Some(x)) = (weight_node, x) {
            grads.register::<Flex>(node.id, tensor(backward_weight(&dy, &x), [width_out, width_in]));
        }
    }
}

#[derive(Debug)]
struct PackedLinearBackward;

impl Backward<Flex, 1> for PackedLinearBackward {
    type State = PackedMatrix;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let (weight, [x_node]) = (Weight::Packed(ops.state), ops.parents);
        if let Some(node) = x_node {
            let dx = weight.backward_input(&dy);
            grads.register::<Flex>(node.id, tensor(dx, [dimensions(&dy)[0], weight.shape()[1]]));
        }
    }
}

impl<C: CheckpointStrategy> LinearOps for Autodiff<Flex, C> {
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let weight_is_trained = Self::float_is_require_grad(&weight);
        let (x, weight) = (contiguous(x.primitive()), Weight::Dense(contiguous(weight.primitive())));
        let y = weight.apply(&x);
        match LinearBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(LinearState { x: weight_is_trained.then_some(x), weight }, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn packed_linear(x: FloatTensor<Self>, weight: PackedMatrix) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let y = Weight::Packed(weight.clone()).apply(&contiguous(x.primitive()));
        match PackedLinearBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(weight, y),
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
        same_gradients(
            inputs,
            [],
            1e-5,
            |[x, weight], []| linear(x, &WeightMatrix::Dense(weight)),
            |[x, weight], []| plain(x, weight),
        );
    }

    #[test]
    fn values_and_gradients_agree_with_the_plain_form() {
        check(130, [96, 48]);
        check(1, [700, 201]);
        check(5, [700, 201]);
    }
}
