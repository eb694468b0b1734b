//! Every family that is written as GGUF computes from that file what it computes from its folder.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::f16;
use pipe::device::DeviceSpec;
use pipe::model::{CausalLm, GgufFormat, Method, ModelError, export_gguf, export_gguf_adapter, merge};
use pipe::tokenizer_spec::{Algorithm, TokenKind, TokenizerSpec};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::model::fixtures::{config, difference, golden, json as read_json, load, lora, rows, tensors, try_run, wide};
use crate::project::{MANIFEST, Project};

/// Three hundred tokens, since a GGUF file has a tokenizer.
fn tokenizer() -> TokenizerSpec {
    TokenizerSpec {
        tokens: (0..300).map(|id| format!("t{id}")).collect(),
        kinds: vec![TokenKind::Normal; 300],
        algorithm: Algorithm::SentencePiece { scores: (0..300).map(|id| -f64::from(id)).collect(), adds_space: false },
        bos: Some(1),
        eos: Some(2),
        unknown: Some(0),
        padding: None,
        end_ids: vec![2],
        adds_bos: true,
        adds_eos: false,
        chat_template: None,
    }
}

/// A golden model whose numbers half precision holds, so that nothing is rounded on the way into the file; its
/// configuration with the fields of `changes`.
fn halved(name: &str, changes: &Value) -> TempDir {
    let (from, folder) = (golden("model").join(name), TempDir::new().unwrap());
    let rounded: Vec<(String, Vec<usize>, Vec<u8>)> = tensors(&from.join("model.safetensors"))
        .into_iter()
        .map(|(name, shape, numbers)| {
            let bytes = numbers.iter().flat_map(|number| f16::from_f64(*number).to_f32().to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views: Vec<_> = rounded
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()))
        .collect();
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    fs::write(folder.path().join("model.safetensors"), serialize(views, Some(metadata)).unwrap()).unwrap();
    let mut config = read_json(&from.join("config.json"));
    for (field, value) in changes.as_object().unwrap() {
        config[field] = value.clone();
    }
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

fn export(model: &Path, folder: &TempDir) -> Result<PathBuf, ModelError> {
    let path = folder.path().join("model.gguf");
    export_gguf(model, &tokenizer(), GgufFormat::F16, &path).map(|()| path)
}

/// Longer than the windows, and longer than the original context of the scaled rotary embeddings.
fn prompts() -> Vec<Vec<u32>> {
    vec![(0..90).map(|id| id * 37 % 300).collect(), vec![3, 299, 7]]
}

fn check(name: &str, changes: &Value) {
    let (model, output) = (halved(name, changes), TempDir::new().unwrap());
    let path = export(model.path(), &output).unwrap_or_else(|error| panic!("{name}: {error}"));
    let found = load(&path).logits(&prompts()).unwrap();
    let expected = load(model.path()).logits(&prompts()).unwrap();
    assert_eq!(found, expected, "{name} {changes}: bit for bit");
}

#[test]
fn a_model_of_any_family_is_the_same_model_as_gguf() {
    for name in ["llama", "llama_linear_rope", "llama_tied_bias", "qwen2", "qwen3"] {
        check(name, &json!({}));
    }
}

#[test]
fn llama_3_keeps_its_rotary_scaling() {
    check("llama3_rope", &json!({}));
    let scaling = |factor: f64, length: u32| {
        json!({ "rope_parameters": { "rope_type": "llama3", "rope_theta": 10_000.0, "factor": factor, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": length } })
    };
    check("llama3_rope", &scaling(32.0, 100));
    // So short that every factor is the largest: 1 is never reached, and the file says nothing of the length.
    check("llama3_rope", &scaling(2.0, 4));
    // Other bounds than Llama 3's are written, but not recognised.
    let mut other = scaling(8.0, 64);
    other["rope_parameters"]["high_freq_factor"] = json!(7.0);
    let (model, output) = (halved("llama3_rope", &other), TempDir::new().unwrap());
    let path = export(model.path(), &output).unwrap();
    let error = CausalLm::load(&path, None, DeviceSpec::default()).expect_err("another rule").to_string();
    assert!(error.contains("rope_freqs.weight") && error.contains("Llama 3"), "{error}");
}

/// llama.cpp has no window for Mistral, as for most architectures.
#[test]
fn a_window_is_the_longest_row_where_llama_cpp_has_no_windows() {
    let (model, output) = (halved("mistral_sw", &json!({})), TempDir::new().unwrap());
    let (file, folder) = (load(&export(model.path(), &output).unwrap()), load(model.path()));
    assert_eq!((file.config().max_position_embeddings, folder.config().max_position_embeddings), (8, 256));
    let row = |length: usize| vec![prompts()[0][..length].to_vec()];
    assert_eq!(file.logits(&row(8)).unwrap(), folder.logits(&row(8)).unwrap(), "bit for bit");
    assert_ne!(file.logits(&row(9)).unwrap(), folder.logits(&row(9)).unwrap(), "the ninth token is beyond the window");
}

#[test]
fn an_adapter_whose_scale_is_no_single_is_refused() {
    let (golden, adapter, output) = (golden("lora"), TempDir::new().unwrap(), TempDir::new().unwrap());
    let weights = "adapter_model.safetensors";
    fs::copy(golden.join("tiny_patterns").join(weights), adapter.path().join(weights)).unwrap();
    let refused = |alpha: Value, scale: Value| {
        let mut config = read_json(&golden.join("tiny_patterns/adapter_config.json"));
        (config["lora_alpha"], config["alpha_pattern"]["self_attn.k_proj"]) = (alpha, scale);
        fs::write(adapter.path().join("adapter_config.json"), config.to_string()).unwrap();
        let file = output.path().join("adapter.gguf");
        let gguf = export_gguf_adapter(&golden.join("tiny_base"), adapter.path(), &file);
        let merged = merge(&golden.join("tiny_base"), adapter.path(), output.path());
        (gguf.expect_err("refused").to_string(), merged.err().map(|error| error.to_string()))
    };
    // Divided by the root of its rank, 2, the scale would fit.
    let (gguf, _) = refused(json!(4e38), json!(100));
    assert!(gguf.contains("lora_alpha is") && gguf.contains("to be written as GGUF"), "{gguf}");
    let (gguf, merged) = refused(json!(6), json!(1e40));
    assert!(gguf.contains("alpha / rank of `model.layers.0.self_attn.k_proj`"), "{gguf}");
    assert!(merged.is_some_and(|error| error.contains("which f32 holds")));
    // The scale fits, and what llama.cpp's lacks of it does not.
    let (gguf, _) = refused(json!(1e-30), json!(1e30));
    assert!(gguf.contains("alpha_pattern, model.layers.0.self_attn.k_proj"), "{gguf}");
}

#[test]
fn gemma_3_keeps_its_windows_and_norms() {
    check("gemma3", &json!({}));
    let layers = |types: [bool; 4]| types.map(|full| if full { "full_attention" } else { "sliding_attention" });
    check("gemma3", &json!({ "layer_types": layers([false, true, false, true]), "sliding_window": 5 }));
    check("gemma3", &json!({ "layer_types": layers([false; 4]) }));
    let rope = json!({
        "full_attention": { "rope_type": "linear", "factor": 8.0, "rope_theta": 1e6 },
        "sliding_attention": { "rope_type": "default", "rope_theta": 5e3 },
    });
    check("gemma3", &json!({ "rope_parameters": rope }));
}

#[test]
fn what_llama_cpp_takes_for_granted_of_gemma_3_is_refused_otherwise() {
    let refused = |changes: Value| {
        let (model, output) = (halved("gemma3", &changes), TempDir::new().unwrap());
        export(model.path(), &output).expect_err("refused").to_string()
    };
    let layers = ["full_attention", "sliding_attention", "sliding_attention", "sliding_attention"];
    for (changes, words) in [
        (json!({ "layer_types": layers }), "layer_types"),
        (json!({ "layer_types": layers.map(|_| "full_attention") }), "sliding_window"),
        (json!({ "query_pre_attn_scalar": 64 }), "query_pre_attn_scalar is `64`; expected `32`"),
        (
            json!({ "rope_parameters": {
                "full_attention": { "rope_type": "default", "rope_theta": 1e6 },
                "sliding_attention": { "rope_type": "linear", "factor": 2.0, "rope_theta": 1e4 } } }),
            "rope_type",
        ),
    ] {
        let error = refused(changes);
        assert!(error.contains(words) && error.contains("to be written as GGUF"), "{error}");
    }
}

/// From the file into a folder of transformers, with an adapter trained on the file.
#[test]
fn a_gemma_3_file_is_trained_on_and_merged_like_its_folder() {
    let (model, files) = (halved("gemma3", &json!({})), TempDir::new().unwrap());
    let file = export(model.path(), &files).unwrap();
    let train = |base: &Path| try_run(base, &rows(), &Method::Lora(lora()), &config()).unwrap().0;
    let (of_file, of_folder) = (train(&file), train(model.path()));
    let bytes = |folder: &TempDir| fs::read(folder.path().join("adapter_model.safetensors")).unwrap();
    assert!(bytes(&of_file) == bytes(&of_folder), "the adapters are equal to the bit");
    let output = TempDir::new().unwrap();
    merge(&file, of_file.path(), output.path()).unwrap();
    let adapted = CausalLm::load(&file, Some(of_file.path()), DeviceSpec::default()).unwrap();
    let (found, expected) = (load(output.path()).logits(&prompts()).unwrap(), adapted.logits(&prompts()).unwrap());
    let apart = (0..90).map(|at| difference(wide(found[0].at(at)), wide(expected[0].at(at)))).fold(0.0, f64::max);
    // The file holds half precision, so the merged matrices are rounded to it.
    assert!(apart < 2e-2, "{apart}");
    let expected = tensors(&model.path().join("model.safetensors"));
    for name in ["model.norm.weight", "model.layers.2.post_feedforward_layernorm.weight"] {
        let (.., expected) = expected.iter().find(|(found, ..)| found == name).unwrap();
        let apart = difference(singles(output.path(), name), expected.iter().copied());
        assert!(apart <= f64::from(f32::EPSILON), "{name}: {apart}");
    }
}

/// A norm of a folder whose matrices are in half precision.
fn singles(folder: &Path, name: &str) -> Vec<f64> {
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    assert_eq!(view.dtype(), Dtype::F32, "norms keep their precision");
    view.data().as_chunks().0.iter().map(|single| f64::from(f32::from_le_bytes(*single))).collect()
}

#[test]
fn a_merge_with_gguf_writes_model_and_adapter_for_llama_cpp() {
    let project = Project::new();
    let settings = "merge: { with: { formats: [hf, gguf] }, in:";
    let export = "outputs/lora: { from: merge.gguf_adapter }, outputs/adapter:";
    let manifest = MANIFEST.replace("merge: { in:", settings).replace("outputs/adapter:", export);
    project.write_manifest("gguf.yaml", &manifest);
    project.run(&["pipelines/gguf.yaml"]).succeeded();
    let bytes = fs::read(project.path("outputs/lora/adapter.gguf")).unwrap();
    assert!(bytes.starts_with(b"GGUF\x03\0\0\0"));
    // It fits no port that takes an adapter of PEFT.
    project.write_manifest(
        "wrong.yaml",
        &manifest.replace("adapter: train.adapter, data", "adapter: merge.gguf_adapter, data"),
    );
    let output = project.pipe(&["check", "pipelines/wrong.yaml"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("gguf-adapter"), "{output:?}");
}

/// Windows, rotary factors and all the rest of the header: refused or read, never a panic, never a hang.
#[test]
fn flipped_bits_of_windows_and_rotary_factors_never_panic() {
    for name in ["gemma3", "llama3_rope"] {
        let (model, output) = (halved(name, &json!({})), TempDir::new().unwrap());
        let path = export(model.path(), &output).unwrap();
        let whole = fs::read(&path).unwrap();
        let ends = whole.windows(10).position(|bytes| bytes == b"tokenizer.").unwrap();
        let tensors =
            whole.windows(10).rposition(|bytes| bytes.starts_with(b"blk.") || bytes == b"rope_freqs").unwrap();
        let factors = whole.len() - 64..whole.len();
        for at in (24..ends).chain(tensors..tensors + 50).chain(factors) {
            for bit in [0, 6] {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                fs::write(&path, bytes).unwrap();
                let _ = CausalLm::load(&path, None, DeviceSpec::default());
            }
        }
    }
}
