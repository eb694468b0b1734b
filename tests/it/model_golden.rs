//! Logits, greedy tokens, losses and training curves against transformers and PEFT (`tests/golden/README.md`).

use std::path::Path;

use pipe::device::DeviceSpec;
use pipe::model::{CausalLm, LoraConfig, Method, Schedule, TrainConfig, TrainExample, Warmup};
use serde_json::Value;

use super::fixtures::{
    built_in, config, difference, golden, greedy, ids, json, lora, rows, run, run_on, tensor, tensors, wide,
};

/// The two rows of a golden model, the second cut where its padding begins.
fn golden_rows(folder: &Path) -> Vec<Vec<u32>> {
    let expected = folder.join("expected.safetensors");
    let ids = ids(&tensor(&expected, "input_ids"));
    let mask = tensor(&expected, "attention_mask");
    let row = |row: usize| {
        let range = row * 40..(row + 1) * 40;
        ids[range.clone()].iter().zip(&mask[range]).filter(|(_, kept)| **kept > 0.0).map(|(id, _)| *id).collect()
    };
    (0..2).map(row).collect()
}

/// On every backend that is built in, with the same tolerances.
fn check_forward(name: &str) {
    built_in().for_each(|device| check_forward_on(name, device));
}

fn check_forward_on(name: &str, device: DeviceSpec) {
    let folder = golden("model").join(name);
    let expected = folder.join("expected.safetensors");
    let model = CausalLm::load(&folder, None, device).unwrap();
    let name = &format!("{name} on {}", device.backend);
    let rows = golden_rows(&folder);
    let logits = model.logits(&rows).unwrap();
    let golden_logits = tensor(&expected, "logits");
    for (row, logits) in logits.iter().enumerate() {
        let found = wide(logits.as_slice());
        let golden_row = golden_logits[row * 40 * 300..].iter().copied().take(logits.as_slice().len());
        let difference = difference(found, golden_row);
        assert!(difference < 1e-4, "{name}: logits of row {row} differ by {difference}");
    }
    let examples: Vec<TrainExample> =
        rows.iter().map(|row| TrainExample { input_ids: row.clone(), loss_mask: vec![true; row.len()] }).collect();
    let (loss, targets) = model.loss(&examples).unwrap();
    let difference = (loss / targets as f64 - tensor(&expected, "loss")[0]).abs();
    assert!(difference < 1e-5, "{name}: the loss differs by {difference}");
    let greedy_ids = ids(&tensor(&expected, "greedy_from12"));
    assert_eq!(greedy(&model, &[greedy_ids[..12].to_vec()], 20), [&greedy_ids[12..]], "{name}");
}

#[test]
fn llama_gives_the_logits_loss_and_greedy_ids_of_transformers() {
    check_forward("llama");
}

#[test]
fn tied_embeddings_and_biases_agree_with_transformers() {
    check_forward("llama_tied_bias");
}

#[test]
fn scaled_rotary_embeddings_agree_with_transformers() {
    check_forward("llama3_rope");
    check_forward("llama_linear_rope");
}

#[test]
fn biases_on_queries_keys_and_values_alone_agree_with_transformers() {
    check_forward("qwen2");
}

#[test]
fn normalised_queries_and_keys_agree_with_transformers() {
    check_forward("qwen3");
}

#[test]
fn a_sliding_window_agrees_with_transformers() {
    check_forward("mistral_sw");
}

#[test]
fn gemma_with_windows_between_full_layers_agrees_with_transformers() {
    check_forward("gemma3");
}

fn curve_config(curve: &Value) -> (TrainConfig, LoraConfig) {
    let config = TrainConfig {
        gradient_accumulation_steps: usize::try_from(curve["gradient_accumulation"].as_u64().unwrap()).unwrap(),
        max_steps: curve["updates"].as_u64(),
        learning_rate: curve["learning_rate"].as_f64().unwrap(),
        lr_scheduler_type: if curve["schedule"] == "cosine" { Schedule::Cosine } else { Schedule::Linear },
        warmup: Warmup::Steps(curve["warmup_updates"].as_u64().unwrap()),
        weight_decay: curve["weight_decay"].as_f64().unwrap(),
        max_grad_norm: curve["max_grad_norm"].as_f64().unwrap(),
        ..config()
    };
    let lora = LoraConfig {
        rank: usize::try_from(curve["r"].as_u64().unwrap()).unwrap(),
        alpha: curve["lora_alpha"].as_f64().unwrap(),
        use_rslora: curve["use_rslora"].as_bool().unwrap(),
        ..lora()
    };
    (config, lora)
}

/// On every backend that is built in, with the same tolerances.
fn check_training(name: &str) {
    built_in().for_each(|device| check_training_on(name, device));
}

fn check_training_on(name: &str, device: DeviceSpec) {
    let folder = golden("lora").join(name);
    let curve = json(&folder.join("curve.json"));
    let (config, lora) = curve_config(&curve);
    let lora = LoraConfig { initial_adapter: Some(folder.join("adapter_init.safetensors")), ..lora };
    let (output, steps, _) = run_on(device, &Method::Lora(lora), &config);
    let name = &format!("{name} on {}", device.backend);
    let log = curve["log"].as_array().unwrap();
    assert_eq!(steps.len(), log.len());
    for (step, expected) in steps.iter().zip(log) {
        let number = |name: &str| expected[name].as_f64().unwrap();
        let (loss, norm) = (step.loss_nats - number("loss"), step.grad_norm - number("grad_norm"));
        assert!(loss.abs() < 1e-4, "{name} step {}: the loss differs by {loss}", step.step);
        assert!(norm.abs() < 1e-3, "{name} step {}: the gradient norm differs by {norm}", step.step);
        let rate = step.learning_rate - number("learning_rate");
        assert!(rate.abs() <= 1e-15, "{name} step {}: the learning rate differs by {rate}", step.step);
        assert_eq!(Some(step.targets as u64), expected["targets"].as_u64());
    }
    let found = tensors(&output.path().join("adapter_model.safetensors"));
    let expected = tensors(&folder.join("adapter_final/adapter_model.safetensors"));
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!((&found.0, &found.1), (&expected.0, &expected.1));
        let difference = difference(found.2.iter().copied(), expected.2.iter().copied());
        assert!(difference < 1e-4, "{name}: {} differs by {difference}", found.0);
    }
    assert_eq!(found.len(), expected.len());
    check_final_logits(&folder, output.path(), device);
    check_final_logits(&folder, &folder.join("adapter_final"), device);
}

/// The last logits of row 0 with this adapter: ours, and the one PEFT wrote.
fn check_final_logits(folder: &Path, adapter: &Path, device: DeviceSpec) {
    let model = CausalLm::load(&golden("lora/tiny_base"), Some(adapter), device).unwrap();
    let row = rows()[0].input_ids.clone();
    let logits = model.logits(std::slice::from_ref(&row)).unwrap();
    let expected = tensor(&folder.join("final_logits.safetensors"), "row0_last_logits");
    let difference = difference(wide(logits[0].at(row.len() - 1)), expected);
    assert!(difference < 1e-4, "final logits with {} differ by {difference}", adapter.display());
}

#[test]
fn lora_with_a_linear_schedule_follows_peft() {
    check_training("tiny_linear_ga1");
}

#[test]
fn lora_with_accumulation_and_a_cosine_schedule_follows_peft() {
    check_training("tiny_cosine_ga4");
}

#[test]
fn rslora_with_weight_decay_and_tight_clipping_follows_peft() {
    check_training("tiny_rslora_wd");
}

#[test]
fn the_adapter_folder_is_what_peft_0_10_writes() {
    let (output, ..) = run(&Method::Lora(lora()), &config());
    let written = std::fs::read_to_string(output.path().join("adapter_config.json")).unwrap();
    let config = json(&output.path().join("adapter_config.json"));
    let keys: Vec<&String> = config.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 24);
    assert!(keys.is_sorted());
    let reference = json(&golden("lora/tiny_linear_ga1/adapter_final/adapter_config.json"));
    for key in keys {
        let skipped = key == "base_model_name_or_path" || key == "target_modules";
        assert!(skipped || config[key] == reference[key], "{key} is {} and not {}", config[key], reference[key]);
    }
    assert!(written.contains("\"lora_alpha\": 8,"), "a whole alpha is written without a fraction");
    let bytes = std::fs::read(output.path().join("adapter_model.safetensors")).unwrap();
    assert!(bytes[8..].starts_with(b"{\"__metadata__\":{\"format\":\"pt\"}"));
}
