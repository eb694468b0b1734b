//! The gated feed-forward block: down(silu(gate(x)) * up(x)).

use burn::tensor::Tensor;

use super::{Linear, Pass, WeightVisitor};
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::fused::swiglu::swiglu;
use crate::model::weights::WeightSource;

/// SwiGLU.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "the names are those in the weight files")]
pub(crate) struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    /// Takes the three projections below `name` from `source`.
    ///
    /// # Errors
    /// As the source.
    pub(crate) fn new(source: &mut impl WeightSource, name: &str, config: &ModelConfig) -> Result<Self, ModelError> {
        let (outer, inner) = (config.hidden_size, config.intermediate_size);
        let mut projection =
            |part: &str, shape| Linear::new(source, format!("{name}.{part}"), shape, config.family.mlp_bias);
        Ok(Self {
            gate_proj: projection("gate_proj", [inner, outer])?,
            up_proj: projection("up_proj", [inner, outer])?,
            down_proj: projection("down_proj", [outer, inner])?,
        })
    }

    /// # Shapes
    /// `[tokens, d_model]` f32 -> `[tokens, d_model]`.
    pub(crate) fn forward(&self, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        let gate = self.gate_proj.forward(x.clone(), pass); // [tokens, d_ff]
        let up = self.up_proj.forward(x, pass); // [tokens, d_ff]
        self.down_proj.forward(swiglu(gate, up), pass)
    }

    pub(crate) fn projections(&mut self) -> [&mut Linear; 3] {
        [&mut self.gate_proj, &mut self.up_proj, &mut self.down_proj]
    }

    pub(crate) fn visit(&mut self, visitor: &mut impl WeightVisitor) {
        self.projections().into_iter().for_each(|projection| projection.visit(visitor));
    }
}
