//! The attention block: queries, keys and values, causal grouped-query attention, output projection.

use burn::tensor::Tensor;

use super::{Linear, Pass, RmsNorm, WeightVisitor};
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::fused::attend::AttentionForm;
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
    /// Of Qwen3 and Gemma 3: gains `[head_dim]`, shared by the heads.
    query_key_norms: Option<[RmsNorm; 2]>,
    form: AttentionForm,
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
        let family = config.family;
        let mut projection = |part: &str, shape, bias| Linear::new(source, format!("{name}.{part}"), shape, bias);
        let (inner_bias, output_bias) = (family.query_key_value_bias, family.output_bias);
        let [q_proj, k_proj, v_proj] = [
            projection("q_proj", [n_heads * head_dim, config.hidden_size], inner_bias)?,
            projection("k_proj", [n_kv_heads * head_dim, config.hidden_size], inner_bias)?,
            projection("v_proj", [n_kv_heads * head_dim, config.hidden_size], inner_bias)?,
        ];
        let o_proj = projection("o_proj", [config.hidden_size, n_heads * head_dim], output_bias)?;
        let mut norm = |part: &str| RmsNorm::new(source, &format!("{name}.{part}"), head_dim, config);
        let query_key_norms = if family.query_key_norm { Some([norm("q_norm")?, norm("k_norm")?]) } else { None };
        let form = AttentionForm { scale: config.attention_scale(), window: config.windows[layer] };
        Ok(Self { layer, n_heads, n_kv_heads, head_dim, q_proj, k_proj, v_proj, o_proj, query_key_norms, form })
    }

    /// # Shapes
    /// `[tokens, d_model]` f32 -> `[tokens, d_model]`.
    pub(crate) fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let mut queries = self.q_proj.forward(x.clone(), pass); // [tokens, n_heads * head_dim]
        let mut keys = self.k_proj.forward(x.clone(), pass); // [tokens, n_kv_heads * head_dim]
        let values = self.v_proj.forward(x, pass); // [tokens, n_kv_heads * head_dim]
        if let Some([q_norm, k_norm]) = &self.query_key_norms {
            queries = each_head(q_norm, queries, self.head_dim);
            keys = each_head(k_norm, keys, self.head_dim);
        }
        let rotary = pass.rotary.of(self.form.window);
        let out = if let Some(cache) = &mut pass.cache {
            cache.attend(self.layer, [queries, keys, values], &pass.rows, &rotary, self.form)
        } else {
            let layout = AttentionLayout {
                n_heads: self.n_heads,
                n_kv_heads: self.n_kv_heads,
                head_dim: self.head_dim,
                rows: pass.rows.clone(),
                rotary,
                form: self.form,
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
        self.query_key_norms.iter_mut().flatten().for_each(|norm| norm.visit(visitor));
    }
}

/// Normalises each head of each token.
///
/// # Shapes
/// `[tokens, heads * head_dim]` f32 -> the same.
fn each_head(norm: &RmsNorm, x: Tensor<2>, head_dim: usize) -> Tensor<2> {
    let [tokens, width] = x.dims();
    norm.forward(x.reshape([tokens * width / head_dim, head_dim])).reshape([tokens, width])
}
