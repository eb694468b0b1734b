//! The tokenizers inside of GGUF files give the ids of llama.cpp, which reads the same files
//! (`scripts/reference/gguf_tokenizers.py`).

use pipe::model::tokenizer_spec;
use pipe::text::tokenize::Tokenizer;
use pipe::text::tokenizer_folder::TokenizerFolder;
use serde::Deserialize;

use crate::model::fixtures::golden;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    with_special: Vec<u32>,
}

fn check(name: &str) {
    let folder = golden("gguf/tokenizers");
    let spec = tokenizer_spec(&folder.join(format!("{name}.gguf"))).unwrap().expect("a GGUF file has a tokenizer");
    let tokenizer = Tokenizer::load(&TokenizerFolder::from_spec(&spec).unwrap()).unwrap();
    let text = std::fs::read(folder.join("ids.json")).unwrap();
    let mut cases: std::collections::BTreeMap<String, Vec<Case>> = serde_json::from_slice(&text).unwrap();
    let cases = cases.remove(name).expect("every file has its cases");
    assert_eq!(cases.len(), 25);
    for Case { text, ids, with_special } in cases {
        assert_eq!(tokenizer.encode(&text, false).unwrap().ids, ids, "{name}: {text:?}");
        assert_eq!(tokenizer.encode(&text, true).unwrap().ids, with_special, "{name}: {text:?}");
    }
}

#[test]
fn byte_level_tokenizers_cut_words_as_llama_cpp_does() {
    check("gpt-2");
    check("smollm");
}

#[test]
fn the_tokenizer_of_llama_3_cuts_words_as_llama_cpp_does() {
    check("llama-bpe");
}

#[test]
fn the_tokenizer_of_qwen_2_cuts_words_as_llama_cpp_does() {
    check("qwen2");
}

#[test]
fn sentencepiece_with_byte_fallback_merges_as_llama_cpp_does() {
    check("spm");
}
