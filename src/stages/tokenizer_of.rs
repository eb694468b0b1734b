//! The tokenizer of a model that a stage was handed, be it a folder or a GGUF file.

use std::path::Path;

use crate::model;
use crate::stage::StageError;
use crate::text::tokenizer_folder::TokenizerFolder;

/// The tokenizer's files of the model at a path.
///
/// # Errors
/// The model is a GGUF file whose tokenizer can't be read.
pub(crate) fn tokenizer_of(model: &Path) -> Result<TokenizerFolder, StageError> {
    match model::tokenizer_spec(model).map_err(StageError::failed)? {
        None => Ok(model.into()),
        Some(spec) => TokenizerFolder::from_spec(&spec).map_err(StageError::failed),
    }
}
