//! `adapter_config.json`, written as PEFT 0.10 did and read as PEFT 0.6 to 0.21 write it.
//!
//! The 24 keys of PEFT 0.10 load in every later version, while a key unknown to a version before 0.13 made it crash.
//! When reading, a key that could change the numbers is honoured or refused.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

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

    pub(crate) fn scale(&self) -> f64 {
        scale(self.rank, self.alpha, self.use_rslora)
    }

    /// The text of `adapter_config.json`: sorted keys, sorted target modules, no path of the base.
    pub(crate) fn to_json(&self) -> String {
        let mut target_modules = self.target_modules.clone();
        target_modules.sort_unstable();
        target_modules.dedup();
        let json = json!({
            "alpha_pattern": {},
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
            "lora_alpha": number(self.alpha),
            "lora_dropout": self.dropout,
            "megatron_config": null,
            "megatron_core": "megatron.core",
            "modules_to_save": null,
            "peft_type": "LORA",
            "r": self.rank,
            "rank_pattern": {},
            "revision": null,
            "target_modules": target_modules,
            "task_type": "CAUSAL_LM",
            "use_dora": false,
            "use_rslora": self.use_rslora,
        });
        format!("{json:#}\n")
    }
}

/// s = alpha / rank, or alpha / sqrt(rank).
fn scale(rank: usize, alpha: f64, use_rslora: bool) -> f64 {
    let rank = rank as f64;
    alpha / if use_rslora { rank.sqrt() } else { rank }
}

/// A whole number without a fraction, as PEFT writes it.
fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be a small whole number")]
    let whole = value as i64;
    if value.fract() == 0.0 && value.abs() < 1e15 { Value::from(whole) } else { Value::from(value) }
}

/// What an adapter on disk says about itself, as far as it changes the numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AdapterConfig {
    /// The inner dimension of every pair of matrices.
    pub(crate) rank: usize,
    /// s.
    pub(crate) scale: f64,
}

/// Keys that cannot change what a loaded adapter computes.
const HARMLESS: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
];

impl AdapterConfig {
    /// Reads `adapter_config.json` of an adapter folder.
    ///
    /// # Errors
    /// The file cannot be read, is no LoRA configuration, or asks for something that is not implemented.
    pub(crate) fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("adapter_config.json");
        let text = std::fs::read(&path).map_err(ModelError::read(&path))?;
        let mut json: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|source| ModelError::Json { path, source })?;
        let mut take = |name: &str| json.remove(name).filter(|value| !value.is_null());
        let invalid = |name: &str, value: Option<Value>, expected: &str| {
            ModelError::field(name, value.map_or("missing".to_owned(), |value| value.to_string()), expected)
        };
        let kind = take("peft_type");
        if kind.as_ref().and_then(Value::as_str) != Some("LORA") {
            return Err(invalid("peft_type", kind, "`LORA`"));
        }
        let rank = take("r");
        let Some(r) = rank.as_ref().and_then(Value::as_u64).and_then(|r| usize::try_from(r).ok()).filter(|r| *r > 0)
        else {
            return Err(invalid("r", rank, "a whole number from 1"));
        };
        let alpha = take("lora_alpha");
        let Some(lora_alpha) = alpha.as_ref().and_then(Value::as_f64) else {
            return Err(invalid("lora_alpha", alpha, "a number"));
        };
        let use_rslora = take("use_rslora").and_then(|value| value.as_bool()).unwrap_or(false);
        for (name, value) in json {
            refuse_unknown(&name, &value)?;
        }
        Ok(Self { rank: r, scale: scale(r, lora_alpha, use_rslora) })
    }
}

/// Lets a key pass if its name or its value shows that it changes nothing.
fn refuse_unknown(name: &str, value: &Value) -> Result<(), ModelError> {
    let is_off = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => name == "bias" && text == "none" || name == "init_lora_weights" && text == "gaussian",
        Value::Bool(true) => name == "init_lora_weights",
        Value::Number(_) => false,
    };
    if is_off || HARMLESS.contains(&name) {
        return Ok(());
    }
    Err(ModelError::field(
        format!("adapter_config.json: {name}"),
        value,
        "this feature of PEFT off: it is not implemented",
    ))
}
