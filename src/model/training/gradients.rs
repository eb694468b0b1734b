//! Gradients as plain buffers: summed over the micro-batches of a window, measured, scaled.

use burn::tensor::{Gradients, Tensor};
use rayon::prelude::*;

use crate::model::decoder::Decoder;
use crate::model::fused::buffer::numbers;
use crate::model::fused::simd::{sum_of, vectorised};
use crate::model::layers::WeightVisitor;

/// Numbers one task works on; fixed, because partial sums are added task by task.
pub(super) const PER_TASK: usize = 1 << 15;

/// Which weights get gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trained {
    /// All of them.
    Everything,
    /// Those of the adapter.
    Adapter,
}

/// Marks the weights to be trained; the others stay frozen.
pub(super) fn require(model: &mut Decoder, trained: Trained) {
    model.visit(&mut Require(trained));
}

struct Require(Trained);

impl WeightVisitor for Require {
    fn visit<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
        if self.0 == Trained::Everything || name.contains(".lora_") {
            *weight = weight.clone().require_grad();
        }
    }
}

/// How many numbers are trained.
pub(super) fn trainable_parameters(model: &mut Decoder) -> usize {
    struct Count(usize);
    impl WeightVisitor for Count {
        fn visit<const D: usize>(&mut self, _name: &str, weight: &mut Tensor<D>) {
            if weight.is_require_grad() {
                self.0 += weight.shape().num_elements();
            }
        }
    }
    let mut count = Count(0);
    model.visit(&mut count);
    count.0
}

/// The sum of the gradients of a window, one buffer for each trained weight in the order of the model's visit.
#[derive(Debug, Default)]
pub(super) struct GradientSum {
    pub(super) buffers: Vec<Vec<f32>>,
}

impl GradientSum {
    /// Adds the gradients of one part of the window; the order of the calls is part of the result.
    pub(super) fn add(&mut self, part: Vec<Vec<f32>>) {
        if self.buffers.is_empty() {
            self.buffers = part;
            return;
        }
        for (sum, part) in self.buffers.iter_mut().zip(part) {
            sum.par_chunks_mut(PER_TASK).zip(part.par_chunks(PER_TASK)).for_each(|(sum, part)| {
                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            });
        }
    }

    /// Divides by the number of targets, then clips to a global norm; returns the norm before clipping.
    ///
    /// PyTorch's `clip_grad_norm_`: the norm is that of all trained tensors together, and the gradient is multiplied by
    /// min(1, max_norm / (norm + 1e-6)).
    #[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
    pub(super) fn average_and_clip(&mut self, targets: usize, max_norm: f64) -> f64 {
        let squares = |buffer: &Vec<f32>| -> f64 {
            let partial: Vec<f64> = buffer.par_chunks(PER_TASK).map(sum_of_squares).collect();
            partial.into_iter().sum()
        };
        let norm = self.buffers.iter().map(squares).sum::<f64>().sqrt() / targets as f64;
        let clip = if max_norm > 0.0 { (max_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
        let factor = (clip / targets as f64) as f32;
        for buffer in &mut self.buffers {
            buffer.par_chunks_mut(PER_TASK).for_each(|chunk| chunk.iter_mut().for_each(|number| *number *= factor));
        }
        norm
    }
}

vectorised! {
    /// In f32 over short stretches, in f64 over all of them.
    fn sum_of_squares(numbers: &[f32]) -> f64 {
        numbers.chunks(1024).map(|stretch| f64::from(sum_of(stretch, stretch, |left, right| left * right))).sum()
    }
}

/// A copy of `model` with the same numbers but a graph of its own, so that two copies can run backward side by side.
pub(super) fn fork(model: &Decoder) -> Decoder {
    let mut copy = model.clone();
    copy.visit(&mut Detach);
    copy
}

struct Detach;

impl WeightVisitor for Detach {
    fn visit<const D: usize>(&mut self, _name: &str, weight: &mut Tensor<D>) {
        let detached = Tensor::from_inner(weight.clone().inner());
        *weight = if weight.is_require_grad() { detached.require_grad() } else { detached };
    }
}

/// The gradients of the trained weights of `model`, in the order of its visit.
pub(super) fn collect(model: &mut Decoder, gradients: Gradients) -> Vec<Vec<f32>> {
    let mut collector = Collector { gradients, buffers: Vec::new() };
    model.visit(&mut collector);
    collector.buffers
}

struct Collector {
    gradients: Gradients,
    buffers: Vec<Vec<f32>>,
}

impl WeightVisitor for Collector {
    fn visit<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
        if !weight.is_require_grad() {
            return;
        }
        let gradient = weight.grad_remove(&mut self.gradients);
        let gradient = gradient.unwrap_or_else(|| panic!("`{name}` is trained, so the loss depends on it"));
        self.buffers.push(numbers(gradient));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::device::DeviceSpec;
    use crate::model::batch::Batch;
    use crate::model::quantised::Precision;
    use crate::model::training::example::{TrainExample, targets};
    use crate::model::{backend, folder};

    struct Names(Vec<String>);

    impl WeightVisitor for Names {
        fn visit<const D: usize>(&mut self, name: &str, _weight: &mut Tensor<D>) {
            self.0.push(name.to_owned());
        }
    }

    /// The gradients of the mean loss, by weight.
    fn gradients(folder: &Path, examples: &[TrainExample]) -> BTreeMap<String, Vec<f32>> {
        let mut model =
            folder::load(folder, Precision::Full, &backend::open(DeviceSpec::default()).unwrap().autodiff()).unwrap();
        require(&mut model, Trained::Everything);
        let rows = examples.iter().map(|example| example.input_ids.as_slice());
        let batch = Batch::new(rows, model.config().vocab_size).unwrap();
        let targets = targets(examples.iter(), &batch).unwrap();
        let count = targets.len() as f32;
        let hidden = model.hidden_states(&batch.input_ids, &batch.rows, None);
        let loss = model.loss(hidden, Arc::from(targets));
        let mut names = Names(Vec::new());
        model.visit(&mut names);
        let found = collect(&mut model, loss.backward()).into_iter();
        let mean = found.map(|buffer| buffer.into_iter().map(|number| number / count).collect());
        names.0.into_iter().zip(mean).collect()
    }

    fn check(name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/model").join(name);
        let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
        let expected = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let floats = |name: &str| -> Vec<f32> {
            expected.tensor(name).unwrap().data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        };
        let ids: Vec<u32> = {
            let view = expected.tensor("input_ids").unwrap();
            view.data().as_chunks().0.iter().map(|b| u32::try_from(i64::from_le_bytes(*b)).unwrap()).collect()
        };
        // The second row ends where its padding begins.
        let row = |ids: &[u32]| TrainExample { input_ids: ids.to_vec(), loss_mask: vec![true; ids.len()] };
        let found = gradients(&folder, &[row(&ids[..40]), row(&ids[40..70])]);
        let golden = expected.names().into_iter().filter_map(|name| Some((name, name.strip_prefix("grad__")?)));
        let mut compared = 0;
        for (tensor, flat) in golden {
            // The fixture's names have `_` for `.`.
            let weight = found.keys().find(|weight| weight.replace('.', "_") == flat).expect("a weight of that name");
            let (found, golden) = (&found[weight], floats(tensor));
            assert_eq!(found.len(), golden.len(), "{weight}");
            let largest = golden.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
            let apart = found.iter().zip(&golden).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(apart <= 1e-4 * largest.max(1e-3), "{weight}: {apart} apart, the largest is {largest}");
            compared += 1;
        }
        assert!(compared >= 10, "{compared} gradients compared");
    }

    #[test]
    fn full_training_has_the_gradients_of_torch() {
        check("llama");
        check("llama_tied_bias");
        check("llama3_rope");
        check("qwen2");
        check("qwen3");
        check("mistral_sw");
        check("gemma3");
    }
}
