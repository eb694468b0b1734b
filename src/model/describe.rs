//! What a model on disk is, without loading a weight: sizes, number formats, and what keeps it from being run.
//!
//! Says as much as can be read even of models that are not supported, so nothing here is an error but a path at which
//! there is nothing. Sizes come from the configuration that would be used; where that is refused, from the bare fields.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::config::ModelConfig;
use super::encoder;
use super::error::ModelError;
use super::folder;
use super::gguf::{self, Gguf};
use super::weights::{StoredFormat, WeightFiles, map};
use crate::diagnostic::with_causes;

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// How it is stored.
    pub file: ModelFile,
    /// The family, as `config.json` or the GGUF file calls it.
    pub family: Option<String>,
    /// The sizes that are known.
    pub sizes: Sizes,
    /// Whether the output head is the embedding.
    pub tied_head: Option<bool>,
    /// Numbers in tensors that can be read.
    pub parameters: u64,
    /// How tensors are stored, by name of the format.
    pub formats: Vec<FormatUsage>,
    /// Whether the tensors are those of the configuration, in name and shape; unknown of encoders and of what can't be read.
    pub tensors_fit: Option<bool>,
    /// Why it can't be run; empty when nothing speaks against it.
    pub problems: Vec<String>,
}

/// How a model is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelFile {
    /// A folder with `config.json` and safetensors files.
    Safetensors,
    /// One GGUF file.
    Gguf,
}

/// The sizes of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Number of layers.
    pub layers: Option<u64>,
    /// The width of the residual stream.
    pub d_model: Option<u64>,
    /// The width inside the feed-forward block.
    pub d_ff: Option<u64>,
    /// Query heads.
    pub n_heads: Option<u64>,
    /// Key and value heads.
    pub n_kv_heads: Option<u64>,
    /// The width of one head.
    pub head_dim: Option<u64>,
    /// Number of token ids.
    pub vocab: Option<u64>,
    /// The longest row, in tokens.
    pub context: Option<u64>,
}

/// How much is stored in one number format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormatUsage {
    /// Its name, as the file or llama.cpp spells it.
    pub format: String,
    /// How many tensors.
    pub tensors: u64,
    /// How many numbers.
    pub numbers: u64,
    /// How many bytes; unknown of formats that can't be read in a GGUF file.
    pub size_bytes: Option<u64>,
    /// Whether it can be read.
    pub readable: bool,
}

/// Describes the model folder or GGUF file at a path.
///
/// # Errors
/// There is nothing at the path, or no model.
pub fn describe(path: &Path) -> Result<Description, ModelError> {
    std::fs::metadata(path).map_err(ModelError::read(path))?;
    match gguf::locate(path)? {
        Some(file) => describe_gguf(&file),
        None => describe_folder(path),
    }
}

fn describe_folder(folder: &Path) -> Result<Description, ModelError> {
    let path = folder.join("config.json");
    let text = std::fs::read(&path).map_err(ModelError::read(&path))?;
    let fields: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|source| ModelError::Json { path: path.clone(), source })?;
    let family = fields.get("model_type").and_then(Value::as_str).map(str::to_owned);
    let mut found = Description {
        file: ModelFile::Safetensors,
        sizes: bare_sizes(&fields),
        tied_head: fields.get("tie_word_embeddings").and_then(Value::as_bool),
        family,
        parameters: 0,
        formats: Vec::new(),
        tensors_fit: None,
        problems: Vec::new(),
    };
    let files = WeightFiles::open_folder(folder);
    if found.family.as_deref() == Some("bert") {
        found.tied_head = None;
        found.note(encoder::check(folder));
    } else if let Some(config) = found.note(ModelConfig::read(folder)) {
        found.take(&config);
        if let Ok(files) = &files {
            found.fit(&config, files, folder);
        }
    }
    if let Some(files) = found.note(files) {
        let mut usage = Usage::default();
        files.iter().for_each(|view| usage.add(view.format.name(), sizes_of(view.shape), Some(view.bytes.len()), true));
        files
            .unreadable_ones()
            .for_each(|one| usage.add(&one.format, sizes_of(&one.shape), Some(one.size_bytes), false));
        found.count(usage);
    }
    Ok(found)
}

/// The fields of a configuration that need not be supported. Models of text and images keep those of the text apart.
fn bare_sizes(fields: &Map<String, Value>) -> Sizes {
    let inner = fields.get("text_config").and_then(Value::as_object);
    let size = |name: &str| fields.get(name).or_else(|| inner?.get(name)).and_then(Value::as_u64);
    Sizes {
        layers: size("num_hidden_layers"),
        d_model: size("hidden_size"),
        d_ff: size("intermediate_size"),
        n_heads: size("num_attention_heads"),
        n_kv_heads: size("num_key_value_heads"),
        head_dim: size("head_dim"),
        vocab: size("vocab_size"),
        context: size("max_position_embeddings"),
    }
}

fn describe_gguf(path: &Path) -> Result<Description, ModelError> {
    let outline = gguf::Outline::parse(&map(path)?, path)?;
    let size = |field: &str| gguf::size(&outline.metadata, field);
    let mut found = Description {
        file: ModelFile::Gguf,
        family: outline.metadata.text("general.architecture").ok().flatten().map(str::to_owned),
        sizes: Sizes {
            layers: size("num_hidden_layers"),
            d_model: size("hidden_size"),
            d_ff: size("intermediate_size"),
            n_heads: size("num_attention_heads"),
            n_kv_heads: size("num_key_value_heads"),
            head_dim: size("head_dim"),
            vocab: outline.metadata.texts("tokenizer.ggml.tokens").ok().flatten().map(|tokens| tokens.len() as u64),
            context: size("max_position_embeddings"),
        },
        tied_head: Some(!outline.holds("output.weight")),
        parameters: 0,
        formats: Vec::new(),
        tensors_fit: None,
        problems: Vec::new(),
    };
    let mut usage = Usage::default();
    for (shape, code) in outline.tensors() {
        match StoredFormat::from_code(code) {
            Some(format) => {
                let widths: Option<Vec<usize>> = shape.iter().map(|width| usize::try_from(*width).ok()).collect();
                usage.add(
                    format.name(),
                    shape.iter().copied(),
                    widths.and_then(|shape| format.size_bytes(&shape)),
                    true,
                );
            }
            None => usage.add(&StoredFormat::describe(code), shape.iter().copied(), None, false),
        }
    }
    found.count(usage);
    if let Some(file) = found.note(Gguf::open(path)) {
        found.note(file.tokenizer());
        if let Some(config) = found.note(file.config()) {
            found.take(&config);
            if let Some(files) = found.note(file.into_weights(&config)) {
                found.fit(&config, &files, path);
            }
        }
    }
    Ok(found)
}

fn sizes_of(shape: &[usize]) -> impl Iterator<Item = u64> {
    shape.iter().map(|width| *width as u64)
}

impl Description {
    /// What went well; what did not is a problem.
    fn note<T>(&mut self, result: Result<T, ModelError>) -> Option<T> {
        result
            .map_err(|error| {
                let cause = std::error::Error::source(&error);
                self.problems.push(with_causes(error.to_string(), cause));
            })
            .ok()
    }

    /// Looks whether the tensors are those of the configuration.
    fn fit(&mut self, config: &ModelConfig, files: &WeightFiles, path: &Path) {
        self.tensors_fit = Some(self.note(folder::check(config, files).map_err(ModelError::at(path))).is_some());
    }

    fn take(&mut self, config: &ModelConfig) {
        let size = |number: usize| Some(number as u64);
        self.sizes = Sizes {
            layers: size(config.num_hidden_layers),
            d_model: size(config.hidden_size),
            d_ff: size(config.intermediate_size),
            n_heads: size(config.num_attention_heads),
            n_kv_heads: size(config.num_key_value_heads),
            head_dim: size(config.head_dim),
            vocab: size(config.vocab_size),
            context: size(config.max_position_embeddings),
        };
        self.tied_head = Some(config.tie_word_embeddings);
    }

    fn count(&mut self, usage: Usage) {
        self.formats = usage.0.into_values().collect();
        let readable = self.formats.iter().filter(|format| format.readable);
        self.parameters = readable.map(|format| format.numbers).fold(0, u64::saturating_add);
    }
}

/// Formats by name.
#[derive(Default)]
struct Usage(BTreeMap<String, FormatUsage>);

impl Usage {
    fn add(&mut self, format: &str, shape: impl Iterator<Item = u64>, size_bytes: Option<usize>, readable: bool) {
        let entry = self.0.entry(format.to_owned()).or_insert_with(|| FormatUsage {
            format: format.to_owned(),
            tensors: 0,
            numbers: 0,
            size_bytes: Some(0),
            readable,
        });
        entry.tensors += 1;
        // The header of a GGUF file that can't be opened may say anything.
        entry.numbers = entry.numbers.saturating_add(shape.fold(1, u64::saturating_mul));
        entry.size_bytes = entry.size_bytes.zip(size_bytes).map(|(sum, bytes)| sum.saturating_add(bytes as u64));
    }
}
