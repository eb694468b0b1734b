//! A loaded model, ready to score and to generate: ids in, ids out.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::backend;
use super::batch::Batch;
use super::config::ModelConfig;
use super::decoder::Decoder;
use super::error::ModelError;
use super::folder;
use super::fused::buffer::numbers;
use super::generate::{GenerateOptions, GenerateProgress, Generation, generate};
use super::quantised::Precision;
use super::training::{TrainExample, targets};
use crate::device::DeviceSpec;

/// A causal language model without its tokenizer.
#[derive(Debug)]
pub struct CausalLm {
    model: Decoder,
}

/// The scores of every token id after every token of one row.
///
/// # Shapes
/// `[seq, vocab]`, f32, unnormalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    vocab_size: usize,
    numbers: Vec<f32>,
}

impl Logits {
    /// The scores of the token after position `position`.
    ///
    /// # Panics
    /// When the row is not that long.
    pub fn at(&self, position: usize) -> &[f32] {
        &self.numbers[position * self.vocab_size..][..self.vocab_size]
    }

    /// All scores, position by position.
    pub fn as_slice(&self) -> &[f32] {
        &self.numbers
    }
}

impl CausalLm {
    /// Loads a model folder and, if given, an adapter folder on top of it.
    ///
    /// Memory holds matrices as the file does, see [`Precision::AsStored`], and the rest in f32.
    ///
    /// # Errors
    /// The backend is not built in, the model or adapter is not supported, or a file is malformed.
    pub fn load(folder: &Path, adapter: Option<&Path>, device: DeviceSpec) -> Result<Self, ModelError> {
        Self::load_as(folder, adapter, Precision::default(), device)
    }

    /// The same with matrices in memory as `precision` says.
    ///
    /// # Errors
    /// As [`CausalLm::load`].
    pub fn load_as(
        folder: &Path,
        adapter: Option<&Path>,
        precision: Precision,
        device: DeviceSpec,
    ) -> Result<Self, ModelError> {
        let mut model = folder::load(folder, precision, &backend::open(device)?)?;
        if let Some(adapter) = adapter {
            folder::load_adapter(&mut model, adapter)?;
        }
        Ok(Self { model })
    }

    /// The model's configuration.
    pub const fn config(&self) -> &ModelConfig {
        self.model.config()
    }

    /// Bytes that the model's matrices take in memory: nearly all it needs before it is run.
    pub fn matrix_bytes(&mut self) -> usize {
        self.model.matrix_bytes()
    }

    /// The logits of every position of every row. Rows may differ in length; they do not see each other.
    ///
    /// Peak memory: the logits of all rows, tokens * vocab * 4 bytes, once.
    ///
    /// # Errors
    /// A row is empty or holds an id outside the vocabulary.
    pub fn logits(&self, input_ids: &[Vec<u32>]) -> Result<Vec<Logits>, ModelError> {
        let vocab_size = self.config().vocab_size;
        let batch = Batch::new(input_ids.iter().map(Vec::as_slice), vocab_size)?;
        let hidden = self.model.hidden_states(&batch.input_ids, &batch.rows, None);
        let numbers = numbers(self.model.logits(hidden));
        let row = |row: std::ops::Range<usize>| Logits {
            vocab_size,
            numbers: numbers[row.start * vocab_size..row.end * vocab_size].to_vec(),
        };
        Ok(batch.rows.iter().map(row).collect())
    }

    /// The sum of the cross-entropies of all targets in nats, and their number.
    ///
    /// # Errors
    /// A row is empty, holds an id outside the vocabulary, or has a mask of another length.
    pub fn loss(&self, examples: &[TrainExample]) -> Result<(f64, usize), ModelError> {
        let batch = Batch::new(examples.iter().map(|example| example.input_ids.as_slice()), self.config().vocab_size)?;
        let targets = targets(examples.iter(), &batch)?;
        let count = targets.len();
        let hidden = self.model.hidden_states(&batch.input_ids, &batch.rows, None);
        let loss = self.model.loss(hidden, Arc::from(targets)).into_scalar::<f32>();
        Ok((f64::from(loss), count))
    }

    /// Continues every prompt greedily; the order of the results is that of the prompts.
    ///
    /// `observe` is called after every step of a batch; `Break` cancels.
    ///
    /// # Errors
    /// A prompt is empty, too long or outside the vocabulary, or the observer cancelled.
    pub fn generate(
        &self,
        prompts: &[Vec<u32>],
        options: &GenerateOptions,
        observe: &mut dyn FnMut(GenerateProgress) -> ControlFlow<()>,
    ) -> Result<Vec<Generation>, ModelError> {
        generate(&self.model, prompts, options, observe)
    }
}
