//! Where a model being built gets its tensors from: the weight files of a folder, or the random number generator.
//!
//! A model's constructor asks for each tensor by name and shape, so the constructor is the only place that knows which
//! tensors an architecture has.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::{WeightFiles, WeightMatrix};
use crate::model::error::ModelError;
use crate::model::quantised::{PackedMatrix, Precision};
use crate::model::random::{Purpose, Stream};

/// Gives a model its tensors.
pub(crate) trait WeightSource {
    /// The weight of a projection, which may be rounded on loading.
    ///
    /// # Shapes
    /// `[out, in]`.
    fn projection(&mut self, name: &str, shape: [usize; 2]) -> Result<WeightMatrix, ModelError>;

    /// A matrix with a row for each token id, the embedding or the output head, which is never rounded.
    ///
    /// # Shapes
    /// `[vocab, d_model]`.
    fn vocabulary(&mut self, name: &str, shape: [usize; 2]) -> Result<WeightMatrix, ModelError>;

    /// The gain of a norm.
    ///
    /// # Shapes
    /// `[width]`, f32.
    fn gain(&mut self, name: &str, width: usize) -> Result<Tensor<1>, ModelError>;

    /// The bias of a projection.
    ///
    /// # Shapes
    /// `[width]`, f32.
    fn bias(&mut self, name: &str, width: usize) -> Result<Tensor<1>, ModelError>;
}

/// Tensors from weight files; remembers which were taken.
pub(crate) struct FileSource<'a> {
    files: &'a WeightFiles,
    device: &'a Device,
    precision: Precision,
    /// Whether only names and shapes are looked at; then every tensor is empty.
    checks_only: bool,
    taken: BTreeSet<String>,
}

impl<'a> FileSource<'a> {
    /// Tensors in f32, but matrices as `precision` says.
    pub(crate) fn new(files: &'a WeightFiles, device: &'a Device, precision: Precision) -> Self {
        Self { files, device, precision, checks_only: false, taken: BTreeSet::new() }
    }

    /// Looks whether every tensor is there with the right shape and reads none: a model that is built from it is good for
    /// nothing else.
    pub(crate) fn checking(files: &'a WeightFiles, device: &'a Device) -> Self {
        Self { checks_only: true, ..Self::new(files, device, Precision::Full) }
    }

    /// A tensor in f32.
    ///
    /// # Errors
    /// It is missing or has another shape.
    pub(crate) fn dense<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Result<Tensor<D>, ModelError> {
        let view = self.files.expect(name, &shape)?;
        self.taken.insert(name.to_owned());
        if self.checks_only {
            return Ok(Tensor::empty([0; D], self.device));
        }
        let numbers = view.to_f32();
        self.files.release(name);
        Ok(Tensor::from_data(TensorData::new(numbers, shape), self.device))
    }

    fn matrix(&mut self, name: &str, shape: [usize; 2], precision: Precision) -> Result<WeightMatrix, ModelError> {
        let Some(packed) = PackedMatrix::new(self.files.expect(name, &shape)?, precision) else {
            return self.dense(name, shape).map(WeightMatrix::Dense);
        };
        self.taken.insert(name.to_owned());
        self.files.release(name);
        Ok(WeightMatrix::Packed(packed))
    }

    /// Checks that nothing is left but `ignored`.
    ///
    /// # Errors
    /// A tensor was not asked for: the files belong to another architecture.
    pub(crate) fn finish(self, ignored: impl Fn(&str) -> bool) -> Result<(), ModelError> {
        match self.files.iter().find(|view| !self.taken.contains(view.name) && !ignored(view.name)) {
            None => Ok(()),
            Some(view) => Err(ModelError::UnexpectedTensor {
                tensor: view.name.to_owned(),
                found: view.shape.to_vec(),
                path: self.files.path().to_path_buf(),
            }),
        }
    }
}

impl WeightSource for FileSource<'_> {
    fn projection(&mut self, name: &str, shape: [usize; 2]) -> Result<WeightMatrix, ModelError> {
        self.matrix(name, shape, self.precision)
    }

    fn vocabulary(&mut self, name: &str, shape: [usize; 2]) -> Result<WeightMatrix, ModelError> {
        // bitsandbytes leaves embedding and head alone too, as they decide the most.
        let precision = if self.precision.rounds() { Precision::AsStored } else { self.precision };
        self.matrix(name, shape, precision)
    }

    fn gain(&mut self, name: &str, width: usize) -> Result<Tensor<1>, ModelError> {
        self.dense(name, [width])
    }

    fn bias(&mut self, name: &str, width: usize) -> Result<Tensor<1>, ModelError> {
        self.dense(name, [width])
    }
}

/// Fresh tensors as transformers draws them: matrices normal(0, `deviation`), gains one, biases zero.
pub(crate) struct RandomSource<'a> {
    device: &'a Device,
    seed: u64,
    deviation: f64,
    drawn: u32,
}

impl<'a> RandomSource<'a> {
    pub(crate) const fn new(seed: u64, deviation: f64, device: &'a Device) -> Self {
        Self { device, seed, deviation, drawn: 0 }
    }

    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    fn matrix(&mut self, shape: [usize; 2]) -> WeightMatrix {
        let stream = Stream::new(self.seed, Purpose::Init, self.drawn);
        self.drawn += 1;
        let mut numbers = vec![0.0_f32; shape[0] * shape[1]];
        numbers.par_chunks_mut(4).enumerate().for_each(|(block, chunk)| {
            for (number, normal) in chunk.iter_mut().zip(stream.normals(block as u64)) {
                *number = (f64::from(normal) * self.deviation) as f32;
            }
        });
        WeightMatrix::Dense(Tensor::from_data(TensorData::new(numbers, shape), self.device))
    }
}

impl WeightSource for RandomSource<'_> {
    fn projection(&mut self, _name: &str, shape: [usize; 2]) -> Result<WeightMatrix, ModelError> {
        Ok(self.matrix(shape))
    }

    fn vocabulary(&mut self, _name: &str, shape: [usize; 2]) -> Result<WeightMatrix, ModelError> {
        Ok(self.matrix(shape))
    }

    fn gain(&mut self, _name: &str, width: usize) -> Result<Tensor<1>, ModelError> {
        Ok(Tensor::from_data(TensorData::new(vec![1.0_f32; width], [width]), self.device))
    }

    fn bias(&mut self, _name: &str, width: usize) -> Result<Tensor<1>, ModelError> {
        Ok(Tensor::from_data(TensorData::new(vec![0.0_f32; width], [width]), self.device))
    }
}
