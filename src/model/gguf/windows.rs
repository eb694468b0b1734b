//! Sliding windows in the metadata of a GGUF file, as the `gemma3` architecture has them.
//!
//! llama.cpp: every layer but each sixth, or each `attention.sliding_window_pattern`-th, has the window; full layers turn with
//! `rope.freq_base` and sliding ones with `rope.freq_base_swa`, 10000 unless it is there.

use serde_json::{Map, Value as Json, json};

use super::metadata::{Metadata, Value, required};
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;

/// One full layer in so many, unless the file says otherwise.
const PERIOD: usize = 6;
/// The number of layers by which llama.cpp knows Gemma 3 27B, the only one that does not divide scores by the root of head_dim.
const LAYERS_OF_27B: usize = 62;

/// Adds what `config.json` says of sliding layers to the fields that have been read from the other keys.
///
/// # Errors
/// A key is missing or no number.
pub(super) fn read(metadata: &Metadata, name: &str, fields: &mut Map<String, Json>) -> Result<(), ModelError> {
    let size = |field: &str, fields: &Map<String, Json>| fields.get(field).and_then(Json::as_u64);
    let window = format!("{name}.attention.sliding_window");
    fields.insert("sliding_window".into(), json!(required(&window, metadata.integer(&window)?)?));
    let (Some(layers), Some(heads), Some(hidden)) =
        (size("num_hidden_layers", fields), size("num_attention_heads", fields), size("hidden_size", fields))
    else {
        // The configuration says which one is missing.
        return Ok(());
    };
    let layers = usize::try_from(layers).unwrap_or(usize::MAX);
    let slides = slides(metadata, &format!("{name}.attention.sliding_window_pattern"), layers)?;
    let names: Vec<&str> =
        slides.iter().map(|slides| if *slides { "sliding_attention" } else { "full_attention" }).collect();
    fields.insert("layer_types".into(), json!(names));
    let scalar = if layers == LAYERS_OF_27B { Some(hidden / heads.max(1)) } else { size("head_dim", fields) };
    if let Some(scalar) = scalar {
        fields.insert("query_pre_attn_scalar".into(), json!(scalar));
    }
    // Both bases are stated, since llama.cpp and transformers differ in what they take for granted.
    for (field, usual) in [("rope_theta", 10_000.0), ("rope_local_base_freq", 10_000.0)] {
        fields.entry(field).or_insert_with(|| json!(usual));
    }
    Ok(())
}

/// Which layers have the window.
fn slides(metadata: &Metadata, key: &str, layers: usize) -> Result<Vec<bool>, ModelError> {
    if layers > ModelConfig::MAX_LAYERS {
        // The configuration refuses the number.
        return Ok(Vec::new());
    }
    match metadata.get(key) {
        Some(Value::Integers(flags)) if flags.len() == layers => Ok(flags.iter().map(|flag| *flag != 0).collect()),
        Some(Value::Integers(flags)) => {
            Err(ModelError::field(key, format!("{} flags", flags.len()), format!("one a layer, `{layers}`")))
        }
        _ => {
            let period = metadata.integer(key)?.map_or(Ok(PERIOD), usize::try_from);
            let period = period.map_err(|_| ModelError::field(key, "negative", "a number of layers"))?;
            // 0 means that every layer slides.
            Ok((0..layers).map(|layer| period == 0 || !(layer + 1).is_multiple_of(period)).collect())
        }
    }
}

/// The metadata of the sliding layers of a model.
///
/// # Errors
/// llama.cpp has no form for them.
pub(super) fn write(config: &ModelConfig, name: &str) -> Result<Vec<(String, Value)>, ModelError> {
    let size = |size: usize| Value::Integer(i64::try_from(size).unwrap_or(i64::MAX));
    let mut windows = config.windows.iter().flatten();
    let Some(window) = windows.next().filter(|first| windows.all(|other| other == *first)) else {
        return Err(ModelError::field("sliding_window", "null", "a number, to be written as GGUF"));
    };
    let full = config.windows.iter().position(Option::is_none);
    let period = full.map_or(0, |layer| layer + 1);
    let regular = |(layer, window): (usize, &Option<usize>)| {
        window.is_some() == (period == 0 || !(layer + 1).is_multiple_of(period))
    };
    if !config.windows.iter().enumerate().all(regular) {
        let expected = "one full layer after every so many sliding ones, to be written as GGUF";
        return Err(ModelError::field("layer_types", format!("{:?}", config.windows), expected));
    }
    let scalar = if config.num_hidden_layers == LAYERS_OF_27B {
        config.hidden_size / config.num_attention_heads
    } else {
        config.head_dim
    };
    if let Some(found) = config.family.query_scalar.filter(|found| found.total_cmp(&(scalar as f64)).is_ne()) {
        let expected = format!("`{scalar}`, which llama.cpp takes for granted, to be written as GGUF");
        return Err(ModelError::field("query_pre_attn_scalar", found, expected));
    }
    let sliding = config.sliding_rope.unwrap_or(config.rope);
    if sliding.linear_factor().is_some() || sliding.divisors(config.head_dim).is_some() {
        let expected = "`default` in sliding layers, to be written as GGUF";
        return Err(ModelError::field("rope_type", "scaled", expected));
    }
    let mut entries = vec![
        (format!("{name}.attention.sliding_window"), size(*window)),
        (format!("{name}.rope.freq_base_swa"), Value::Float(sliding.theta())),
    ];
    // Older versions of llama.cpp know the usual period alone.
    if !(config.windows.len() < PERIOD && full.is_none()) && period != PERIOD {
        entries.push((format!("{name}.attention.sliding_window_pattern"), size(period)));
    }
    Ok(entries)
}
