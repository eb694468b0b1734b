//! The settings of a training run, with the names and defaults of transformers' `TrainingArguments`.

use crate::model::error::ModelError;
use crate::model::lora::LoraConfig;
use crate::model::quantised::Precision;
use crate::model::weights::FloatFormat;

/// What is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// A low-rank adapter over a frozen base.
    Lora(LoraConfig),
    /// Every weight of the base.
    Full,
}

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schedule {
    /// In a straight line to 0.
    #[default]
    Linear,
    /// Along half a cosine to 0.
    Cosine,
    /// Not at all.
    Constant,
}

/// How long the learning rate rises from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Warmup {
    /// For this share of all steps, rounded up.
    Ratio(f64),
    /// For this many steps.
    Steps(u64),
}

/// The settings of a training run.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainConfig {
    /// Rows in a micro-batch.
    pub per_device_train_batch_size: usize,
    /// Micro-batches in a step.
    pub gradient_accumulation_steps: usize,
    /// Passes over the rows; a fraction is allowed.
    pub num_train_epochs: f64,
    /// Steps in all, instead of a number of passes.
    pub max_steps: Option<u64>,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How it falls.
    pub lr_scheduler_type: Schedule,
    /// How long it rises.
    pub warmup: Warmup,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The decay of the first moment.
    pub adam_beta1: f64,
    /// The decay of the second moment.
    pub adam_beta2: f64,
    /// Added to the root of the second moment.
    pub adam_epsilon: f64,
    /// The global norm the gradient is clipped to; 0 means no clipping.
    pub max_grad_norm: f64,
    /// Decides the order of the rows, dropout, and the first weights of an adapter.
    pub seed: u64,
    /// Whether the rows are in another order in each epoch.
    pub shuffle: bool,
    /// Whether rows of similar length go into the same micro-batch. Rows are not padded on `flex`, so this saves time
    /// only on backends without kernels.
    pub group_by_length: bool,
    /// How the frozen base of an adapter is held in memory; what is trained is always in f32.
    pub precision: Precision,
    /// The number format of a full model's weights; `None` keeps the base's.
    pub dtype: Option<FloatFormat>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            per_device_train_batch_size: 8,
            gradient_accumulation_steps: 1,
            num_train_epochs: 3.0,
            max_steps: None,
            learning_rate: 5e-5,
            lr_scheduler_type: Schedule::Linear,
            warmup: Warmup::Steps(0),
            weight_decay: 0.0,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            seed: 42,
            shuffle: true,
            group_by_length: false,
            precision: Precision::Full,
            dtype: None,
        }
    }
}

impl TrainConfig {
    /// Refuses values no run can have.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        let counts = [
            ("per_device_train_batch_size", self.per_device_train_batch_size),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps),
            ("max_steps", usize::from(self.max_steps != Some(0))),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ModelError::field(name, 0, "at least 1"));
        }
        let ranges = [
            ("num_train_epochs", self.num_train_epochs, f64::MIN_POSITIVE..f64::INFINITY),
            ("learning_rate", self.learning_rate, 0.0..f64::INFINITY),
            ("weight_decay", self.weight_decay, 0.0..f64::INFINITY),
            ("adam_beta1", self.adam_beta1, 0.0..1.0),
            ("adam_beta2", self.adam_beta2, 0.0..1.0),
            ("adam_epsilon", self.adam_epsilon, 0.0..f64::INFINITY),
            ("max_grad_norm", self.max_grad_norm, 0.0..f64::INFINITY),
            ("warmup_ratio", if let Warmup::Ratio(ratio) = self.warmup { ratio } else { 0.0 }, 0.0..1.0),
        ];
        match ranges.into_iter().find(|(_, value, range)| !range.contains(value)) {
            None => Ok(()),
            Some((name, value, range)) => {
                Err(ModelError::field(name, value, format!("a number from {} to below {}", range.start, range.end)))
            }
        }
    }
}
