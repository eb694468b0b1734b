//! The settings of `train`, in the names of TRL, PEFT and transformers, and what they are called in the model room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{self, FloatFormat, LoraConfig, Precision, Warmup};
use crate::stage::ConfigIssue;
use crate::stages::precision::{Loading, QuantType};

/// Which parameters are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Low-rank adapters beside frozen weights (Hu et al. 2021); writes `adapter`.
    #[default]
    Lora,
    /// Every weight; writes `model`.
    Full,
}

/// Shape of the learning rate after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerType {
    /// In a straight line to 0.
    #[default]
    Linear,
    /// Along half a cosine to 0.
    Cosine,
    /// It stays.
    Constant,
}

/// Type of written weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SaveType {
    /// 32 bits.
    Float32,
    /// 16 bits, IEEE 754.
    Float16,
    /// 16 bits, the upper half of float32.
    BFloat16,
}

/// Settings of `train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that the field knows by its name")]
pub struct TrainSettings {
    /// Which parameters are trained.
    pub method: Method,
    /// Hold the base's projections in 4 bits a number, as bitsandbytes rounds them.
    pub load_4bit: bool,
    /// Hold the base's projections in 8 bits a number, as bitsandbytes rounds them.
    pub load_8bit: bool,
    /// The values that `load_4bit` rounds to.
    pub bnb_quant_type: QuantType,
    /// Round the scales of `load_4bit` too.
    pub bnb_double_quant: bool,
    /// Keep the base's weights in the bits its file has them in, such as Q4_K or F16, instead of 32: less memory, more
    /// time.
    pub keep_quantised: bool,
    /// Rank of the LoRA matrices.
    pub lora_r: usize,
    /// LoRA scale numerator: the update is scaled by alpha / r.
    pub lora_alpha: f64,
    /// Dropout on the input of the LoRA matrices, from 0 to below 1.
    pub lora_dropout: f64,
    /// Scale by alpha / sqrt(r) instead (rsLoRA, Kalajdzievski 2023).
    pub use_rslora: bool,
    /// The linear layers that get LoRA matrices.
    pub target_modules: Vec<String>,
    /// Rows in one forward pass.
    pub per_device_train_batch_size: usize,
    /// Forward passes whose gradients one optimiser step sums up.
    pub gradient_accumulation_steps: usize,
    /// Passes over the rows; may be a fraction.
    pub num_train_epochs: f64,
    /// Optimiser steps, instead of epochs.
    pub max_steps: Option<u64>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Shape of the learning rate after warm-up.
    pub lr_scheduler_type: SchedulerType,
    /// Share of the steps that warm up; excludes `warmup_steps`.
    pub warmup_ratio: Option<f64>,
    /// Steps that warm up; excludes `warmup_ratio`. With neither, the ratio is 0.03.
    pub warmup_steps: Option<u64>,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// Decay of AdamW's first moment.
    pub adam_beta1: f64,
    /// Decay of AdamW's second moment.
    pub adam_beta2: f64,
    /// Added to AdamW's denominator.
    pub adam_epsilon: f64,
    /// Largest global L2 norm of the gradient; larger ones are scaled down.
    pub max_grad_norm: f64,
    /// Draw the rows in a new random order each epoch; else in file order.
    pub shuffle: bool,
    /// Put rows of like length into one batch, for less padding.
    pub group_by_length: bool,
    /// Type of the weights that `method: full` writes; the base's unless set.
    pub save_dtype: Option<SaveType>,
    /// Seed of initial LoRA matrices, dropout and row order; the manifest's seed unless set.
    pub seed: u64,
    /// Report progress each so many steps.
    pub logging_steps: u64,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            method: Method::Lora,
            load_4bit: false,
            load_8bit: false,
            bnb_quant_type: QuantType::default(),
            bnb_double_quant: false,
            keep_quantised: false,
            lora_r: 16,
            lora_alpha: 32.0,
            lora_dropout: 0.05,
            use_rslora: false,
            target_modules: SEVEN.iter().map(|name| (*name).to_owned()).collect(),
            per_device_train_batch_size: 1,
            gradient_accumulation_steps: 16,
            num_train_epochs: 1.0,
            max_steps: None,
            learning_rate: 2e-4,
            lr_scheduler_type: SchedulerType::Linear,
            warmup_ratio: None,
            warmup_steps: None,
            weight_decay: 0.0,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            shuffle: true,
            group_by_length: false,
            save_dtype: None,
            seed: 0,
            logging_steps: 10,
        }
    }
}

impl TrainSettings {
    /// How the base is to be held in memory.
    pub(super) const fn loading(&self) -> Loading {
        Loading {
            load_4bit: self.load_4bit,
            load_8bit: self.load_8bit,
            bnb_quant_type: self.bnb_quant_type,
            bnb_double_quant: self.bnb_double_quant,
        }
    }
}

/// The linear layers that QLoRA (Dettmers et al. 2023) found to matter: all of them.
const SEVEN: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

const DEFAULT_WARMUP_RATIO: f64 = 0.03;

/// What types alone do not catch.
pub(super) fn check(config: &TrainSettings) -> Vec<ConfigIssue> {
    let mut issues = Vec::new();
    let mut at_least = |field: &str, value: f64, least: f64, inclusive: bool| {
        if value.is_nan() || value < least || (!inclusive && value <= least) || value.is_infinite() {
            let word = if inclusive { "at least" } else { "more than" };
            issues.push(ConfigIssue::invalid(field, format!("{field} is `{value}`; expected {word} {least}")));
        }
    };
    at_least("lora_r", config.lora_r as f64, 1.0, true);
    at_least("lora_alpha", config.lora_alpha, 0.0, false);
    at_least("per_device_train_batch_size", config.per_device_train_batch_size as f64, 1.0, true);
    at_least("gradient_accumulation_steps", config.gradient_accumulation_steps as f64, 1.0, true);
    at_least("num_train_epochs", config.num_train_epochs, 0.0, false);
    at_least("learning_rate", config.learning_rate, 0.0, true);
    at_least("weight_decay", config.weight_decay, 0.0, true);
    at_least("adam_epsilon", config.adam_epsilon, 0.0, false);
    at_least("max_grad_norm", config.max_grad_norm, 0.0, false);
    at_least("logging_steps", config.logging_steps as f64, 1.0, true);
    at_least("max_steps", config.max_steps.map_or(1.0, |steps| steps as f64), 1.0, true);
    for (field, value) in [
        ("lora_dropout", config.lora_dropout),
        ("adam_beta1", config.adam_beta1),
        ("adam_beta2", config.adam_beta2),
        ("warmup_ratio", config.warmup_ratio.unwrap_or(0.0)),
    ] {
        if !(0.0..1.0).contains(&value) {
            issues.push(ConfigIssue::invalid(field, format!("{field} is `{value}`; expected at least 0 and below 1")));
        }
    }
    if config.warmup_ratio.is_some() && config.warmup_steps.is_some() {
        let message = "both `warmup_ratio` and `warmup_steps` are set; expected one";
        issues.push(ConfigIssue::invalid("warmup_steps", message).help("remove one of the two"));
    }
    config.loading().check(&mut issues);
    let rounds =
        [("load_4bit", config.load_4bit), ("load_8bit", config.load_8bit), ("keep_quantised", config.keep_quantised)];
    let asked: Vec<&str> = rounds.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
    if let (Method::Full, Some(field)) = (config.method, asked.first()) {
        let message = format!("{field} is set with `method: full`, which trains the weights themselves");
        issues.push(ConfigIssue::invalid(field, message).help("use `method: lora`, or remove it"));
    }
    if let (true, [field, .., _]) = (config.keep_quantised, asked.as_slice()) {
        let message = format!("both `{field}` and `keep_quantised` are set; expected one");
        issues.push(ConfigIssue::invalid("keep_quantised", message).help("remove one of the two"));
    }
    if config.target_modules.is_empty() && config.method == Method::Lora {
        let help = "leave it out for all seven: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";
        issues
            .push(ConfigIssue::invalid("target_modules", "target_modules is empty; expected at least one").help(help));
    }
    issues
}

/// What is trained.
pub(super) fn method(config: &TrainSettings) -> model::Method {
    match config.method {
        Method::Full => model::Method::Full,
        Method::Lora => model::Method::Lora(LoraConfig {
            rank: config.lora_r,
            alpha: config.lora_alpha,
            dropout: config.lora_dropout,
            use_rslora: config.use_rslora,
            target_modules: config.target_modules.clone(),
            initial_adapter: None,
        }),
    }
}

/// How it is trained.
pub(super) fn train_config(config: &TrainSettings) -> model::TrainConfig {
    let ratio = Warmup::Ratio(config.warmup_ratio.unwrap_or(DEFAULT_WARMUP_RATIO));
    model::TrainConfig {
        per_device_train_batch_size: config.per_device_train_batch_size,
        gradient_accumulation_steps: config.gradient_accumulation_steps,
        num_train_epochs: config.num_train_epochs,
        max_steps: config.max_steps,
        learning_rate: config.learning_rate,
        lr_scheduler_type: match config.lr_scheduler_type {
            SchedulerType::Linear => model::Schedule::Linear,
            SchedulerType::Cosine => model::Schedule::Cosine,
            SchedulerType::Constant => model::Schedule::Constant,
        },
        warmup: config.warmup_steps.map_or(ratio, Warmup::Steps),
        weight_decay: config.weight_decay,
        adam_beta1: config.adam_beta1,
        adam_beta2: config.adam_beta2,
        adam_epsilon: config.adam_epsilon,
        max_grad_norm: config.max_grad_norm,
        seed: config.seed,
        shuffle: config.shuffle,
        group_by_length: config.group_by_length,
        precision: config.loading().precision(if config.keep_quantised {
            Precision::AsStored
        } else {
            Precision::Full
        }),
        dtype: config.save_dtype.map(|kind| match kind {
            SaveType::Float32 => FloatFormat::F32,
            SaveType::Float16 => FloatFormat::F16,
            SaveType::BFloat16 => FloatFormat::BF16,
        }),
    }
}
