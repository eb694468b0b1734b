//! A model folder as a GGUF file that llama.cpp loads: F16, or Q8_0 for the matrices.

use std::path::Path;

use super::architecture::{Architecture, Biases};
use super::metadata::Value;
use super::rope_freqs::ROPE_FREQS;
use super::tokenizer::code;
use super::windows;
use super::writer::{TensorEntry, write};
use crate::model::config::ModelConfig;
use crate::model::decoder::is_redundant;
use crate::model::error::ModelError;
use crate::model::folder;
use crate::model::weights::{FloatFormat, StoredFormat, WeightView};
use crate::tokenizer_spec::{Algorithm, TokenizerSpec};

/// How the matrices of a GGUF file are stored; norms and biases are F32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufFormat {
    /// Half precision.
    F16,
    /// Blocks of 32 eight-bit integers with a half-precision scale.
    Q8_0,
}

/// Writes the model folder `model` with a tokenizer to `output`.
///
/// # Errors
/// llama.cpp has no form for the model that is known here, a number does not fit the format, or a file can't be read or
/// written.
pub fn export_gguf(
    model: &Path,
    tokenizer: &TokenizerSpec,
    format: GgufFormat,
    output: &Path,
) -> Result<(), ModelError> {
    let (config, weights) = folder::open(model)?;
    folder::check(&config, &weights)?;
    let architecture = Architecture::of(&config.model_type)?;
    let metadata = metadata(&config, architecture, tokenizer, format)?;
    let mut views: Vec<WeightView> = Vec::new();
    let mut entries: Vec<TensorEntry> = Vec::new();
    for view in weights.iter().filter(|view| !is_redundant(&config, view.name)) {
        let name = architecture.llama_cpp_name(view.name).ok_or_else(|| ModelError::UnexpectedTensor {
            tensor: view.name.to_owned(),
            found: view.shape.to_vec(),
            path: weights.path().to_path_buf(),
        })?;
        entries.push(TensorEntry { name, shape: view.shape.to_vec(), format: stored(view.shape, format) });
        views.push(view);
    }
    let divisors = config.rope.divisors(config.head_dim);
    entries.extend(divisors.iter().map(|divisors| TensorEntry {
        name: ROPE_FREQS.to_owned(),
        shape: vec![divisors.len()],
        format: StoredFormat::Float(FloatFormat::F32),
    }));
    write(output, &metadata, &entries, |index| {
        let format = entries[index].format;
        let Some(view) = views.get(index) else {
            // The only entry after the weights.
            return Ok(format.encode(divisors.as_deref().unwrap_or_default()));
        };
        let numbers = architecture.twist(view.name, &config).apply(view.to_f32(), view.shape[0]);
        if format != StoredFormat::Float(FloatFormat::F32)
            && let Some(large) = numbers.iter().find(|number| !number.is_finite() || number.abs() > MOST)
        {
            return Err(ModelError::field(view.name, large, format!("at most {MOST} in size, for {}", format.name())));
        }
        Ok(format.encode(&numbers))
    })
}

/// The largest number that half precision holds.
const MOST: f32 = 65_504.0;

/// Vectors are F32; a matrix whose rows are no whole number of blocks is F16.
fn stored(shape: &[usize], format: GgufFormat) -> StoredFormat {
    match format {
        _ if shape.len() < 2 => StoredFormat::Float(FloatFormat::F32),
        GgufFormat::Q8_0 if StoredFormat::Q8_0.size_bytes(shape).is_some() => StoredFormat::Q8_0,
        GgufFormat::F16 | GgufFormat::Q8_0 => StoredFormat::Float(FloatFormat::F16),
    }
}

fn metadata(
    config: &ModelConfig,
    architecture: &Architecture,
    tokenizer: &TokenizerSpec,
    format: GgufFormat,
) -> Result<Vec<(String, Value)>, ModelError> {
    let form = form_of_the_architecture(config, architecture)?;
    if tokenizer.tokens.len() != config.vocab_size {
        let expected = format!("as many tokens as the model's vocab_size, `{}`", config.vocab_size);
        return Err(ModelError::field("tokenizer", format!("{} tokens", tokenizer.tokens.len()), expected));
    }
    let mut entries: Vec<(String, Value)> = Vec::new();
    let mut add = |key: String, value: Value| entries.push((key, value));
    let size = |size: usize| Value::Integer(i64::try_from(size).unwrap_or(i64::MAX));
    let name = architecture.name;
    add("general.architecture".into(), Value::Text(name.to_owned()));
    add("general.type".into(), Value::Text("model".into()));
    for (key, value) in [
        ("block_count", config.num_hidden_layers),
        ("context_length", context_length(config, architecture)),
        ("embedding_length", config.hidden_size),
        ("feed_forward_length", config.intermediate_size),
        ("attention.head_count", config.num_attention_heads),
        ("attention.head_count_kv", config.num_key_value_heads),
        ("attention.key_length", config.head_dim),
        ("attention.value_length", config.head_dim),
        ("rope.dimension_count", config.head_dim),
        ("vocab_size", config.vocab_size),
    ] {
        add(format!("{name}.{key}"), size(value));
    }
    add(format!("{name}.attention.layer_norm_rms_epsilon"), Value::Float(config.rms_norm_eps));
    add(format!("{name}.rope.freq_base"), Value::Float(config.rope.theta()));
    if let Some(factor) = config.rope.linear_factor() {
        add(format!("{name}.rope.scaling.type"), Value::Text("linear".into()));
        add(format!("{name}.rope.scaling.factor"), Value::Float(factor));
    }
    entries.extend(form);
    let mut add = |key: String, value: Value| entries.push((key, value));
    // `LLAMA_FTYPE_MOSTLY_F16` and `_Q8_0`.
    let file_type = match format {
        GgufFormat::F16 => 1,
        GgufFormat::Q8_0 => 7,
    };
    add("general.file_type".into(), Value::Integer(file_type));
    add("general.quantization_version".into(), Value::Integer(2));
    entries.extend(tokenizer_entries(tokenizer));
    Ok(entries)
}

/// What only some architectures can say; anything that this one can't is an error.
fn form_of_the_architecture(
    config: &ModelConfig,
    architecture: &Architecture,
) -> Result<Vec<(String, Value)>, ModelError> {
    let family = config.family;
    if architecture.biases == Biases::None && (family.query_key_value_bias || family.output_bias || family.mlp_bias) {
        return Err(ModelError::field("attention_bias", true, "`false`, to be written as GGUF"));
    }
    if !architecture.rope_freqs && config.rope.divisors(config.head_dim).is_some() {
        return Err(ModelError::field("rope_type", "llama3", "`default` or `linear`, to be written as GGUF"));
    }
    if architecture.slides { windows::write(config, architecture.name) } else { Ok(Vec::new()) }
}

/// The longest row. llama.cpp runs the layers of most architectures over all of a row, whatever `attention.sliding_window` says;
/// with rows no longer than the shortest window that is the same.
fn context_length(config: &ModelConfig, architecture: &Architecture) -> usize {
    let window = config.windows.iter().flatten().min().filter(|_| !architecture.slides);
    window.map_or(config.max_position_embeddings, |window| config.max_position_embeddings.min(*window))
}

fn tokenizer_entries(tokenizer: &TokenizerSpec) -> Vec<(String, Value)> {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let mut entries = match &tokenizer.algorithm {
        Algorithm::ByteLevelBpe { merges, pre_tokenizer } => vec![
            (key("model"), Value::Text("gpt2".into())),
            (key("pre"), Value::Text(pre_tokenizer.clone())),
            (key("merges"), Value::Texts(merges.clone())),
        ],
        Algorithm::SentencePiece { scores, adds_space } => vec![
            (key("model"), Value::Text("llama".into())),
            (key("pre"), Value::Text("default".into())),
            (key("scores"), Value::Floats(scores.clone())),
            (key("add_space_prefix"), Value::Flag(*adds_space)),
        ],
    };
    entries.push((key("tokens"), Value::Texts(tokenizer.tokens.clone())));
    entries.push((key("token_type"), Value::Integers(tokenizer.kinds.iter().map(|kind| code(*kind)).collect())));
    let eot = tokenizer.end_ids.iter().copied().find(|id| Some(*id) != tokenizer.eos);
    for (role, id) in [
        ("bos", tokenizer.bos),
        ("eos", tokenizer.eos.or_else(|| tokenizer.end_ids.first().copied())),
        ("eot", eot.filter(|_| tokenizer.eos.is_some())),
        ("unknown", tokenizer.unknown),
        ("padding", tokenizer.padding),
    ] {
        entries.extend(id.map(|id| (key(&format!("{role}_token_id")), Value::Integer(i64::from(id)))));
    }
    entries.push((key("add_bos_token"), Value::Flag(tokenizer.adds_bos)));
    entries.push((key("add_eos_token"), Value::Flag(tokenizer.adds_eos)));
    entries
        .extend(tokenizer.chat_template.clone().map(|source| ("tokenizer.chat_template".into(), Value::Text(source))));
    entries
}
