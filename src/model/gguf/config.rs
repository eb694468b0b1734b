//! The metadata of a GGUF file as the `config.json` that transformers would have.
//!
//! As with a `config.json`, a key of the architecture that is not known may change the numbers, so it is an error.

use serde_json::{Map, Value as Json, json};

use super::metadata::{Metadata, Value, required};
use super::reader::Header;
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::weights::{FloatFormat, StoredFormat};

/// Architectures of llama.cpp with their `model_type` and class in transformers.
const ARCHITECTURES: [(&str, &str, &str); 3] = [
    ("llama", "llama", "LlamaForCausalLM"),
    ("qwen2", "qwen2", "Qwen2ForCausalLM"),
    ("qwen3", "qwen3", "Qwen3ForCausalLM"),
];

/// Keys below the architecture's name with the field of `config.json` that says the same.
const FIELDS: [(&str, &str); 9] = [
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("block_count", "num_hidden_layers"),
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("feed_forward_length", "intermediate_size"),
    ("rope.freq_base", "rope_theta"),
];

/// Keys below the architecture's name that are looked at by other means, or say nothing about the numbers.
const OTHERS: [&str; 6] = [
    "attention.value_length",
    "rope.dimension_count",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "vocab_size",
];

/// See [`super::Gguf::config`].
pub(super) fn config(header: &Header) -> Result<ModelConfig, ModelError> {
    let metadata = &header.metadata;
    let found = required("general.architecture", metadata.text("general.architecture")?)?;
    let Some((_, model_type, class)) = ARCHITECTURES.iter().find(|(name, ..)| *name == found) else {
        let names: Vec<String> = ARCHITECTURES.iter().map(|(name, ..)| format!("`{name}`")).collect();
        let expected = format!("one of {}", names.join(", "));
        return Err(ModelError::UnsupportedArchitecture { found: found.to_owned(), expected });
    };
    let mut fields = Map::new();
    fields.insert("architectures".into(), json!([class]));
    fields.insert("model_type".into(), json!(model_type));
    fields.insert("hidden_act".into(), json!("silu"));
    for key in metadata.keys() {
        let Some(name) = key.strip_prefix(found).and_then(|rest| rest.strip_prefix('.')) else { continue };
        if let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) {
            fields.insert((*field).to_owned(), number(metadata, key)?);
        } else if !OTHERS.contains(&name) {
            let value = metadata.get(key).map_or_else(String::new, |value| format!("{value:?}"));
            return Err(ModelError::field(key, value, "no such key: it may change the numbers"));
        }
    }
    fields.insert("dtype".into(), json!(dtype(header).config_name()));
    fields.insert("tie_word_embeddings".into(), json!(!header.tensors.contains_key("output.weight")));
    if let Some(embedding) = header.tensors.get("token_embd.weight") {
        fields.insert("vocab_size".into(), json!(embedding.shape[0]));
    }
    special_tokens(metadata, &mut fields)?;
    if let Some(scaling) = rope_scaling(metadata, found)? {
        fields.insert("rope_scaling".into(), scaling);
    }
    let config = ModelConfig::from_json(fields)?;
    check_widths(metadata, found, config.head_dim)?;
    Ok(config)
}

/// A size of the architecture by its name in `config.json`, from a file whose other values need not be supported.
pub(super) fn size(metadata: &Metadata, field: &str) -> Option<u64> {
    let architecture = metadata.text("general.architecture").ok().flatten()?;
    let (key, _) = FIELDS.iter().find(|(_, known)| *known == field)?;
    number(metadata, &format!("{architecture}.{key}")).ok()?.as_u64()
}

fn number(metadata: &Metadata, key: &str) -> Result<Json, ModelError> {
    match metadata.get(key) {
        Some(Value::Integer(number)) => Ok(json!(number)),
        Some(Value::Float(number)) => Ok(json!(number)),
        // Some models give a number for each layer; only equal ones can be run.
        Some(Value::Integers(numbers)) if !numbers.is_empty() && numbers.iter().all(|number| *number == numbers[0]) => {
            Ok(json!(numbers[0]))
        }
        other => Err(ModelError::field(key, format!("{other:?}"), "one number for all layers")),
    }
}

/// The format of the merged model: that of the matrices if they are plain, else f32, which holds any of them exactly.
fn dtype(header: &Header) -> FloatFormat {
    let mut formats = header.tensors.values().filter(|info| info.shape.len() == 2).map(|info| info.format);
    match formats.next() {
        Some(StoredFormat::Float(format)) if formats.all(|other| other == StoredFormat::Float(format)) => format,
        _ => FloatFormat::F32,
    }
}

fn special_tokens(metadata: &Metadata, fields: &mut Map<String, Json>) -> Result<(), ModelError> {
    let id = |role: &str| metadata.id(&format!("tokenizer.ggml.{role}_token_id"));
    for (role, field) in [("bos", "bos_token_id"), ("padding", "pad_token_id")] {
        if let Some(id) = id(role)? {
            fields.insert(field.to_owned(), json!(id));
        }
    }
    match super::tokenizer::end_ids(metadata)?.as_slice() {
        [] => {}
        [id] => _ = fields.insert("eos_token_id".to_owned(), json!(id)),
        ids => _ = fields.insert("eos_token_id".to_owned(), json!(ids)),
    }
    Ok(())
}

fn rope_scaling(metadata: &Metadata, architecture: &str) -> Result<Option<Json>, ModelError> {
    let key = format!("{architecture}.rope.scaling.type");
    let factor = format!("{architecture}.rope.scaling.factor");
    match metadata.text(&key)? {
        Some("none") => Ok(None),
        // Without a type llama.cpp takes a factor for that of a linear scaling.
        None if metadata.get(&factor).is_none() => Ok(None),
        None | Some("linear") => Ok(Some(json!({ "rope_type": "linear", "factor": number(metadata, &factor)? }))),
        Some(other) => Err(ModelError::field(key, other, "`none` or `linear`")),
    }
}

/// Heads are as wide for values as for keys, and turned in their whole width.
fn check_widths(metadata: &Metadata, architecture: &str, head_dim: usize) -> Result<(), ModelError> {
    for name in ["attention.value_length", "rope.dimension_count"] {
        let key = format!("{architecture}.{name}");
        if let Some(width) = metadata.integer(&key)?
            && usize::try_from(width) != Ok(head_dim)
        {
            return Err(ModelError::field(key, width, format!("the width of a head, `{head_dim}`")));
        }
    }
    Ok(())
}
