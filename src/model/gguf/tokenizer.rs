//! The tokenizer in the metadata of a GGUF file, as plain data.

use super::metadata::{Metadata, required};
use crate::model::error::ModelError;
use crate::tokenizer_spec::{Algorithm, TokenKind, TokenizerSpec};

/// See [`super::Gguf::tokenizer`].
pub(super) fn tokenizer(metadata: &Metadata) -> Result<TokenizerSpec, ModelError> {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let tokens = required("tokenizer.ggml.tokens", metadata.texts(&key("tokens"))?)?;
    let kinds = match metadata.integers(&key("token_type"))? {
        None => vec![TokenKind::Normal; tokens.len()],
        Some(codes) => codes.iter().map(|code| kind(*code)).collect::<Result<_, _>>()?,
    };
    same_length("token_type", kinds.len(), tokens.len())?;
    let algorithm = match required("tokenizer.ggml.model", metadata.text(&key("model"))?)? {
        "gpt2" => {
            let merges = required("tokenizer.ggml.merges", metadata.texts(&key("merges"))?)?;
            let pre_tokenizer = metadata.text(&key("pre"))?.unwrap_or("default").to_owned();
            Algorithm::ByteLevelBpe { merges: merges.to_vec(), pre_tokenizer }
        }
        "llama" => {
            let scores = required("tokenizer.ggml.scores", metadata.floats(&key("scores"))?)?.to_vec();
            same_length("scores", scores.len(), tokens.len())?;
            let adds_space = metadata.flag(&key("add_space_prefix"))?.unwrap_or(true);
            Algorithm::SentencePiece { scores, adds_space }
        }
        other => return Err(ModelError::field("tokenizer.ggml.model", other, "`gpt2` or `llama`")),
    };
    let id = |name: &str| {
        let key = format!("tokenizer.ggml.{name}_token_id");
        match metadata.id(&key)? {
            Some(id) if id as usize >= tokens.len() => {
                Err(ModelError::field(key, id, format!("an id below `{}`", tokens.len())))
            }
            id => Ok(id),
        }
    };
    // What llama.cpp takes for granted where a key is absent (`llama_vocab::impl::load`).
    let sentencepiece = matches!(algorithm, Algorithm::SentencePiece { .. });
    let llama_3 = matches!(&algorithm, Algorithm::ByteLevelBpe { pre_tokenizer, .. } if pre_tokenizer == "llama-bpe");
    let or_usual = |id: Option<u32>, usual: u32| id.or(sentencepiece.then_some(usual));
    Ok(TokenizerSpec {
        tokens: tokens.to_vec(),
        kinds,
        bos: or_usual(id("bos")?, 1),
        eos: or_usual(id("eos")?, 2),
        unknown: or_usual(id("unknown")?, 0),
        padding: id("padding")?,
        end_ids: end_ids(metadata)?,
        adds_bos: metadata.flag(&key("add_bos_token"))?.unwrap_or(sentencepiece || llama_3),
        adds_eos: metadata.flag(&key("add_eos_token"))?.unwrap_or(false),
        chat_template: metadata.text("tokenizer.chat_template")?.map(str::to_owned),
        algorithm,
    })
}

/// The ids that end a text or a turn, each once.
///
/// # Errors
/// One is no id.
pub(super) fn end_ids(metadata: &Metadata) -> Result<Vec<u32>, ModelError> {
    let mut ids = Vec::new();
    for role in ["eos", "eot"] {
        if let Some(id) = metadata.id(&format!("tokenizer.ggml.{role}_token_id"))?
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// `llama_token_type`.
const KINDS: [(i64, TokenKind); 6] = [
    (1, TokenKind::Normal),
    (2, TokenKind::Unknown),
    (3, TokenKind::Control),
    (4, TokenKind::UserDefined),
    (5, TokenKind::Unused),
    (6, TokenKind::Byte),
];

fn kind(code: i64) -> Result<TokenKind, ModelError> {
    let known = KINDS.iter().find(|(known, _)| *known == code);
    known.map(|(_, kind)| *kind).ok_or_else(|| ModelError::field("tokenizer.ggml.token_type", code, "1 to 6"))
}

/// The code of a kind of token in the file.
pub(super) fn code(kind: TokenKind) -> i64 {
    KINDS.iter().find(|(_, known)| *known == kind).map(|(code, _)| *code).expect("every kind has a code")
}

fn same_length(name: &str, found: usize, tokens: usize) -> Result<(), ModelError> {
    if found == tokens {
        return Ok(());
    }
    Err(ModelError::field(
        format!("tokenizer.ggml.{name}"),
        format!("{found} values"),
        format!("one a token, `{tokens}`"),
    ))
}
