//! RMSNorm: y = x / sqrt(mean(x^2) + eps) * gain. Zhang and Sennrich, "Root mean square layer normalization" (2019).

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::buffer::{contiguous, dimensions, has_kernels, slice, tensor};
use super::simd::{sum_of, vectorised};

/// Rows one task works on; fixed, because the gain's gradient is summed task by task.
const ROWS_PER_TASK: usize = 128;

/// Normalises each row of `x`.
///
/// # Shapes
/// x `[tokens, d_model]`, gain `[d_model]`, both f32 -> `[tokens, d_model]`.
pub(crate) fn rms_norm(x: Tensor<2>, gain: Tensor<1>, eps: f32) -> Tensor<2> {
    if !has_kernels(&x) {
        return plain(x, gain, eps);
    }
    Tensor::from_dispatch(Dispatch::rms_norm(x.into_dispatch(), gain.into_dispatch(), eps))
}

fn plain(x: Tensor<2>, gain: Tensor<1>, eps: f32) -> Tensor<2> {
    let mean_square = x.clone().square().mean_dim(1);
    x / (mean_square + eps).sqrt() * gain.unsqueeze()
}

/// The operation as burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait RmsNormOps: Backend {
    /// See [`rms_norm`].
    fn rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;
}

impl RmsNormOps for Flex {
    fn rms_norm(x: FlexTensor, gain: FlexTensor, eps: f32) -> FlexTensor {
        forward(&contiguous(&x), &contiguous(&gain), eps)
    }
}

fn forward(x: &FlexTensor, gain: &FlexTensor, eps: f32) -> FlexTensor {
    let [tokens, width] = dimensions(x);
    let mut y = vec![0.0; tokens * width];
    let chunk = ROWS_PER_TASK * width;
    y.par_chunks_mut(chunk).zip(slice(x).par_chunks(chunk)).for_each(|(y, x)| normalise(y, x, slice(gain), eps));
    tensor(y, [tokens, width])
}

/// 1 / sqrt(mean(x^2) + eps) of one row.
#[inline(always)]
#[expect(clippy::inline_always, reason = "compiled into both versions of its callers")]
fn inverse_rms(row: &[f32], eps: f32) -> f32 {
    1.0 / (sum_of(row, row, |x, _| x * x) / row.len() as f32 + eps).sqrt()
}

vectorised! {
    fn normalise(y: &mut [f32], x: &[f32], gain: &[f32], eps: f32) {
        for (y, x) in y.chunks_exact_mut(gain.len()).zip(x.chunks_exact(gain.len())) {
            let inverse = inverse_rms(x, eps);
            for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
                *y = x * inverse * gain;
            }
        }
    }
}

vectorised! {
    /// dx = (dy g - xhat mean(dy g xhat)) / rms; dg += dy xhat, if it is wanted.
    fn backward_rows(dx: &mut [f32], dgain: Option<&mut Vec<f32>>, dy: &[f32], x: &[f32], gain: &[f32], eps: f32) {
        let width = gain.len();
        let mut unused = Vec::new();
        let dgain = dgain.unwrap_or(&mut unused);
        for ((dx, dy), x) in dx.chunks_exact_mut(width).zip(dy.chunks_exact(width)).zip(x.chunks_exact(width)) {
            let inverse = inverse_rms(x, eps);
            for ((dx, dy), gain) in dx.iter_mut().zip(dy).zip(gain) {
                *dx = dy * gain;
            }
            let projection = sum_of(dx, x, |dx, x| dx * x) * inverse * inverse / width as f32;
            for (dx, x) in dx.iter_mut().zip(x) {
                *dx = (*dx - x * projection) * inverse;
            }
            for ((dgain, dy), x) in dgain.iter_mut().zip(dy).zip(x) {
                *dgain += dy * x * inverse;
            }
        }
    }
}

#[derive(Debug)]
struct RmsNormBackward;

impl Backward<Flex, 2> for RmsNormBackward {
    type State = (FlexTensor, FlexTensor, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let (x, gain, eps) = ops.state;
        let [tokens, width] = dimensions(&x);
        let wants_gain = ops.parents[1].is_some();
        let mut dx = vec![0.0; tokens * width];
        let chunk = ROWS_PER_TASK * width;
        let partial: Vec<Vec<f32>> = dx
            .par_chunks_mut(chunk)
            .zip(slice(&dy).par_chunks(chunk))
            .zip(slice(&x).par_chunks(chunk))
            .map(|((dx, dy), x)| {
                let mut dgain = vec![0.0; if wants_gain { width } else { 0 }];
                backward_rows(dx, Some(&mut dgain), dy, x, slice(&gain), eps);
                dgain
            })
            .collect();
        let [x_node, gain_node] = ops.parents;
        if let Some(node) = x_node {
            grads.register::<Flex>(node.id, tensor(dx, [tokens, width]));
        }
        if let Some(node) = gain_node {
            let mut dgain = vec![0.0; width];
            for partial in partial {
                dgain.iter_mut().zip(partial).for_each(|(sum, part)| *sum += part);
            }
            grads.register::<Flex>(node.id, tensor(dgain, [width]));
        }
    }
}

impl<C: CheckpointStrategy> RmsNormOps for Autodiff<Flex, C> {
    fn rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        let nodes = [x.node(), gain.node()];
        let (x, gain) = (contiguous(x.primitive()), contiguous(gain.primitive()));
        let y = forward(&x, &gain, eps);
        match RmsNormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, gain, eps), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{matrix, same_gradients, vector};
    use super::*;

    #[test]
    fn values_and_gradients_agree_with_the_plain_form() {
        let (x, gain) = (matrix([301, 48], 1), vector(48, 2));
        same_gradients([x], [gain], 1e-5, |[x], [gain]| rms_norm(x, gain, 1e-5), |[x], [gain]| plain(x, gain, 1e-5));
    }
}
