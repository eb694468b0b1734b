//! A tokenizer's folder as plain data, for formats that hold the tokenizer with the weights: the way back from
//! `spec_files`.
//!
//! Only tokenizers for which llama.cpp is known to give the same ids: byte-level ones whose rules for cutting words have a name
//! there, and those of SentencePiece's kind whose merges scores can express.

mod added;
mod scores;
mod sentencepiece;

use serde_json::Value;

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
    /// Its merges are not those of any scores.
    #[error(
        "the tokenizer merges the text of token `{id}`, `{token}`, as no score of its tokens would; expected merges of \
         SentencePiece's kind, to be written as GGUF"
    )]
    Merges {
        /// The token's id.
        id: usize,
        /// Its text.
        token: String,
    },
}

impl NoSpec {
    fn unsupported(part: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Unsupported { part, found: found.into(), expected: expected.into() }
    }
}

/// What the kind of a tokenizer decides.
struct Parts {
    algorithm: Algorithm,
    tokens: Vec<String>,
    kinds: Vec<TokenKind>,
}

/// The plain form of a folder's tokenizer, with as many tokens as the model has rows for.
///
/// # Errors
/// [`NoSpec`].
pub fn spec_of(folder: &TokenizerFolder, vocab_size: usize) -> Result<TokenizerSpec, NoSpec> {
    let tokenizer = Tokenizer::load(folder)?;
    let json = read_json(folder, "tokenizer.json")?.unwrap_or_default();
    let model = &json["model"];
    let Parts { algorithm, tokens, kinds } = match model["type"].as_str().unwrap_or("BPE") {
        "BPE" if is_on(model, "byte_fallback") => sentencepiece::parts(folder, &json, vocab_size)?,
        "BPE" => byte_level(&tokenizer, &json, vocab_size)?,
        other => return Err(NoSpec::unsupported("a model of the kind", other, "`BPE`")),
    };
    let role = |role: &str| tokenizer.token_id(tokenizer.special_tokens().get(role)?);
    let (bos, eos) = (role("bos_token"), tokenizer.eos_id());
    // What is put around a text shows in the encoding of none.
    let around = tokenizer.encode("", true)?.ids;
    Ok(TokenizerSpec {
        algorithm,
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
fn byte_level(tokenizer: &Tokenizer, json: &Value, vocab_size: usize) -> Result<Parts, NoSpec> {
    if tokenizer.vocab_size() > vocab_size {
        return Err(too_many(tokenizer.vocab_size(), vocab_size));
    }
    let ids = 0..u32::try_from(vocab_size).unwrap_or(u32::MAX);
    let (mut tokens, mut kinds): (Vec<String>, Vec<TokenKind>) = ids
        .map(|id| match tokenizer.token(id) {
            Some(token) => (token, TokenKind::Normal),
            None => (filler(id as usize), TokenKind::Unused),
        })
        .unzip();
    for (id, added) in tokenizer.added_tokens() {
        let id = id as usize;
        kinds[id] = if added.special { TokenKind::Control } else { TokenKind::UserDefined };
        tokens[id] = added.content;
    }
    let (normalizer, pre_tokenizer) = (&json["normalizer"], &json["pre_tokenizer"]);
    let Some(rules) = rules_named(normalizer, pre_tokenizer, is_on(&json["model"], "ignore_merges")) else {
        let expected = format!("those of {}", rule_names());
        return Err(NoSpec::unsupported("the normaliser and pre-tokenizer", cutting_rules(json), expected));
    };
    let merges = merges(&json["model"]).map(|(left, right)| format!("{left} {right}")).collect();
    Ok(Parts { algorithm: Algorithm::ByteLevelBpe { merges, pre_tokenizer: rules.to_owned() }, tokens, kinds })
}

fn is_on(model: &Value, name: &str) -> bool {
    model.get(name) == Some(&Value::Bool(true))
}

fn too_many(found: usize, vocab_size: usize) -> NoSpec {
    NoSpec::unsupported("a vocabulary of", found.to_string(), format!("at most the model's `{vocab_size}`"))
}

/// The text of an id that no token has.
fn filler(id: usize) -> String {
    format!("[PAD{id}]")
}

/// The parts that say how texts are cut, short enough for a message.
fn cutting_rules(json: &Value) -> String {
    format!("{}, {}", json["normalizer"], json["pre_tokenizer"]).chars().take(300).collect()
}

/// The pairs that are merged, in order.
fn merges(model: &Value) -> impl Iterator<Item = (&str, &str)> {
    model.get("merges").and_then(Value::as_array).into_iter().flatten().filter_map(merge)
}

/// A merge is a pair, or a text with a space between.
fn merge(merge: &Value) -> Option<(&str, &str)> {
    match merge {
        Value::String(text) => text.split_once(' '),
        Value::Array(pair) => Some((pair.first()?.as_str()?, pair.get(1)?.as_str()?)),
        _ => None,
    }
}
