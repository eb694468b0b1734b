//! Adapters on a model: drawn fresh, read from a file, written to a folder.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use super::{AdapterConfig, LoraConfig};
use crate::model::decoder::Decoder;
use crate::model::error::ModelError;
use crate::model::fused::buffer::numbers;
use crate::model::layers::{Linear, Lora, WeightVisitor};
use crate::model::random::{Purpose, Stream};
use crate::model::weights::{FloatFormat, WeightEntry, WeightFiles, write_safetensors};

/// Puts a fresh adapter on every projection `config` names: B = 0, and A uniform in ±1/sqrt(in), as PEFT's
/// `kaiming_uniform_(a=sqrt(5))`, drawn row by row.
///
/// # Errors
/// A target module names no projection of the model.
pub(crate) fn draw(model: &mut Decoder, config: &LoraConfig, seed: u64, device: &Device) -> Result<(), ModelError> {
    for target in &config.target_modules {
        if !model.projections().any(|projection| is_target(projection, std::slice::from_ref(target))) {
            let expected = "the last part of a projection's name, such as `q_proj` or `down_proj`";
            return Err(ModelError::field("target_modules", target, expected));
        }
    }
    let targets = model.projections().filter(|projection| is_target(projection, &config.target_modules));
    for (index, projection) in (0..).zip(targets) {
        let [width_out, width_in] = projection.shape();
        let a = uniform(Stream::new(seed, Purpose::LoraInit, index), [config.rank, width_in]);
        let b = vec![0.0_f32; width_out * config.rank];
        let (a, b) = (TensorData::new(a, [config.rank, width_in]), TensorData::new(b, [width_out, config.rank]));
        projection.adapt(pair([a, b], config.scale(), config.dropout, index, device));
    }
    Ok(())
}

fn is_target(projection: &Linear, targets: &[String]) -> bool {
    projection.name().rsplit('.').next().is_some_and(|last| targets.iter().any(|target| target == last))
}

fn uniform(stream: Stream, [rows, columns]: [usize; 2]) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    let bound = (1.0 / (columns as f64).sqrt()) as f32;
    let draws = (0..).flat_map(|block| stream.uniforms(block));
    draws.take(rows * columns).map(|draw| (2.0 * draw - 1.0) * bound).collect()
}

fn pair([a, b]: [TensorData; 2], scale: f64, dropout: f64, index: u32, device: &Device) -> Lora {
    #[expect(clippy::cast_possible_truncation, reason = "the scale is applied in f32")]
    let scale = scale as f32;
    Lora { a: Tensor::from_data(a, device), b: Tensor::from_data(b, device), scale, dropout, index }
}

/// Puts the adapter in `files` on the projections it has weights for.
///
/// # Errors
/// One matrix of a pair is missing, a shape does not fit the projection, or a tensor belongs to no projection.
pub(crate) fn attach(
    model: &mut Decoder,
    files: &WeightFiles,
    config: AdapterConfig,
    dropout: f64,
    device: &Device,
) -> Result<(), ModelError> {
    let mut used = 0;
    let mut index = 0;
    for projection in model.projections() {
        let [a_name, b_name] = tensor_names(projection.name());
        if files.get(&a_name).is_none() && files.get(&b_name).is_none() {
            continue;
        }
        let [width_out, width_in] = projection.shape();
        let a = files.expect(&a_name, &[config.rank, width_in])?;
        let b = files.expect(&b_name, &[width_out, config.rank])?;
        let data = [a, b].map(|view| TensorData::new(view.to_f32(), [view.shape[0], view.shape[1]]));
        projection.adapt(pair(data, config.scale, dropout, index, device));
        index += 1;
        used += 2;
    }
    if used == files.iter().count() {
        return Ok(());
    }
    let known: Vec<String> = model.projections().flat_map(|projection| tensor_names(projection.name())).collect();
    let stray = files.iter().find(|view| !known.iter().any(|name| name == view.name));
    let stray = stray.expect("more tensors than were used means that one is unknown");
    Err(ModelError::UnexpectedTensor {
        tensor: stray.name.to_owned(),
        found: stray.shape.to_vec(),
        path: files.path().to_path_buf(),
    })
}

/// The names PEFT gives the two matrices of a projection.
pub(crate) fn tensor_names(module: &str) -> [String; 2] {
    ["lora_A", "lora_B"].map(|part| format!("base_model.model.{module}.{part}.weight"))
}

/// Writes `adapter_config.json` and `adapter_model.safetensors` for the adapter on `model`.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn save(model: &mut Decoder, config: &LoraConfig, output: &Path) -> Result<(), ModelError> {
    let mut collector = Collector::default();
    model.visit(&mut collector);
    let entries = collector.tensors.iter().map(|(name, shape, _)| WeightEntry {
        name: name.clone(),
        format: FloatFormat::F32,
        shape: shape.clone(),
    });
    write_safetensors(&output.join("adapter_model.safetensors"), entries.collect(), |entry| {
        let tensor = collector.tensors.iter().find(|(name, ..)| *name == entry.name);
        let (.., numbers) = tensor.expect("entries are made from the tensors");
        Ok(FloatFormat::F32.encode(numbers))
    })?;
    let path = output.join("adapter_config.json");
    std::fs::write(&path, config.to_json()).map_err(ModelError::write(&path))
}

/// Copies the adapter's weights out of a model.
#[derive(Default)]
struct Collector {
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl WeightVisitor for Collector {
    fn visit<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
        if name.contains(".lora_") {
            self.tensors.push((name.to_owned(), weight.dims().to_vec(), numbers(weight.clone())));
        }
    }
}
