//! RMSNorm with its gain.

use burn::tensor::{Device, Tensor};

use super::WeightVisitor;
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::fused::rms_norm::rms_norm;
use crate::model::weights::WeightSource;

/// Normalises each token by the root of its mean square.
#[derive(Debug, Clone)]
pub(crate) struct RmsNorm {
    name: String,
    weight: Tensor<1>,
    eps: f32,
    /// Whether the gain is one more than the weight, as in Gemma.
    adds_one: bool,
}

impl RmsNorm {
    /// Takes `{name}.weight` from `source`.
    ///
    /// # Errors
    /// As the source.
    #[expect(clippy::cast_possible_truncation, reason = "the constant is applied in f32")]
    pub(crate) fn new(
        source: &mut impl WeightSource,
        name: &str,
        width: usize,
        config: &ModelConfig,
    ) -> Result<Self, ModelError> {
        let weight = source.gain(&format!("{name}.weight"), width)?;
        let (eps, adds_one) = (config.rms_norm_eps as f32, config.family.norms_add_one);
        Ok(Self { name: name.to_owned(), weight, eps, adds_one })
    }

    /// # Shapes
    /// `[tokens, d_model]` f32 -> `[tokens, d_model]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gain = if self.adds_one { self.weight.clone() + 1.0 } else { self.weight.clone() };
        rms_norm(x, gain, self.eps)
    }

    /// The device the gain is on.
    pub(crate) fn device(&self) -> Device {
        self.weight.device()
    }

    pub(crate) fn visit(&mut self, visitor: &mut impl WeightVisitor) {
        visitor.visit(&format!("{}.weight", self.name), &mut self.weight);
    }
}
