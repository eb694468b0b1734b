//! A projection, with its bias if it has one and its adapter if it was given one.

use burn::tensor::Tensor;

use super::{Pass, WeightVisitor};
use crate::model::error::ModelError;
use crate::model::fused::linear::linear;
use crate::model::fused::lora::{Dropout, LoraSettings, lora_linear};
use crate::model::weights::{WeightMatrix, WeightSource};

/// y = x W^T + b, plus the adapter's part.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    name: String,
    weight: WeightMatrix,
    bias: Option<Tensor<1>>,
    lora: Option<Lora>,
}

/// The adapter of one projection: s B A, with dropout on its input while training.
#[derive(Debug, Clone)]
pub(crate) struct Lora {
    /// `[rank, in]`.
    pub(crate) a: Tensor<2>,
    /// `[out, rank]`.
    pub(crate) b: Tensor<2>,
    /// s.
    pub(crate) scale: f32,
    /// The probability of dropout.
    pub(crate) dropout: f64,
    /// The projection's number among those adapted, which keeps their dropout apart.
    pub(crate) index: u32,
}

impl Linear {
    /// Takes `{name}.weight` `[width_out, width_in]` and, if `has_bias`, `{name}.bias` from `source`.
    ///
    /// # Errors
    /// As the source.
    pub(crate) fn new(
        source: &mut impl WeightSource,
        name: String,
        [width_out, width_in]: [usize; 2],
        has_bias: bool,
    ) -> Result<Self, ModelError> {
        let weight = source.projection(&format!("{name}.weight"), [width_out, width_in])?;
        let bias = if has_bias { Some(source.bias(&format!("{name}.bias"), width_out)?) } else { None };
        Ok(Self { name, weight, bias, lora: None })
    }

    /// The name of the module, without `.weight`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `[out, in]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        self.weight.shape()
    }

    /// The weight, `[out, in]`.
    pub(crate) const fn weight(&self) -> &WeightMatrix {
        &self.weight
    }

    /// Puts an adapter on the projection.
    pub(crate) fn adapt(&mut self, lora: Lora) {
        self.lora = Some(lora);
    }

    /// # Shapes
    /// `[tokens, in]` f32 -> `[tokens, out]`.
    pub(crate) fn forward(&self, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        let weight = &self.weight;
        let y = match &self.lora {
            None => linear(x, weight),
            Some(lora) => {
                let dropout = pass.dropout.and_then(|stream| Dropout::new(lora.dropout, stream, lora.index));
                lora_linear(x, weight, lora.a.clone(), lora.b.clone(), LoraSettings { scale: lora.scale, dropout })
            }
        };
        match &self.bias {
            None => y,
            Some(bias) => y + bias.clone().unsqueeze(),
        }
    }

    pub(crate) fn visit(&mut self, visitor: &mut impl WeightVisitor) {
        self.weight.visit(&format!("{}.weight", self.name), visitor);
        if let Some(bias) = &mut self.bias {
            visitor.visit(&format!("{}.bias", self.name), bias);
        }
        if let Some(lora) = &mut self.lora {
            visitor.visit(&format!("base_model.model.{}.lora_A.weight", self.name), &mut lora.a);
            visitor.visit(&format!("base_model.model.{}.lora_B.weight", self.name), &mut lora.b);
        }
    }
}
