//! GGUF files: the numbers of the `gguf` package, and files that are not what they say.

use std::fs;
use std::path::Path;

use pipe::device::DeviceSpec;
use pipe::model::{CausalLm, GgufFormat, ModelError, export_gguf, tokenizer_spec};
use pipe::text::chat_template::ChatTemplate;
use pipe::text::folder_spec::spec_of;
use pipe::text::tokenize::Tokenizer;
use pipe::text::tokenizer_folder::TokenizerFolder;

use crate::model::fixtures::golden;

fn load(path: &Path) -> Result<CausalLm, ModelError> {
    CausalLm::load(path, None, DeviceSpec::default())
}

/// A file with these bytes.
fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    fs::write(file.path(), bytes).unwrap();
    file
}

fn reason(bytes: &[u8]) -> String {
    load(file(bytes).path()).expect_err("it is refused").to_string()
}

#[test]
fn a_gguf_computes_what_the_folder_of_its_dequantised_numbers_computes() {
    let rows = vec![vec![1, 5, 42, 299, 7, 7, 250], vec![3]];
    let from_gguf = load(&golden("gguf/llama.gguf")).unwrap();
    let from_folder = load(&golden("gguf/llama")).unwrap();
    let (found, expected) = (from_gguf.logits(&rows).unwrap(), from_folder.logits(&rows).unwrap());
    assert_eq!(found, expected, "bit for bit");
    let (found, expected) = (from_gguf.config(), from_folder.config());
    assert_eq!(
        (found.rms_norm_eps, found.eos_token_ids.clone()),
        (expected.rms_norm_eps, expected.eos_token_ids.clone())
    );
    assert_eq!(found.max_position_embeddings, expected.max_position_embeddings);
}

#[test]
fn a_folder_with_one_gguf_is_that_file_and_with_two_says_which() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden("gguf/llama.gguf"), folder.path().join("a.gguf")).unwrap();
    assert!(load(folder.path()).is_ok());
    fs::copy(golden("gguf/llama.gguf"), folder.path().join("b.gguf")).unwrap();
    let error = load(folder.path()).expect_err("two files").to_string();
    assert!(error.contains("`a.gguf`, `b.gguf`"), "{error}");
}

/// The embedded model, which is stored in half precision.
fn mini() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/models/pipe-mini")
}

#[test]
fn a_model_written_as_gguf_is_the_same_model_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec_of(&mini().as_path().into(), load(&mini()).unwrap().config().vocab_size).unwrap();
    let path = folder.path().join("model.gguf");
    export_gguf(&mini(), &spec, GgufFormat::F16, &path).unwrap();
    assert_eq!(tokenizer_spec(folder.path()).unwrap().expect("a tokenizer"), spec);
    let rows = vec![(0..60).map(|id| id * 25).collect::<Vec<u32>>(), vec![7]];
    assert_eq!(load(&path).unwrap().logits(&rows).unwrap(), load(&mini()).unwrap().logits(&rows).unwrap());
    // The tokenizer and the template survive the way there and back.
    let again = TokenizerFolder::from_spec(&spec).unwrap();
    let (before, after) = (Tokenizer::load(&mini().as_path().into()).unwrap(), Tokenizer::load(&again).unwrap());
    for text in ["Fee of 1,024 €: naïve 学生 🙂", "  a\n\tb", "", "<tool_call>{\"x\": 1}"] {
        assert_eq!(after.encode(text, true).unwrap(), before.encode(text, true).unwrap(), "{text:?}");
    }
    assert_eq!(after.added_tokens(), before.added_tokens());
    let source = |folder: &TokenizerFolder| ChatTemplate::source_in(folder).unwrap();
    assert_eq!(source(&again), source(&mini().as_path().into()));
    // Eight bits are close, and half the size.
    let small = folder.path().join("small.gguf");
    export_gguf(&mini(), &spec, GgufFormat::Q8_0, &small).unwrap();
    assert!(fs::metadata(&small).unwrap().len() < fs::metadata(&path).unwrap().len() * 7 / 10);
    let greedy = |logits: &[f32]| logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(at, _)| at);
    let (found, expected) =
        (load(&small).unwrap().logits(&rows).unwrap(), load(&mini()).unwrap().logits(&rows).unwrap());
    let same = (0..60).filter(|at| greedy(found[0].at(*at)) == greedy(expected[0].at(*at))).count();
    assert!(same >= 54, "{same} of 60 likeliest tokens are the same");
}

#[test]
fn what_gguf_can_not_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec_of(&mini().as_path().into(), 1_536).unwrap();
    let refused = |model: &str| {
        let path = folder.path().join("model.gguf");
        export_gguf(&golden(model), &spec, GgufFormat::F16, &path).expect_err("refused").to_string()
    };
    assert!(refused("model/llama").contains("expected as many tokens as the model's vocab_size, `300`"));
    assert!(spec_of(&mini().as_path().into(), 10).is_err());
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let whole = fs::read(golden("gguf/llama.gguf")).unwrap();
    for length in (0..2200).chain((2200..whole.len()).step_by(997)) {
        let error = reason(&whole[..length]);
        assert!(!error.is_empty(), "{length}");
    }
}

/// Every bit of the header, and some of the data: refused or read, never a panic, never a hang.
#[test]
fn flipped_bits_never_panic() {
    let whole = fs::read(golden("gguf/llama.gguf")).unwrap();
    for at in (0..2200).chain((2200..whole.len()).step_by(4999)) {
        for bit in [0, 3, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let file = file(&bytes);
            // The header alone: flipped weights are other weights.
            let _ = tokenizer_spec(file.path());
            let _ = load(file.path());
        }
    }
}

/// A header from its parts.
#[derive(Default)]
struct Header {
    tensors: u64,
    entries: u64,
    body: Vec<u8>,
}

impl Header {
    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.body.extend(text.as_bytes());
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.body.extend(number.to_le_bytes());
        self
    }

    fn code(&mut self, code: u32) -> &mut Self {
        self.body.extend(code.to_le_bytes());
        self
    }

    fn entry(&mut self, key: &str, kind: u32) -> &mut Self {
        self.entries += 1;
        self.text(key).code(kind)
    }

    fn tensor(&mut self, name: &str, width: u64, kind: u32, offset: u64) -> &mut Self {
        self.tensors += 1;
        self.text(name).code(1).number(width).code(kind).number(offset)
    }

    fn bytes(&self) -> Vec<u8> {
        let start =
            [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &self.tensors.to_le_bytes(), &self.entries.to_le_bytes()];
        let mut bytes = [start.concat(), self.body.clone()].concat();
        bytes.resize(bytes.len().next_multiple_of(32) + 256, 0);
        bytes
    }
}

fn check(build: impl FnOnce(&mut Header) -> &mut Header, words: &str) {
    let mut header = Header::default();
    build(&mut header);
    let error = reason(&header.bytes());
    assert!(error.contains(words), "`{words}` is not in `{error}`");
}

#[test]
fn hostile_headers_are_refused_by_name() {
    check(|header| header.entry("k", 8).number(u64::MAX), "don't fit");
    check(|header| header.entry("k", 9).code(8).number(1 << 60), "don't fit");
    check(|header| header.entry("k", 9).code(9).number(1), "array of values of type `9`");
    check(|header| header.entry("k", 77), "type `77`");
    check(|header| header.entry("k", 7).code(0x0101_0102), "a flag is `2`");
    check(|header| header.entry("k", 4).code(1).entry("k", 4).code(1), "there twice");
    check(|header| header.entry("general.alignment", 4).code(3), "power of two");
    check(|header| header.entry("general.alignment", 11).number(1 << 62).tensor("a", 4, 0, 0), "ends after the file");
    check(|header| header.tensor("a", 4, 0, 0).tensor("a", 4, 0, 32), "there twice");
    check(|header| header.tensor("a", 16, 0, 0).tensor("b", 4, 0, 32), "overlap");
    check(|header| header.tensor("a", 4, 0, 1), "multiple of 32");
    check(|header| header.tensor("a", 4, 0, 1 << 40), "ends after the file");
    check(|header| header.tensor("a", 4, 0, u64::MAX), "ends after the file");
    check(|header| header.tensor("a", u64::MAX, 0, 0), "can't hold");
    check(|header| header.tensor("a", 33, 2, 0), "can't hold");
    check(|header| header.tensor("a", 256, 10, 0), "`Q2_K`");
    check(|header| header.tensor("a", 256, 4, 0), "has the type `4`");
    check(|header| header.tensor("a", 4, 0, 0), "general.architecture");
    check(|header| header.entry("general.architecture", 8).text("mamba"), "mamba");
    let many = Header { tensors: 1_000_000, ..Header::default() };
    assert!(reason(&many.bytes()).contains("don't fit"));
    let mut other = many.bytes();
    other[4] = 1;
    assert!(reason(&other).contains("version is `1`"));
    other[4..8].copy_from_slice(&[0, 0, 0, 3]);
    assert!(reason(&other).contains("big-endian"));
    assert!(reason(b"PK\x03\x04 no GGUF").contains("does not begin with"));
}
