//! What an adapter says about itself in `adapter_config.json`, as PEFT 0.6 to 0.21 write it.
//!
//! A key that could change the numbers is honoured or refused. This is the only place that knows which rank and which scale a
//! module has: training, loading, merging and the export to GGUF ask here.

use std::path::Path;

use serde_json::{Map, Value};

use super::LoraConfig;
use super::pattern::Pattern;
use crate::model::error::ModelError;

/// The ranks and scales of an adapter's modules.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AdapterConfig {
    /// r, the inner dimension of B A, where `rank_pattern` says nothing.
    pub(super) rank: usize,
    /// alpha, where `alpha_pattern` says nothing.
    pub(super) alpha: f64,
    /// Whether the scale is alpha / sqrt(r).
    pub(super) use_rslora: bool,
    pub(super) rank_pattern: Pattern<usize>,
    pub(super) alpha_pattern: Pattern<f64>,
}

/// Keys that cannot change what a loaded adapter computes: which modules have weights is seen from the weights, and how they
/// were drawn does not matter any more.
const HARMLESS: &[&str] = &[
    "auto_mapping",
    "base_model_name_or_path",
    "ensure_weight_tying",
    "eva_config",
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

/// Values of `init_lora_weights` that draw A and B and leave the base as it is. Others (`pissa`, `olora`, `corda`, `loftq`, …)
/// subtract something from the base, so that the adapter means nothing without it.
const HARMLESS_INITS: &[&str] = &["gaussian", "eva", "orthogonal"];

impl AdapterConfig {
    /// One rank and one scale for all modules.
    pub(super) fn uniform(lora: &LoraConfig) -> Self {
        let (rank_pattern, alpha_pattern) = (Pattern::default(), Pattern::default());
        Self { rank: lora.rank, alpha: lora.alpha, use_rslora: lora.use_rslora, rank_pattern, alpha_pattern }
    }

    /// Reads `adapter_config.json` of an adapter folder.
    ///
    /// # Errors
    /// The file cannot be read, is no LoRA configuration, or asks for something that is not implemented.
    pub(crate) fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("adapter_config.json");
        let text = std::fs::read(&path).map_err(ModelError::read(&path))?;
        let json: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|source| ModelError::Json { path, source })?;
        Self::from_json(json)
    }

    fn from_json(mut json: Map<String, Value>) -> Result<Self, ModelError> {
        let mut take = |name: &str| json.remove(name).filter(|value| !value.is_null());
        let kind = take("peft_type");
        if kind.as_ref().and_then(Value::as_str) != Some("LORA") {
            return Err(invalid("peft_type", kind.as_ref(), "`LORA`"));
        }
        let r = take("r");
        let rank = r.as_ref().and_then(whole).ok_or_else(|| invalid("r", r.as_ref(), RANK))?;
        let lora_alpha = take("lora_alpha");
        let alpha = lora_alpha.as_ref().and_then(Value::as_f64);
        let alpha = alpha.ok_or_else(|| invalid("lora_alpha", lora_alpha.as_ref(), "a number"))?;
        let use_rslora = match take("use_rslora") {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => return Err(invalid("use_rslora", Some(&other), "true or false")),
        };
        let rank_pattern =
            Pattern::read("adapter_config.json: rank_pattern", take("rank_pattern").as_ref(), RANK, whole)?;
        let alpha_pattern = Pattern::read(
            "adapter_config.json: alpha_pattern",
            take("alpha_pattern").as_ref(),
            "a number",
            Value::as_f64,
        )?;
        json.iter().try_for_each(|(name, value)| refuse_unknown(name, value))?;
        Ok(Self { rank, alpha, use_rslora, rank_pattern, alpha_pattern })
    }

    /// The inner dimension of the pair of a module.
    pub(crate) fn rank(&self, module: &str) -> usize {
        self.rank_pattern.get(module).unwrap_or(self.rank)
    }

    /// s = alpha / rank of a module, or alpha / sqrt(rank) (Kalajdzievski, "rsLoRA", 2023).
    pub(super) fn scale(&self, module: &str) -> f64 {
        let alpha = self.alpha_pattern.get(module).unwrap_or(self.alpha);
        let rank = self.rank(module) as f64;
        alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// s * rank of the modules that no pattern names.
    pub(crate) fn common_scale_times_rank(&self) -> f64 {
        let rank = self.rank as f64;
        if self.use_rslora { self.alpha * rank.sqrt() } else { self.alpha }
    }

    /// Checks that a training run means the same adapter.
    ///
    /// # Errors
    /// Its settings have another rank or scale.
    pub(super) fn check_same(&self, lora: &LoraConfig) -> Result<(), ModelError> {
        let expected = |value: String| format!("`{value}`, as in the adapter that training starts from");
        if self.rank != lora.rank {
            return Err(ModelError::field("lora_r", lora.rank, expected(self.rank.to_string())));
        }
        if self.alpha.total_cmp(&lora.alpha).is_ne() {
            return Err(ModelError::field("lora_alpha", lora.alpha, expected(self.alpha.to_string())));
        }
        if self.use_rslora != lora.use_rslora {
            return Err(ModelError::field("use_rslora", lora.use_rslora, expected(self.use_rslora.to_string())));
        }
        Ok(())
    }
}

/// What a rank has to be.
const RANK: &str = "a whole number from 1";

fn whole(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|rank| usize::try_from(rank).ok()).filter(|rank| *rank > 0)
}

fn invalid(name: &str, value: Option<&Value>, expected: &str) -> ModelError {
    ModelError::field(name, value.map_or("missing".to_owned(), Value::to_string), expected)
}

/// Lets a key pass if its name or its value shows that it changes nothing.
fn refuse_unknown(name: &str, value: &Value) -> Result<(), ModelError> {
    let is_off = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) if name == "init_lora_weights" => HARMLESS_INITS.contains(&text.as_str()),
        Value::String(text) => name == "bias" && text == "none",
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
