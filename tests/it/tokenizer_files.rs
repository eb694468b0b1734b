//! Tokenizer files of others: broken ones are errors, and offsets are those of the text.

use std::fs;

use pipe::text::tokenize::{Tokenizer, TokenizerError};

use super::render_support::{CHATML, tokenizer_folder};

#[test]
fn broken_files_are_refused() {
    let folder = tokenizer_folder(CHATML);
    let good = fs::read(folder.path().join("tokenizer.json")).expect("a file");
    for length in (0..good.len()).step_by(good.len() / 40) {
        assert!(matches!(Tokenizer::from_bytes(&good[..length]), Err(TokenizerError::Invalid { .. })), "{length}");
    }
    let text = String::from_utf8(good).expect("UTF-8");
    let broken = [
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        text.replace("\"BPE\"", "\"XYZ\""),
        text.replace("\"ByteLevel\"", "\"XYZ\""),
        text.replace("\"merges\": [", "\"merges\": [[\"not\", \"there\"],"),
        text.replace("\"merges\": [", "\"merges\": [\"one\","),
        text.replace("\"id\": 0", "\"id\": -1"),
    ];
    for text in broken {
        assert!(Tokenizer::from_bytes(text.as_bytes()).is_err());
    }
    assert!(matches!(Tokenizer::load(&folder.path().join("none").as_path().into()), Err(TokenizerError::Read { .. })));
    fs::write(folder.path().join("tokenizer_config.json"), "[").expect("write");
    assert!(matches!(Tokenizer::load(&folder.path().into()), Err(TokenizerError::Config(_))));
}

#[test]
fn offsets_are_bytes_and_cover_the_text() {
    let folder = tokenizer_folder(CHATML);
    let tokenizer = Tokenizer::load(&folder.path().into()).expect("a tokenizer");
    let text = "é the  attendance 🙂<|im_end|>\n12";
    let encoding = tokenizer.encode(text, false).expect("ids");
    assert_eq!(encoding.offsets[0].0, 0);
    assert_eq!(encoding.offsets.last().map(|last| last.1), Some(text.len()));
    for pair in encoding.offsets.windows(2) {
        // Tokens inside one character share its bytes; else each begins where the last one ended.
        assert!(pair[1] == pair[0] || pair[1].0 == pair[0].1, "{:?}", encoding.offsets);
    }
    let stop = encoding.ids.iter().position(|id| Some(*id) == tokenizer.eos_id()).expect("a stop token");
    let (start, end) = encoding.offsets[stop];
    assert_eq!(&text[start..end], "<|im_end|>");
    assert_eq!(tokenizer.token(encoding.ids[stop]).as_deref(), Some("<|im_end|>"));
}

#[test]
fn truncation_that_a_file_asks_for_is_switched_off() {
    let folder = tokenizer_folder(CHATML);
    let path = folder.path().join("tokenizer.json");
    let text = fs::read_to_string(&path).expect("a file");
    let truncation = r#""truncation": {"direction":"Right","max_length":2,"strategy":"LongestFirst","stride":0}"#;
    let cut = text.replace("\"truncation\": null", truncation);
    assert_ne!(cut, text);
    let tokenizer = Tokenizer::from_bytes(cut.as_bytes()).expect("a tokenizer");
    assert!(tokenizer.encode("attendance of 12345", true).expect("ids").ids.len() > 5);
}
