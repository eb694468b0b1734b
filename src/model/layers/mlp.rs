//! The gated feed-forward block: down(act(gate(x)) * up(x)).

use burn::tensor::Tensor;

use super::{Linear, Pass, WeightVisitor};
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::fused::swiglu::swiglu;
use crate::model::weights::WeightSource;

/// SwiGLU, or GEGLU.
#[derive(Debug, Clone)]
pub(crate) struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    gate_with: Activation,
}

/// What the gate goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Activation {
    /// x sigmoid(x).
    #[default]
    Silu,
    /// GELU with the hyperbolic tangent, transformers' `gelu_pytorch_tanh`. In burn's own operations: slower.
    GeluTanh,
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
            gate_with: config.family.activation,
        })
    }

    /// # Shapes
    /// `[tokens, d_model]` f32 -> `[tokens, d_model]`.
    pub(crate) fn forward(&self, x: Tensor<2>, pass: &Pass) -> Tensor<2> {
        let gate = self.gate_proj.forward(x.clone(), pass); // [tokens, d_ff]
        let up = self.up_proj.forward(x, pass); // [tokens, d_ff]
        let gated = match self.gate_with {
            Activation::Silu => swiglu(gate, up),
            Activation::GeluTanh => gelu_tanh(gate) * up,
        };
        self.down_proj.forward(gated, pass)
    }

    pub(crate) fn projections(&mut self) -> [&mut Linear; 3] {
        [&mut self.gate_proj, &mut self.up_proj, &mut self.down_proj]
    }

    pub(crate) fn visit(&mut self, visitor: &mut impl WeightVisitor) {
        self.projections().into_iter().for_each(|projection| projection.visit(visitor));
    }
}

/// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). Hendrycks and Gimpel, "Gaussian error linear units" (2016).
///
/// # Shapes
/// `[tokens, d_ff]` f32 -> the same.
fn gelu_tanh(x: Tensor<2>) -> Tensor<2> {
    let inner = x.clone() + x.clone().powi_scalar(3) * 0.044_715;
    let factor = std::f64::consts::FRAC_2_PI.sqrt();
    x * ((inner * factor).tanh() + 1.0) * 0.5
}
