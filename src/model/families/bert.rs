//! BERT: Devlin et al., "BERT" (2018), as transformers' `modeling_bert.py` computes it without its pooler.
//!
//! The encoder behind sentence embeddings; all-MiniLM-L6-v2 is one. Not a decoder, so it shares only the small parts.

use std::path::Path;

use serde_json::{Map, Value};

use crate::model::config::Fields;
use crate::model::error::ModelError;

/// The sizes of a BERT encoder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BertConfig {
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) max_position_embeddings: usize,
    pub(crate) type_vocab_size: usize,
    pub(crate) layer_norm_eps: f64,
}

/// Fields that say nothing about the numbers of a forward pass.
const HARMLESS: [&str; 12] = [
    "attention_probs_dropout_prob",
    "bos_token_id",
    "classifier_dropout",
    "dtype",
    "eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout_prob",
    "initializer_range",
    "pad_token_id",
    "position_embedding_type",
    "tie_word_embeddings",
    "torch_dtype",
];

impl BertConfig {
    /// Reads `config.json` of `folder`.
    ///
    /// # Errors
    /// It can't be read, is of another family, or has a field that can't be honoured.
    pub(crate) fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let text = std::fs::read(&path).map_err(ModelError::read(&path))?;
        let json: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|source| ModelError::Json { path: path.clone(), source })?;
        Self::from_fields(Fields::new(json)).map_err(ModelError::at(&path))
    }

    fn from_fields(mut fields: Fields) -> Result<Self, ModelError> {
        let model_type = fields.text("model_type")?.unwrap_or_default();
        if model_type != "bert" {
            let expected = "`bert`, an encoder of sentences".to_owned();
            return Err(ModelError::UnsupportedArchitecture { found: model_type, expected });
        }
        for field in ["add_cross_attention", "is_decoder"] {
            if fields.flag(field)? {
                return Err(ModelError::field(
                    field,
                    true,
                    "`false`: an encoder sees the whole sentence and nothing else",
                ));
            }
        }
        for (field, expected) in [("hidden_act", "gelu"), ("position_embedding_type", "absolute")] {
            if let Some(found) = fields.text(field)?.filter(|found| found != expected) {
                return Err(ModelError::field(field, found, format!("`{expected}`")));
            }
        }
        let config = Self {
            vocab_size: fields.size("vocab_size")?,
            hidden_size: fields.size("hidden_size")?,
            intermediate_size: fields.size("intermediate_size")?,
            num_hidden_layers: fields.size("num_hidden_layers")?,
            num_attention_heads: fields.size("num_attention_heads")?,
            max_position_embeddings: fields.size("max_position_embeddings")?,
            type_vocab_size: fields.size("type_vocab_size")?,
            layer_norm_eps: fields.number("layer_norm_eps")?.unwrap_or(1e-12),
        };
        for field in HARMLESS {
            fields.ignore(field);
        }
        fields.finish()?;
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            let expected = format!("a divisor of hidden_size `{}`", config.hidden_size);
            return Err(ModelError::field("num_attention_heads", config.num_attention_heads, expected));
        }
        if !(config.layer_norm_eps >= 0.0 && config.layer_norm_eps < 1.0) {
            return Err(ModelError::field("layer_norm_eps", config.layer_norm_eps, "a number from 0 to 1"));
        }
        Ok(config)
    }
}
