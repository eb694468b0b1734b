//! Mistral: Jiang et al., "Mistral 7B" (2023), as transformers' `modeling_mistral.py` computes it: no biases, and a sliding
//! window in every layer if `sliding_window` states one (version 0.1 does, later ones don't).

use super::{Family, SlidingRule};
use crate::model::config::Fields;
use crate::model::error::ModelError;

#[expect(clippy::unnecessary_wraps, reason = "the form of every family's reader")]
pub(super) fn read(_: &mut Fields) -> Result<Family, ModelError> {
    Ok(Family { sliding: SlidingRule::Always, ..Family::default() })
}
