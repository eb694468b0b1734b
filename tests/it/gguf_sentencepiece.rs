//! Tokenizers of SentencePiece's kind go into a GGUF file with which llama.cpp gives the ids of transformers
//! (`scripts/reference/gguf_sentencepiece.py`).

use std::fs;
use std::path::{Path, PathBuf};

use pipe::model::{GgufFormat, ModelConfig, export_gguf, tokenizer_spec};
use pipe::text::folder_spec::spec_of;
use pipe::text::tokenize::Tokenizer;
use pipe::text::tokenizer_folder::TokenizerFolder;
use pipe::tokenizer_spec::{Algorithm, TokenKind, TokenizerSpec};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::model::fixtures::{golden, json as read_json};

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    with_special: Vec<u32>,
}

fn folder(style: &str) -> PathBuf {
    golden("gguf/sentencepiece").join(style)
}

fn spec(folder: &Path) -> Result<TokenizerSpec, String> {
    let vocab_size = ModelConfig::read(folder).unwrap().vocab_size;
    spec_of(&folder.into(), vocab_size).map_err(|error| error.to_string())
}

/// The ids of a tokenizer, which has those of transformers, and of the file that is written of it.
fn check(style: &str) -> TokenizerSpec {
    let (folder, output) = (folder(style), TempDir::new().unwrap());
    let (written, seen) = (output.path().join("model.gguf"), folder.join("model.gguf"));
    let spec = spec(&folder).unwrap();
    export_gguf(&folder, &spec, GgufFormat::F16, &written).unwrap();
    if std::env::var_os("PIPE_WRITE_GOLDEN").is_some() {
        fs::copy(&written, &seen).unwrap();
    }
    assert!(fs::read(&written).unwrap() == fs::read(&seen).unwrap(), "{style}: the file that llama.cpp was asked with");
    let again = tokenizer_spec(&written).unwrap().expect("a tokenizer");
    assert_eq!(again, spec, "{style}");
    let before = Tokenizer::load(&folder.as_path().into()).unwrap();
    let after = Tokenizer::load(&TokenizerFolder::from_spec(&again).unwrap()).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&fs::read(folder.join("ids.json")).unwrap()).unwrap();
    assert!(cases.len() > 30);
    for Case { text, ids, with_special } in cases {
        for (tokenizer, place) in [(&before, "folder"), (&after, "file")] {
            assert_eq!(tokenizer.encode(&text, false).unwrap().ids, ids, "{style}, {place}: {text:?}");
            assert_eq!(tokenizer.encode(&text, true).unwrap().ids, with_special, "{style}, {place}: {text:?}");
        }
    }
    spec
}

fn kind(spec: &TokenizerSpec, token: &str) -> TokenKind {
    let id = spec.tokens.iter().position(|other| other == token).unwrap_or_else(|| panic!("no {token:?}"));
    spec.kinds[id]
}

fn adds_space(spec: &TokenizerSpec) -> bool {
    matches!(spec.algorithm, Algorithm::SentencePiece { adds_space: true, .. })
}

#[test]
fn the_tokenizer_of_tinyllama_is_the_same_in_llama_cpp() {
    let spec = check("tinyllama");
    assert!(adds_space(&spec) && spec.adds_bos && !spec.adds_eos);
    assert_eq!((spec.bos, spec.eos, spec.unknown), (Some(1), Some(2), Some(0)));
    for (token, expected) in [
        ("<unk>", TokenKind::Unknown),
        ("</s>", TokenKind::Control),
        ("<0x0A>", TokenKind::Byte),
        ("▁▁▁▁", TokenKind::Normal),
    ] {
        assert_eq!(kind(&spec, token), expected, "{token}");
    }
}

#[test]
fn the_tokenizer_of_mistral_is_the_same_in_conversations() {
    assert!(!adds_space(&check("mistral")), "each begins with a special token");
}

#[test]
fn a_tokenizer_without_a_space_before_the_text_is_the_same_in_llama_cpp() {
    assert!(!adds_space(&check("no_prefix")));
}

#[test]
fn the_tokenizer_of_gemma_is_the_same_in_llama_cpp() {
    let spec = check("gemma");
    for (token, expected) in [
        ("<start_of_turn>", TokenKind::Control),
        ("\n\n\n", TokenKind::UserDefined),
        ("</b>", TokenKind::UserDefined),
        ("▁▁▁▁", TokenKind::Normal),
        // A name of its byte; transformers keeps one of the two.
        ("\t", TokenKind::Normal),
    ] {
        assert_eq!(kind(&spec, token), expected, "{token}");
    }
    assert!(!spec.tokens.iter().any(|token| token == "<0x09>"));
}

/// As in the GGUF files of Gemma that were made of its SentencePiece model.
#[test]
fn a_letter_that_is_there_as_a_byte_is_merged_all_the_same() {
    let mut spec = spec(&folder("gemma")).unwrap();
    let id = spec.tokens.iter().position(|token| token == "\t").unwrap();
    (spec.tokens[id], spec.kinds[id]) = ("<0x09>".to_owned(), TokenKind::Byte);
    let files = TokenizerFolder::from_spec(&spec).unwrap();
    let (before, after) =
        (Tokenizer::load(&folder("gemma").as_path().into()).unwrap(), Tokenizer::load(&files).unwrap());
    for text in ["\t", "the\t\tstudent", "\t\t\t\t\tx"] {
        assert_eq!(after.encode(text, true).unwrap().ids, before.encode(text, true).unwrap().ids, "{text:?}");
    }
    // Written again, with the letter and the byte for one id.
    assert_eq!(spec_of(&files, spec.tokens.len()).unwrap(), spec);
}

/// A folder with another `tokenizer.json`.
fn changed(style: &str, change: impl FnOnce(&mut Value)) -> TempDir {
    let copy = TempDir::new().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json"] {
        if folder(style).join(name).exists() {
            fs::copy(folder(style).join(name), copy.path().join(name)).unwrap();
        }
    }
    let mut tokenizer = read_json(&folder(style).join("tokenizer.json"));
    change(&mut tokenizer);
    fs::write(copy.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    copy
}

#[test]
fn tokenizers_that_llama_cpp_would_take_otherwise_are_refused() {
    let refused = |change: fn(&mut Value), words: &str| {
        let error = spec(changed("tinyllama", change).path()).expect_err(words);
        assert!(error.contains(words), "`{words}` is not in `{error}`");
    };
    refused(
        |json| json["pre_tokenizer"] = json!({ "type": "Digits", "individual_digits": true }),
        "the normaliser and pre-tokenizer",
    );
    refused(|json| json["normalizer"]["normalizers"][0]["prepend"] = json!("_"), "the normaliser and pre-tokenizer");
    refused(|json| json["model"]["ignore_merges"] = json!(true), "ignore_merges");
    refused(|json| json["added_tokens"][2]["rstrip"] = json!(true), "the added token `</s>`");
    refused(|json| json["added_tokens"][2]["normalized"] = json!(true), "before texts are normalised");
    // Half of the merges: what is left out would be made by scores all the same.
    refused(
        |json| {
            let merges = json["model"]["merges"].as_array_mut().unwrap();
            merges.truncate(merges.len() / 2);
        },
        "as no score of its tokens would",
    );
    refused(|json| json["model"]["vocab"]["▁student again"] = json!(5), "two names of one token");
    refused(
        |json| {
            let vocab = json["model"]["vocab"].as_object_mut().unwrap();
            let id = vocab.remove("<0x7F>").unwrap();
            vocab.insert("seldom".into(), id);
        },
        "no token `<0x7F>`",
    );
}

#[test]
fn a_space_before_the_first_text_alone_needs_conversations_that_begin_with_a_token() {
    let folder = changed("mistral", |_| ());
    assert!(spec(folder.path()).is_ok());
    for template in ["{{ messages[0]['content'] }}", "{{ raise_exception('never') }}"] {
        fs::write(folder.path().join("chat_template.jinja"), template).unwrap();
        let error = spec(folder.path()).expect_err("a text comes first");
        assert!(error.contains("expected a chat template that begins with a special token"), "{error}");
    }
}
