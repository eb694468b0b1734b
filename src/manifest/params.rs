//! `params:` and the `-p name=value` that override them.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use serde_json::Value;

use super::fields::{self, Fields};
use super::problems::Problems;
use super::tree::{Node, Spanned, Yaml};
use super::{names, yaml};
use crate::diagnostic::{Diagnostic, SourceText, Span};
use crate::reference::Name;

/// A param replaced on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The param's name.
    pub name: String,
    /// YAML of the param's type.
    pub text: String,
}

/// The text is no override.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("override is `{0}`; expected `name=value`")]
pub struct BadOverride(pub String);

impl FromStr for Override {
    type Err = BadOverride;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or_else(|| BadOverride(text.to_owned()))?;
        Ok(Self { name: name.trim().to_owned(), text: value.to_owned() })
    }
}

/// A param with the value that holds, overridden or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its name and where it was declared.
    pub name: Spanned<Name>,
    /// Its value; absent when it was reported as not valid.
    pub value: Option<Value>,
}

/// The params while the settings that use them are read.
pub(super) struct Params {
    list: Vec<Param>,
    index: HashMap<String, usize>,
    used: HashSet<usize>,
}

impl Params {
    /// Reads `params:` and applies the overrides.
    pub(super) fn read(node: Option<Node>, overrides: &[Override], problems: &mut Problems) -> Self {
        let fields = node.and_then(|node| Fields::open(node, "`params`", problems));
        let mut list = Vec::new();
        let mut nodes = Vec::new();
        let mut index = HashMap::new();
        for entry in fields.into_iter().flat_map(Fields::all) {
            if let Some(name) = names::any(&entry.key, "param", problems) {
                refuse_interpolation(&entry.node, &name, problems);
                index.insert(name.value.as_str().to_owned(), list.len());
                list.push(Param { name, value: entry.node.to_json() });
                nodes.push(entry.node);
            }
        }
        for given in overrides {
            match index.get(&given.name) {
                Some(&at) => match overridden(&nodes[at], given, problems) {
                    Ok(value) => list[at].value = Some(value),
                    Err(diagnostic) => problems.add(|_| *diagnostic),
                },
                None => problems.add(|_| unknown_override(given, &list)),
            }
        }
        Self { list, index, used: HashSet::new() }
    }

    /// The param of a name, which thereby is in use.
    pub(super) fn get(&mut self, name: &str) -> Option<&Param> {
        let at = *self.index.get(name)?;
        self.used.insert(at);
        self.list.get(at)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|param| param.name.value.as_str())
    }

    /// All params; those that nothing uses are reported.
    pub(super) fn finish(self, problems: &mut Problems) -> Vec<Param> {
        let unused = |(at, _): &(usize, &Param)| !self.used.contains(at);
        for (_, param) in self.list.iter().enumerate().filter(unused) {
            let name = &param.name;
            problems.advise(
                "manifest::unused_param",
                name.span,
                "",
                || format!("the param `{}` is not used", name.value),
                &format!("use it in a setting as `${{params.{}}}`, or remove it", name.value),
            );
        }
        self.list
    }
}

/// Params are plain values: what refers to others would need an order.
fn refuse_interpolation(node: &Node, name: &Spanned<Name>, problems: &mut Problems) {
    match &node.value {
        Yaml::Text(_) => drop(fields::text(node, &format!("the param `{}`", name.value), problems)),
        Yaml::List(items) => items.iter().for_each(|item| refuse_interpolation(item, name, problems)),
        Yaml::Map(entries) => entries.iter().for_each(|entry| refuse_interpolation(&entry.node, name, problems)),
        _ => {}
    }
}

/// The override as a text of its own, and the span of its value.
fn shown(given: &Override) -> (SourceText, Span) {
    let before = format!("-p {}=", given.name);
    let source = SourceText::new("command line", &format!("{before}{}", given.text));
    (source, Span { offset: before.len(), length: given.text.len() })
}

fn unknown_override(given: &Override, params: &[Param]) -> Diagnostic {
    let (source, value) = shown(given);
    let span = Span { offset: 3, length: value.offset - 4 };
    let names = params.iter().map(|param| param.name.value.as_str());
    let message = format!("the manifest has no param `{}`", given.name);
    Diagnostic::error("manifest::unknown_param", message).at(&source, span, "").nearest(&given.name, names)
}

fn overridden(declared: &Node, given: &Override, problems: &Problems) -> Result<Value, Box<Diagnostic>> {
    let (source, span) = shown(given);
    let name = &given.name;
    // A text needs no quotes to stay one: `-p tag=1` is the text `1`.
    if matches!(declared.value, Yaml::Text(_))
        && let Some(text) = yaml::scalar_text(&given.text)
    {
        return Ok(Value::String(text));
    }
    let mut inner = Problems::new(&SourceText::new("command line", &given.text));
    let parsed = yaml::parse(&SourceText::new("command line", &given.text), &mut inner);
    let refuse = |found: &str| {
        let message = format!("the param `{name}` is overridden with {found}; expected {}", type_name(&declared.value));
        let help = format!("it is declared as {} in {}", declared.describe(), problems.source_name());
        Box::new(Diagnostic::error("manifest::wrong_type", message).at(&source, span, "").help(help))
    };
    let node = match parsed {
        Ok(node) if inner.is_empty() => node,
        Ok(_) => return Err(refuse("a value that is not valid")),
        Err(error) => return Err(refuse(&format!("no YAML ({})", error.message))),
    };
    let value = match (&declared.value, &node.value) {
        (Yaml::Float(_), Yaml::Int(whole)) => serde_json::Number::from_f64(*whole as f64).map(Value::Number),
        (Yaml::Null | Yaml::Invalid, _) => node.to_json(),
        (one, other) if std::mem::discriminant(one) == std::mem::discriminant(other) => node.to_json(),
        _ => None,
    };
    value.ok_or_else(|| refuse(&node.describe()))
}

fn type_name(value: &Yaml) -> &'static str {
    match value {
        Yaml::Null | Yaml::Invalid => "a value",
        Yaml::Bool(_) => "`true` or `false`",
        Yaml::Int(_) => "a whole number",
        Yaml::Float(_) => "a number",
        Yaml::Text(_) => "a text",
        Yaml::List(_) => "a list",
        Yaml::Map(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overridden_value(declared: &str, value: &str) -> Result<Value, String> {
        let source = SourceText::new("m.yaml", declared);
        let mut problems = Problems::new(&source);
        let node = yaml::parse(&source, &mut problems).expect("yaml");
        let given = Override { name: "x".into(), text: value.into() };
        overridden(&node, &given, &problems).map_err(|diagnostic| diagnostic.message)
    }

    #[test]
    fn an_override_is_yaml_of_the_params_type() {
        use serde_json::json;
        assert_eq!(overridden_value("2.0e-4", "1e-4"), Ok(json!(1e-4)));
        assert_eq!(overridden_value("2.0e-4", "3"), Ok(json!(3.0)));
        assert_eq!(overridden_value("3", "5"), Ok(json!(5)));
        assert_eq!(overridden_value("text", "1"), Ok(json!("1")));
        assert_eq!(overridden_value("text", "'a: b'"), Ok(json!("a: b")));
        assert_eq!(overridden_value("[a]", "[b, c]"), Ok(json!(["b", "c"])));
        assert_eq!(overridden_value("true", "false"), Ok(json!(false)));
        assert_eq!(overridden_value("~", "1"), Ok(json!(1)));
        for (declared, value) in
            [("3", "1.5"), ("3", "x"), ("true", "yes"), ("0.5", ".nan"), ("[a]", "b"), ("t", "{a: b}"), ("3", "[")]
        {
            let refused = overridden_value(declared, value).expect_err(value);
            assert!(refused.contains("is overridden with"), "{refused}");
        }
    }

    #[test]
    fn an_override_needs_a_name_and_a_value() {
        assert_eq!("lr=1=2".parse(), Ok(Override { name: "lr".into(), text: "1=2".into() }));
        assert_eq!("lr".parse::<Override>(), Err(BadOverride("lr".into())));
    }
}
