//! A tokenizer's folder as plain data, for formats that hold the tokenizer with the weights: the way back from
//! `spec_files`.
//!
//! Byte-level tokenizers only, and only those whose rules for cutting words have a name in llama.cpp that is known here.

use serde_json::{Map, Value};

use super::chat_template::{ChatTemplate, TemplateError, read_json};
use super::prompts::end_ids;
use super::spec_files::{rule_names, rules_named};
use super::tokenize::{Tokenizer, TokenizerError};
use super::tokenizer_folder::TokenizerFolder;
use crate::tokenizer_spec::{Algorithm, TokenKind, TokenizerSpec};

/// Why a tokenizer has no plain form.
#[derive(Debug, thiserror::Error)]
pub enum NoSpec {
    /// It can't be loaded.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// Its configuration can't be read.
    #[error(transparent)]
    Config(#[from] TemplateError),
    /// It is of another kind.
    #[error("the tokenizer has {part} `{found}`; expected {expected}, to be written as GGUF")]
    Unsupported {
        /// Which part.
        part: &'static str,
        /// What it is.
        found: String,
        /// What is known.
        expected: String,
    },
}

/// The plain form of a folder's tokenizer, with as many tokens as the model has rows for.
///
/// # Errors
/// [`NoSpec`].
pub fn spec_of(folder: &TokenizerFolder, vocab_size: usize) -> Result<TokenizerSpec, NoSpec> {
    let tokenizer = Tokenizer::load(folder)?;
    let json = read_json(folder, "tokenizer.json")?.unwrap_or_default();
    let (tokens, kinds) = tokens(&tokenizer, vocab_size)?;
    let role = |role: &str| tokenizer.token_id(tokenizer.special_tokens().get(role)?);
    let (bos, eos) = (role("bos_token"), tokenizer.eos_id());
    // What is put around a text shows in the encoding of none.
    let around = tokenizer.encode("", true)?.ids;
    Ok(TokenizerSpec {
        algorithm: algorithm(&json)?,
        tokens,
        kinds,
        bos,
        eos,
        unknown: role("unk_token"),
        padding: tokenizer.pad_id(),
        end_ids: end_ids(folder, &tokenizer)?,
        adds_bos: bos.is_some() && around.first() == bos.as_ref(),
        adds_eos: eos.is_some() && around.last() == eos.as_ref() && (around.len() > 1 || bos != eos),
        chat_template: ChatTemplate::source_in(folder)?,
    })
}

/// Every token with its kind; ids that no token has are filled up, as llama.cpp's converter does it.
fn tokens(tokenizer: &Tokenizer, vocab_size: usize) -> Result<(Vec<String>, Vec<TokenKind>), NoSpec> {
    if tokenizer.vocab_size() > vocab_size {
        let (found, expected) = (tokenizer.vocab_size().to_string(), format!("at most the model's `{vocab_size}`"));
        return Err(NoSpec::Unsupported { part: "a vocabulary of", found, expected });
    }
    let ids = 0..u32::try_from(vocab_size).unwrap_or(u32::MAX);
    let (mut tokens, mut kinds): (Vec<String>, Vec<TokenKind>) = ids
        .map(|id| match tokenizer.token(id) {
            Some(token) => (token, TokenKind::Normal),
            None => (format!("[PAD{id}]"), TokenKind::Unused),
        })
        .unzip();
    for (id, added) in tokenizer.added_tokens() {
        let id = id as usize;
        kinds[id] = if added.special { TokenKind::Control } else { TokenKind::UserDefined };
        tokens[id] = added.content;
    }
    Ok((tokens, kinds))
}

fn algorithm(json: &Value) -> Result<Algorithm, NoSpec> {
    let model = json.get("model").and_then(Value::as_object).cloned().unwrap_or_default();
    let unsupported =
        |part, found: String, expected: &str| NoSpec::Unsupported { part, found, expected: expected.into() };
    let kind = model.get("type").and_then(Value::as_str).unwrap_or("BPE");
    let is_on = |name: &str| model.get(name) == Some(&Value::Bool(true));
    if kind != "BPE" || is_on("byte_fallback") {
        let found = if kind == "BPE" { "BPE with byte fallback" } else { kind };
        return Err(unsupported("a model of the kind", found.to_owned(), "byte-level BPE"));
    }
    let rules = rules_named(&json["normalizer"], &json["pre_tokenizer"], is_on("ignore_merges"));
    let Some(pre_tokenizer) = rules else {
        let found: String = format!("{}, {}", json["normalizer"], json["pre_tokenizer"]).chars().take(300).collect();
        return Err(unsupported("the normaliser and pre-tokenizer", found, &format!("those of {}", rule_names())));
    };
    Ok(Algorithm::ByteLevelBpe { merges: merges(&model), pre_tokenizer: pre_tokenizer.to_owned() })
}

/// Merges are pairs, or texts with a space between.
fn merges(model: &Map<String, Value>) -> Vec<String> {
    let merge = |merge: &Value| match merge {
        Value::String(text) => Some(text.clone()),
        Value::Array(pair) => Some(format!("{} {}", pair.first()?.as_str()?, pair.get(1)?.as_str()?)),
        _ => None,
    };
    model.get("merges").and_then(Value::as_array).into_iter().flatten().filter_map(merge).collect()
}
