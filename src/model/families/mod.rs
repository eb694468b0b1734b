//! What sets the families of decoders apart, one file each: which projections have biases, which norms there are.
//!
//! All of them are the decoder of `decoder.rs`; a family only says which of its parts are there. To add one: a file here
//! and a line in [`FAMILIES`].

pub(crate) mod bert;
mod llama;
mod mistral;
mod qwen2;
mod qwen3;

use super::config::Fields;
use super::error::ModelError;

/// The parts of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether one part is there")]
pub(crate) struct Family {
    /// Whether the projections to queries, keys and values have biases.
    pub(crate) query_key_value_bias: bool,
    /// Whether the output projection of attention has a bias.
    pub(crate) output_bias: bool,
    /// Whether the projections of the feed-forward block have biases.
    pub(crate) mlp_bias: bool,
    /// Whether queries and keys are normalised head by head before they are turned.
    pub(crate) query_key_norm: bool,
    /// Whether the width of a head has to be stated, since transformers' default is not hidden_size / n_heads.
    pub(crate) needs_head_dim: bool,
}

type Read = fn(&mut Fields) -> Result<Family, ModelError>;

/// `model_type` to the reader of the fields that only this family has.
const FAMILIES: [(&str, Read); 4] =
    [("llama", llama::read), ("mistral", mistral::read), ("qwen2", qwen2::read), ("qwen3", qwen3::read)];

/// Reads the fields of a family.
///
/// # Errors
/// [`ModelError::UnsupportedArchitecture`] for a family that is not here; a field that cannot be honoured.
pub(crate) fn read(model_type: &str, fields: &mut Fields) -> Result<Family, ModelError> {
    if let Some((_, read)) = FAMILIES.iter().find(|(name, _)| *name == model_type) {
        return read(fields);
    }
    let names: Vec<String> = FAMILIES.iter().map(|(name, _)| format!("`{name}`")).collect();
    let expected = format!("one of {}", names.join(", "));
    Err(ModelError::UnsupportedArchitecture { found: model_type.to_owned(), expected })
}

/// Qwen's switch for a sliding window: while it is off, `sliding_window` and `max_window_layers` mean nothing.
fn refuse_sliding_window(fields: &mut Fields) -> Result<(), ModelError> {
    if fields.flag("use_sliding_window")? {
        return Err(ModelError::field("use_sliding_window", true, "`false`"));
    }
    fields.ignore("sliding_window");
    Ok(())
}
