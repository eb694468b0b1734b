//! `tokenizer.json` files that are broken or mean harm: each is an error that names the file, or harmless; none panics or
//! hangs.

use std::fs;
use std::path::Path;

use pipe::text::tokenize::{Tokenizer, TokenizerError};
use serde_json::{Value, json};

use super::render_support::{CHATML, tokenizer_folder};

fn good() -> Value {
    let folder = tokenizer_folder(CHATML);
    serde_json::from_slice(&fs::read(folder.path().join("tokenizer.json")).expect("a file")).expect("JSON")
}

/// Loads a folder with this `tokenizer.json`.
fn load(text: &[u8]) -> Result<Tokenizer, String> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("tokenizer.json");
    fs::write(&path, text).expect("write");
    Tokenizer::load(&folder.path().into()).map_err(|error| {
        let message = error.to_string();
        assert!(message.contains(&path.display().to_string()), "no path in: {message}");
        assert!(message.len() < 2000, "{} bytes of message", message.len());
        message
    })
}

/// The good file with one place of it changed.
fn changed(pointer: &str, value: Value) -> Vec<u8> {
    let mut file = good();
    *file.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    serde_json::to_vec(&file).expect("JSON")
}

/// Everything that is done with a tokenizer.
fn use_it(tokenizer: &Tokenizer) {
    for text in ["", "The attendance of S12345 is 74.5 percent.", "é 🙂 \u{0}\u{fffd}<|im_end|>", &" a".repeat(5000)]
    {
        // An error is fine, a panic is not.
        let _ = tokenizer.encode(text, true);
        let _ = tokenizer.encode_cut(text, 16);
    }
    for id in [0, 1, 399, 400, 70_000, u32::MAX] {
        let _ = tokenizer.decode(&[id], false);
        let _ = tokenizer.token(id);
    }
    let _ = (tokenizer.added_tokens(), tokenizer.vocab_size(), tokenizer.kind());
}

#[test]
fn missing_parts_and_wrong_types_are_refused_with_the_path() {
    for part in ["/model", "/added_tokens", "/model/vocab", "/model/merges"] {
        for value in [Value::Null, json!(7), json!("x"), json!([1, [2]]), json!({ "x": { "y": [] } }), json!(true)] {
            if part == "/added_tokens" && value.is_null() {
                continue;
            }
            let result = load(&changed(part, value.clone()));
            assert!(result.is_err(), "{part} = {value}");
        }
    }
    for part in ["/model/vocab", "/model/merges", "/model"] {
        let mut file = good();
        let (parent, name) = part.rsplit_once('/').expect("a part");
        file.pointer_mut(parent).and_then(Value::as_object_mut).expect("a map").remove(name);
        assert!(load(&serde_json::to_vec(&file).expect("JSON")).is_err(), "without {part}");
    }
    for text in ["", " ", "null", "[]", "{}", "\"x\"", "{\"model\":{}}", "\u{feff}{}", "\0\0\0\0"] {
        assert!(load(text.as_bytes()).is_err(), "{text:?}");
    }
    assert!(load(&[0xff, 0xfe, b'{', b'}']).is_err());
}

#[test]
fn a_folder_in_place_of_the_file_and_nesting_without_end_are_refused() {
    let folder = tempfile::tempdir().expect("folder");
    fs::create_dir(folder.path().join("tokenizer.json")).expect("a folder");
    let error = Tokenizer::load(&folder.path().into()).expect_err("a folder");
    assert!(matches!(&error, TokenizerError::Read { path, .. } if path.starts_with(folder.path())), "{error}");
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        assert!(load(nested.as_bytes()).is_err());
        let inside = serde_json::to_string(&good()).expect("JSON").replacen(
            "\"model\":",
            &format!("\"x\":{nested},\"model\":"),
            1,
        );
        assert!(load(inside.as_bytes()).is_err());
        let normalizer = format!(
            "{{\"type\":\"Sequence\",\"normalizers\":[{}",
            "{\"type\":\"Sequence\",\"normalizers\":[".repeat(100_000)
        );
        let inside = serde_json::to_string(&good()).expect("JSON").replacen(
            "\"normalizer\":null",
            &format!("\"normalizer\":{normalizer}"),
            1,
        );
        assert!(load(inside.as_bytes()).is_err());
    }
}

#[test]
fn merges_of_tokens_that_are_not_there_are_refused() {
    for merges in [
        json!([["not", "there"]]),
        json!(["one"]),
        json!([["a"]]),
        json!([["a", "b", "c"]]),
        json!([[1, 2]]),
        json!(["a b c"]),
        json!([["", ""]]),
    ] {
        assert!(load(&changed("/model/merges", merges.clone())).is_err(), "{merges}");
    }
}

#[test]
fn ids_that_make_no_sense_are_refused_or_harmless() {
    for id in [json!(-1), json!(1.5), json!("7"), json!(4_294_967_296_u64), json!(1e300), json!(null)] {
        let mut file = good();
        file["model"]["vocab"]["A"] = id.clone();
        assert!(load(&serde_json::to_vec(&file).expect("JSON")).is_err(), "{id}");
    }
    // Holes, one id for two tokens, and ids far beyond the others.
    for id in [3_999_999_999_u32, u32::MAX, 0, 5] {
        let mut file = good();
        file["model"]["vocab"]["A"] = json!(id);
        if let Ok(tokenizer) = load(&serde_json::to_vec(&file).expect("JSON")) {
            use_it(&tokenizer);
        }
    }
    let mut file = good();
    file["model"]["vocab"] = json!({});
    file["model"]["merges"] = json!([]);
    if let Ok(tokenizer) = load(&serde_json::to_vec(&file).expect("JSON")) {
        use_it(&tokenizer);
    }
    let text = serde_json::to_string(&good()).expect("JSON");
    let twice = text.replacen("\"vocab\":{", "\"vocab\":{\"A\":1,\"A\":2,", 1);
    assert_ne!(twice, text);
    if let Ok(tokenizer) = load(twice.as_bytes()) {
        use_it(&tokenizer);
    }
}

#[test]
fn added_tokens_that_make_no_sense_are_refused_or_harmless() {
    let added = |id: Value, content: Value| json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true });
    for (id, content) in [
        (json!(-1), json!("<x>")),
        (json!(4_294_967_296_u64), json!("<x>")),
        (json!("1"), json!("<x>")),
        (json!(9), json!(9)),
        (json!(9), json!(null)),
    ] {
        let mut file = good();
        file["added_tokens"].as_array_mut().expect("a list").push(added(id.clone(), content.clone()));
        assert!(load(&serde_json::to_vec(&file).expect("JSON")).is_err(), "{id} {content}");
    }
    let cases = [
        vec![added(json!(70_000), json!("<beyond>"))],
        vec![added(json!(u32::MAX), json!("<beyond>"))],
        vec![added(json!(0), json!("<another zero>"))],
        vec![added(json!(500), json!("<twice>")), added(json!(501), json!("<twice>"))],
        vec![added(json!(500), json!(""))],
        vec![added(json!(500), json!(" "))],
        vec![added(json!(500), json!("a".repeat(1 << 20)))],
    ];
    for tokens in cases {
        let mut file = good();
        file["added_tokens"].as_array_mut().expect("a list").extend(tokens.clone());
        if let Ok(tokenizer) = load(&serde_json::to_vec(&file).expect("JSON")) {
            use_it(&tokenizer);
        }
    }
}

#[test]
fn parts_of_other_kinds_do_not_bring_the_program_down() {
    let split = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
    let cases = [
        ("/pre_tokenizer", split("(")),
        ("/pre_tokenizer", split("(a+)+$")),
        ("/pre_tokenizer", split("(?:(?:(?:a{1000}){1000}){1000}){1000}")),
        ("/pre_tokenizer", split("")),
        ("/pre_tokenizer", json!({ "type": "Sequence", "pretokenizers": [] })),
        ("/normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": "AAAA" })),
        ("/normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": "/////w==" })),
        ("/normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": "" })),
        ("/normalizer", json!({ "type": "Replace", "pattern": { "String": "" }, "content": "xx" })),
        ("/normalizer", json!({ "type": "Prepend", "prepend": "" })),
        (
            "/post_processor",
            json!({ "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "none", "type_id": 0 } }], "pair": [], "special_tokens": {} }),
        ),
        ("/post_processor", json!({ "type": "BertProcessing", "sep": ["x", 4_294_967_295_u32], "cls": ["y", 0] })),
        ("/decoder", json!({ "type": "WordPiece", "prefix": "", "cleanup": true })),
        ("/decoder", json!({ "type": "Strip", "content": " ", "start": 99_999_999, "stop": 99_999_999 })),
        ("/truncation", json!({ "direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 7 })),
        (
            "/padding",
            json!({ "strategy": { "Fixed": 1_u64 << 40 }, "direction": "Right", "pad_to_multiple_of": 0, "pad_id": 0, "pad_type_id": 0, "pad_token": "" }),
        ),
        ("/model", json!({ "type": "Unigram", "unk_id": 9, "vocab": [["a", -1.0]], "byte_fallback": false })),
        ("/model", json!({ "type": "Unigram", "unk_id": null, "vocab": [], "byte_fallback": false })),
        (
            "/model",
            json!({ "type": "Unigram", "unk_id": 0, "vocab": [["", 0.0], ["a", 1e308], ["b", -1e308]], "byte_fallback": true }),
        ),
        (
            "/model",
            json!({ "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 0, "vocab": {} }),
        ),
        ("/model", json!({ "type": "WordLevel", "unk_token": "none", "vocab": { "a": 0 } })),
    ];
    for (part, value) in cases {
        if let Ok(tokenizer) = load(&changed(part, value.clone())) {
            use_it(&tokenizer);
        }
    }
}

#[test]
fn a_tokenizer_that_draws_lots_is_refused() {
    let error = load(&changed("/model/dropout", json!(0.1))).expect_err("random tokens");
    assert!(error.contains("model.dropout is `0.1`; expected null"), "{error}");
    load(&changed("/model/dropout", json!(0.0))).expect("no dropout");
}

#[test]
fn special_tokens_of_wrong_types_are_refused_and_unknown_ones_have_no_id() {
    let folder = tokenizer_folder(CHATML);
    let config = folder.path().join("tokenizer_config.json");
    let load = |folder: &Path| Tokenizer::load(&folder.into());
    for text in ["[]", "7", "{", "", &"[".repeat(100_000)] {
        fs::write(&config, text).expect("write");
        let error = load(folder.path()).expect_err(text).to_string();
        assert!(error.contains("tokenizer_config.json"), "{error}");
    }
    for text in
        [r#"{"eos_token":7}"#, r#"{"eos_token":{"content":[]}}"#, r#"{"eos_token":"<none>"}"#, r#"{"eos_token":""}"#]
    {
        fs::write(&config, text).expect("write");
        fs::remove_file(folder.path().join("special_tokens_map.json")).ok();
        assert_eq!(load(folder.path()).expect("a tokenizer").eos_id(), None, "{text}");
    }
}
