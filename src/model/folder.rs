//! A model on disk: a folder as transformers lays it out, with configuration, weights and the tokenizer's files, or a
//! single GGUF file that holds all of that.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::backend;
use super::config::ModelConfig;
use super::decoder::{Decoder, EMBED_TOKENS, LM_HEAD, is_redundant};
use super::error::ModelError;
use super::fused::buffer::{kernels_exist, numbers};
use super::gguf::{self, Gguf};
use super::layers::WeightVisitor;
use super::lora;
use super::quantised::Precision;
use super::weights::{FileSource, FloatFormat, WeightEntry, WeightFiles, write_safetensors};
use crate::device::DeviceSpec;

/// Files that belong to a model but not to its weights; copied byte for byte where they exist.
const COMPANIONS: &[&str] = &[
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
];

/// The configuration and weights of a model folder or GGUF file.
///
/// # Errors
/// The configuration is not supported, or a weight file is missing or malformed.
pub(crate) fn open(path: &Path) -> Result<(ModelConfig, WeightFiles), ModelError> {
    match gguf::locate(path)? {
        Some(file) => {
            let file = Gguf::open(&file)?;
            let config = file.config()?;
            let weights = file.into_weights(&config)?;
            Ok((config, weights))
        }
        None => Ok((ModelConfig::read(path)?, WeightFiles::open_folder(path)?)),
    }
}

/// Checks that the weights are those of the configuration: every tensor there, in the right shape, and no other.
///
/// # Errors
/// One is missing, has another shape, is stored in a way that can't be read, or belongs to nothing; or there is a head beside
/// an embedding that is said to be the head.
pub(crate) fn check(config: &ModelConfig, files: &WeightFiles) -> Result<(), ModelError> {
    let device = backend::open(DeviceSpec::default())?;
    build(config, files, FileSource::checking(files, &device)).map(|_| ())
}

/// The model of a configuration, with nothing missing and nothing left over.
fn build(config: &ModelConfig, files: &WeightFiles, mut source: FileSource) -> Result<Decoder, ModelError> {
    files.refuse_unreadable(|name| is_redundant(config, name))?;
    refuse_other_head(config, files)?;
    let model = Decoder::new(config, &mut source)?;
    source.finish(|name| is_redundant(config, name))?;
    Ok(model)
}

/// Loads a model folder or GGUF file onto `device`, with matrices held as `precision` says.
///
/// # Errors
/// The configuration is not supported, or the weights do not fit it.
pub(crate) fn load(path: &Path, precision: Precision, device: &Device) -> Result<Decoder, ModelError> {
    let (config, files) = open(path)?;
    // Without kernels that read packed weights, to keep them packed would be to widen them again for each product.
    let stays = precision != Precision::AsStored || kernels_exist(device);
    let source = FileSource::new(&files, device, if stays { precision } else { Precision::Full });
    build(&config, &files, source).map_err(ModelError::at(path))
}

/// Refuses a head of its own where the configuration says that the head is the embedding: transformers 5 would use such a
/// head (`tie_weights`), others would not. One that equals the embedding is only stored twice.
fn refuse_other_head(config: &ModelConfig, files: &WeightFiles) -> Result<(), ModelError> {
    let (Some(head), Some(embedding)) = (files.get(LM_HEAD), files.get(EMBED_TOKENS)) else { return Ok(()) };
    let is_same = || head.shape == embedding.shape && head.format == embedding.format && head.bytes == embedding.bytes;
    if !config.tie_word_embeddings || is_same() {
        return Ok(());
    }
    let expected = format!("`false`, since `{LM_HEAD}` is there and is not the embedding");
    Err(ModelError::field("tie_word_embeddings", true, expected))
}

/// Puts the adapter in `folder` on a model; its dropout is off.
///
/// # Errors
/// The adapter is not supported or does not fit the model.
pub(crate) fn load_adapter(model: &mut Decoder, folder: &Path) -> Result<(), ModelError> {
    lora::attach(model, &lora::AdapterFiles::open(folder)?, 0.0)
}

/// Makes `output` with everything of `base` but its weights; `config.json` differs only if `dtype` does. Of a GGUF file,
/// the tokenizer's files are left to whoever reads its [`TokenizerSpec`](crate::tokenizer_spec::TokenizerSpec).
///
/// # Errors
/// A file cannot be copied.
pub(crate) fn copy_all_but_weights(
    base: &Path,
    config: &ModelConfig,
    dtype: FloatFormat,
    output: &Path,
) -> Result<(), ModelError> {
    std::fs::create_dir_all(output).map_err(ModelError::write(output))?;
    let copy = |name: &str| {
        let (from, to) = (base.join(name), output.join(name));
        let bytes = std::fs::read(&from).map_err(ModelError::read(&from))?;
        std::fs::write(&to, bytes).map_err(ModelError::write(&to))
    };
    let is_gguf = gguf::locate(base)?.is_some();
    for name in COMPANIONS.iter().filter(|name| !is_gguf && base.join(name).is_file()) {
        copy(name)?;
    }
    if is_gguf || !base.join("generation_config.json").is_file() {
        write_text(&output.join("generation_config.json"), &config.generation_json())?;
    }
    if dtype == config.dtype && base.join("config.json").is_file() {
        copy("config.json")
    } else {
        write_text(&output.join("config.json"), &config.to_json(dtype))
    }
}

/// Writes a text file.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), ModelError> {
    std::fs::write(path, text).map_err(ModelError::write(path))
}

/// Writes every weight of `model` to `model.safetensors`, rounded to `dtype`. Peak memory: one more tensor in `dtype`.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn save_weights(model: &mut Decoder, dtype: FloatFormat, output: &Path) -> Result<(), ModelError> {
    let mut entries = Entries { dtype, list: Vec::new() };
    model.visit(&mut entries);
    write_safetensors(&output.join("model.safetensors"), entries.list, |entry| {
        let mut finder = Finder { name: &entry.name, dtype, bytes: Vec::new() };
        model.visit(&mut finder);
        Ok(finder.bytes)
    })
}

struct Entries {
    dtype: FloatFormat,
    list: Vec<WeightEntry>,
}

impl WeightVisitor for Entries {
    fn visit<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
        self.list.push(WeightEntry { name: name.to_owned(), format: self.dtype, shape: weight.dims().to_vec() });
    }
}

/// Encodes the one weight that has this name.
struct Finder<'a> {
    name: &'a str,
    dtype: FloatFormat,
    bytes: Vec<u8>,
}

impl WeightVisitor for Finder<'_> {
    fn visit<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
        if name == self.name {
            self.bytes = self.dtype.encode(&numbers(weight.clone()));
        }
    }
}
