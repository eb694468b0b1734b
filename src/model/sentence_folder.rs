//! What a folder of sentence-transformers says of how sentences become embeddings, beside the encoder itself.
//!
//! Read as sentence-transformers 5 reads it (`SentenceTransformer.py`, `models/Transformer.py`, `models/Pooling.py`). What
//! an [`Encoder`](super::Encoder) does not do is refused: other modules, other pooling, another similarity than the
//! cosine. The prompt that stands before each sentence is text, and so the matter of whoever tokenises.

use std::path::Path;

use serde_json::Value;

use super::error::ModelError;

/// A folder whose embeddings are the mean over tokens, compared by their cosine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SentenceFolder {
    /// The most tokens of a sentence, special ones included, if there is a limit besides the encoder's own.
    pub(crate) max_tokens: Option<usize>,
}

impl SentenceFolder {
    /// Reads the folder; files that are absent say nothing.
    ///
    /// # Errors
    /// A file is malformed, or asks for something that is not done here.
    pub(crate) fn read(folder: &Path) -> Result<Self, ModelError> {
        let normalises = check_modules(folder)?;
        check_pooling(folder)?;
        check_similarity(folder, normalises)?;
        let limit = match sentence_limit(folder)? {
            Some(limit) => Some(limit),
            None => tokenizer_limit(folder)?,
        };
        Ok(Self { max_tokens: limit })
    }
}

/// A file of the folder and what is wrong with a field of it.
fn refused(folder: &Path, file: &str, field: &str, found: impl ToString, expected: &str) -> ModelError {
    ModelError::at(&folder.join(file))(ModelError::field(field, found, expected))
}

/// Accepts an encoder and its pooling, with or without a `Normalize`, whose effect the cosine does not see; says whether it
/// is there. Further modules, such as a dense layer after the mean, change the embeddings.
fn check_modules(folder: &Path) -> Result<bool, ModelError> {
    const FILE: &str = "modules.json";
    const EXPECTED: &str = "`Transformer`, `Pooling` in `1_Pooling`, and perhaps `Normalize`, in this order";
    let Some(modules) = read_json(&folder.join(FILE))? else { return Ok(false) };
    let text = |module: &Value, name: &str| module.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = modules.as_array().ok_or_else(|| refused(folder, FILE, "modules", &modules, "a list"))?;
    let found: Vec<(String, String)> = list
        .iter()
        .map(|module| {
            let kind = text(module, "type");
            (kind.rsplit('.').next().unwrap_or_default().to_owned(), text(module, "path"))
        })
        .collect();
    let plain: Vec<(&str, &str)> = found.iter().map(|(kind, path)| (kind.as_str(), path.as_str())).collect();
    match plain.as_slice() {
        [("Transformer", ""), ("Pooling", "1_Pooling")] => Ok(false),
        [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", _)] => Ok(true),
        _ => {
            let names: Vec<String> = plain.iter().map(|(kind, path)| format!("{kind} in \"{path}\"")).collect();
            Err(refused(folder, FILE, "modules", names.join(", "), EXPECTED))
        }
    }
}

fn check_pooling(folder: &Path) -> Result<(), ModelError> {
    const FILE: &str = "1_Pooling/config.json";
    let Some(config) = read_json(&folder.join(FILE))? else { return Ok(()) };
    let modes = config.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("pooling_mode_"));
    let on: Vec<&str> =
        modes.filter(|(_, value)| **value == Value::Bool(true)).map(|(name, _)| name.as_str()).collect();
    if on == ["pooling_mode_mean_tokens"] || (on.is_empty() && config.get("pooling_mode") == Some(&"mean".into())) {
        return Ok(());
    }
    let found = if on.is_empty() { config.to_string() } else { on.join(", ") };
    Err(refused(folder, FILE, "pooling_mode", found, "`pooling_mode_mean_tokens` alone"))
}

fn check_similarity(folder: &Path, normalises: bool) -> Result<(), ModelError> {
    const FILE: &str = "config_sentence_transformers.json";
    let Some(config) = read_json(&folder.join(FILE))? else { return Ok(()) };
    match config.get("similarity_fn_name") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(name)) if name == "cosine" || (name == "dot" && normalises) => Ok(()),
        Some(other) => {
            Err(refused(folder, FILE, "similarity_fn_name", other, "`cosine`, or `dot` after a `Normalize`"))
        }
    }
}

/// What sentence-transformers cuts sentences to.
fn sentence_limit(folder: &Path) -> Result<Option<usize>, ModelError> {
    const FILE: &str = "sentence_bert_config.json";
    let Some(config) = read_json(&folder.join(FILE))? else { return Ok(None) };
    match config.get("do_lower_case") {
        None | Some(Value::Null | Value::Bool(false)) => {}
        Some(other) => {
            return Err(refused(folder, FILE, "do_lower_case", other, "`false`: letters are the tokenizer's matter"));
        }
    }
    match config.get("max_seq_length") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 2) {
            Some(size) => Ok(Some(size)),
            None => Err(refused(folder, FILE, "max_seq_length", value, "a whole number above 2")),
        },
    }
}

/// What the tokenizer cuts texts to, which counts where `max_seq_length` says nothing; often 10^30, which means no limit.
fn tokenizer_limit(folder: &Path) -> Result<Option<usize>, ModelError> {
    const FILE: &str = "tokenizer_config.json";
    let config = read_json(&folder.join(FILE))?.unwrap_or_default();
    match config.get("model_max_length") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match (value.as_u64(), value.as_f64()) {
            (Some(size), _) if size > 2 => Ok(usize::try_from(size).ok()),
            (None, Some(size)) if size >= 1e18 => Ok(None),
            _ => Err(refused(folder, FILE, "model_max_length", value, "a whole number above 2")),
        },
    }
}

fn read_json(path: &Path) -> Result<Option<Value>, ModelError> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read(path).map_err(ModelError::read(path))?;
    serde_json::from_slice(&text).map(Some).map_err(|source| ModelError::Json { path: path.to_path_buf(), source })
}
