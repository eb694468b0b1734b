//! The settings of an evaluation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::stage::ConfigIssue;
use crate::stages::precision::{Loading, QuantType};
use crate::text::chat_template::{Clock, TemplateOptions};
use crate::text::eval_report::ContextAs;
use crate::text::metrics::{self, Normalisation};
use crate::text::prompts::{RenderOptions, ToolMode};

/// Settings of `eval`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that the field knows by its name")]
pub struct EvalSettings {
    /// How answers are scored.
    pub metrics: Vec<String>,
    /// What counts as the same text, besides white space at the ends: any of `case`, `punct` and `whitespace`.
    pub normalize: Normalisation,
    /// The most tokens of an answer.
    pub max_new_tokens: usize,
    /// Rows that are answered at once.
    pub per_device_eval_batch_size: usize,
    /// Hold the base's projections in 4 bits a number, as bitsandbytes rounds them.
    pub load_4bit: bool,
    /// Hold the base's projections in 8 bits a number, as bitsandbytes rounds them.
    pub load_8bit: bool,
    /// The values that `load_4bit` rounds to.
    pub bnb_quant_type: QuantType,
    /// Round the scales of `load_4bit` too.
    pub bnb_double_quant: bool,
    /// How a row's context reaches the model.
    pub context_as: ContextAs,
    /// The retrieval tool's name, as in the training data.
    pub tool_name: String,
    /// What the model is told that the tool does, as in the training data.
    pub tool_description: String,
    /// How the tool is shown, as in `render-prompts`.
    pub tool_mode: ToolMode,
    /// The date and time for templates that print it, as in `render-prompts`.
    pub now: String,
    /// Further variables of the chat template, as in `render-prompts`.
    pub template_arguments: Map<String, Value>,
    /// Only the first rows of the data.
    pub max_examples: Option<usize>,
    /// Print a line for each example.
    pub print_outputs: bool,
}

impl Default for EvalSettings {
    fn default() -> Self {
        Self {
            metrics: vec!["exact".to_owned(), "contains".to_owned()],
            normalize: Normalisation::default(),
            max_new_tokens: 32,
            per_device_eval_batch_size: 8,
            load_4bit: false,
            load_8bit: false,
            bnb_quant_type: QuantType::default(),
            bnb_double_quant: false,
            context_as: ContextAs::default(),
            tool_name: "retrieve".to_owned(),
            tool_description: "semantic search over notes".to_owned(),
            tool_mode: ToolMode::default(),
            now: Clock::default().iso(),
            template_arguments: Map::new(),
            max_examples: None,
            print_outputs: false,
        }
    }
}

impl EvalSettings {
    /// How the base is to be held in memory.
    pub(super) const fn loading(&self) -> Loading {
        Loading {
            load_4bit: self.load_4bit,
            load_8bit: self.load_8bit,
            bnb_quant_type: self.bnb_quant_type,
            bnb_double_quant: self.bnb_double_quant,
        }
    }

    /// How conversations are put into prompts.
    pub(super) fn rendering(&self) -> RenderOptions {
        let clock = self.now.parse().unwrap_or_default();
        let template = TemplateOptions { clock, arguments: self.template_arguments.clone() };
        RenderOptions { tool_mode: self.tool_mode, template, ..RenderOptions::default() }
    }
}

/// Variables of a template that conversations set.
const RESERVED: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// What types alone do not catch.
pub(super) fn check(settings: &EvalSettings) -> Vec<ConfigIssue> {
    let mut issues = Vec::new();
    check_metrics(settings, &mut issues);
    settings.loading().check(&mut issues);
    for (field, value) in [
        ("max_new_tokens", Some(settings.max_new_tokens)),
        ("per_device_eval_batch_size", Some(settings.per_device_eval_batch_size)),
        ("max_examples", settings.max_examples),
    ] {
        if let Some(value) = value.filter(|value| !(1..=1 << 20).contains(value)) {
            issues.push(ConfigIssue::invalid(field, format!("{field} is `{value}`; expected 1 to 1048576")));
        }
    }
    if settings.tool_name.trim().is_empty() {
        issues.push(ConfigIssue::invalid("tool_name", "tool_name is empty; expected the retrieval tool's name"));
    }
    if let Err(error) = settings.now.parse::<Clock>() {
        issues.push(ConfigIssue::invalid("now", error.to_string()));
    }
    for name in RESERVED.iter().filter(|name| settings.template_arguments.contains_key(**name)) {
        let message = format!("template_arguments has `{name}`, which the conversation sets");
        issues.push(ConfigIssue::invalid("template_arguments", message));
    }
    issues
}

fn check_metrics(settings: &EvalSettings, issues: &mut Vec<ConfigIssue>) {
    if settings.metrics.is_empty() {
        issues.push(ConfigIssue::invalid("metrics", "metrics is empty; expected at least one"));
    }
    for (index, name) in settings.metrics.iter().enumerate() {
        let message = if !metrics::is_known(name) {
            format!("metric is `{name}`; expected {}", metrics::expected())
        } else if settings.metrics[..index].contains(name) {
            format!("metric `{name}` is named twice; expected it once")
        } else {
            continue;
        };
        let mut issue = ConfigIssue::invalid("metrics", message);
        issue.path.push(index.to_string());
        issue.help = metrics::hint(name).filter(|_| !metrics::is_known(name));
        issues.push(issue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(json: &str) -> Vec<String> {
        let settings = serde_json::from_str(json).expect("settings of the right types");
        check(&settings).into_iter().map(|issue| issue.path.join(".")).collect()
    }

    #[test]
    fn every_mistake_is_found_where_it_stands() {
        assert_eq!(paths("{}"), [""; 0]);
        assert_eq!(paths(r#"{"metrics":[]}"#), ["metrics"]);
        assert_eq!(paths(r#"{"metrics":["exact","exat","exact"]}"#), ["metrics.1", "metrics.2"]);
        assert_eq!(paths(r#"{"max_new_tokens":0,"max_examples":0}"#), ["max_new_tokens", "max_examples"]);
        assert_eq!(paths(r#"{"now":"today","template_arguments":{"tools":[]}}"#), ["now", "template_arguments"]);
        assert_eq!(paths(r#"{"per_device_eval_batch_size":0,"tool_name":" "}"#).len(), 2);
        assert!(serde_json::from_str::<EvalSettings>(r#"{"max_new_token":1}"#).is_err());
    }
}
