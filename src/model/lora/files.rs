//! The files of an adapter: its configuration, and the pair of matrices of each module under PEFT's names.

use std::collections::BTreeSet;
use std::path::Path;

use super::{AdapterConfig, LoraConfig};
use crate::model::error::ModelError;
use crate::model::weights::{WeightFiles, refuse_pickle};

/// An adapter on disk.
#[derive(Debug)]
pub(crate) struct AdapterFiles {
    config: AdapterConfig,
    weights: WeightFiles,
}

/// The adapter of one module: s B A is added to its weight.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pair {
    /// `[rank, in]`.
    pub(crate) a: Vec<f32>,
    /// `[out, rank]`.
    pub(crate) b: Vec<f32>,
    /// The inner dimension.
    pub(crate) rank: usize,
    /// s.
    pub(crate) scale: f64,
}

impl AdapterFiles {
    /// Opens an adapter folder.
    ///
    /// # Errors
    /// The configuration is not supported, or the weights can't be read.
    pub(crate) fn open(folder: &Path) -> Result<Self, ModelError> {
        let config = AdapterConfig::read(folder)?;
        let path = folder.join("adapter_model.safetensors");
        refuse_pickle(&path, &folder.join("adapter_model.bin"))?;
        Ok(Self { config, weights: WeightFiles::open_file(&path)? })
    }

    /// Opens what a training run starts from: an adapter folder, or a safetensors file that is as the settings say.
    ///
    /// # Errors
    /// As [`AdapterFiles::open`]; the folder has other ranks or scales than the settings.
    pub(crate) fn open_initial(path: &Path, lora: &LoraConfig) -> Result<Self, ModelError> {
        if !path.is_dir() {
            return Ok(Self { config: AdapterConfig::uniform(lora), weights: WeightFiles::open_file(path)? });
        }
        let files = Self::open(path)?;
        files.config.check_same(lora)?;
        Ok(files)
    }

    /// Ranks and scales.
    pub(crate) const fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// Whether there are weights for a module.
    pub(crate) fn has(&self, module: &str) -> bool {
        tensor_names(module).iter().any(|name| self.weights.get(name).is_some())
    }

    /// The pair of a module that has one.
    ///
    /// # Errors
    /// One of its matrices is missing, a shape does not fit the module, or f32, in which the scale is applied, does not hold it.
    pub(crate) fn pair(&self, module: &str, [width_out, width_in]: [usize; 2]) -> Result<Pair, ModelError> {
        let [a_name, b_name] = tensor_names(module);
        let (rank, scale) = (self.config.rank(module), self.config.scale(module));
        if scale.abs() > f64::from(f32::MAX) {
            let expected = format!("at most {}, which f32 holds", f32::MAX);
            return Err(ModelError::field(format!("alpha / rank of `{module}`"), scale, expected));
        }
        let a = self.weights.expect(&a_name, &[rank, width_in])?.to_f32();
        let b = self.weights.expect(&b_name, &[width_out, rank])?.to_f32();
        Ok(Pair { a, b, rank, scale })
    }

    /// Checks that every tensor belongs to one of `modules`.
    ///
    /// # Errors
    /// [`ModelError::UnexpectedTensor`].
    pub(crate) fn refuse_stray<'a>(&self, modules: impl Iterator<Item = &'a str>) -> Result<(), ModelError> {
        let known: BTreeSet<String> = modules.flat_map(tensor_names).collect();
        match self.weights.iter().find(|view| !known.contains(view.name)) {
            None => Ok(()),
            Some(view) => Err(ModelError::UnexpectedTensor {
                tensor: view.name.to_owned(),
                found: view.shape.to_vec(),
                path: self.weights.path().to_path_buf(),
            }),
        }
    }
}

/// The names PEFT gives the two matrices of a projection.
fn tensor_names(module: &str) -> [String; 2] {
    ["lora_A", "lora_B"].map(|part| format!("base_model.model.{module}.{part}.weight"))
}
