//! PEFT adapters from outside: configurations of every version, ranks and scales of single modules, and what is refused.

use std::fs;
use std::path::Path;

use pipe::device::DeviceSpec;
use pipe::model::{CausalLm, LoraConfig, Method, ModelError, merge};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::fixtures::{config, difference, golden, json as read_json, load, lora, rows, tensor, try_run, wide};

fn base() -> std::path::PathBuf {
    golden("lora/tiny_base")
}

fn adapted(adapter: &Path) -> Result<CausalLm, ModelError> {
    CausalLm::load(&base(), Some(adapter), DeviceSpec::default())
}

/// How far the logits of row 0 are from PEFT's.
fn apart(model: &CausalLm, expected: &Path) -> f64 {
    let row = rows()[0].input_ids.clone();
    let logits = model.logits(std::slice::from_ref(&row)).unwrap();
    difference((0..row.len()).flat_map(|at| wide(logits[0].at(at)).collect::<Vec<_>>()), tensor(expected, "logits"))
}

/// Ranks from 2 to 6, eight scales, rsLoRA, and patterns of every form.
#[test]
fn modules_with_ranks_and_scales_of_their_own_compute_what_peft_computes() {
    let adapter = golden("lora/tiny_patterns");
    let expected = adapter.join("expected.safetensors");
    let found = apart(&adapted(&adapter).unwrap(), &expected);
    assert!(found < 1e-4, "with the adapter: {found}");
    let merged = TempDir::new().unwrap();
    let summary = merge(&base(), &adapter, merged.path()).unwrap();
    assert_eq!(summary.merged_modules, 21);
    let found = apart(&load(merged.path()), &expected);
    assert!(found < 1e-4, "merged: {found}");
}

/// The settings of `lora/tiny_patterns`.
fn patterned() -> LoraConfig {
    let initial_adapter = Some(golden("lora/tiny_patterns"));
    LoraConfig { rank: 4, alpha: 6.0, use_rslora: true, initial_adapter, ..lora() }
}

#[test]
fn training_goes_on_with_the_ranks_and_scales_of_the_adapter_it_starts_from() {
    let still = pipe::model::TrainConfig { learning_rate: 0.0, ..config() };
    let (output, ..) = try_run(&base(), &rows(), &Method::Lora(patterned()), &still).unwrap();
    let found = apart(&adapted(output.path()).unwrap(), &golden("lora/tiny_patterns/expected.safetensors"));
    assert!(found < 1e-4, "{found}");
    let (written, read) = ("adapter_config.json", golden("lora/tiny_patterns/adapter_config.json"));
    let (written, read) = (read_json(&output.path().join(written)), read_json(&read));
    for key in ["rank_pattern", "alpha_pattern", "r", "lora_alpha", "use_rslora"] {
        assert_eq!(written[key], read[key], "{key}");
    }
    let refused = |lora: LoraConfig| {
        try_run(&base(), &rows(), &Method::Lora(lora), &config()).expect_err("it is another adapter").to_string()
    };
    assert!(refused(LoraConfig { rank: 8, ..patterned() }).contains("lora_r is `8`; expected `4`"));
    assert!(refused(LoraConfig { alpha: 8.0, ..patterned() }).contains("lora_alpha is `8`; expected `6`"));
    assert!(refused(LoraConfig { use_rslora: false, ..patterned() }).contains("use_rslora is `false`"));
    let fewer = LoraConfig { target_modules: vec!["q_proj".into()], ..patterned() };
    assert!(
        refused(fewer).contains("target_modules is `q_proj`; expected `model.layers.0.self_attn.k_proj` among them")
    );
}

/// The adapter of a golden run with this configuration.
fn with_config(config: &Value) -> TempDir {
    let folder = TempDir::new().unwrap();
    let weights = golden("lora/tiny_linear_ga1/adapter_final/adapter_model.safetensors");
    fs::copy(weights, folder.path().join("adapter_model.safetensors")).unwrap();
    fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    folder
}

/// The configurations of PEFT by version, with rank and alpha of the golden run.
fn versions() -> Map<String, Value> {
    let mut versions = read_json(&golden("lora/peft_configs.json"));
    for config in versions.as_object_mut().unwrap().values_mut() {
        let curve = read_json(&golden("lora/tiny_linear_ga1/curve.json"));
        (config["r"], config["lora_alpha"]) = (curve["r"].clone(), curve["lora_alpha"].clone());
    }
    versions.as_object().unwrap().clone()
}

#[test]
fn a_configuration_of_any_version_of_peft_loads() {
    let versions = versions();
    assert_eq!(versions.len(), 16);
    let row = rows()[0].input_ids.clone();
    for (version, config) in versions {
        let model = adapted(with_config(&config).path()).unwrap_or_else(|error| panic!("PEFT {version}: {error}"));
        let logits = model.logits(std::slice::from_ref(&row)).unwrap();
        let expected = tensor(&golden("lora/tiny_linear_ga1/final_logits.safetensors"), "row0_last_logits");
        let found = difference(wide(logits[0].at(row.len() - 1)), expected);
        assert!(found < 1e-4, "PEFT {version}: {found}");
    }
}

/// The error for the newest configuration with one key set otherwise.
fn refusal(key: &str, value: Value) -> Option<String> {
    let mut config = versions().values().next_back().unwrap().clone();
    config[key] = value;
    adapted(with_config(&config).path()).err().map(|error| error.to_string())
}

#[test]
fn a_setting_that_changes_the_numbers_is_refused_by_name() {
    for (key, value) in [
        ("alora_invocation_tokens", json!([1, 2])),
        ("arrow_config", json!({ "top_k": 3 })),
        ("bias", json!("all")),
        ("bias", json!("lora_only")),
        ("corda_config", json!({ "corda_method": "kpm" })),
        ("fan_in_fan_out", json!(true)),
        ("init_lora_weights", json!("corda")),
        ("init_lora_weights", json!("loftq")),
        ("init_lora_weights", json!("lora_ga")),
        ("init_lora_weights", json!("mica")),
        ("init_lora_weights", json!("olora")),
        ("init_lora_weights", json!("pissa")),
        ("init_lora_weights", json!("pissa_niter_16")),
        ("kasa_config", json!({ "beta": 1 })),
        ("layer_replication", json!([[0, 2], [1, 2]])),
        ("loftq_config", json!({ "loftq_bits": 4 })),
        ("lora_bias", json!(true)),
        ("megatron_config", json!({ "hidden_size": 64 })),
        ("modules_to_save", json!(["embed_tokens"])),
        ("monteclora_config", json!({ "n": 1 })),
        ("peft_type", json!("LOHA")),
        ("some_key_of_a_later_version", json!(1)),
        ("target_parameters", json!(["experts.gate"])),
        ("trainable_token_indices", json!([7])),
        ("trainable_token_indices", json!({ "embed_tokens": [7] })),
        ("use_bdlora", json!({ "nblocks": 2 })),
        ("use_dora", json!(true)),
        ("use_qalora", json!(true)),
        ("velora_config", json!({ "rank": 1 })),
        ("r", json!(0)),
        ("lora_alpha", json!("16")),
        ("use_rslora", json!("yes")),
        ("rank_pattern", json!({ "q_proj": 0 })),
        ("rank_pattern", json!({ "layers.[01].q_proj": 4 })),
        ("rank_pattern", json!([8])),
        ("alpha_pattern", json!({ "q_proj": "8" })),
        ("alpha_pattern", json!({ "q_proj|k_proj": 8 })),
    ] {
        let error = refusal(key, value.clone()).unwrap_or_else(|| panic!("{key} = {value} is taken"));
        assert!(error.contains(key), "{key} = {value}: {error}");
    }
}

#[test]
fn a_setting_that_no_longer_matters_is_taken() {
    for (key, value) in [
        ("exclude_modules", json!(["lm_head"])),
        ("inference_mode", json!(false)),
        ("init_lora_weights", json!("gaussian")),
        ("init_lora_weights", json!("orthogonal")),
        ("init_lora_weights", json!(false)),
        ("eva_config", json!({ "rho": 2.0 })),
        ("layers_to_transform", json!([0, 1])),
        ("lora_dropout", json!(0.1)),
        ("target_modules", json!("all-linear")),
        ("runtime_config", json!({ "ephemeral_gpu_offload": false })),
    ] {
        assert_eq!(refusal(key, value.clone()), None, "{key} = {value}");
    }
}

#[test]
fn a_rank_that_the_weights_do_not_have_is_an_error_with_both_shapes() {
    let error =
        refusal("rank_pattern", json!({ r"layers\.1\.mlp\.up_proj": 7 })).expect("the weights have another rank");
    assert!(
        error.contains("layers.1.mlp.up_proj.lora_A.weight") && error.contains("`[4, 48]`; expected `[7, 48]`"),
        "{error}"
    );
}

#[test]
fn pickles_are_refused_with_a_reason() {
    let adapter = TempDir::new().unwrap();
    let config = versions().values().next_back().unwrap().clone();
    fs::write(adapter.path().join("adapter_config.json"), config.to_string()).unwrap();
    fs::write(adapter.path().join("adapter_model.bin"), b"\x80\x02").unwrap();
    let merged = TempDir::new().unwrap();
    for error in [adapted(adapter.path()).err(), merge(&base(), adapter.path(), merged.path()).err()] {
        let error = error.expect("refused").to_string();
        for words in ["adapter_model.bin", "can run code", "expected `adapter_model.safetensors`", "safe_serialization"]
        {
            assert!(error.contains(words), "`{words}` is not in `{error}`");
        }
    }
    let model = TempDir::new().unwrap();
    fs::copy(base().join("config.json"), model.path().join("config.json")).unwrap();
    for name in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        fs::write(model.path().join(name), b"\x80\x02").unwrap();
        let error = CausalLm::load(model.path(), None, DeviceSpec::default()).expect_err("refused").to_string();
        assert!(error.contains(name) && error.contains("expected `model.safetensors`"), "{error}");
        fs::remove_file(model.path().join(name)).unwrap();
    }
}
