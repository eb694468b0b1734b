//! What the tests of the fused operations share: random inputs, and a comparison of values and gradients.

use burn::tensor::{Device, Tensor, TensorData};

use crate::model::random::{Purpose, Stream};

fn normals(count: usize, seed: u64) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Init, 0);
    (0..).flat_map(|block| stream.normals(block)).take(count).collect()
}

/// A matrix of standard normal numbers.
pub(super) fn matrix(shape: [usize; 2], seed: u64) -> TensorData {
    TensorData::new(normals(shape[0] * shape[1], seed), shape)
}

/// A vector of standard normal numbers.
pub(super) fn vector(width: usize, seed: u64) -> TensorData {
    TensorData::new(normals(width, seed), [width])
}

/// Runs both forms on tracked copies of the inputs, weighs their outputs with fixed random numbers to get a scalar, and
/// compares the outputs and every gradient to within `tolerance` of the largest number.
#[expect(clippy::needless_pass_by_value, reason = "callers make their inputs on the spot")]
pub(super) fn same_gradients<const M: usize, const V: usize>(
    matrices: [TensorData; M],
    vectors: [TensorData; V],
    tolerance: f32,
    fused: impl Fn([Tensor<2>; M], [Tensor<1>; V]) -> Tensor<2>,
    plain: impl Fn([Tensor<2>; M], [Tensor<1>; V]) -> Tensor<2>,
) {
    let fused = run(&matrices, &vectors, fused);
    let plain = run(&matrices, &vectors, plain);
    for (index, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
        let scale = plain.iter().fold(1e-6_f32, |largest, number| largest.max(number.abs()));
        let difference =
            fused.iter().zip(plain).fold(0.0_f32, |largest, (left, right)| largest.max((left - right).abs()));
        assert_eq!(fused.len(), plain.len());
        assert!(difference <= tolerance * scale, "output or gradient {index}: differs by {difference} of {scale}");
    }
}

fn run<const M: usize, const V: usize>(
    matrices: &[TensorData; M],
    vectors: &[TensorData; V],
    form: impl Fn([Tensor<2>; M], [Tensor<1>; V]) -> Tensor<2>,
) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let matrices = matrices.each_ref().map(|data| Tensor::<2>::from_data(data.clone(), &device).require_grad());
    let vectors = vectors.each_ref().map(|data| Tensor::<1>::from_data(data.clone(), &device).require_grad());
    let out = form(matrices.clone(), vectors.clone());
    let weights = Tensor::<2>::from_data(matrix(out.dims(), 99), &device);
    let grads = (out.clone() * weights).sum().backward();
    let mut results = vec![numbers(out.inner())];
    results.extend(matrices.iter().map(|tensor| numbers(tensor.grad(&grads).expect("each input has a gradient"))));
    results.extend(vectors.iter().map(|tensor| numbers(tensor.grad(&grads).expect("each input has a gradient"))));
    results
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
