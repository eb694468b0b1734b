//! Qwen3: "Qwen3 Technical Report" (2025), as transformers' `modeling_qwen3.py` computes it: queries and keys are normalised head
//! by head, with one gain for all heads.

use super::{Family, qwen_sliding};
use crate::model::config::Fields;
use crate::model::error::ModelError;

pub(super) fn read(fields: &mut Fields) -> Result<Family, ModelError> {
    let attention_bias = fields.flag("attention_bias")?;
    Ok(Family {
        query_key_value_bias: attention_bias,
        output_bias: attention_bias,
        query_key_norm: true,
        needs_head_dim: true,
        sliding: qwen_sliding(fields)?,
        ..Family::default()
    })
}
