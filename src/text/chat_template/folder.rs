//! What a Hugging Face tokenizer folder says about its chat template and special tokens.
//!
//! `chat_template.jinja` wins over `chat_template` in `tokenizer_config.json`, which is a string or a list of named
//! templates; of a list, `default` is taken. A special token is a string or an object with `content`.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::value::Value;
use serde_json::Value as Json;

use super::TemplateError;
use crate::text::tokenizer_folder::TokenizerFolder;

/// The largest file that is read, in bytes; `tokenizer_config.json` of big vocabularies has some megabytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// The special tokens a template may print: `bos_token`, `eos_token`, `pad_token` and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens(BTreeMap<String, String>);

const ROLES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

impl SpecialTokens {
    /// Special tokens by role.
    pub fn new<'a>(tokens: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(tokens.into_iter().map(|(role, token)| (role.to_owned(), token.to_owned())).collect())
    }

    /// Reads `special_tokens_map.json` and then `tokenizer_config.json`, which wins.
    ///
    /// # Errors
    /// [`TemplateError::Folder`] when one of the two isn't a JSON object; a missing file is no error.
    pub fn load(folder: &TokenizerFolder) -> Result<Self, TemplateError> {
        let mut tokens = BTreeMap::new();
        for file in ["special_tokens_map.json", "tokenizer_config.json"] {
            let Some(config) = read_json(folder, file)? else { continue };
            for role in ROLES {
                match config.get(role).map(content) {
                    Some(Some(token)) => tokens.insert(role.to_owned(), token.to_owned()),
                    Some(None) => tokens.remove(role),
                    None => None,
                };
            }
        }
        Ok(Self(tokens))
    }

    /// The token with a role, such as `eos_token`.
    #[must_use]
    pub fn get(&self, role: &str) -> Option<&str> {
        self.0.get(role).map(String::as_str)
    }

    /// Every role that has a token, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(role, token)| (role.as_str(), token.as_str()))
    }

    pub(super) fn variables(&self) -> BTreeMap<String, Value> {
        self.0.iter().map(|(role, token)| (role.clone(), Value::from(token.as_str()))).collect()
    }
}

fn content(token: &Json) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

/// The chat template of a tokenizer folder, when it has one.
///
/// # Errors
/// [`TemplateError::Folder`].
pub(crate) fn template_source(folder: &TokenizerFolder) -> Result<Option<String>, TemplateError> {
    const JINJA: &str = "chat_template.jinja";
    const CONFIG: &str = "tokenizer_config.json";
    if let Some(bytes) = read(folder, JINJA)? {
        return String::from_utf8(bytes).map(Some).map_err(|_| bad(&folder.path(JINJA), "not UTF-8"));
    }
    let Some(config) = read_json(folder, CONFIG)? else { return Ok(None) };
    match config.get("chat_template") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(source)) => Ok(Some(source.clone())),
        Some(Json::Array(named)) => {
            let default = named.iter().find(|entry| entry.get("name").and_then(Json::as_str) == Some("default"));
            match default.and_then(|entry| entry.get("template")?.as_str()) {
                Some(source) => Ok(Some(source.to_owned())),
                None => Err(bad(&folder.path(CONFIG), "`chat_template` is a list without a template named `default`")),
            }
        }
        Some(_) => Err(bad(&folder.path(CONFIG), "`chat_template` is neither a string nor a list of named templates")),
    }
}

/// A JSON object of the folder; `None` when the file is absent.
///
/// # Errors
/// [`TemplateError::Folder`].
pub(crate) fn read_json(folder: &TokenizerFolder, name: &str) -> Result<Option<Json>, TemplateError> {
    let Some(bytes) = read(folder, name)? else { return Ok(None) };
    match serde_json::from_slice(&bytes) {
        Ok(value @ Json::Object(_)) => Ok(Some(value)),
        Ok(_) => Err(bad(&folder.path(name), "expected a JSON object")),
        Err(error) => Err(bad(&folder.path(name), &format!("not JSON: {error}"))),
    }
}

fn read(folder: &TokenizerFolder, name: &str) -> Result<Option<Vec<u8>>, TemplateError> {
    folder.read(name, MAX_FILE_BYTES).map_err(|error| bad(&folder.path(name), &error.to_string()))
}

fn bad(path: &Path, message: &str) -> TemplateError {
    TemplateError::Folder { path: path.to_owned(), message: message.to_owned() }
}
