//! From a [`StageKind`], written with its types, to the [`Stage`] that every higher floor sees.
//!
//! Settings that are right are read here in one go; what is wrong with others is found by `issues`.

use std::marker::PhantomData;

use serde_json::{Map, Value};

use crate::artifact::{InputPort, OutputPort};
use crate::stage::{
    ConfigIssue, LocalInputs, Numerics, Outcome, Preflight, Stage, StageConfig, StageContext, StageError, StageKind,
};

mod error;
pub mod foreign;
mod issues;

/// The stage kind `K` without its types: what the registry lists.
pub struct Kind<K>(PhantomData<fn() -> K>);

impl<K> Kind<K> {
    /// The kind, ready for a `static` registry.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<K> Default for Kind<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: StageKind> Stage for Kind<K> {
    fn kind(&self) -> &'static str {
        K::NAME
    }

    fn about(&self) -> &'static str {
        K::ABOUT
    }

    fn epoch(&self) -> u32 {
        K::EPOCH
    }

    fn inputs(&self) -> &'static [InputPort] {
        K::INPUTS
    }

    fn outputs(&self) -> &'static [OutputPort] {
        K::OUTPUTS
    }

    fn names_ports(&self) -> bool {
        K::NAMES_PORTS
    }

    fn cell_ports(&self) -> &'static [&'static str] {
        K::CELL_PORTS
    }

    fn numerics(&self) -> Numerics {
        K::NUMERICS
    }

    fn schema(&self) -> Value {
        schemars::schema_for!(K::Config).to_value()
    }

    fn configure(&self, with: &Value) -> Result<StageConfig, Vec<ConfigIssue>> {
        let none = Map::new();
        let settings = match with {
            Value::Null => &none,
            Value::Object(settings) => settings,
            other => return Err(vec![error::invalid(Vec::new(), format!("with is `{other}`; expected a map"))]),
        };
        if let Ok(config) = deserialize::<K>(settings) {
            let finished = finish::<K>(&config)?;
            // A config that forgot to deny unknown fields swallowed the ones that don't come back.
            if settings.keys().all(|key| finished.all.get(key).is_some()) {
                let issues = K::check(&config);
                return if issues.is_empty() { Ok(finished) } else { Err(issues) };
            }
        }
        issues::configure_slowly::<K>(settings.clone())
    }

    fn preflight(&self, config: &StageConfig, inputs: &LocalInputs<'_>) -> Preflight {
        // The settings came out of `configure`, so they read back.
        serde_json::from_value(config.all.clone())
            .map_or_else(|_| Preflight::default(), |config| K::preflight(&config, inputs))
    }

    fn run(&self, config: &StageConfig, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let config = serde_json::from_value(config.all.clone()).map_err(StageError::failed)?;
        K::run(&config, context)
    }
}

/// The settings with defaults filled in, whole and as they enter the key.
fn finish<K: StageKind>(config: &K::Config) -> Result<StageConfig, Vec<ConfigIssue>> {
    let unwritable = |failure: serde_json::Error| vec![error::invalid(Vec::new(), failure.to_string())];
    let all = serde_json::to_value(config).map_err(unwritable)?;
    let mut keyed = all.clone();
    if let Value::Object(settings) = &mut keyed {
        settings.retain(|key, _| !K::UNKEYED.contains(&key.as_str()));
    }
    let (inputs, outputs, needs) = (K::inputs(config), K::outputs(config), K::needs(config));
    Ok(StageConfig { all, keyed, inputs, outputs, needs })
}

fn deserialize<K: StageKind>(settings: &Map<String, Value>) -> Result<K::Config, ConfigIssue> {
    let value = Value::Object(settings.clone());
    serde_path_to_error::deserialize(&value).map_err(|failure| error::read(&failure, &value))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::artifact::{Arity, ArtifactKind, Projection};

    struct Train;

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct TrainConfig {
        lora_r: u32,
        #[serde(default)]
        learning_rate: f64,
        #[serde(default)]
        packing: bool,
        #[serde(default)]
        warmup_steps: Option<u32>,
        #[serde(default)]
        rules: Vec<Rule>,
        #[serde(default)]
        mode: Mode,
        #[serde(default)]
        logging_steps: u32,
        #[serde(default)]
        betas: Option<(f64, f64)>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        metric: String,
        min: Option<f64>,
    }

    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        #[default]
        Linear,
        Cosine,
    }

    impl StageKind for Train {
        type Config = TrainConfig;
        const NAME: &'static str = "train";
        const ABOUT: &'static str = "Trains.";
        const EPOCH: u32 = 1;
        const INPUTS: &'static [InputPort] = &[InputPort {
            name: Cow::Borrowed("model"),
            accepts: &[ArtifactKind::Model],
            arity: Arity::One,
            projection: Projection::Whole,
            about: "The base.",
        }];
        const OUTPUTS: &'static [OutputPort] = &[
            OutputPort { name: Cow::Borrowed("adapter"), kind: ArtifactKind::Adapter, about: "The result." },
            OutputPort { name: Cow::Borrowed("curve"), kind: ArtifactKind::Curve, about: "The way there." },
        ];
        const NUMERICS: Numerics = Numerics::Float;
        const UNKEYED: &'static [&'static str] = &["logging_steps"];
        const FOREIGN: &'static [(&'static str, &'static str)] = &[("gpus", "`pipe` picks the device")];

        fn check(config: &TrainConfig) -> Vec<ConfigIssue> {
            let zero = (config.lora_r == 0).then_some(("lora_r", "lora_r is `0`; expected at least 1"));
            let unpaced = (config.packing && config.warmup_steps.is_none())
                .then_some(("warmup_steps", "warmup_steps is not set; expected a number with packing"));
            zero.into_iter().chain(unpaced).map(|(field, message)| ConfigIssue::invalid(field, message)).collect()
        }

        fn writes(config: &TrainConfig, slot: &str) -> bool {
            slot != "curve" || config.logging_steps > 0
        }

        fn run(config: &TrainConfig, _: &StageContext<'_>) -> Result<Outcome, StageError> {
            let mut outcome = Outcome::default();
            outcome.metrics.insert("lora_r".into(), json!(config.lora_r));
            Ok(outcome)
        }
    }

    fn issues(with: &Value) -> Vec<String> {
        let found = Kind::<Train>::new().configure(with).expect_err("refused");
        let line = |issue: &ConfigIssue| {
            let help = issue.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{} @{}: {}{help}", issue.code, error::dotted(&issue.path), issue.message)
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn defaults_are_filled_in_and_unkeyed_settings_stay_out_of_the_key() {
        let config = Kind::<Train>::new().configure(&json!({ "lora_r": 8, "learning_rate": 1 })).expect("valid");
        assert_eq!(config.all["packing"], json!(false));
        assert_eq!(config.all["learning_rate"], json!(1.0));
        assert_eq!(config.all["logging_steps"], json!(0));
        assert_eq!(config.keyed.get("logging_steps"), None);
        assert_eq!(config.all.as_object().map(Map::len), Some(config.keyed.as_object().map_or(0, Map::len) + 1));
    }

    #[test]
    fn every_issue_is_found_in_one_go() {
        let with = json!({
            "lerning_rate": 1, "packing": "yes", "lora_r": 0, "mode": "cosin", "warmup_steps": -1, "learning_rate": "x",
            "rules": [{ "metric": "a" }, { "mtric": "b", "metric": "x" }, {}, { "metric": 3 }, 7], "betas": [0.9],
        });
        assert_eq!(
            issues(&with),
            [
                "config::unknown_key @lerning_rate: there is no setting `lerning_rate` (did you mean `learning_rate`?)",
                "config::invalid_value @packing: packing is `\"yes\"`; expected `true` or `false`",
                "config::invalid_value @mode: mode is `cosin`; expected `linear` or `cosine` (did you mean `cosine`?)",
                "config::invalid_value @warmup_steps: warmup_steps is `-1`; expected a whole number from 0 to 4294967295",
                "config::invalid_value @learning_rate: learning_rate is `\"x\"`; expected a number",
                "config::unknown_key @rules[1].mtric: rules[1] has no key `mtric` (did you mean `metric`?)",
                "config::missing_key @rules[2]: rules[2] lacks `metric`",
                "config::invalid_value @rules[3].metric: rules[3].metric is `3`; expected a string",
                "config::invalid_value @rules[4]: rules[4] is `7`; expected a map",
                "config::invalid_value @betas: betas is `[0.9]`; expected a tuple of size 2",
                "config::invalid_value @lora_r: lora_r is `0`; expected at least 1",
            ]
        );
    }

    #[test]
    fn nothing_is_said_about_the_default_of_a_setting_that_is_not_valid() {
        let found = issues(&json!({ "lora_r": 1, "packing": true, "warmup_steps": -1 }));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("warmup_steps is `-1`"), "{found:?}");
        assert_eq!(issues(&json!({ "lora_r": 1, "packing": true })).len(), 1);
    }

    #[test]
    fn foreign_names_get_ours_and_ports_are_sent_to_in() {
        let with = json!({ "lora_r": 1, "lora_rank": 1, "base_model": "x", "gpus": 1, "model": "m", "cutoff_len": 2 });
        let found = issues(&with);
        assert!(found[0].ends_with("(here it is `lora_r`)"), "{found:?}");
        assert!(found[1].contains("a model is an edge"), "{found:?}");
        assert!(found[2].contains("`pipe` picks the device"), "{found:?}");
        assert!(found[3].contains("`model` is an input of `train`: write it under `in`"), "{found:?}");
        assert!(found[4].contains("the settings of `train` are"), "ours is no setting of this kind: {found:?}");
    }

    #[test]
    fn missing_settings_and_settings_that_are_no_map_are_refused() {
        let missing = "config::missing_key @lora_r: the setting `lora_r` is missing; it has no default";
        assert_eq!(issues(&Value::Null), [missing]);
        let misspelt = "config::unknown_key @lora_rr: there is no setting `lora_rr` (did you mean `lora_r`?)";
        assert_eq!(issues(&json!({ "lora_rr": 8 })), [misspelt], "one mistake is told once");
        assert_eq!(issues(&json!([1])), ["config::invalid_value @: with is `[1]`; expected a map"]);
    }

    #[test]
    fn a_configured_stage_runs_with_its_typed_settings() {
        use crate::diagnostic::Diagnostic;
        use crate::stage::{Progress, StageObserver};
        struct Deaf;
        impl StageObserver for Deaf {
            fn progress(&self, _: Progress) {}
            fn warning(&self, _: Diagnostic) {}
            fn line(&self, _: &str) {}
        }
        let kind = Kind::<Train>::new();
        let context = StageContext {
            inputs: std::collections::BTreeMap::new(),
            output_folder: std::path::PathBuf::new(),
            device: crate::device::DeviceSpec::default(),
            surroundings: &crate::surroundings::Surroundings::default(),
            observer: &Deaf,
            cancel: crate::stage::Cancel::default(),
        };
        let config = kind.configure(&json!({ "lora_r": 4 })).expect("valid");
        assert_eq!(config.outputs.iter().map(|port| &*port.name).collect::<Vec<_>>(), ["adapter"]);
        assert_eq!(kind.run(&config, &context).expect("runs").metrics["lora_r"], json!(4));
    }
}
