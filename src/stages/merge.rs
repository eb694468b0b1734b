//! `merge`: folds an adapter into its base, giving a model folder that needs no adapter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::tokenizer_of::tokenizer_of;
use crate::artifact::{Arity, ArtifactKind, InputPort, OutputPort, Projection};
use crate::model;
use crate::stage::{Numerics, Outcome, StageContext, StageError, StageKind};

/// The `merge` stage kind.
pub struct Merge;

/// Settings of `merge`: there are none yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeSettings {}

impl StageKind for Merge {
    type Config = MergeSettings;
    const NAME: &'static str = "merge";
    const ABOUT: &'static str = "Folds an adapter into its base: W += s·B·A, summed in f32, in the base's weight type.";
    const EPOCH: u32 = 1;
    const INPUTS: &'static [InputPort] = &[
        InputPort {
            name: "model",
            accepts: &[ArtifactKind::Model],
            arity: Arity::One,
            projection: Projection::Whole,
            about: "The model the adapter was trained on.",
        },
        InputPort {
            name: "adapter",
            accepts: &[ArtifactKind::Adapter],
            arity: Arity::One,
            projection: Projection::Whole,
            about: "The adapter.",
        },
    ];
    const OUTPUTS: &'static [OutputPort] =
        &[OutputPort { name: "model", kind: ArtifactKind::Model, about: "The merged Hugging Face model folder." }];
    const NUMERICS: Numerics = Numerics::Float;

    fn run(_config: &MergeSettings, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let (base, adapter) = (&context.input("model").path, &context.input("adapter").path);
        let output = context.output("model");
        let summary = model::merge(base, adapter, &output).map_err(StageError::failed)?;
        tokenizer_of(base)?.write_missing(&output).map_err(|error| StageError::io(&output, &error))?;
        let mut outcome = Outcome::default();
        outcome.metrics.insert("merged_modules".into(), json!(summary.merged_modules));
        Ok(outcome)
    }
}
