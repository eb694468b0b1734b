//! Tokenizers of SentencePiece's kind, as transformers writes them: byte-pair encoding over whole texts in which `▁` is a
//! space, with the bytes of unknown letters as tokens. llama.cpp has them as `llama`.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::added::{Added, added_tokens};
use super::scores::{MAX_LETTERS, Merges, scores};
use super::{NoSpec, Parts, cutting_rules, filler, is_on, merges, too_many};
use crate::text::chat_template::ChatTemplate;
use crate::text::messages::Message;
use crate::text::tokenizer_folder::TokenizerFolder;
use crate::tokenizer_spec::{Algorithm, TokenKind};

/// How the vocabulary spells a space.
pub(super) const SPACE: char = '\u{2581}';

/// Tokens, kinds and scores.
pub(super) fn parts(folder: &TokenizerFolder, json: &Value, vocab_size: usize) -> Result<Parts, NoSpec> {
    let model = &json["model"];
    refuse_options(model)?;
    let vocabulary: HashMap<&str, u32> = vocabulary(model);
    let spaces = spaces(json)?;
    let added = added_tokens(json, matches!(spaces, Spaces::BeforeEachText))?;
    let adds_space = adds_space(spaces, folder, &added)?;
    let (mut tokens, mut kinds) = tokens(&vocabulary, vocab_size)?;
    let unknown = model["unk_token"].as_str();
    for token in &added {
        let (Some(text), is_found_first) = (tokens.get_mut(token.id), token.is_found_first()) else {
            return Err(too_many(token.id + 1, vocab_size));
        };
        kinds[token.id] = match token.special {
            true if unknown == Some(&token.content) => TokenKind::Unknown,
            true => TokenKind::Control,
            false if is_found_first => TokenKind::UserDefined,
            false => TokenKind::Normal,
        };
        token.content.clone_into(text);
    }
    let found: HashSet<&str> =
        added.iter().filter(|token| token.is_found_first()).map(|token| &*token.content).collect();
    let is_long = |token: &&String| token.chars().count() > MAX_LETTERS && !found.contains(token.as_str());
    if let Some(token) = tokens.iter().find(is_long) {
        return Err(NoSpec::unsupported("the token", token, format!("at most `{MAX_LETTERS}` letters")));
    }
    let is_merged: Vec<bool> = tokens.iter().map(|token| !holds_one_of(token, &found)).collect();
    let ids = |(left, right): (&str, &str)| Some((*vocabulary.get(left)?, *vocabulary.get(right)?));
    let ranks = merges(model).filter_map(ids).zip(0..).collect();
    let scores = scores(&tokens, &is_merged, &Merges { vocabulary, ranks })
        .map_err(|id| NoSpec::Merges { id, token: tokens[id].clone() })?;
    Ok(Parts { algorithm: Algorithm::SentencePiece { scores, adds_space }, tokens, kinds })
}

/// Whether a text is or holds a token that is found first, so that it is cut before it could be merged.
fn holds_one_of(text: &str, found: &HashSet<&str>) -> bool {
    if found.contains(text) {
        return true;
    }
    let starts = text.char_indices().map(|(start, _)| &text[start..]);
    let parts = |rest: &'_ str| -> bool {
        let mut ends = rest.char_indices().skip(1).map(|(end, _)| end).chain([rest.len()]);
        ends.any(|end| found.contains(&rest[..end]))
    };
    starts.into_iter().any(parts)
}

/// Refuses what llama.cpp's way of merging does not have.
fn refuse_options(model: &Value) -> Result<(), NoSpec> {
    for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if let Some(text) = model[name].as_str().filter(|text| !text.is_empty()) {
            return Err(NoSpec::unsupported("a prefix or suffix of words", text, "none"));
        }
    }
    if is_on(model, "ignore_merges") {
        return Err(NoSpec::unsupported("the option", "ignore_merges", "it to be off"));
    }
    Ok(())
}

fn vocabulary(model: &Value) -> HashMap<&str, u32> {
    let listed = model["vocab"].as_object().into_iter().flatten();
    listed.filter_map(|(token, id)| Some((token.as_str(), u32::try_from(id.as_u64()?).ok()?))).collect()
}

/// How the vocabulary spells a byte.
fn byte_name(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

/// Every id's text with its kind; ids that no token has are filled up. A letter may be another name of its byte, as in Gemma's
/// vocabulary, and the byte's name is taken.
fn tokens(vocabulary: &HashMap<&str, u32>, vocab_size: usize) -> Result<(Vec<String>, Vec<TokenKind>), NoSpec> {
    let bytes: HashMap<String, u8> = (0..=u8::MAX).map(|byte| (byte_name(byte), byte)).collect();
    // llama.cpp takes the letter for its byte too.
    let is_there = |(name, byte): (&String, &u8)| {
        let letter = char::from(*byte);
        vocabulary.contains_key(name.as_str())
            || letter.is_ascii() && vocabulary.contains_key(letter.encode_utf8(&mut [0; 4]) as &str)
    };
    if let Some((missing, _)) = bytes.iter().filter(|(name, byte)| !is_there((name, byte))).min() {
        return Err(NoSpec::unsupported("no token", missing, "one for each byte"));
    }
    let mut tokens: Vec<String> = (0..vocab_size).map(filler).collect();
    let mut kinds = vec![TokenKind::Unused; vocab_size];
    let is_letter =
        |name: &str, byte: &str| <[u8; 1]>::try_from(name.as_bytes()).is_ok_and(|[letter]| bytes[byte] == letter);
    let mut names: Vec<(&str, usize)> = vocabulary.iter().map(|(name, id)| (*name, *id as usize)).collect();
    // Names of bytes first.
    names.sort_unstable_by_key(|(name, id)| (*id, !bytes.contains_key(*name), *name));
    for (name, id) in names {
        match kinds.get(id) {
            None => return Err(too_many(id + 1, vocab_size)),
            Some(TokenKind::Byte) if is_letter(name, &tokens[id]) => continue,
            Some(TokenKind::Unused) => {}
            Some(_) => {
                return Err(NoSpec::unsupported(
                    "two names of one token,",
                    format!("{}` and `{name}", tokens[id]),
                    "one",
                ));
            }
        }
        kinds[id] = if bytes.contains_key(name) { TokenKind::Byte } else { TokenKind::Normal };
        name.clone_into(&mut tokens[id]);
    }
    Ok((tokens, kinds))
}

/// Where a space is put that no text has.
#[derive(Clone, Copy)]
enum Spaces {
    /// Nowhere, as in Gemma's tokenizer.
    None,
    /// Before each text between special tokens, as in Llama 2's; llama.cpp can do so.
    BeforeEachText,
    /// Before a text that no special token begins, unless a space begins it: what transformers calls not `legacy`.
    BeforeTheFirst,
}

/// What normaliser and pre-tokenizer say of spaces, if they do nothing else.
fn spaces(json: &Value) -> Result<Spaces, NoSpec> {
    let (normalizer, pre_tokenizer) = (&json["normalizer"], &json["pre_tokenizer"]);
    let prepend = json!({ "type": "Prepend", "prepend": SPACE });
    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
    let steps = match normalizer.get("normalizers").and_then(Value::as_array) {
        Some(steps) => steps.clone(),
        None => Some(normalizer).filter(|step| !step.is_null()).cloned().into_iter().collect(),
    };
    // Gemma's cuts at spaces, of which the normaliser has left none.
    let cuts_at_spaces = json!({
        "type": "Split", "pattern": { "String": " " }, "behavior": "MergedWithPrevious", "invert": false,
    });
    let cuts_nowhere = pre_tokenizer.is_null() || *pre_tokenizer == cuts_at_spaces;
    let is_metaspace = pre_tokenizer["type"] == "Metaspace"
        && pre_tokenizer["replacement"] == json!(SPACE)
        && pre_tokenizer["split"] == false;
    let found = match (steps.as_slice(), pre_tokenizer["prepend_scheme"].as_str()) {
        ([first, second], _) if cuts_nowhere && *first == prepend && *second == replace => Some(Spaces::BeforeEachText),
        ([step], _) if cuts_nowhere && *step == replace => Some(Spaces::None),
        ([], Some("never")) if is_metaspace => Some(Spaces::None),
        ([], Some("first")) if is_metaspace => Some(Spaces::BeforeTheFirst),
        _ => None,
    };
    let expected = "a normaliser that puts `▁` in the place of spaces, with or without one before the text, or `Metaspace` that \
                    does not split, with the scheme `first` or `never`";
    found.ok_or_else(|| NoSpec::unsupported("the normaliser and pre-tokenizer", cutting_rules(json), expected))
}

/// Whether llama.cpp has to put a space before each text.
///
/// # Errors
/// It would have to put one before some.
fn adds_space(spaces: Spaces, folder: &TokenizerFolder, added: &[Added]) -> Result<bool, NoSpec> {
    match spaces {
        Spaces::BeforeEachText => Ok(true),
        Spaces::None => Ok(false),
        Spaces::BeforeTheFirst if begins_with_a_token(folder, added) => Ok(false),
        Spaces::BeforeTheFirst => {
            let found = "a space before a text's first word, and none after a special token";
            let expected =
                "a chat template that begins with a special token, since llama.cpp puts spaces at both or at neither";
            Err(NoSpec::unsupported("the rule", found, expected))
        }
    }
}

/// Whether conversations begin with a special token, so that no text comes first.
fn begins_with_a_token(folder: &TokenizerFolder, added: &[Added]) -> bool {
    let Ok(template) = ChatTemplate::load(folder) else { return false };
    let rendered = template.render(&[Message::new("user", "a")], &[], true).unwrap_or_default();
    added.iter().any(|token| token.is_found_first() && rendered.starts_with(&token.content))
}
