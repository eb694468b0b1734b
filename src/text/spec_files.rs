//! A tokenizer given as plain data, written as the files transformers has for it.
//!
//! The rules behind a name of a pre-tokenizer are those of llama.cpp's `llama-vocab.cpp`; the form of the tokenizers is
//! that of the models' own `tokenizer.json`. What this program does not know is refused: other ids would come out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::tokenizer_spec::{Algorithm, TokenKind, TokenizerSpec};

/// The longest token, in bytes; every cut of a SentencePiece token is looked at.
const MAX_TOKEN_BYTES: usize = 4096;

/// Why no tokenizer can be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSpec {
    /// The rules that cut texts into words are not known.
    #[error("the pre-tokenizer is `{found}`; expected one of {expected}")]
    PreTokenizer {
        /// Its name.
        found: String,
        /// Those that are known.
        expected: String,
    },
    /// A merge is not two tokens.
    #[error("merge `{at}` is `{found}`; expected two tokens with a space between them")]
    Merge {
        /// Its number, from 0.
        at: usize,
        /// Its text.
        found: String,
    },
    /// A token is longer than any that was ever learned.
    #[error("token `{0}` has more than {MAX_TOKEN_BYTES} bytes")]
    TooLong(usize),
    /// A text is the token of two ids.
    #[error("the token `{0}` is there twice")]
    Twice(String),
}

/// How byte-level tokenizers cut a text into words before they merge.
struct PreTokenizer {
    names: &'static [&'static str],
    /// Every digit is a word.
    single_digits: bool,
    /// In place of GPT-2's expression.
    expression: Option<&'static str>,
    /// Whether texts are brought into normal form C.
    normal_form: bool,
    /// Whether a word that is a token is taken whole, whatever the merges say.
    ignore_merges: bool,
}

const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const GPT_2: PreTokenizer = PreTokenizer {
    names: &["gpt-2"],
    single_digits: false,
    expression: None,
    normal_form: false,
    ignore_merges: false,
};
const PRE_TOKENIZERS: [PreTokenizer; 4] = [
    GPT_2,
    PreTokenizer { names: &["starcoder", "smollm"], single_digits: true, ..GPT_2 },
    PreTokenizer { names: &["llama-bpe"], expression: Some(LLAMA_3), ignore_merges: true, ..GPT_2 },
    PreTokenizer { names: &["qwen2"], expression: Some(QWEN_2), normal_form: true, ..GPT_2 },
];

/// The files, by name.
pub(super) fn files(spec: &TokenizerSpec) -> Result<BTreeMap<&'static str, Vec<u8>>, BadSpec> {
    let mut files = BTreeMap::new();
    let mut add = |name, json: Value| files.insert(name, json.to_string().into_bytes());
    add("tokenizer.json", tokenizer(spec)?);
    let roles = roles(spec);
    let mut config = roles.clone();
    config.insert("add_bos_token".into(), json!(spec.adds_bos));
    config.insert("add_eos_token".into(), json!(spec.adds_eos));
    config.insert("clean_up_tokenization_spaces".into(), json!(false));
    config.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    add("tokenizer_config.json", Value::Object(config));
    add("special_tokens_map.json", Value::Object(roles));
    add("generation_config.json", Value::Object(generation(spec)));
    if let Some(template) = &spec.chat_template {
        files.insert("chat_template.jinja", template.clone().into_bytes());
    }
    Ok(files)
}

fn roles(spec: &TokenizerSpec) -> Map<String, Value> {
    let roles =
        [("bos_token", spec.bos), ("eos_token", spec.eos), ("pad_token", spec.padding), ("unk_token", spec.unknown)];
    roles.into_iter().filter_map(|(role, id)| Some((role.to_owned(), json!(token(spec, id?)?)))).collect()
}

fn token(spec: &TokenizerSpec, id: u32) -> Option<&str> {
    spec.tokens.get(usize::try_from(id).ok()?).map(String::as_str)
}

fn generation(spec: &TokenizerSpec) -> Map<String, Value> {
    let end = match spec.end_ids.as_slice() {
        [] => None,
        [id] => Some(json!(id)),
        ids => Some(json!(ids)),
    };
    let fields = [
        ("bos_token_id", spec.bos.map(Value::from)),
        ("eos_token_id", end),
        ("pad_token_id", spec.padding.map(Value::from)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn tokenizer(spec: &TokenizerSpec) -> Result<Value, BadSpec> {
    let mut vocabulary = Map::with_capacity(spec.tokens.len());
    for (id, token) in spec.tokens.iter().enumerate() {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(BadSpec::TooLong(id));
        }
        if vocabulary.insert(token.clone(), json!(id)).is_some() {
            return Err(BadSpec::Twice(token.clone()));
        }
    }
    let parts = match &spec.algorithm {
        Algorithm::ByteLevelBpe { merges, pre_tokenizer } => byte_level(vocabulary, merges, pre_tokenizer)?,
        Algorithm::SentencePiece { scores, adds_space } => sentencepiece(spec, vocabulary, scores, *adds_space),
    };
    let mut file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(spec),
        "normalizer": parts.normalizer,
        "pre_tokenizer": parts.pre_tokenizer,
        "post_processor": post_processor(spec),
        "decoder": parts.decoder,
    });
    // Put in afterwards: the macro would copy it.
    file["model"] = parts.model;
    Ok(file)
}

/// The parts of a `tokenizer.json` that the algorithm decides.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Value,
}

fn byte_level_step(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex })
}

impl PreTokenizer {
    fn normalizer(&self) -> Value {
        if self.normal_form { json!({ "type": "NFC" }) } else { Value::Null }
    }

    /// The steps of the pre-tokenizer.
    fn steps(&self) -> Vec<Value> {
        match (self.single_digits, self.expression) {
            (true, _) => vec![json!({ "type": "Digits", "individual_digits": true }), byte_level_step(true)],
            (false, Some(expression)) => {
                let split = json!({
                    "type": "Split", "pattern": { "Regex": expression }, "behavior": "Isolated", "invert": false,
                });
                vec![split, byte_level_step(false)]
            }
            (false, None) => vec![byte_level_step(true)],
        }
    }
}

/// The name of the rules that a `tokenizer.json` has, if they are known.
pub(super) fn rules_named(normalizer: &Value, pre_tokenizer: &Value, ignore_merges: bool) -> Option<&'static str> {
    let steps = match pre_tokenizer.get("pretokenizers").and_then(Value::as_array) {
        Some(steps) => steps.clone(),
        None => vec![pre_tokenizer.clone()],
    };
    // How offsets are told does not change ids.
    let bare = |steps: Vec<Value>| -> Vec<Value> {
        steps
            .into_iter()
            .map(|mut step| {
                step.as_object_mut().map(|fields| fields.remove("trim_offsets"));
                step
            })
            .collect()
    };
    let steps = bare(steps);
    let is_same = |rules: &&PreTokenizer| {
        rules.normalizer() == *normalizer && bare(rules.steps()) == steps && rules.ignore_merges == ignore_merges
    };
    PRE_TOKENIZERS.iter().find(is_same).and_then(|rules| rules.names.last().copied())
}

/// The names of all rules, for messages.
pub(super) fn rule_names() -> String {
    let names: Vec<String> =
        PRE_TOKENIZERS.iter().flat_map(|rules| rules.names).map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn byte_level(vocabulary: Map<String, Value>, merges: &[String], name: &str) -> Result<Parts, BadSpec> {
    let Some(rules) = PRE_TOKENIZERS.iter().find(|rules| rules.names.contains(&name)) else {
        return Err(BadSpec::PreTokenizer { found: name.to_owned(), expected: rule_names() });
    };
    let pair = |(at, merge): (usize, &String)| match merge.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok(json!([left, right]))
        }
        _ => Err(BadSpec::Merge { at, found: merge.clone() }),
    };
    let merges: Vec<Value> = merges.iter().enumerate().map(pair).collect::<Result<_, _>>()?;
    Ok(Parts {
        normalizer: rules.normalizer(),
        pre_tokenizer: json!({ "type": "Sequence", "pretokenizers": rules.steps() }),
        decoder: byte_level_step(true),
        model: bpe(vocabulary, merges, &BpeOptions { ignore_merges: rules.ignore_merges, ..BpeOptions::default() }),
    })
}

#[derive(Default)]
struct BpeOptions<'a> {
    ignore_merges: bool,
    byte_fallback: bool,
    unknown: Option<&'a str>,
}

fn bpe(vocabulary: Map<String, Value>, merges: Vec<Value>, options: &BpeOptions) -> Value {
    let mut model = json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": options.unknown,
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": options.unknown.is_some(),
        "byte_fallback": options.byte_fallback,
        "ignore_merges": options.ignore_merges,
    });
    // Put in afterwards: the macro would copy them.
    model["vocab"] = Value::Object(vocabulary);
    model["merges"] = Value::Array(merges);
    model
}

/// As transformers' `LlamaConverter` writes a SentencePiece model.
fn sentencepiece(spec: &TokenizerSpec, mut vocabulary: Map<String, Value>, scores: &[f64], adds_space: bool) -> Parts {
    const SPACE: &str = "\u{2581}";
    name_letters_of_bytes(spec, &mut vocabulary);
    let merges = merges_of(spec, &vocabulary, scores);
    let mut normalizers = vec![json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE })];
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if adds_space {
        normalizers.insert(0, json!({ "type": "Prepend", "prepend": SPACE }));
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    let unknown = spec.unknown.and_then(|id| token(spec, id));
    Parts {
        normalizer: json!({ "type": "Sequence", "normalizers": normalizers }),
        pre_tokenizer: Value::Null,
        decoder: json!({ "type": "Sequence", "decoders": decoders }),
        model: bpe(vocabulary, merges, &BpeOptions { byte_fallback: true, unknown, ..BpeOptions::default() }),
    }
}

/// Gives letters that are only there as a byte, and of which longer tokens are made, a second name, as transformers does with
/// Gemma's tab: its merges need it, while SentencePiece merges texts and not tokens.
fn name_letters_of_bytes(spec: &TokenizerSpec, vocabulary: &mut Map<String, Value>) {
    let merged = spec.tokens.iter().zip(&spec.kinds).filter(|(_, kind)| **kind == TokenKind::Normal);
    for letter in merged.flat_map(|(token, _)| token.chars()).filter(char::is_ascii) {
        let byte = vocabulary.get(&format!("<0x{:02X}>", letter as u32)).cloned();
        if let (Some(id), false) = (byte, vocabulary.contains_key(letter.encode_utf8(&mut [0; 4]))) {
            vocabulary.insert(letter.to_string(), id);
        }
    }
}

/// The merges that SentencePiece's scores imply, as transformers' `generate_merges` lists them: every way to cut a token
/// into two tokens, best score first, then by the lengths of the two.
fn merges_of(spec: &TokenizerSpec, vocabulary: &Map<String, Value>, scores: &[f64]) -> Vec<Value> {
    let id = |token: &str| vocabulary.get(token).and_then(Value::as_u64);
    let mut merges = Vec::new();
    for (token, score) in spec.tokens.iter().zip(scores) {
        let cuts = token.char_indices().skip(1).map(|(at, _)| token.split_at(at));
        let mut pairs: Vec<_> = cuts.filter_map(|(left, right)| Some((id(left)?, id(right)?, left, right))).collect();
        pairs.sort_unstable_by_key(|(left, right, ..)| (*left, *right));
        merges.extend(pairs.into_iter().map(|(_, _, left, right)| (*score, left, right)));
    }
    // Python sorts in reverse and keeps the order of equals, and so does this.
    merges.sort_by(|first, second| {
        let lengths = |(_, left, right): &(f64, &str, &str)| (left.chars().count(), right.chars().count());
        second.0.total_cmp(&first.0).then_with(|| lengths(second).cmp(&lengths(first)))
    });
    merges.into_iter().map(|(_, left, right)| json!([left, right])).collect()
}

fn added_tokens(spec: &TokenizerSpec) -> Vec<Value> {
    let special = |id: usize| {
        let is_role = [spec.bos, spec.eos, spec.padding, spec.unknown].contains(&u32::try_from(id).ok());
        match spec.kinds.get(id) {
            Some(TokenKind::Control | TokenKind::Unknown) => Some(true),
            Some(TokenKind::UserDefined) => Some(is_role),
            _ => is_role.then_some(true),
        }
    };
    let added = |(id, content): (usize, &String)| {
        Some(json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": special(id)?,
        }))
    };
    spec.tokens.iter().enumerate().filter_map(added).collect()
}

/// Puts the tokens that begin and end a text around it.
fn post_processor(spec: &TokenizerSpec) -> Value {
    let around = |adds: bool, id: Option<u32>| id.filter(|_| adds).and_then(|id| Some((id, token(spec, id)?)));
    let (before, after) = (around(spec.adds_bos, spec.bos), around(spec.adds_eos, spec.eos));
    if before.is_none() && after.is_none() {
        return Value::Null;
    }
    let piece = |(_, token): (u32, &str), part: u8| json!({ "SpecialToken": { "id": token, "type_id": part } });
    let sequence = |name: &str, part: u8| {
        let text = json!({ "Sequence": { "id": name, "type_id": part } });
        before.map(|token| piece(token, part)).into_iter().chain([text]).chain(after.map(|token| piece(token, part)))
    };
    let tokens: Map<String, Value> = before
        .into_iter()
        .chain(after)
        .map(|(id, token)| (token.to_owned(), json!({ "id": token, "ids": [id], "tokens": [token] })))
        .collect();
    json!({
        "type": "TemplateProcessing",
        "single": sequence("A", 0).collect::<Vec<_>>(),
        "pair": sequence("A", 0).chain(sequence("B", 1)).collect::<Vec<_>>(),
        "special_tokens": tokens,
    })
}
