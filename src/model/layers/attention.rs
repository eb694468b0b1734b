//! The attention block: queries, keys and values, causal grouped-query attention, output projection.

use burn::tensor::Tensor;

use super::{Linear, Pass, WeightVisitor};
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::fused::attention::{AttentionLayout, attention};
use crate::model::weights::WeightSource;

/// Causal self-attention.
#[derive(Debug, Clone)]
pub(crate) struct Attention {
    layer: usize,
    n_heads: usize,
    n_kv_heads: usize,
    head_dim: usize,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
}

impl Attention {
    /// Takes the four projections below `name` from `source`; `layer` is the layer's number, which finds its cache.
    ///
    /// # Errors
    /// As the source.
    pub(crate) fn new(
        source: &mut impl WeightSource,
        name: &str,
        layer: usize,
        config: &ModelConfig,
    ) -> Result<Self, ModelError> {
        let (n_heads, n_kv_heads, head_dim) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
        let mut projection =
            |part: &str, shape| Linear::new(source, format!("{name}.{part}"), shape, config.attention_bias);
        Ok(Self {
            layer,
            n_heads,
            n_kv_heads,
            head_dim,
            q_proj: projection("q_proj", [n_heads * head_dim, config.hidden_size])?,
            k_proj: projection("k_proj", [n_kv_heads * head_dim, config.hidden_size])?,
            v_proj: projection("v_proj", [n_kv_heads * head_dim, config.hidden_size])?,
            o_proj: projection("o_proj", [config.hidden_size, n_heads * head_dim])?,
        })
    }

    /// # Shapes
    /// `[tokens, d_model]` f32 -> `[tokens, d_model]`.
    pub(crate) fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let queries = self.q_proj.forward(x.clone(), pass); // [tokens, n_heads * head_dim]
        let keys = self.k_proj.forward(x.clone(), pass); // [tokens, n_kv_heads * head_dim]
        let values = self.v_proj.forward(x, pass); // [tokens, n_kv_heads * head_dim]
        let out = if let Some(cache) = &mut pass.cache {
            cache.attend(self.layer, [queries, keys, values], &pass.rows, &pass.rotary)
        } else {
            let layout = AttentionLayout {
                n_heads: self.n_heads,
                n_kv_heads: self.n_kv_heads,
                head_dim: self.head_dim,
                rows: pass.rows.clone(),
                rotary: pass.rotary.clone(),
            };
            attention(queries, keys, values, layout)
        }; // [tokens, n_heads * head_dim]
        self.o_proj.forward(out, pass)
    }

    pub(crate) fn projections(&mut self) -> [&mut Linear; 4] {
        [&mut self.q_proj, &mut self.k_proj, &mut self.v_proj, &mut self.o_proj]
    }

    pub(crate) fn visit(&mut self, visitor: &mut impl WeightVisitor) {
        self.projections().into_iter().for_each(|projection| projection.visit(visitor));
    }
}
