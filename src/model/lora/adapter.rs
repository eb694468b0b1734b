//! Adapters on a model: drawn fresh, read from a file, written to a folder.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use super::{AdapterConfig, AdapterFiles, LoraConfig, Pair};
use crate::model::decoder::Decoder;
use crate::model::error::ModelError;
use crate::model::fused::buffer::numbers;
use crate::model::layers::{Lora, WeightVisitor};
use crate::model::random::{Purpose, Stream};
use crate::model::weights::{FloatFormat, WeightEntry, write_safetensors};

/// Puts a fresh adapter on every projection `lora` names: B = 0, and A uniform in ±1/sqrt(in), as PEFT's
/// `kaiming_uniform_(a=sqrt(5))`, drawn row by row. Ranks and scales are those of `config`. Projections that `keeps` names are
/// left alone.
///
/// # Errors
/// A target module names no projection of the model.
fn draw(
    model: &mut Decoder,
    lora: &LoraConfig,
    config: &AdapterConfig,
    seed: u64,
    keeps: impl Fn(&str) -> bool,
) -> Result<(), ModelError> {
    let device = model.device();
    for target in &lora.target_modules {
        if !model.projections().any(|projection| is_target(projection.name(), std::slice::from_ref(target))) {
            let expected = "the last part of a projection's name, such as `q_proj` or `down_proj`";
            return Err(ModelError::field("target_modules", target, expected));
        }
    }
    let targets = model.projections().filter(|projection| is_target(projection.name(), &lora.target_modules));
    for (index, projection) in (0..).zip(targets) {
        let ([width_out, width_in], name) = (projection.shape(), projection.name());
        if keeps(name) {
            continue;
        }
        let (rank, scale) = (config.rank(name), config.scale(name));
        let a = uniform(Stream::new(seed, Purpose::LoraInit, index), [rank, width_in]);
        let fresh = Pair { a, b: vec![0.0; width_out * rank], rank, scale };
        projection.adapt(fresh.on([width_out, width_in], lora.dropout, index, &device));
    }
    Ok(())
}

fn is_target(name: &str, targets: &[String]) -> bool {
    name.rsplit('.').next().is_some_and(|last| targets.iter().any(|target| target == last))
}

fn uniform(stream: Stream, [rows, columns]: [usize; 2]) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
    let bound = (1.0 / (columns as f64).sqrt()) as f32;
    let draws = (0..).flat_map(|block| stream.uniforms(block));
    draws.take(rows * columns).map(|draw| (2.0 * draw - 1.0) * bound).collect()
}

impl Pair {
    /// The pair as it is put on a projection of shape `[out, in]`.
    fn on(self, [width_out, width_in]: [usize; 2], dropout: f64, index: u32, device: &Device) -> Lora {
        let tensor = |numbers, shape: [usize; 2]| Tensor::from_data(TensorData::new(numbers, shape), device);
        #[expect(clippy::cast_possible_truncation, reason = "the scale is applied in f32")]
        let scale = self.scale as f32;
        let (a, b) = (tensor(self.a, [self.rank, width_in]), tensor(self.b, [width_out, self.rank]));
        Lora { a, b, scale, dropout, index }
    }
}

/// Puts the adapter in `files` on the projections it has weights for.
///
/// # Errors
/// One matrix of a pair is missing, a shape does not fit the projection, or a tensor belongs to no projection.
pub(crate) fn attach(model: &mut Decoder, files: &AdapterFiles, dropout: f64) -> Result<(), ModelError> {
    let device = model.device();
    let names: Vec<String> = model.projections().map(|projection| projection.name().to_owned()).collect();
    files.refuse_stray(names.iter().map(String::as_str))?;
    let mut index = 0;
    for projection in model.projections() {
        let shape = projection.shape();
        if files.has(projection.name()) {
            let pair = files.pair(projection.name(), shape)?;
            projection.adapt(pair.on(shape, dropout, index, &device));
            index += 1;
        }
    }
    Ok(())
}

/// Puts the adapter to be trained on a model: a fresh one, or the one that `lora` starts from. Gives its ranks and scales.
///
/// # Errors
/// As [`draw`] and [`attach`]; the adapter to start from has other ranks or scales than the settings, or weights for a
/// projection that is no target.
pub(crate) fn adapt(model: &mut Decoder, lora: &LoraConfig, seed: u64) -> Result<AdapterConfig, ModelError> {
    lora.check()?;
    let Some(path) = &lora.initial_adapter else {
        let config = AdapterConfig::uniform(lora);
        draw(model, lora, &config, seed, |_| false)?;
        return Ok(config);
    };
    let files = AdapterFiles::open_initial(path, lora)?;
    for projection in model.projections() {
        let name = projection.name();
        // What is trained is saved with these targets, so a projection beyond them would be lost when it is loaded.
        if files.has(name) && !is_target(name, &lora.target_modules) {
            let expected = format!("`{name}` among them, as in the adapter that training starts from");
            return Err(ModelError::field("target_modules", lora.target_modules.join(", "), expected));
        }
    }
    draw(model, lora, files.config(), seed, |name| files.has(name))?;
    attach(model, &files, lora.dropout)?;
    Ok(files.config().clone())
}

/// Writes `adapter_config.json` and `adapter_model.safetensors` for the adapter on `model`.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn save(
    model: &mut Decoder,
    lora: &LoraConfig,
    config: &AdapterConfig,
    output: &Path,
) -> Result<(), ModelError> {
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
    std::fs::write(&path, lora.to_json(config)).map_err(ModelError::write(&path))
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
