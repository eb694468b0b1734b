//! Mistral: Jiang et al., "Mistral 7B" (2023), as transformers' `modeling_mistral.py` computes it: no biases.
//!
//! Its sliding window is not here yet: `sliding_window` must be null, as it is from version 0.2 on. No test compares
//! this family with transformers yet.

use super::Family;
use crate::model::config::Fields;
use crate::model::error::ModelError;

#[expect(clippy::unnecessary_wraps, reason = "the form of every family's reader")]
pub(super) fn read(_: &mut Fields) -> Result<Family, ModelError> {
    Ok(Family::default())
}
