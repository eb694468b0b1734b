//! Golden files, small models, and comparisons.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pipe::device::{Backend, DeviceSpec};
use pipe::model::{
    CausalLm, GenerateOptions, LoraConfig, Method, ModelError, TrainConfig, TrainExample, TrainStep, TrainSummary,
    train,
};
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

/// The path of a golden file.
pub fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

/// All tensors of a safetensors file as f64, by name.
pub fn tensors(path: &Path) -> Vec<(String, Vec<usize>, Vec<f64>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> = file
        .iter()
        .map(|(name, view)| {
            let numbers = match view.dtype() {
                safetensors::Dtype::F32 => {
                    view.data().as_chunks().0.iter().map(|c| f64::from(f32::from_le_bytes(*c))).collect()
                }
                safetensors::Dtype::I64 => {
                    view.data().as_chunks().0.iter().map(|c| i64::from_le_bytes(*c) as f64).collect()
                }
                other => panic!("no golden tensor has dtype {other}"),
            };
            (name.to_owned(), view.shape().to_vec(), numbers)
        })
        .collect();
    tensors.sort_by(|left, right| left.0.cmp(&right.0));
    tensors
}

/// One tensor of a safetensors file.
pub fn tensor(path: &Path, name: &str) -> Vec<f64> {
    let found = tensors(path).into_iter().find(|(found, ..)| found == name);
    found.unwrap_or_else(|| panic!("{name} is in {}", path.display())).2
}

/// Token ids stored as numbers.
pub fn ids(numbers: &[f64]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_string().parse().unwrap()).collect()
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The largest absolute difference.
pub fn difference(left: impl IntoIterator<Item = f64>, right: impl IntoIterator<Item = f64>) -> f64 {
    let (left, right): (Vec<_>, Vec<_>) = (left.into_iter().collect(), right.into_iter().collect());
    assert_eq!(left.len(), right.len());
    left.iter().zip(&right).fold(0.0, |largest, (left, right)| (left - right).abs().max(largest))
}

pub fn wide(numbers: &[f32]) -> impl Iterator<Item = f64> + '_ {
    numbers.iter().copied().map(f64::from)
}

pub fn load(folder: &Path) -> CausalLm {
    CausalLm::load(folder, None, DeviceSpec::default()).unwrap()
}

pub fn options(max_new_tokens: usize) -> GenerateOptions {
    GenerateOptions { max_new_tokens, stop_token_ids: Vec::new(), batch_size: 8 }
}

/// The new ids of each prompt.
pub fn greedy(model: &CausalLm, prompts: &[Vec<u32>], max_new_tokens: usize) -> Vec<Vec<u32>> {
    let generations = model.generate(prompts, &options(max_new_tokens), &mut |_| ControlFlow::Continue(())).unwrap();
    generations.into_iter().map(|generation| generation.ids).collect()
}

/// The rows of the training fixtures.
pub fn rows() -> Vec<TrainExample> {
    let rows = json(&golden("lora/tiny_rows.json"));
    let row = |row: &Value| {
        let numbers = |name: &str| row[name].as_array().unwrap().iter().map(|id| id.as_i64().unwrap());
        TrainExample {
            input_ids: numbers("input_ids").map(|id| u32::try_from(id).unwrap()).collect(),
            loss_mask: numbers("labels").map(|label| label >= 0).collect(),
        }
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

/// The settings shared by all tests: rows in file order, one a micro-batch.
pub fn config() -> TrainConfig {
    TrainConfig {
        per_device_train_batch_size: 1,
        learning_rate: 0.01,
        max_steps: Some(4),
        shuffle: false,
        seed: 7,
        ..TrainConfig::default()
    }
}

/// An adapter on every projection.
pub fn lora() -> LoraConfig {
    let modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    LoraConfig {
        rank: 4,
        alpha: 8.0,
        dropout: 0.0,
        use_rslora: false,
        target_modules: modules.map(str::to_owned).to_vec(),
        initial_adapter: None,
    }
}

/// Trains on the fixtures' base; gives the output folder, the steps and the summary.
pub fn run(method: &Method, config: &TrainConfig) -> (TempDir, Vec<TrainStep>, TrainSummary) {
    run_on(DeviceSpec::default(), method, config)
}

/// The same on another backend.
pub fn run_on(device: DeviceSpec, method: &Method, config: &TrainConfig) -> (TempDir, Vec<TrainStep>, TrainSummary) {
    try_run_on(device, &golden("lora/tiny_base"), &rows(), method, config).unwrap()
}

/// The backends of this binary: flex, and those whose features are on.
pub fn built_in() -> impl Iterator<Item = DeviceSpec> {
    Backend::ALL.into_iter().filter(|backend| backend.is_built_in()).map(|backend| DeviceSpec { backend })
}

pub fn try_run(
    base: &Path,
    rows: &[TrainExample],
    method: &Method,
    config: &TrainConfig,
) -> Result<(TempDir, Vec<TrainStep>, TrainSummary), ModelError> {
    try_run_on(DeviceSpec::default(), base, rows, method, config)
}

fn try_run_on(
    device: DeviceSpec,
    base: &Path,
    rows: &[TrainExample],
    method: &Method,
    config: &TrainConfig,
) -> Result<(TempDir, Vec<TrainStep>, TrainSummary), ModelError> {
    let output = TempDir::new().unwrap();
    let mut steps = Vec::new();
    let mut observe = |step: &TrainStep| {
        steps.push(*step);
        ControlFlow::Continue(())
    };
    let summary = train(base, rows, method, config, device, output.path(), &mut observe)?;
    Ok((output, steps, summary))
}
