//! An encoder of sentences with its tokenizer and the prompt that stands before each sentence.

use std::path::Path;

use serde_json::Value;

use crate::model::Encoder;
use crate::stage::StageError;
use crate::text::tokenize::Tokenizer;

/// Texts to vectors, as `SentenceTransformer.encode` of a folder computes them.
pub(super) struct SentenceEncoder {
    encoder: Encoder,
    tokenizer: Tokenizer,
    prompt: String,
}

impl SentenceEncoder {
    /// Loads an encoder's folder.
    ///
    /// # Errors
    /// A file is malformed, or asks for something that is not done here.
    pub(super) fn load(folder: &Path) -> Result<Self, StageError> {
        let encoder = Encoder::load(folder).map_err(StageError::failed)?;
        let tokenizer = Tokenizer::load(&folder.into()).map_err(StageError::failed)?;
        Ok(Self { encoder, tokenizer, prompt: default_prompt(folder).map_err(StageError::failed)? })
    }

    /// The embedding of each text, of length one.
    ///
    /// # Errors
    /// The tokenizer fails.
    pub(super) fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, StageError> {
        /// Texts that are encoded at once.
        const BATCH: usize = 64;
        let ids = |text: &&str| {
            let text = format!("{}{text}", self.prompt);
            self.tokenizer.encode_cut(text.trim(), self.encoder.max_tokens()).map_err(StageError::failed)
        };
        let ids = texts.iter().map(ids).collect::<Result<Vec<_>, _>>()?;
        let embed = |batch| self.encoder.embed(batch).map_err(StageError::failed);
        let batches = ids.chunks(BATCH).map(embed).collect::<Result<Vec<_>, _>>()?;
        Ok(batches.into_iter().flatten().collect())
    }
}

/// What sentence-transformers puts before every sentence when nobody says otherwise: the prompt called
/// `default_prompt_name`. That of `prompts` which others name is not used, as it is not by `encode`.
///
/// # Errors
/// A file is malformed, the default is not among the prompts, or its tokens are to be left out of the mean.
fn default_prompt(folder: &Path) -> Result<String, String> {
    const CONFIG: &str = "config_sentence_transformers.json";
    const POOLING: &str = "1_Pooling/config.json";
    let place = |file: &str| folder.join(file).display().to_string();
    let config = read_json(folder, CONFIG)?;
    let name = match config.get("default_prompt_name") {
        None | Some(Value::Null) => return Ok(String::new()),
        Some(Value::String(name)) => name,
        Some(other) => return Err(format!("`{}`: default_prompt_name is `{other}`; expected a name", place(CONFIG))),
    };
    let prompt = match config.get("prompts").and_then(|prompts| prompts.get(name)) {
        Some(Value::String(prompt)) => prompt.clone(),
        // Both are there, and empty, unless the file says otherwise.
        None if name == "query" || name == "document" => String::new(),
        found => {
            let found = found.map_or_else(|| "missing".to_owned(), Value::to_string);
            return Err(format!("`{}`: prompts.{name} is `{found}`; expected a text", place(CONFIG)));
        }
    };
    if !prompt.is_empty() && read_json(folder, POOLING)?.get("include_prompt") == Some(&Value::Bool(false)) {
        let expected = "expected `true`, since there is a default prompt and the mean is over all tokens";
        return Err(format!("`{}`: include_prompt is `false`; {expected}", place(POOLING)));
    }
    Ok(prompt)
}

/// A file of the folder; null when it is absent.
fn read_json(folder: &Path, file: &str) -> Result<Value, String> {
    let path = folder.join(file);
    if !path.exists() {
        return Ok(Value::Null);
    }
    let told = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
    let bytes = std::fs::read(&path).map_err(|error| told(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| told(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str, pooling: &str, expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        std::fs::write(folder.path().join("config_sentence_transformers.json"), config).unwrap();
        std::fs::write(folder.path().join("1_Pooling/config.json"), pooling).unwrap();
        match (default_prompt(folder.path()), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{config}"),
            (Err(error), Err(words)) => {
                assert!(error.contains(words) && error.contains(&folder.path().display().to_string()), "{error}");
            }
            (found, expected) => panic!("{config}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn only_the_default_prompt_is_used() {
        check("{}", "{}", Ok(""));
        check(r#"{"prompts":{"query":"Q: "},"default_prompt_name":null}"#, "{}", Ok(""));
        check(r#"{"prompts":{"query":"Q: ","other":"O: "},"default_prompt_name":"other"}"#, "{}", Ok("O: "));
        check(r#"{"default_prompt_name":"query"}"#, "{}", Ok(""));
        check(r#"{"prompts":{"query":""},"default_prompt_name":"query"}"#, r#"{"include_prompt":false}"#, Ok(""));
    }

    #[test]
    fn what_can_not_be_honoured_is_refused_with_its_file() {
        let query = r#"{"prompts":{"query":"Q: "},"default_prompt_name":"query"}"#;
        check(query, r#"{"include_prompt":false}"#, Err("include_prompt is `false`"));
        check(query, r#"{"include_prompt":true}"#, Ok("Q: "));
        check(r#"{"prompts":{},"default_prompt_name":"s2p"}"#, "{}", Err("prompts.s2p is `missing`"));
        check(r#"{"prompts":{"query":7},"default_prompt_name":"query"}"#, "{}", Err("prompts.query is `7`"));
        check(r#"{"default_prompt_name":7}"#, "{}", Err("default_prompt_name is `7`"));
        check("{", "{}", Err("EOF"));
        check(query, "[", Err("EOF"));
    }
}
