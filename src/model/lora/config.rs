//! What to train on top of a frozen base, and the `adapter_config.json` written for it, with the keys of PEFT 0.10.
//!
//! Those 24 keys load in every later version, while a key unknown to a version before 0.13 made it crash.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::AdapterConfig;
use crate::model::error::ModelError;

/// What to train on top of a frozen base.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// r: the inner dimension of B A.
    pub rank: usize,
    /// The adapter is scaled by alpha / rank.
    pub alpha: f64,
    /// The probability with which a number of the adapter's input is dropped while training.
    pub dropout: f64,
    /// Scale by alpha / sqrt(rank) instead (Kalajdzievski, "rsLoRA", 2023).
    pub use_rslora: bool,
    /// The projections to adapt, by the last part of their names: `q_proj`, `down_proj`, ….
    pub target_modules: Vec<String>,
    /// Start from the weights in this adapter folder, or this safetensors file, instead of fresh ones.
    pub initial_adapter: Option<PathBuf>,
}

impl LoraConfig {
    /// Refuses values that no adapter can have.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        if self.rank == 0 {
            return Err(ModelError::field("lora_r", self.rank, "at least 1"));
        }
        if !self.alpha.is_finite() || self.alpha <= 0.0 {
            return Err(ModelError::field("lora_alpha", self.alpha, "a number above 0"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(ModelError::field("lora_dropout", self.dropout, "a probability from 0 to below 1"));
        }
        if self.target_modules.is_empty() {
            return Err(ModelError::field("target_modules", "[]", "at least one projection, such as `q_proj`"));
        }
        Ok(())
    }

    /// The text of `adapter_config.json`: sorted keys, sorted target modules, no path of the base. Ranks and scales are those of
    /// `adapter`.
    pub(super) fn to_json(&self, adapter: &AdapterConfig) -> String {
        let mut target_modules = self.target_modules.clone();
        target_modules.sort_unstable();
        target_modules.dedup();
        let json = json!({
            "alpha_pattern": adapter.alpha_pattern.to_json(number),
            "auto_mapping": null,
            "base_model_name_or_path": null,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "layer_replication": null,
            "layers_pattern": null,
            "layers_to_transform": null,
            "loftq_config": {},
            "lora_alpha": number(adapter.alpha),
            "lora_dropout": self.dropout,
            "megatron_config": null,
            "megatron_core": "megatron.core",
            "modules_to_save": null,
            "peft_type": "LORA",
            "r": adapter.rank,
            "rank_pattern": adapter.rank_pattern.to_json(Value::from),
            "revision": null,
            "target_modules": target_modules,
            "task_type": "CAUSAL_LM",
            "use_dora": false,
            "use_rslora": adapter.use_rslora,
        });
        format!("{json:#}\n")
    }
}

/// A whole number without a fraction, as PEFT writes it.
fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be a small whole number")]
    let whole = value as i64;
    if value.fract() == 0.0 && value.abs() < 1e15 { Value::from(whole) } else { Value::from(value) }
}
