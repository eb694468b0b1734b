//! One example of a report, and the id that pairs it with the same example of another report.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::digest::{Canonical, Digest};

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model said that it was done.
    StopToken,
    /// The answer reached `max_new_tokens`.
    MaxNewTokens,
    /// Prompt and answer reached the model's longest sequence.
    ContextFull,
}

/// What a model answered to one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The id made by [`ExampleIds`], unique within a report.
    pub id: String,
    /// What was asked.
    pub query: String,
    /// The answer that was hoped for.
    pub expected: String,
    /// Further answers that count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    /// Labels of the row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether the row came with a context.
    pub has_context: bool,
    /// The new tokens as text, without the stop token.
    pub output: String,
    /// How many new tokens there were, without the stop token.
    pub new_tokens: usize,
    /// Why the answer ended.
    pub stop_reason: StopReason,
    /// Metric to score.
    pub scores: BTreeMap<String, f64>,
}

/// Gives examples their ids: twelve digits of a digest of the row's texts. Equal rows are numbered (`…`, `…#2`, `…#3`)
/// in the order of the data, and so would be rows whose digests begin alike. Tags and line numbers do not count.
#[derive(Debug, Default)]
pub struct ExampleIds {
    seen: HashMap<String, usize>,
}

impl ExampleIds {
    /// The id of the next row.
    pub fn next(&mut self, query: &str, context: Option<&str>, expected: &str, accept: &[String]) -> String {
        let accept = accept.iter().map(|answer| Canonical::from(answer.as_str())).collect();
        let row = Canonical::map([
            ("accept", Canonical::List(accept)),
            ("context", context.map_or(Canonical::Null, Canonical::from)),
            ("expected", Canonical::from(expected)),
            ("query", Canonical::from(query)),
        ]);
        let id = Digest::derive("pipe evaluation example v1", &row).short();
        let count = self.seen.entry(id.clone()).or_default();
        *count += 1;
        if *count == 1 { id } else { format!("{id}#{count}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_depend_on_the_texts_alone() {
        let mut ids = ExampleIds::default();
        let first = ids.next("q", Some("c"), "e", &[]);
        let again = ids.next("q", Some("c"), "e", &[]);
        assert_eq!(again, format!("{first}#2"));
        let mut others = ExampleIds::default();
        let without = others.next("q", None, "e", &[]);
        assert_ne!(without, first);
        assert_ne!(others.next("q", Some(""), "e", &[]), without);
        assert_ne!(others.next("q", Some("c"), "e", &["f".to_owned()]), first);
        assert_eq!(others.next("q", Some("c"), "e", &[]), first);
    }
}
