//! A new model with random weights, from a configuration and a seed.

use std::path::Path;

use super::backend;
use super::config::ModelConfig;
use super::decoder::Decoder;
use super::error::ModelError;
use super::folder::{save_weights, write_text};
use super::weights::RandomSource;
use crate::device::DeviceSpec;

/// Writes a model folder with the weights transformers would draw, in distribution: matrices normal with standard
/// deviation `initializer_range`, gains one, biases zero. Equal arguments give equal bytes.
///
/// `config_json` becomes `config.json`; `generation_config.json` is derived from it. There is no tokenizer: add one.
///
/// # Errors
/// The configuration is not supported, or the folder cannot be written.
pub fn init(config_json: &str, seed: u64, output: &Path) -> Result<ModelConfig, ModelError> {
    let config = ModelConfig::parse(config_json, Path::new("config.json"))?;
    let device = backend::open(DeviceSpec::default())?;
    let mut model = Decoder::new(&config, &mut RandomSource::new(seed, config.initializer_range, &device))?;
    std::fs::create_dir_all(output).map_err(ModelError::write(output))?;
    write_text(&output.join("config.json"), &config.to_json(config.dtype))?;
    write_text(&output.join("generation_config.json"), &config.generation_json())?;
    save_weights(&mut model, config.dtype, output)?;
    Ok(config)
}
