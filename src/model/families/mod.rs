//! What sets the families of decoders apart, one file each: which projections have biases, which norms there are.
//!
//! All of them are the decoder of `decoder.rs`; a family only says which of its parts are there. To add one: a file here
//! and a line in [`FAMILIES`].

pub(crate) mod bert;
mod gemma3;
mod llama;
mod mistral;
mod qwen2;
mod qwen3;

use super::config::Fields;
use super::error::ModelError;
use super::layers::Activation;

/// The parts of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
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
    /// Whether the gain of a norm is one more than its weight.
    pub(crate) norms_add_one: bool,
    /// Whether what comes out of a block is normalised too.
    pub(crate) sandwich_norms: bool,
    /// Whether embeddings are multiplied by the root of their width.
    pub(crate) scales_embedding: bool,
    /// Whether the head is the embedding unless the configuration says otherwise.
    pub(crate) tied_by_default: bool,
    /// What the gate of the feed-forward block goes through.
    pub(crate) activation: Activation,
    /// Which layers have a sliding window, where `layer_types` does not say it.
    pub(crate) sliding: SlidingRule,
    /// Scores are divided by the root of this instead of head_dim.
    pub(crate) query_scalar: Option<f64>,
    /// The bases of the rotary frequencies of full and of sliding layers, where both kinds differ.
    pub(crate) rope_thetas: Option<[f64; 2]>,
}

/// Which layers have a sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SlidingRule {
    /// None of them, and a window is an error.
    #[default]
    Never,
    /// All of them, if a window is stated.
    Always,
    /// Those from this one on.
    From(usize),
    /// All but each layer whose number, counted from one, is a multiple of this.
    AllButEach(usize),
}

impl SlidingRule {
    /// Whether a layer, counted from zero, has a window.
    pub(crate) const fn applies(self, layer: usize) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::From(first) => layer >= first,
            Self::AllButEach(period) => !(layer + 1).is_multiple_of(period),
        }
    }
}

type Read = fn(&mut Fields) -> Result<Family, ModelError>;

/// `model_type` to the reader of the fields that only this family has.
const FAMILIES: [(&str, Read); 5] = [
    ("gemma3_text", gemma3::read),
    ("llama", llama::read),
    ("mistral", mistral::read),
    ("qwen2", qwen2::read),
    ("qwen3", qwen3::read),
];

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
fn qwen_sliding(fields: &mut Fields) -> Result<SlidingRule, ModelError> {
    if fields.flag("use_sliding_window")? {
        return Ok(SlidingRule::From(fields.optional_size("max_window_layers")?.unwrap_or(28)));
    }
    fields.ignore("sliding_window");
    Ok(SlidingRule::Never)
}
