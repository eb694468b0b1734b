//! AdamW: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), as `torch.optim.AdamW` computes it.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::config::TrainConfig;
use super::gradients::{GradientSum, PER_TASK};
use crate::model::decoder::Decoder;
use crate::model::fused::{buffer, simd::vectorised};
use crate::model::layers::WeightVisitor;

/// The optimiser with its two moments for every trained number.
#[derive(Debug)]
pub(super) struct AdamW {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    updates: i32,
    moments: Vec<Moments>,
}

#[derive(Debug)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// The numbers an update needs, rounded once.
#[derive(Debug, Clone, Copy)]
struct Factors {
    decay: f32,
    beta1: f32,
    beta2: f32,
    /// 1 - beta, rounded from f64: in f32 it would be off by up to 1e-5 of itself.
    rest1: f32,
    rest2: f32,
    root_correction2: f32,
    epsilon: f32,
    step_size: f32,
}

impl AdamW {
    pub(super) const fn new(config: &TrainConfig) -> Self {
        Self {
            beta1: config.adam_beta1,
            beta2: config.adam_beta2,
            epsilon: config.adam_epsilon,
            weight_decay: config.weight_decay,
            updates: 0,
            moments: Vec::new(),
        }
    }

    /// Moves every trained weight of `model` along its gradient.
    pub(super) fn update(&mut self, model: &mut Decoder, gradients: &GradientSum, learning_rate: f64) {
        self.updates += 1;
        if self.moments.is_empty() {
            let zeros = |buffer: &Vec<f32>| Moments { first: vec![0.0; buffer.len()], second: vec![0.0; buffer.len()] };
            self.moments = gradients.buffers.iter().map(zeros).collect();
        }
        let factors = self.factors(learning_rate);
        let parts = self.moments.iter_mut().zip(&gradients.buffers);
        model.visit(&mut Updater { factors, parts });
    }

    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    fn factors(&self, learning_rate: f64) -> Factors {
        let correction1 = 1.0 - self.beta1.powi(self.updates);
        let correction2 = 1.0 - self.beta2.powi(self.updates);
        Factors {
            decay: (1.0 - learning_rate * self.weight_decay) as f32,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            root_correction2: correction2.sqrt() as f32,
            epsilon: self.epsilon as f32,
            step_size: (learning_rate / correction1) as f32,
        }
    }
}

struct Updater<I> {
    factors: Factors,
    parts: I,
}

impl<'a, I: Iterator<Item = (&'a mut Moments, &'a Vec<f32>)>> WeightVisitor for Updater<I> {
    fn visit<const D: usize>(&mut self, _name: &str, weight: &mut Tensor<D>) {
        if !weight.is_require_grad() {
            return;
        }
        let (moments, gradient) = self.parts.next().expect("every trained weight has a gradient");
        let (device, shape) = (weight.device(), weight.dims());
        // Taken out of the model, the weight is the only handle on its buffer, so the buffer is reused.
        let taken = std::mem::replace(weight, Tensor::empty([0; D], &device));
        let mut numbers = buffer::numbers(taken.inner());
        numbers
            .par_chunks_mut(PER_TASK)
            .zip(gradient.par_chunks(PER_TASK))
            .zip(moments.first.par_chunks_mut(PER_TASK).zip(moments.second.par_chunks_mut(PER_TASK)))
            .for_each(|((numbers, gradient), (first, second))| {
                move_along(numbers, gradient, first, second, self.factors);
            });
        *weight = Tensor::from_data(TensorData::new(numbers, shape), &device).require_grad();
    }
}

vectorised! {
    /// p *= 1 - lr wd; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
    /// p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps).
    fn move_along(numbers: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], factors: Factors) {
        let moments = first.iter_mut().zip(second);
        for ((number, gradient), (first, second)) in numbers.iter_mut().zip(gradient).zip(moments) {
            *first = factors.beta1 * *first + factors.rest1 * gradient;
            *second = factors.beta2 * *second + factors.rest2 * gradient * gradient;
            let root = second.sqrt() / factors.root_correction2 + factors.epsilon;
            *number = *number * factors.decay - factors.step_size * *first / root;
        }
    }
}
