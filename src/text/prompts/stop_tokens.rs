//! The end-of-text tokens that a model folder names.
//!
//! `generation_config.json` and `config.json` give ids, one or several; `tokenizer_config.json` gives a token. The
//! tokenizer's comes first: it is the one appended to plain text.

use serde_json::Value;

use crate::text::chat_template::{TemplateError, read_json};
use crate::text::tokenize::Tokenizer;
use crate::text::tokenizer_folder::TokenizerFolder;

/// The ids, each once; empty when the folder names none.
///
/// # Errors
/// [`TemplateError::Folder`] when a config isn't a JSON object.
pub(crate) fn end_ids(folder: &TokenizerFolder, tokenizer: &Tokenizer) -> Result<Vec<u32>, TemplateError> {
    let mut ids: Vec<u32> = tokenizer.eos_id().into_iter().collect();
    for file in ["generation_config.json", "config.json"] {
        let Some(config) = read_json(folder, file)? else { continue };
        let values = match config.get("eos_token_id") {
            None | Some(Value::Null) => continue,
            Some(Value::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
        };
        for value in values {
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            let Some(id) = id else {
                let message = format!("`eos_token_id` is `{value}`; expected a token id or a list of them");
                return Err(TemplateError::Folder { path: folder.path(file), message });
            };
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    Ok(ids)
}
