//! What holds for every model: causality, padding, caching, adapters, merging, saving.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use pipe::device::{Backend, DeviceSpec};
use pipe::model::{
    CausalLm, FloatFormat, GenerateOptions, LoraConfig, Method, ModelError, StopReason, TrainConfig, init, merge,
};
use tempfile::TempDir;

use super::fixtures::{config, difference, golden, greedy, json, load, lora, options, rows, run, tensors, wide};

/// Two rows that differ in length.
fn prompts() -> Vec<Vec<u32>> {
    rows()[2..4].iter().map(|row| row.input_ids.clone()).collect()
}

fn base() -> CausalLm {
    load(&golden("lora/tiny_base"))
}

fn with_adapter(adapter: &Path) -> CausalLm {
    CausalLm::load(&golden("lora/tiny_base"), Some(adapter), DeviceSpec::default()).unwrap()
}

#[test]
fn a_later_token_does_not_change_an_earlier_logit() {
    let row = prompts()[0].clone();
    let mut changed = row.clone();
    *changed.last_mut().unwrap() = (changed[row.len() - 1] + 1) % 288;
    let logits = base().logits(&[row.clone(), changed]).unwrap();
    for position in 0..row.len() - 1 {
        assert_eq!(logits[0].at(position), logits[1].at(position));
    }
    assert_ne!(logits[0].at(row.len() - 1), logits[1].at(row.len() - 1));
}

#[test]
fn a_row_gives_the_same_logits_alone_and_among_others() {
    let model = base();
    let together = model.logits(&prompts()).unwrap();
    for (row, logits) in prompts().into_iter().zip(together) {
        let alone = model.logits(&[row]).unwrap();
        let difference = difference(wide(alone[0].as_slice()), wide(logits.as_slice()));
        assert!(difference < 1e-5, "logits differ by {difference}");
    }
}

#[test]
fn cached_and_uncached_decoding_choose_the_same_ids() {
    let model = base();
    for (prompt, cached) in prompts().into_iter().zip(greedy(&model, &prompts(), 24)) {
        let mut ids = prompt.clone();
        for _ in 0..24 {
            let logits = model.logits(std::slice::from_ref(&ids)).unwrap();
            let last = logits[0].at(ids.len() - 1);
            let best = (0..last.len()).rev().max_by(|left, right| last[*left].total_cmp(&last[*right])).unwrap();
            ids.push(u32::try_from(best).unwrap());
        }
        assert_eq!(ids[prompt.len()..], cached);
    }
}

#[test]
fn generation_stops_at_a_stop_token_and_at_the_context_length() {
    let model = base();
    let free = greedy(&model, &prompts(), 8);
    let stop = free[0][3];
    let options = GenerateOptions { stop_token_ids: vec![stop], ..options(8) };
    let first = &model.generate(&prompts(), &options, &mut |_| ControlFlow::Continue(())).unwrap()[0];
    let length = free[0].iter().position(|id| *id == stop).unwrap();
    assert_eq!((first.ids.as_slice(), first.stop_reason), (&free[0][..length], StopReason::StopToken(stop)));

    let long = vec![vec![5; 250]];
    let generations = model.generate(&long, &super::fixtures::options(20), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((generations[0].ids.len(), generations[0].stop_reason), (6, StopReason::ContextFull));
}

#[test]
fn cancelling_generation_is_an_error_of_its_own() {
    let cancelled = base().generate(&prompts(), &options(8), &mut |_| ControlFlow::Break(()));
    assert!(matches!(cancelled, Err(ModelError::Cancelled)));
}

/// With a learning rate of 0 the adapter stays as it was drawn: B = 0.
#[test]
fn a_fresh_adapter_changes_nothing() {
    let (adapter, ..) = run(&Method::Lora(lora()), &TrainConfig { learning_rate: 0.0, ..config() });
    let drawn = tensors(&adapter.path().join("adapter_model.safetensors"));
    assert!(
        drawn.iter().filter(|(name, ..)| name.contains("lora_B")).all(|(.., b)| b.iter().all(|number| *number == 0.0))
    );
    for (name, shape, a) in drawn.iter().filter(|(name, ..)| name.contains("lora_A")) {
        let bound = 1.0 / (shape[1] as f64).sqrt();
        assert!(
            a.iter().all(|number| number.abs() <= bound) && a.iter().any(|number| number.abs() > 0.9 * bound),
            "{name}"
        );
    }
    let plain = base().logits(&prompts()).unwrap();
    assert_eq!(plain, with_adapter(adapter.path()).logits(&prompts()).unwrap());
}

#[test]
fn a_merged_model_computes_what_base_and_adapter_compute() {
    let lora = LoraConfig { use_rslora: true, target_modules: vec!["q_proj".into(), "down_proj".into()], ..lora() };
    let (adapter, ..) = run(&Method::Lora(lora), &config());
    let merged = TempDir::new().unwrap();
    let summary = merge(&golden("lora/tiny_base"), adapter.path(), merged.path()).unwrap();
    assert_eq!((summary.merged_modules, summary.tensors), (6, 30));
    let expected = with_adapter(adapter.path()).logits(&prompts()).unwrap();
    let found = load(merged.path()).logits(&prompts()).unwrap();
    for (found, expected) in found.iter().zip(&expected) {
        let difference = difference(wide(found.as_slice()), wide(expected.as_slice()));
        assert!(difference < 1e-4, "logits differ by {difference}");
    }
    assert_ne!(expected, base().logits(&prompts()).unwrap());
    let config = |folder: &Path| fs::read(folder.join("config.json")).unwrap();
    assert_eq!(config(merged.path()), config(&golden("lora/tiny_base")));
}

#[test]
fn an_adapter_that_does_not_fit_names_tensor_and_shapes() {
    let (adapter, ..) = run(&Method::Lora(lora()), &config());
    let path = adapter.path().join("adapter_config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"r\": 4", "\"r\": 8")).unwrap();
    let output = TempDir::new().unwrap();
    let merging = merge(&golden("lora/tiny_base"), adapter.path(), output.path()).unwrap_err().to_string();
    let loading = CausalLm::load(&golden("lora/tiny_base"), Some(adapter.path()), DeviceSpec::default()).unwrap_err();
    for error in [merging, loading.to_string()] {
        assert!(error.contains("lora_A.weight` has shape `[4, ") && error.contains("expected `[8, "), "{error}");
    }
    let other = merge(&golden("model/llama"), adapter.path(), output.path()).unwrap_err().to_string();
    assert!(
        other.contains("`base_model.model.model.layers.2.") && other.contains("has no place in the model"),
        "{other}"
    );
}

#[test]
fn an_adapter_that_needs_what_is_not_implemented_is_refused() {
    let check = |from: &str, to: &str, expected: &str| {
        let (adapter, ..) = run(&Method::Lora(lora()), &TrainConfig { max_steps: Some(1), ..config() });
        let path = adapter.path().join("adapter_config.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replace(from, to)).unwrap();
        let loaded = CausalLm::load(&golden("lora/tiny_base"), Some(adapter.path()), DeviceSpec::default());
        match expected {
            "" => assert!(loaded.is_ok()),
            expected => assert!(loaded.unwrap_err().to_string().starts_with(expected)),
        }
    };
    check("\"use_dora\": false", "\"use_dora\": true", "adapter_config.json: use_dora is `true`");
    check("\"rank_pattern\": {}", "\"rank_pattern\": {\"q.*\": 2}", "adapter_config.json: rank_pattern is");
    check("\"LORA\"", "\"IA3\"", "peft_type is `\"IA3\"`; expected `LORA`");
    check("\"use_dora\": false", "\"a_key_of_tomorrow\": null", "");
}

fn fresh(dtype: &str, seed: u64) -> TempDir {
    let folder = TempDir::new().unwrap();
    let text = fs::read_to_string(golden("model/llama_tied_bias/config.json")).unwrap();
    init(&text.replace("float32", dtype), seed, folder.path()).unwrap();
    folder
}

#[test]
fn a_new_model_is_a_function_of_configuration_and_seed() {
    let bytes = |folder: &TempDir| fs::read(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(bytes(&fresh("float32", 1)), bytes(&fresh("float32", 1)));
    assert_ne!(bytes(&fresh("float32", 1)), bytes(&fresh("float32", 2)));
    let names = |path: &Path| tensors(path).into_iter().map(|(name, shape, _)| (name, shape)).collect::<Vec<_>>();
    let folder = fresh("float32", 1);
    let file = folder.path().join("model.safetensors");
    assert_eq!(names(&file), names(&golden("model/llama_tied_bias/model.safetensors")));
    let embedding = super::fixtures::tensor(&file, "model.embed_tokens.weight");
    let deviation = (embedding.iter().map(|number| number * number).sum::<f64>() / embedding.len() as f64).sqrt();
    assert!((deviation - 0.02).abs() < 4e-4, "the standard deviation is {deviation}");
    assert!(json(&folder.path().join("generation_config.json"))["eos_token_id"] == 2);
}

#[test]
fn sixteen_bit_models_are_written_and_read() {
    for dtype in ["float16", "bfloat16"] {
        let folder = fresh(dtype, 3);
        let size = fs::metadata(folder.path().join("model.safetensors")).unwrap().len();
        let full = fs::metadata(fresh("float32", 3).path().join("model.safetensors")).unwrap().len();
        assert!(size < full * 6 / 10);
        assert_eq!(load(folder.path()).config().dtype.config_name(), dtype);
        load(folder.path()).logits(&[vec![1, 2, 3]]).unwrap();
    }
    let config = TrainConfig { dtype: Some(FloatFormat::BF16), ..config() };
    let (output, ..) = run(&Method::Full, &config);
    assert_eq!(json(&output.path().join("config.json"))["dtype"], "bfloat16");
    load(output.path()).logits(&prompts()).unwrap();
}

#[test]
fn a_backend_that_is_not_built_in_says_how_to_build_it() {
    let missing = Backend::ALL.into_iter().filter(|backend| !backend.is_built_in());
    for backend in missing {
        let error = CausalLm::load(&golden("model/llama"), None, DeviceSpec { backend }).unwrap_err().to_string();
        assert!(error.contains(&format!("cargo build --release --features {backend}")), "{error}");
    }
}

#[test]
fn configurations_that_cannot_be_honoured_are_refused() {
    let text = fs::read_to_string(golden("model/llama/config.json")).unwrap();
    let qwen3 = fs::read_to_string(golden("model/qwen3/config.json")).unwrap();
    let check_in = |text: &str, from: &str, to: &str, expected: &str| {
        assert!(text.contains(from));
        let folder = TempDir::new().unwrap();
        let error = init(&text.replace(from, to), 1, folder.path()).unwrap_err().to_string();
        assert_eq!(error, expected);
    };
    let check = |from: &str, to: &str, expected: &str| check_in(&text, from, to, expected);
    check(
        "\"model_type\": \"llama\"",
        "\"model_type\": \"gpt2\"",
        "model_type is `gpt2`; expected one of `gemma3_text`, `llama`, `mistral`, `qwen2`, `qwen3`",
    );
    let gemma3 = fs::read_to_string(golden("model/gemma3/config.json")).unwrap();
    let capped = "final_logit_softcapping is `30`; expected null, as in every Gemma 3";
    check_in(&gemma3, "\"final_logit_softcapping\": null", "\"final_logit_softcapping\": 30.0", capped);
    check_in(&gemma3, "gelu_pytorch_tanh", "gelu", "hidden_activation is `gelu`; expected `gelu_pytorch_tanh`");
    check_in(&qwen3, "\"head_dim\": 32,", "", "head_dim is `missing`; expected a whole number");
    let no_window = "sliding_window is `null`; expected a number, since layers are said to slide";
    check_in(&qwen3, "\"full_attention\",", "\"sliding_attention\",", no_window);
    check_in(&qwen3, "\"full_attention\",", "", "layer_types is `1 names`; expected `2`");
    check("\"use_cache\": true", "\"sliding_window\": 8", "sliding_window is `8`; expected null");
    check("\"default\"", "\"yarn\"", "rope_type is `yarn`; expected `default`, `linear` or `llama3`");
    check("\"silu\"", "\"gelu\"", "hidden_act is `\"gelu\"`; expected \"silu\"");
    check(
        "\"use_cache\": true",
        "\"logit_scale\": 2.0",
        "logit_scale is `2.0`; expected no such field: it may change the numbers",
    );
    check(
        "\"num_key_value_heads\": 2",
        "\"num_key_value_heads\": 3",
        "num_key_value_heads is `3`; expected a divisor of num_attention_heads `4`",
    );
}

#[test]
fn the_fields_of_transformers_4_are_read() {
    let text = fs::read_to_string(golden("model/llama3_rope/config.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields = json.as_object_mut().unwrap();
    let mut rope = fields.remove("rope_parameters").unwrap();
    let theta = rope.as_object_mut().unwrap().remove("rope_theta").unwrap();
    fields.insert("rope_theta".into(), theta);
    fields.insert("rope_scaling".into(), rope);
    let dtype = fields.remove("dtype").unwrap();
    fields.insert("torch_dtype".into(), dtype);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    fs::copy(golden("model/llama3_rope/model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let row = vec![vec![1, 2, 3, 4, 5, 6, 7, 8]];
    assert_eq!(load(folder.path()).logits(&row).unwrap(), load(&golden("model/llama3_rope")).logits(&row).unwrap());
}
