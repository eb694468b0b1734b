//! GGUF, the one-file format of llama.cpp: configuration, tokenizer, chat template and weights in one file.
//!
//! It is turned into what the rest of the program knows: a [`ModelConfig`], a [`TokenizerSpec`], and weights under their
//! names in transformers. Specification: ggml's `docs/gguf.md`; names: `gguf-py/gguf/tensor_mapping.py` of llama.cpp.

mod adapter;
mod architecture;
mod config;
mod export;
mod metadata;
mod reader;
mod rope_freqs;
mod tensors;
mod tokenizer;
mod windows;
mod writer;

use std::path::{Path, PathBuf};

pub use adapter::export_gguf_adapter;
pub use export::{GgufFormat, export_gguf};

use memmap2::Mmap;

use super::config::ModelConfig;
use super::error::ModelError;
use super::weights::{WeightFiles, map};
use crate::tokenizer_spec::TokenizerSpec;
use reader::Header;
pub(crate) use reader::Outline;

/// An opened GGUF file.
#[derive(Debug)]
pub(crate) struct Gguf {
    path: PathBuf,
    map: Mmap,
    header: Header,
}

impl Gguf {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// It can't be read, or is malformed.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let map = map(path)?;
        let header = Header::parse(&map, path)?;
        Ok(Self { path: path.to_path_buf(), map, header })
    }

    /// The model's configuration, as its `config.json` would say it.
    ///
    /// # Errors
    /// The architecture, or a value that changes the numbers, is not supported.
    pub(crate) fn config(&self) -> Result<ModelConfig, ModelError> {
        config::config(&self.header, &self.map).map_err(ModelError::at(&self.path))
    }

    /// The tokenizer and chat template.
    ///
    /// # Errors
    /// A part is missing or contradicts another.
    pub(crate) fn tokenizer(&self) -> Result<TokenizerSpec, ModelError> {
        tokenizer::tokenizer(&self.header.metadata).map_err(ModelError::at(&self.path))
    }

    /// The weights under their names in transformers.
    ///
    /// # Errors
    /// A tensor has a name that is not known.
    pub(crate) fn into_weights(self, config: &ModelConfig) -> Result<WeightFiles, ModelError> {
        let tensors = tensors::entries(&self.header, config, &self.path).map_err(ModelError::at(&self.path))?;
        Ok(WeightFiles::from_map(&self.path, self.map, tensors))
    }
}

/// See [`config::size`].
pub(crate) fn size(metadata: &metadata::Metadata, field: &str) -> Option<u64> {
    config::size(metadata, field)
}

/// The GGUF file that a path means: the file itself, or the only one of a folder without `config.json`.
///
/// # Errors
/// There are several, or a file is not GGUF.
pub(crate) fn locate(path: &Path) -> Result<Option<PathBuf>, ModelError> {
    if path.is_file() {
        return Ok(Some(path.to_path_buf()));
    }
    if path.join("config.json").exists() {
        return Ok(None);
    }
    let Ok(entries) = path.read_dir() else { return Ok(None) };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "gguf"))
        .collect();
    files.sort_unstable();
    match files.as_slice() {
        [] => Ok(None),
        [file] => Ok(Some(file.clone())),
        _ => {
            let names: Vec<String> =
                files.iter().filter_map(|file| Some(format!("`{}`", file.file_name()?.display()))).collect();
            let reason = format!("it holds several GGUF files; name one of {}", names.join(", "));
            Err(ModelError::MalformedWeights { path: path.to_path_buf(), reason })
        }
    }
}

/// The tokenizer and chat template inside a GGUF model; `None` for a folder, which has files for them.
///
/// # Errors
/// The file is malformed, or its tokenizer is of a kind that is not known.
pub fn tokenizer_spec(path: &Path) -> Result<Option<TokenizerSpec>, ModelError> {
    locate(path)?.map(|file| Gguf::open(&file)?.tokenizer()).transpose()
}
