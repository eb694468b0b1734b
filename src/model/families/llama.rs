//! Llama: Touvron et al., "Llama 2" (2023), as transformers' `modeling_llama.py` computes it.
//!
//! Also what many other models are under the hood (TinyLlama, SmolLM2).

use super::Family;
use crate::model::config::Fields;
use crate::model::error::ModelError;

pub(super) fn read(fields: &mut Fields) -> Result<Family, ModelError> {
    let attention_bias = fields.flag("attention_bias")?;
    Ok(Family {
        query_key_value_bias: attention_bias,
        output_bias: attention_bias,
        mlp_bias: fields.flag("mlp_bias")?,
        ..Family::default()
    })
}
