//! Bases in fewer bits than f32: what they compute, what they cost, and that adapters are trained over them.

use std::fs;

use pipe::device::DeviceSpec;
use pipe::model::{CausalLm, FourBitCode, Method, ModelError, Precision, TrainConfig};

use super::fixtures::{built_in, config, difference, golden, greedy, lora, rows, run, run_on, wide};

const ROUNDED: [Precision; 3] = [
    Precision::FourBit { code: FourBitCode::Nf4, double_quant: false },
    Precision::FourBit { code: FourBitCode::Fp4, double_quant: true },
    Precision::Int8,
];

fn load_as(folder: &str, precision: Precision, device: DeviceSpec) -> CausalLm {
    CausalLm::load_as(&golden(folder), None, precision, device).unwrap()
}

fn prompts() -> Vec<Vec<u32>> {
    rows().into_iter().take(3).map(|row| row.input_ids).collect()
}

fn logits(model: &CausalLm) -> Vec<f64> {
    model.logits(&prompts()).unwrap().iter().flat_map(|logits| wide(logits.as_slice()).collect::<Vec<_>>()).collect()
}

/// Blocks that stay as the file has them are the same numbers, so nothing that is computed changes.
#[test]
fn a_file_in_blocks_computes_the_same_whether_they_stay_or_are_widened() {
    let file = golden("gguf/llama.gguf");
    let load = |precision| CausalLm::load_as(&file, None, precision, DeviceSpec::default()).unwrap();
    let (mut stored, mut full) = (load(Precision::AsStored), load(Precision::Full));
    assert!(stored.matrix_bytes() * 2 < full.matrix_bytes());
    let rows: [Vec<u32>; 2] = [(1..30).collect(), (40..47).collect()];
    assert_eq!(stored.logits(&rows).unwrap(), full.logits(&rows).unwrap());
    assert_eq!(greedy(&stored, &rows, 12), greedy(&full, &rows, 12));
}

#[test]
fn rounded_bases_are_smaller_and_near_the_base_on_every_backend() {
    let full = load_as("lora/tiny_base", Precision::Full, DeviceSpec::default());
    for precision in ROUNDED {
        let mut reference = None;
        for device in built_in() {
            let mut model = load_as("lora/tiny_base", precision, device);
            let found = logits(&model);
            let off = difference(found.iter().copied(), logits(&full));
            assert!(off > 1e-5, "{precision}: rounding changes something");
            let reference = reference.get_or_insert_with(|| found.clone());
            let off = difference(found, reference.iter().copied());
            assert!(off < 1e-4, "{precision} on {}: {off} from flex", device.backend);
            let mut full = load_as("lora/tiny_base", Precision::Full, device);
            // Embedding and head, more than half of this model, stay.
            assert!(model.matrix_bytes() * 10 < full.matrix_bytes() * 7, "{precision}: {}", model.matrix_bytes());
        }
    }
}

#[test]
fn an_adapter_learns_over_a_rounded_base_the_same_on_every_backend() {
    for precision in ROUNDED {
        let config = TrainConfig { precision, max_steps: Some(12), ..config() };
        let mut reference: Option<Vec<f64>> = None;
        for device in built_in() {
            let (_, steps, _) = run_on(device, &Method::Lora(lora()), &config);
            let losses: Vec<f64> = steps.iter().map(|step| step.loss_nats).collect();
            let reference = reference.get_or_insert_with(|| losses.clone());
            let off = difference(losses.iter().copied(), reference.iter().copied());
            assert!(off < 1e-4, "{precision} on {}: losses are {off} from those of flex", device.backend);
        }
        let (first, ..) = run(&Method::Lora(lora()), &config);
        let (second, steps, _) = run(&Method::Lora(lora()), &config);
        let bytes = |folder: &tempfile::TempDir| fs::read(folder.path().join("adapter_model.safetensors")).unwrap();
        assert_eq!(bytes(&first), bytes(&second), "{precision}: two runs write the same bytes");
        let (plain, plain_steps, _) = run(&Method::Lora(lora()), &TrainConfig { precision: Precision::Full, ..config });
        assert_ne!(bytes(&first), bytes(&plain), "{precision}: the base was rounded");
        let apart = (steps[11].loss_nats - plain_steps[11].loss_nats).abs();
        assert!(apart < 0.5, "{precision}: {apart} nats from a training over the base itself");
    }
}

#[test]
fn weights_that_are_trained_are_not_rounded() {
    let config = TrainConfig { precision: Precision::Int8, ..config() };
    let error = super::fixtures::try_run(&golden("lora/tiny_base"), &rows(), &Method::Full, &config).unwrap_err();
    assert!(matches!(error, ModelError::Field { .. }), "{error}");
    assert!(error.to_string().contains("precision is `int8`"), "{error}");
}
