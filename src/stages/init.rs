//! `init`: a model folder with random weights, so that a base model is a pipeline too.
//!
//! Only the Llama architecture, whose configuration is written out here in transformers' names.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact::{Arity, ArtifactKind, InputPort, OutputPort, Projection};
use crate::model;
use crate::stage::{ConfigIssue, Numerics, Outcome, StageContext, StageError, StageKind};
use crate::text::tokenize::Tokenizer;

/// The `init` stage kind.
pub struct Init;

/// Settings of `init`, in the names of transformers' `LlamaConfig`; `vocab_size` comes from the tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InitSettings {
    /// Width of the residual stream (`d_model`).
    pub hidden_size: usize,
    /// Width inside the MLP (`d_ff`).
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Longest sequence the model is meant for.
    pub max_position_embeddings: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    /// Whether the head is the transposed embedding.
    pub tie_word_embeddings: bool,
    /// Seed of the weights; the manifest's seed unless set.
    pub seed: u64,
}

impl Default for InitSettings {
    fn default() -> Self {
        Self {
            hidden_size: 128,
            intermediate_size: 384,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            num_key_value_heads: 4,
            head_dim: 32,
            max_position_embeddings: 512,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-5,
            initializer_range: 0.02,
            tie_word_embeddings: true,
            seed: 0,
        }
    }
}

impl StageKind for Init {
    type Config = InitSettings;
    const NAME: &'static str = "init";
    const ABOUT: &'static str = "Makes a Llama-architecture model with random weights around a tokenizer.";
    const EPOCH: u32 = 1;
    const INPUTS: &'static [InputPort] = &[InputPort {
        name: Cow::Borrowed("tokenizer"),
        accepts: &[ArtifactKind::Tokenizer],
        arity: Arity::One,
        projection: Projection::Whole,
        about: "The tokenizer whose vocabulary the embedding gets; its files are copied into the model.",
    }];
    const OUTPUTS: &'static [OutputPort] = &[OutputPort {
        name: Cow::Borrowed("model"),
        kind: ArtifactKind::Model,
        about: "The model folder, weights in f32.",
    }];
    const NUMERICS: Numerics = Numerics::Float;

    fn check(config: &InitSettings) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        for (field, value) in [
            ("hidden_size", config.hidden_size),
            ("intermediate_size", config.intermediate_size),
            ("num_hidden_layers", config.num_hidden_layers),
            ("num_attention_heads", config.num_attention_heads),
            ("num_key_value_heads", config.num_key_value_heads),
            ("head_dim", config.head_dim),
            ("max_position_embeddings", config.max_position_embeddings),
        ] {
            if !(1..=1 << 20).contains(&value) {
                issues.push(ConfigIssue::invalid(field, format!("{field} is `{value}`; expected 1 to 1048576")));
            }
        }
        let (heads, shared) = (config.num_attention_heads, config.num_key_value_heads);
        if shared == 0 || !heads.is_multiple_of(shared) {
            let message =
                format!("num_key_value_heads is `{shared}`; expected a divisor of num_attention_heads, `{heads}`");
            issues.push(ConfigIssue::invalid("num_key_value_heads", message));
        }
        if !config.head_dim.is_multiple_of(2) {
            let message = format!("head_dim is `{}`; expected an even number, for rotary pairs", config.head_dim);
            issues.push(ConfigIssue::invalid("head_dim", message));
        }
        for (field, value) in [
            ("rope_theta", config.rope_theta),
            ("rms_norm_eps", config.rms_norm_eps),
            ("initializer_range", config.initializer_range),
        ] {
            if !value.is_finite() || value <= 0.0 {
                issues.push(ConfigIssue::invalid(field, format!("{field} is `{value}`; expected more than 0")));
            }
        }
        issues
    }

    fn run(config: &InitSettings, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let folder = &context.input("tokenizer").path;
        let tokenizer = Tokenizer::load(&folder.as_path().into()).map_err(StageError::failed)?;
        let output = context.output("model");
        model::init(&llama_config(config, &tokenizer).to_string(), config.seed, &output).map_err(StageError::failed)?;
        for entry in std::fs::read_dir(folder).map_err(|error| StageError::io(folder, &error))? {
            let entry = entry.map_err(|error| StageError::io(folder, &error))?;
            let target = output.join(entry.file_name());
            std::fs::copy(entry.path(), &target).map_err(|error| StageError::io(&target, &error))?;
        }
        let mut outcome = Outcome::default();
        outcome.metrics.insert("vocab_size".into(), json!(tokenizer.vocab_size()));
        Ok(outcome)
    }
}

/// The model's `config.json`, as transformers writes it.
fn llama_config(config: &InitSettings, tokenizer: &Tokenizer) -> serde_json::Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": false,
        "attention_dropout": 0.0,
        "bos_token_id": null,
        "dtype": "float32",
        "eos_token_id": tokenizer.eos_id(),
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": config.initializer_range,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "mlp_bias": false,
        "model_type": "llama",
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers,
        "num_key_value_heads": config.num_key_value_heads,
        "pad_token_id": tokenizer.pad_id(),
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tie_word_embeddings,
        "torch_dtype": "float32",
        "use_cache": true,
        "vocab_size": tokenizer.vocab_size(),
    })
}
