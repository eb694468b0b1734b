//! `merge`: folds an adapter into its base, giving a model that needs no adapter, in the formats that are wanted.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::tokenizer_of::tokenizer_of;
use crate::artifact::{Arity, ArtifactKind, InputPort, OutputPort, Projection};
use crate::model::{self, GgufFormat, ModelConfig};
use crate::stage::{ConfigIssue, Numerics, Outcome, StageContext, StageError, StageKind};
use crate::text::folder_spec::spec_of;

/// The `merge` stage kind.
pub struct Merge;

/// A format of the merged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A Hugging Face folder, in the slot `model`. Always written.
    Hf,
    /// A folder with one GGUF file, in the slot `gguf`, and another with the adapter alone, in the slot `gguf_adapter`.
    Gguf,
}

/// How the matrices of the GGUF file are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GgufType {
    /// Half precision.
    #[default]
    F16,
    /// Eight bits, in blocks of 32.
    Q8_0,
}

/// Settings of `merge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MergeSettings {
    /// The formats to write: `hf`, and `gguf` if llama.cpp is to load it.
    pub formats: Vec<Format>,
    /// How the matrices of the GGUF file are stored.
    pub gguf_type: GgufType,
}

impl Default for MergeSettings {
    fn default() -> Self {
        Self { formats: vec![Format::Hf], gguf_type: GgufType::default() }
    }
}

impl StageKind for Merge {
    type Config = MergeSettings;
    const NAME: &'static str = "merge";
    const ABOUT: &'static str = "Folds an adapter into its base: W += s·B·A, summed in f32, in the base's weight type.";
    const EPOCH: u32 = 2;
    const INPUTS: &'static [InputPort] = &[
        InputPort {
            name: Cow::Borrowed("model"),
            accepts: &[ArtifactKind::Model],
            arity: Arity::One,
            projection: Projection::Whole,
            about: "The model the adapter was trained on.",
        },
        InputPort {
            name: Cow::Borrowed("adapter"),
            accepts: &[ArtifactKind::Adapter],
            arity: Arity::One,
            projection: Projection::Whole,
            about: "The adapter.",
        },
    ];
    const OUTPUTS: &'static [OutputPort] = &[
        OutputPort {
            name: Cow::Borrowed("model"),
            kind: ArtifactKind::Model,
            about: "The merged Hugging Face model folder.",
        },
        OutputPort {
            name: Cow::Borrowed("gguf"),
            kind: ArtifactKind::Model,
            about: "With `formats: [hf, gguf]`, a folder with `model.gguf`.",
        },
        OutputPort {
            name: Cow::Borrowed("gguf_adapter"),
            kind: ArtifactKind::GgufAdapter,
            about: "With `formats: [hf, gguf]`, a folder with `adapter.gguf`, for llama.cpp's `--lora` on the base.",
        },
    ];
    const NUMERICS: Numerics = Numerics::Float;
    const FOREIGN: &'static [(&'static str, &'static str)] = &[("outtype", "gguf_type"), ("format", "formats")];

    fn check(config: &MergeSettings) -> Vec<ConfigIssue> {
        if config.formats.contains(&Format::Hf) {
            return Vec::new();
        }
        let issue = ConfigIssue::invalid("formats", "formats has no `hf`; expected it, alone or with `gguf`");
        vec![issue.help("the GGUF file is made of the merged folder")]
    }

    fn writes(config: &MergeSettings, slot: &str) -> bool {
        !matches!(slot, "gguf" | "gguf_adapter") || config.formats.contains(&Format::Gguf)
    }

    fn run(config: &MergeSettings, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let (base, adapter) = (&context.input("model").path, &context.input("adapter").path);
        let output = context.output("model");
        let summary = model::merge(base, adapter, &output).map_err(StageError::failed)?;
        tokenizer_of(base)?.write_missing(&output).map_err(|error| StageError::io(&output, &error))?;
        if config.formats.contains(&Format::Gguf) {
            context.check_cancel()?;
            export(&output, config.gguf_type, &context.output("gguf"))?;
            context.check_cancel()?;
            export_adapter(base, adapter, &context.output("gguf_adapter"))?;
        }
        let mut outcome = Outcome::default();
        outcome.metrics.insert("merged_modules".into(), json!(summary.merged_modules));
        Ok(outcome)
    }
}

/// Writes the adapter as GGUF, so that llama.cpp can put it on the base or leave it off.
fn export_adapter(base: &Path, adapter: &Path, folder: &Path) -> Result<(), StageError> {
    fs::create_dir_all(folder).map_err(|error| StageError::io(folder, &error))?;
    model::export_gguf_adapter(base, adapter, &folder.join("adapter.gguf")).map_err(StageError::failed)
}

/// Writes a model folder as GGUF.
fn export(model: &Path, gguf_type: GgufType, folder: &Path) -> Result<(), StageError> {
    let config = ModelConfig::read(model).map_err(StageError::failed)?;
    let tokenizer = spec_of(&model.into(), config.vocab_size).map_err(StageError::failed)?;
    fs::create_dir_all(folder).map_err(|error| StageError::io(folder, &error))?;
    let format = match gguf_type {
        GgufType::F16 => GgufFormat::F16,
        GgufType::Q8_0 => GgufFormat::Q8_0,
    };
    model::export_gguf(model, &tokenizer, format, &folder.join("model.gguf")).map_err(StageError::failed)
}
