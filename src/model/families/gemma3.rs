//! Gemma 3, the text models: "Gemma 3 Technical Report" (2025), as transformers' `modeling_gemma3.py` computes it.
//!
//! Norms before and after each block with gains of one plus the weight, queries and keys normalised head by head, a scaled
//! embedding, GEGLU, and five layers with a sliding window and rotary frequencies of their own to one that sees everything.

use super::{Family, SlidingRule};
use crate::model::config::Fields;
use crate::model::error::ModelError;
use crate::model::layers::Activation;

pub(super) fn read(fields: &mut Fields) -> Result<Family, ModelError> {
    for name in ["hidden_activation", "hidden_act"] {
        if let Some(found) = fields.text(name)?.filter(|found| found != "gelu_pytorch_tanh") {
            return Err(ModelError::field(name, found, "`gelu_pytorch_tanh`"));
        }
    }
    for name in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if let Some(found) = fields.number(name)? {
            return Err(ModelError::field(name, found, "null, as in every Gemma 3"));
        }
    }
    if fields.flag("use_bidirectional_attention")? {
        return Err(ModelError::field("use_bidirectional_attention", true, "`false`"));
    }
    let attention_bias = fields.flag("attention_bias")?;
    let pattern = fields.optional_size("sliding_window_pattern")?;
    let pattern = fields.optional_size("_sliding_window_pattern")?.or(pattern).unwrap_or(6);
    Ok(Family {
        query_key_value_bias: attention_bias,
        output_bias: attention_bias,
        query_key_norm: true,
        needs_head_dim: true,
        norms_add_one: true,
        sandwich_norms: true,
        scales_embedding: true,
        tied_by_default: true,
        activation: Activation::GeluTanh,
        sliding: SlidingRule::AllButEach(pattern),
        query_scalar: Some(fields.number("query_pre_attn_scalar")?.unwrap_or(256.0)),
        rope_thetas: Some([1e6, fields.number("rope_local_base_freq")?.unwrap_or(1e4)]),
        ..Family::default()
    })
}
