//! A frozen linear layer with a low-rank adapter: y = x W^T + s (dropout(x) A^T) B^T.
//!
//! Hu et al., "LoRA" (2021), as PEFT computes it: dropout on the adapter's input only. W + s B A is never formed, so no
//! dense dW exists. The dropout mask is a pure function of the random stream, made again in the backward pass instead
//! of being kept.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::buffer::{contiguous, dimensions, has_kernels, slice, tensor};
use super::linear::Weight;
use super::matrix::{Into, Matrix, Threads, multiply};
use crate::model::quantised::PackedMatrix;
use crate::model::random::Stream;
use crate::model::weights::WeightMatrix;

/// Numbers one task masks; a multiple of the eight that share a block of the random stream.
const PER_TASK: usize = 1 << 13;

/// Which numbers of an adapter's input are dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dropout {
    /// A number is dropped when its 16 random bits are below this: the probability times 2^16.
    threshold: u16,
    stream: Stream,
    /// The first block of the stream that belongs to this layer.
    first_block: u64,
}

impl Dropout {
    /// Dropout with `probability` for the layer numbered `layer`; `None` when nothing would be dropped.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a probability below 1 times 2^16")]
    pub(crate) fn new(probability: f64, stream: Stream, layer: u32) -> Option<Self> {
        let threshold = (probability * 65_536.0).round() as u16;
        (threshold > 0).then_some(Self { threshold, stream, first_block: u64::from(layer) << 40 })
    }

    /// What a kept number is multiplied by.
    fn factor(self) -> f32 {
        65_536.0 / (65_536.0 - f32::from(self.threshold))
    }

    /// out = dropout(x), or out += dropout(x).
    fn apply(self, out: &mut [f32], x: &[f32], into: Into) {
        let factor = self.factor();
        out.par_chunks_mut(PER_TASK).zip(x.par_chunks(PER_TASK)).enumerate().for_each(|(task, (out, x))| {
            for (index, (out, x)) in out.chunks_mut(8).zip(x.chunks(8)).enumerate() {
                let words = self.stream.words(self.first_block + (task * (PER_TASK / 8) + index) as u64);
                for (lane, (out, x)) in out.iter_mut().zip(x).enumerate() {
                    let bits = words[lane / 2] >> (16 * (lane % 2)) & 0xffff;
                    let kept = if bits < u32::from(self.threshold) { 0.0 } else { *x * factor };
                    *out = if into == Into::Add { *out + kept } else { kept };
                }
            }
        });
    }
}

/// How an adapter is applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LoraSettings {
    /// s: alpha / rank, or alpha / sqrt(rank).
    pub(crate) scale: f32,
    /// Dropout on the adapter's input; `None` outside training.
    pub(crate) dropout: Option<Dropout>,
}

/// Applies a frozen weight and its adapter to each row of `x`.
///
/// # Shapes
/// x `[tokens, in]`, weight `[out, in]`, a `[rank, in]`, b `[out, rank]`, f32 -> `[tokens, out]`.
pub(crate) fn lora_linear(
    x: Tensor<2>,
    weight: &WeightMatrix,
    a: Tensor<2>,
    b: Tensor<2>,
    settings: LoraSettings,
) -> Tensor<2> {
    if !has_kernels(&x) {
        let weight = weight.dense(&x.device());
        return plain(x, weight, a, b, settings);
    }
    let [x, a, b] = [x, a, b].map(Tensor::into_dispatch);
    Tensor::from_dispatch(match weight {
        WeightMatrix::Dense(weight) => Dispatch::lora_linear(x, weight.clone().into_dispatch(), a, b, settings),
        WeightMatrix::Packed(weight) => Dispatch::packed_lora_linear(x, weight.clone(), a, b, settings),
    })
}

fn plain(x: Tensor<2>, weight: Tensor<2>, a: Tensor<2>, b: Tensor<2>, settings: LoraSettings) -> Tensor<2> {
    let y = x.clone().matmul(weight.transpose());
    let x = match settings.dropout {
        None => x,
        Some(dropout) => {
            let [tokens, width] = x.dims();
            let mut mask = vec![0.0; tokens * width];
            dropout.apply(&mut mask, &vec![1.0; tokens * width], Into::Replace);
            x.clone() * Tensor::from_data(TensorData::new(mask, [tokens, width]), &x.device())
        }
    };
    y + x.matmul(a.transpose()).matmul(b.transpose()) * settings.scale
}

/// The operation as burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait LoraOps: Backend {
    /// See [`lora_linear`].
    fn lora_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        settings: LoraSettings,
    ) -> FloatTensor<Self>;

    /// The same with a packed weight.
    fn packed_lora_linear(
        x: FloatTensor<Self>,
        weight: PackedMatrix,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        settings: LoraSettings,
    ) -> FloatTensor<Self>;
}

impl LoraOps for Flex {
    fn lora_linear(
        x: FlexTensor,
        weight: FlexTensor,
        a: FlexTensor,
        b: FlexTensor,
        settings: LoraSettings,
    ) -> FlexTensor {
        let [x, weight, a, b] = [x, weight, a, b].each_ref().map(contiguous);
        forward(&LoraState { x, weight: Weight::Dense(weight), a, b, settings }).1
    }

    fn packed_lora_linear(
        x: FlexTensor,
        weight: PackedMatrix,
        a: FlexTensor,
        b: FlexTensor,
        settings: LoraSettings,
    ) -> FlexTensor {
        let [x, a, b] = [x, a, b].each_ref().map(contiguous);
        forward(&LoraState { x, weight: Weight::Packed(weight), a, b, settings }).1
    }
}

/// What the backward pass needs; the weight is frozen, so it is no parent of the operation.
#[derive(Debug, Clone)]
struct LoraState {
    x: FlexTensor,
    weight: Weight,
    a: FlexTensor,
    b: FlexTensor,
    settings: LoraSettings,
}

impl LoraState {
    /// tokens, in, out, rank.
    fn sizes(&self) -> [usize; 4] {
        let ([tokens, width_in], [width_out, rank]) = (dimensions(&self.x), dimensions(&self.b));
        [tokens, width_in, width_out, rank]
    }

    fn a(&self) -> Matrix<'_> {
        let [_, width_in, _, rank] = self.sizes();
        Matrix::new(slice(&self.a), rank, width_in)
    }

    fn b(&self) -> Matrix<'_> {
        let [_, _, width_out, rank] = self.sizes();
        Matrix::new(slice(&self.b), width_out, rank)
    }

    /// dropout(x), which is x itself when nothing is dropped.
    fn dropped(&self) -> std::borrow::Cow<'_, [f32]> {
        let x = slice(&self.x);
        match self.settings.dropout {
            None => x.into(),
            Some(dropout) => {
                let mut dropped = vec![0.0; x.len()];
                dropout.apply(&mut dropped, x, Into::Replace);
                dropped.into()
            }
        }
    }
}

/// (dropout(x) A^T, y).
fn forward(state: &LoraState) -> (Vec<f32>, FlexTensor) {
    let [tokens, width_in, width_out, rank] = state.sizes();
    let mut y = state.weight.product(&state.x);
    let mut down = vec![0.0; tokens * rank];
    let dropped = state.dropped();
    let dropped = Matrix::new(&dropped, tokens, width_in);
    multiply(&mut down, dropped, state.a().transposed(), 1.0, Into::Replace, Threads::All);
    let up = Matrix::new(&down, tokens, rank);
    multiply(&mut y, up, state.b().transposed(), state.settings.scale, Into::Add, Threads::All);
    (down, tensor(y, [tokens, width_out]))
}

#[derive(Debug)]
struct LoraBackward;

impl Backward<Flex, 3> for LoraBackward {
    type State = (LoraState, Vec<f32>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let (state, down) = ops.state;
        let [tokens, width_in, width_out, rank] = state.sizes();
        let dy_matrix = Matrix::new(slice(&dy), tokens, width_out);
        let scale = state.settings.scale;
        let [x_node, a_node, b_node] = ops.parents;
        if let Some(node) = b_node {
            let mut b_gradient = vec![0.0; width_out * rank];
            let down = Matrix::new(&down, tokens, rank);
            multiply(&mut b_gradient, dy_matrix.transposed(), down, scale, Into::Replace, Threads::All);
            grads.register::<Flex>(node.id, tensor(b_gradient, [width_out, rank]));
        }
        let mut rank_gradient = vec![0.0; tokens * rank];
        multiply(&mut rank_gradient, dy_matrix, state.b(), scale, Into::Replace, Threads::All);
        let rank_gradient = Matrix::new(&rank_gradient, tokens, rank);
        if let Some(node) = a_node {
            let mut a_gradient = vec![0.0; rank * width_in];
            let dropped = state.dropped();
            let dropped = Matrix::new(&dropped, tokens, width_in);
            multiply(&mut a_gradient, rank_gradient.transposed(), dropped, 1.0, Into::Replace, Threads::All);
            grads.register::<Flex>(node.id, tensor(a_gradient, [rank, width_in]));
        }
        if let Some(node) = x_node {
            let dx = backward_input(&state, &dy, rank_gradient);
            grads.register::<Flex>(node.id, tensor(dx, [tokens, width_in]));
        }
    }
}

/// dx = dy W + dropout(rank_gradient A).
fn backward_input(state: &LoraState, dy: &FlexTensor, rank_gradient: Matrix) -> Vec<f32> {
    let mut dx = state.weight.backward_input(dy);
    match state.settings.dropout {
        None => multiply(&mut dx, rank_gradient, state.a(), 1.0, Into::Add, Threads::All),
        Some(dropout) => {
            let mut through_adapter = vec![0.0; dx.len()];
            multiply(&mut through_adapter, rank_gradient, state.a(), 1.0, Into::Replace, Threads::All);
            dropout.apply(&mut dx, &through_adapter, Into::Add);
        }
    }
    dx
}

impl<C: CheckpointStrategy> LoraOps for Autodiff<Flex, C> {
    fn lora_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        settings: LoraSettings,
    ) -> FloatTensor<Self> {
        let weight = Weight::Dense(contiguous(weight.primitive()));
        tracked::<C>(&[x, a, b], weight, settings)
    }

    fn packed_lora_linear(
        x: FloatTensor<Self>,
        weight: PackedMatrix,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        settings: LoraSettings,
    ) -> FloatTensor<Self> {
        tracked::<C>(&[x, a, b], Weight::Packed(weight), settings)
    }
}

/// The forward pass, with what the backward pass needs put by.
fn tracked<C: CheckpointStrategy>(
    inputs: &[FloatTensor<Autodiff<Flex, C>>; 3],
    weight: Weight,
    settings: LoraSettings,
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = inputs.each_ref().map(FloatTensor::<Autodiff<Flex, C>>::node);
    let [x, a, b] = inputs.each_ref().map(|input| contiguous(input.primitive()));
    let state = LoraState { x, weight, a, b, settings };
    let (down, y) = forward(&state);
    match LoraBackward.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish((state, down), y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{matrix, same_gradients};
    use super::*;
    use crate::model::fused::buffer::numbers;
    use crate::model::fused::linear::linear;
    use crate::model::quantised::Precision;
    use crate::model::random::Purpose;
    use crate::model::weights::{FloatFormat, StoredFormat, Twist, WeightView};

    fn check(dropout: Option<Dropout>) {
        let settings = LoraSettings { scale: 1.5, dropout };
        let weight = Tensor::from_data(matrix([40, 24], 9), &burn::tensor::Device::flex().autodiff());
        let inputs = [matrix([90, 24], 1), matrix([4, 24], 2), matrix([40, 4], 3)];
        let matrix = WeightMatrix::Dense(weight.clone());
        let fused = |[x, a, b]: [Tensor<2>; 3], []: [Tensor<1>; 0]| lora_linear(x, &matrix, a, b, settings);
        same_gradients(inputs, [], 1e-5, fused, |[x, a, b], []| plain(x, weight.clone(), a, b, settings));
    }

    #[test]
    fn values_and_gradients_agree_with_the_plain_form() {
        check(None);
        check(Dropout::new(0.3, Stream::new(1, Purpose::Dropout, 0), 2));
    }

    #[test]
    fn a_packed_weight_gives_the_bits_of_the_same_numbers_in_f32() {
        let settings = LoraSettings { scale: 1.5, dropout: None };
        for tokens in [1, 5, 90] {
            for rows in [40, 33] {
                let (packed, dense) = packed([rows, 64]);
                let run = |weight: &WeightMatrix| {
                    let device = burn::tensor::Device::flex().autodiff();
                    let from = |shape, seed| Tensor::<2>::from_data(matrix(shape, seed), &device).require_grad();
                    let [x, a, b] = [from([tokens, 64], 1), from([4, 64], 2), from([rows, 4], 3)];
                    let y = lora_linear(x.clone(), weight, a.clone(), b.clone(), settings) + linear(x.clone(), weight);
                    let gradients = y.clone().powi_scalar(2).sum().backward();
                    let grads = [x, a, b].map(|tensor| numbers(tensor.grad(&gradients).expect("it is on the path")));
                    (numbers(y), grads)
                };
                assert_eq!(run(&packed), run(&dense), "{tokens} tokens, {rows} rows");
            }
        }
    }

    /// A matrix of half-precision numbers as a file has them, and in f32.
    fn packed(shape: [usize; 2]) -> (WeightMatrix, WeightMatrix) {
        let halves = FloatFormat::F16.encode(&matrix(shape, 9).try_into_vec::<f32>().expect("it is in f32"));
        let view = WeightView {
            name: "weight",
            format: StoredFormat::Float(FloatFormat::F16),
            twist: Twist::None,
            shape: &shape,
            bytes: &halves,
        };
        let dense = Tensor::from_data(TensorData::new(view.to_f32(), shape), &burn::tensor::Device::flex().autodiff());
        let packed = PackedMatrix::new(view, Precision::AsStored).expect("it is not in f32");
        (WeightMatrix::Packed(packed), WeightMatrix::Dense(dense))
    }

    #[test]
    fn dropout_keeps_the_mean_and_the_stated_share() {
        let dropout = Dropout::new(0.25, Stream::new(1, Purpose::Dropout, 0), 2).expect("a probability above 0");
        let mut out = vec![0.0; 100_000];
        dropout.apply(&mut out, &vec![1.0; 100_000], Into::Replace);
        let kept = out.iter().filter(|number| **number > 0.0).count();
        assert!((74_000..76_000).contains(&kept), "{kept} of 100000 are kept");
        assert!(out.iter().all(|number| *number == 0.0 || (number - 4.0 / 3.0).abs() < 1e-6));
    }
}
