//! A YAML document as a tree in which every node knows where it was written.
//!
//! Built once by `yaml`; everything after reads the tree and never the text.

use serde_json::{Number, Value};

use crate::diagnostic::Span;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value written at `span`.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// A node of the tree. Of an alias, the span is that of the anchored text: what is wrong is mended there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub span: Span,
    pub value: Yaml,
}

/// A value of YAML's core schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Reported already; whoever meets it stays silent.
    Invalid,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub key: Spanned<String>,
    pub node: Node,
}

impl Node {
    /// What stands there, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Yaml::Null => "empty".to_owned(),
            Yaml::Bool(value) => format!("`{value}`"),
            Yaml::Int(value) => format!("`{value}`"),
            Yaml::Float(value) => format!("`{}`", float_text(*value)),
            Yaml::Text(text) => format!("`{}`", excerpt(text)),
            Yaml::List(_) => "a list".to_owned(),
            Yaml::Map(_) => "a map".to_owned(),
            Yaml::Invalid => "not valid".to_owned(),
        }
    }

    /// The value as JSON, unless some part of it was reported already.
    pub(crate) fn to_json(&self) -> Option<Value> {
        Some(match &self.value {
            Yaml::Null => Value::Null,
            Yaml::Bool(value) => Value::Bool(*value),
            Yaml::Int(value) => Value::Number(integer(*value)?),
            Yaml::Float(value) => Value::Number(Number::from_f64(*value)?),
            Yaml::Text(text) => Value::String(text.clone()),
            Yaml::List(items) => Value::Array(items.iter().map(Self::to_json).collect::<Option<_>>()?),
            Yaml::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| Some((entry.key.value.clone(), entry.node.to_json()?)))
                    .collect::<Option<_>>()?,
            ),
            Yaml::Invalid => return None,
        })
    }
}

fn integer(value: i128) -> Option<Number> {
    i64::try_from(value).map(Number::from).or_else(|_| u64::try_from(value).map(Number::from)).ok()
}

/// The shortest text that reads back as the same double, and as a float.
fn float_text(value: f64) -> String {
    format!("{value:?}")
}

/// A text cut where it would drown a message.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_type_as_json() {
        let json = |value| Node { span: Span::default(), value }.to_json();
        assert_eq!(json(Yaml::Int(3)), Some(serde_json::json!(3)));
        assert_eq!(json(Yaml::Float(3.0)), Some(serde_json::json!(3.0)));
        assert_eq!(json(Yaml::Int(i128::from(u64::MAX))), Some(serde_json::json!(u64::MAX)));
        assert_eq!(json(Yaml::List(vec![Node { span: Span::default(), value: Yaml::Invalid }])), None);
    }
}
