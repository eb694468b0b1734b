//! A weight matrix of a model: numbers in f32 that can be trained, or a packed one that is frozen.

use burn::tensor::{Device, Tensor, TensorData};

use crate::model::layers::WeightVisitor;
use crate::model::quantised::PackedMatrix;

/// A matrix `[out, in]`. A clone shares the numbers.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there are some hundred in a model, and the large one is the usual one")]
pub(crate) enum WeightMatrix {
    /// In f32.
    Dense(Tensor<2>),
    /// In fewer bits; frozen, so no visitor sees it.
    Packed(PackedMatrix),
}

impl WeightMatrix {
    /// `[out, in]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        match self {
            Self::Dense(weight) => weight.dims(),
            Self::Packed(weight) => weight.shape(),
        }
    }

    /// Bytes in memory.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::Dense(weight) => size_of::<f32>() * weight.shape().num_elements(),
            Self::Packed(weight) => weight.size_bytes(),
        }
    }

    /// The matrix in f32, on `device`; of a packed one a copy that lives as long as its use.
    pub(crate) fn dense(&self, device: &Device) -> Tensor<2> {
        match self {
            Self::Dense(weight) => weight.clone(),
            Self::Packed(weight) => Tensor::from_data(TensorData::new(weight.to_f32(), weight.shape()), device),
        }
    }

    /// Some of the rows, on `device`.
    ///
    /// # Shapes
    /// `[n]` row numbers -> `[n, in]` f32.
    pub(crate) fn rows(&self, rows: &[u32], device: &Device) -> Tensor<2> {
        match self {
            Self::Dense(weight) => {
                let ids: Vec<i64> = rows.iter().copied().map(i64::from).collect();
                weight.clone().select(0, Tensor::from_data(TensorData::new(ids, [rows.len()]), device))
            }
            Self::Packed(weight) => {
                let width = weight.shape()[1];
                let mut numbers = vec![0.0; rows.len() * width];
                for (row, out) in rows.iter().zip(numbers.chunks_exact_mut(width)) {
                    weight.decode_row(*row as usize, out);
                }
                Tensor::from_data(TensorData::new(numbers, [rows.len(), width]), device)
            }
        }
    }

    /// Shows the matrix to `visitor` if it can be trained.
    pub(crate) fn visit(&mut self, name: &str, visitor: &mut impl WeightVisitor) {
        if let Self::Dense(weight) = self {
            visitor.visit(name, weight);
        }
    }
}
