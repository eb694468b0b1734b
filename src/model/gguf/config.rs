//! The metadata of a GGUF file as the `config.json` that transformers would have.
//!
//! As with a `config.json`, a key of the architecture that is not known may change the numbers, so it is an error.

use serde_json::{Map, Value as Json, json};

use super::architecture::{Architecture, Biases};
use super::metadata::{Metadata, Value, required};
use super::reader::Header;
use super::rope_freqs::{self, ROPE_FREQS};
use super::windows;
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::weights::{FloatFormat, StoredFormat};

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

/// Keys of architectures with sliding windows, as [`FIELDS`]; what else there is of them, [`windows`] reads.
const SLIDING_FIELDS: [(&str, &str); 1] = [("rope.freq_base_swa", "rope_local_base_freq")];
const SLIDING_OTHERS: [&str; 2] = ["attention.sliding_window", "attention.sliding_window_pattern"];

/// See [`super::Gguf::config`]; `file` has the bytes of the tensors.
pub(super) fn config(header: &Header, file: &[u8]) -> Result<ModelConfig, ModelError> {
    let metadata = &header.metadata;
    let architecture = Architecture::named(required("general.architecture", metadata.text("general.architecture")?)?)?;
    let mut fields = Map::new();
    let [activation, function] = architecture.activation;
    fields.insert("architectures".into(), json!([architecture.class]));
    fields.insert("model_type".into(), json!(architecture.model_type()));
    fields.insert(activation.into(), json!(function));
    read_keys(metadata, architecture, &mut fields)?;
    if architecture.biases == Biases::Stated {
        for (field, tensor) in [("attention_bias", "blk.0.attn_q.bias"), ("mlp_bias", "blk.0.ffn_down.bias")] {
            fields.insert(field.into(), json!(header.tensors.contains_key(tensor)));
        }
    }
    if architecture.slides {
        windows::read(metadata, architecture.name, &mut fields)?;
    }
    fields.insert("dtype".into(), json!(dtype(header).config_name()));
    fields.insert("tie_word_embeddings".into(), json!(!header.tensors.contains_key("output.weight")));
    if let Some(embedding) = header.tensors.get("token_embd.weight") {
        fields.insert("vocab_size".into(), json!(embedding.shape[0]));
    }
    special_tokens(metadata, &mut fields)?;
    let scaling = rope_scaling(metadata, architecture.name)?;
    let divisors = header.tensors.get(ROPE_FREQS).filter(|_| architecture.rope_freqs);
    let scaling = match (scaling, divisors) {
        (scaling, None) => scaling,
        (None, Some(info)) => {
            let theta = fields.get("rope_theta").and_then(Json::as_f64).unwrap_or(10_000.0);
            rope_freqs::scaling(&info.format.decode(&file[info.start..info.end]), theta)?
        }
        (Some(scaling), Some(_)) => {
            return Err(ModelError::field("rope.scaling", scaling, format!("none beside `{ROPE_FREQS}`")));
        }
    };
    if let Some(scaling) = scaling {
        fields.insert("rope_scaling".into(), scaling);
    }
    let config = ModelConfig::from_json(fields)?;
    check_widths(metadata, architecture.name, config.head_dim)?;
    match divisors {
        Some(info) if info.shape != [config.head_dim / 2] => Err(ModelError::Shape {
            tensor: ROPE_FREQS.to_owned(),
            found: info.shape.clone(),
            expected: vec![config.head_dim / 2],
        }),
        _ => Ok(config),
    }
}

/// The fields that have a key of their own; no other key of the architecture may be there.
fn read_keys(
    metadata: &Metadata,
    architecture: &Architecture,
    fields: &mut Map<String, Json>,
) -> Result<(), ModelError> {
    let (sliding_fields, sliding_others): (&[_], &[_]) =
        if architecture.slides { (&SLIDING_FIELDS, &SLIDING_OTHERS) } else { (&[], &[]) };
    for key in metadata.keys() {
        let Some(name) = key.strip_prefix(architecture.name).and_then(|rest| rest.strip_prefix('.')) else { continue };
        if let Some((_, field)) = FIELDS.iter().chain(sliding_fields).find(|(known, _)| *known == name) {
            fields.insert((*field).to_owned(), number(metadata, key)?);
        } else if !OTHERS.iter().chain(sliding_others).any(|known| *known == name) {
            let value = metadata.get(key).map_or_else(String::new, |value| format!("{value:?}"));
            return Err(ModelError::field(key, value, "no such key: it may change the numbers"));
        }
    }
    Ok(())
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
