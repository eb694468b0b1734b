//! The settings of a gate: its rules, and what to do when the evidence is thin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stage::ConfigIssue;
use crate::text::eval_report::Slice;
use crate::text::metrics;

/// Settings of `gate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateSettings {
    /// What each report has to satisfy; at least one rule.
    pub rules: Vec<Rule>,
    /// A rule that sees fewer examples than this is inconclusive.
    #[serde(default = "one")]
    pub min_examples: usize,
    /// Confidence of the two-sided intervals, from 0.5 to below 1.
    #[serde(default = "usual_confidence")]
    pub confidence: f64,
    /// What a rule says whose metric or slice a report does not have.
    #[serde(default)]
    pub on_missing: OnMissing,
    /// How reports that differ by the axis `seed` of a matrix only are judged together; each by itself unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_seeds: Option<OverSeeds>,
    /// Seed of the resampled intervals; the manifest's seed unless set.
    #[serde(default)]
    pub seed: u64,
}

const fn one() -> usize {
    1
}

const fn usual_confidence() -> f64 {
    0.95
}

/// What of several seeds is held against a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OverSeeds {
    /// The mean of the seeds' numbers; with `bound: ci_lower` the mean of their bounds.
    Mean,
    /// The number of the seed that satisfies the rule least.
    Min,
    /// Each seed's number: the rule has to hold for every seed.
    All,
}

/// What a rule says when there is nothing to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// It is inconclusive.
    #[default]
    Inconclusive,
    /// It fails.
    Fail,
}

/// One rule. It names exactly one of `min`, `max`, `max_drop` and `min_gain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The metric that is judged.
    pub metric: String,
    /// The metric is at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The metric is at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The metric is at most this much below the baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_drop: Option<f64>,
    /// The metric is at least this much above the baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_gain: Option<f64>,
    /// Only these examples: `with_context`, `without_context` or `tag:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub slice: Option<Slice>,
    /// Which number is held against the threshold.
    #[serde(default)]
    pub bound: Bound,
    /// Whether report and baseline are compared example by example, which needs the same examples in both; true
    /// unless set. Only for `max_drop` and `min_gain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paired: Option<bool>,
    /// What a broken rule means.
    #[serde(default)]
    pub level: Level,
}

/// Which number is held against a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The measured value.
    #[default]
    Point,
    /// The end of its interval that is the harder one to satisfy: the lower end, and for `max` the upper one.
    CiLower,
}

/// What a broken rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The gate does not pass.
    #[default]
    Error,
    /// It is shown, and the gate's verdict is left alone.
    Warn,
}

/// What a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// The metric is at least this.
    Min(f64),
    /// The metric is at most this.
    Max(f64),
    /// The metric is at most this much below the baseline's.
    MaxDrop(f64),
    /// The metric is at least this much above the baseline's.
    MinGain(f64),
}

impl Demand {
    /// The setting's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::MaxDrop(_) => "max_drop",
            Self::MinGain(_) => "min_gain",
        }
    }

    /// The threshold.
    #[must_use]
    pub const fn threshold(self) -> f64 {
        match self {
            Self::Min(value) | Self::Max(value) | Self::MaxDrop(value) | Self::MinGain(value) => value,
        }
    }

    /// Whether it compares with a baseline.
    #[must_use]
    pub const fn is_relative(self) -> bool {
        matches!(self, Self::MaxDrop(_) | Self::MinGain(_))
    }
}

impl Rule {
    /// Everything the rule asks for; exactly one demand once the settings are checked.
    fn demands(&self) -> Vec<Demand> {
        let all = [
            self.min.map(Demand::Min),
            self.max.map(Demand::Max),
            self.max_drop.map(Demand::MaxDrop),
            self.min_gain.map(Demand::MinGain),
        ];
        all.into_iter().flatten().collect()
    }

    /// What the rule asks for; none for a rule that the gate's check refuses.
    #[must_use]
    pub fn demand(&self) -> Option<Demand> {
        match self.demands().as_slice() {
            [demand] => Some(*demand),
            _ => None,
        }
    }
}

/// What types alone do not catch.
pub(super) fn check(settings: &GateSettings) -> Vec<ConfigIssue> {
    let mut issues = Vec::new();
    if settings.rules.is_empty() {
        let issue = ConfigIssue::invalid("rules", "rules is empty; expected at least one rule");
        issues.push(issue.help("for example `rules: [{ metric: contains, min: 0.8 }]`"));
    }
    if !(0.5..=MOST_CONFIDENT).contains(&settings.confidence) {
        let message = format!("confidence is `{}`; expected 0.5 to {MOST_CONFIDENT}", settings.confidence);
        issues.push(ConfigIssue::invalid("confidence", message).help("0.95 is usual"));
    }
    for (index, rule) in settings.rules.iter().enumerate() {
        issues.extend(check_rule(rule).into_iter().map(|issue| below_rule(index, issue)));
    }
    issues
}

/// Closer to 1, the quantile runs into the precision of a double.
const MOST_CONFIDENT: f64 = 0.999_999;

fn below_rule(index: usize, mut issue: ConfigIssue) -> ConfigIssue {
    issue.path.splice(0..0, ["rules".to_owned(), index.to_string()]);
    issue
}

fn check_rule(rule: &Rule) -> Vec<ConfigIssue> {
    let mut issues = Vec::new();
    if !metrics::is_known(&rule.metric) {
        let message = format!("metric is `{}`; expected {}", rule.metric, metrics::expected());
        let mut issue = ConfigIssue::invalid("metric", message);
        issue.help = metrics::hint(&rule.metric);
        issues.push(issue);
    }
    let demands = rule.demands();
    for demand in &demands {
        // The range is tested so that NaN falls out of it.
        if !(0.0..=1.0).contains(&demand.threshold()) {
            let message = format!("{} is `{}`; expected 0 to 1", demand.name(), demand.threshold());
            let issue = ConfigIssue::invalid(demand.name(), message);
            issues.push(issue.help("scores are shares: write 80 % as `0.8`"));
        }
    }
    if demands.len() != 1 {
        issues.push(not_one_demand(&demands));
    } else if rule.paired.is_some() && !demands[0].is_relative() {
        let message = format!("paired is set beside `{}`, which has no baseline to pair with", demands[0].name());
        issues.push(ConfigIssue::invalid("paired", message).help("it belongs to `max_drop` and `min_gain`"));
    }
    issues
}

fn not_one_demand(demands: &[Demand]) -> ConfigIssue {
    let message = if demands.is_empty() {
        "the rule asks for nothing; expected one of `min`, `max`, `max_drop` and `min_gain`".to_owned()
    } else {
        let found = demands.iter().map(|demand| demand.name()).collect::<Vec<_>>().join("` and `");
        format!("the rule names `{found}`; expected exactly one of `min`, `max`, `max_drop` and `min_gain`")
    };
    let help = "write one rule for each thing that has to hold";
    ConfigIssue { path: Vec::new(), code: "config::invalid_value", message, help: Some(help.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issues(rules: &str) -> Vec<ConfigIssue> {
        let settings = format!(r#"{{"rules":{rules}}}"#);
        check(&serde_json::from_str(&settings).expect("the settings have the right types"))
    }

    fn check_one(rule: &str, path: &[&str], message: &str) {
        let found = issues(&format!("[{rule}]"));
        assert_eq!(found.len(), 1, "{rule}: {found:?}");
        assert_eq!(found[0].path, path, "{rule}");
        assert!(found[0].message.contains(message), "{rule}: {}", found[0].message);
        assert!(found[0].help.is_some(), "{rule}");
    }

    #[test]
    fn each_mistake_in_a_rule_is_found_where_it_stands() {
        check_one(r#"{"metric":"exat","min":0.5}"#, &["rules", "0", "metric"], "metric is `exat`");
        check_one(r#"{"metric":"exact","min":80}"#, &["rules", "0", "min"], "min is `80`");
        check_one(r#"{"metric":"exact","max":-0.1}"#, &["rules", "0", "max"], "max is `-0.1`");
        check_one(r#"{"metric":"exact","max_drop":1.5}"#, &["rules", "0", "max_drop"], "expected 0 to 1");
        check_one(r#"{"metric":"exact"}"#, &["rules", "0"], "asks for nothing");
        check_one(r#"{"metric":"exact","min":0.1,"max":0.2}"#, &["rules", "0"], "`min` and `max`");
        check_one(r#"{"metric":"exact","min":0.1,"paired":true}"#, &["rules", "0", "paired"], "paired is set");
    }

    #[test]
    fn nan_is_out_of_every_range() {
        let mut settings: GateSettings =
            serde_json::from_str(r#"{"rules":[{"metric":"exact","min":0.5}]}"#).expect("settings");
        settings.rules[0].min = Some(f64::NAN);
        settings.confidence = f64::NAN;
        let paths: Vec<_> = check(&settings).into_iter().map(|issue| issue.path.join(".")).collect();
        assert_eq!(paths, ["confidence", "rules.0.min"]);
    }

    #[test]
    fn a_gate_without_rules_is_refused() {
        assert_eq!(issues("[]").len(), 1);
    }

    #[test]
    fn all_issues_are_found_at_once() {
        let found = issues(r#"[{"metric":"exat","min":2},{"metric":"exact","min":0.5},{"metric":"exact"}]"#);
        let paths: Vec<_> = found.iter().map(|issue| issue.path.join(".")).collect();
        assert_eq!(paths, ["rules.0.metric", "rules.0.min", "rules.2"]);
    }

    #[test]
    fn unknown_settings_and_slices_do_not_pass_the_types() {
        for rule in [r#"{"metric":"exact","mim":0.5}"#, r#"{"metric":"exact","min":0.5,"slice":"policy"}"#] {
            assert!(serde_json::from_str::<Rule>(rule).is_err(), "{rule}");
        }
    }
}
