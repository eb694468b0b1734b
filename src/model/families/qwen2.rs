//! Qwen2 and Qwen2.5: "Qwen2 Technical Report" (2024), as transformers' `modeling_qwen2.py` computes it: biases on queries,
//! keys and values, whatever the configuration says.

use super::{Family, qwen_sliding};
use crate::model::config::Fields;
use crate::model::error::ModelError;

pub(super) fn read(fields: &mut Fields) -> Result<Family, ModelError> {
    Ok(Family { query_key_value_bias: true, sliding: qwen_sliding(fields)?, ..Family::default() })
}
