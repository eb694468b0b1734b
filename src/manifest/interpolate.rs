//! `${params.x}` and `${matrix.x}` in settings: a whole scalar takes value and type, within a text it takes the words.
//!
//! `$${` is a literal `${`. No loops, no functions, no defaults: a manifest is data.

use serde_json::Value;

use super::params::Params;
use super::problems::Problems;
use super::template::Template;
use super::tree::{Entry, Node, Yaml, excerpt};
use crate::diagnostic::{Diagnostic, nearest};

/// A setting with the params filled in, unless some part of it was reported; what the axes of a matrix decide stays open.
pub(super) fn fill(node: &Node, params: &mut Params, problems: &mut Problems) -> Option<Template> {
    match &node.value {
        Yaml::Text(text) => fill_text(text, node, params, problems),
        Yaml::List(items) => {
            let filled: Vec<_> = items.iter().map(|item| fill(item, params, problems)).collect();
            filled.into_iter().collect::<Option<_>>().map(Template::list)
        }
        Yaml::Map(entries) => {
            let filled: Vec<_> = entries.iter().map(|entry| fill_entry(entry, params, problems)).collect();
            filled.into_iter().collect::<Option<_>>().map(Template::map)
        }
        _ => node.to_json().map(Template::Fixed),
    }
}

fn fill_entry(entry: &Entry, params: &mut Params, problems: &mut Problems) -> Option<(String, Template)> {
    let value = fill(&entry.node, params, problems);
    value.map(|value| (entry.key.value.clone(), value))
}

/// A part of a text.
#[derive(Debug, PartialEq)]
enum Part<'a> {
    Literal(&'a str),
    Reference(&'a str),
    Unclosed,
}

fn fill_text(text: &str, node: &Node, params: &mut Params, problems: &mut Problems) -> Option<Template> {
    let parts = split(text);
    if let [Part::Reference(reference)] = parts.as_slice() {
        return lookup(reference, node, params, problems);
    }
    let mut filled = Some(Vec::with_capacity(parts.len()));
    for part in parts {
        let piece = match part {
            Part::Literal(literal) => Some(Template::Fixed(Value::from(literal))),
            Part::Reference(reference) => match lookup(reference, node, params, problems) {
                Some(Template::Fixed(value)) => {
                    words(reference, &value, node, problems).map(|words| Template::Fixed(Value::String(words)))
                }
                open => open,
            },
            Part::Unclosed => {
                let message = || format!("`{}` has a `${{` without its `}}`", excerpt(text));
                let help = "write `$${` for a literal `${`";
                problems.advise("manifest::bad_interpolation", node.span, "", message, help);
                None
            }
        };
        filled = filled.zip(piece).map(|(mut filled, piece)| {
            filled.push(piece);
            filled
        });
    }
    filled.map(Template::text)
}

fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        if escaped {
            parts.push(Part::Literal(&rest[..at - 1]));
            parts.push(Part::Literal("${"));
            rest = &rest[at + 2..];
            continue;
        }
        parts.push(Part::Literal(&rest[..at]));
        let Some(length) = rest[at + 2..].find('}') else {
            parts.push(Part::Unclosed);
            rest = "";
            break;
        };
        parts.push(Part::Reference(rest[at + 2..at + 2 + length].trim()));
        rest = &rest[at + 2 + length + 1..];
    }
    parts.push(Part::Literal(rest));
    parts.retain(|part| *part != Part::Literal(""));
    parts
}

fn lookup(reference: &str, node: &Node, params: &mut Params, problems: &mut Problems) -> Option<Template> {
    let (scope, name) = reference.split_once('.').unwrap_or((reference, ""));
    match scope {
        "params" if params.get(name).is_some() => {
            params.get(name).and_then(|param| param.value.clone()).map(Template::Fixed)
        }
        "matrix" => Some(Template::Axis { name: name.to_owned(), span: node.span }),
        "params" => {
            problems.add(|source| {
                let message = format!("`${{{}}}` names no param", excerpt(reference));
                let diagnostic = Diagnostic::error("manifest::unknown_param", message).at(source, node.span, "");
                match nearest(name, params.names()).map(str::to_owned) {
                    Some(near) => {
                        // The param that was meant is not unused as well.
                        params.get(&near);
                        diagnostic.help(format!("did you mean `${{params.{near}}}`?"))
                    }
                    None => diagnostic.help("declare it under `params`"),
                }
            });
            None
        }
        "env" => {
            let message = || format!("`${{{}}}` is not in this version of pipe yet", excerpt(reference));
            let help = "this version fills in `${params.<name>}` and `${matrix.<axis>}`";
            problems.advise("manifest::unsupported", node.span, "", message, help);
            None
        }
        _ => {
            let message = || {
                format!(
                    "`${{{}}}` means nothing; expected `${{params.<name>}}` or `${{matrix.<axis>}}`",
                    excerpt(reference)
                )
            };
            let help = "write `$${` for a literal `${`";
            problems.advise("manifest::bad_interpolation", node.span, "", message, help);
            None
        }
    }
}

/// A param's value within a text.
fn words(reference: &str, value: &Value, node: &Node, problems: &mut Problems) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            let found = match value {
                Value::Null => "empty",
                Value::Array(_) => "a list",
                _ => "a map",
            };
            problems.error("manifest::wrong_type", node.span, "", || {
                format!("`${{{reference}}}` is {found}; expected a text, number or boolean within a text")
            });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_splits_into_literals_and_references() {
        use Part::{Literal, Reference, Unclosed};
        assert_eq!(split("${params.lr}"), [Reference("params.lr")]);
        assert_eq!(split("a ${ b }c"), [Literal("a "), Reference("b"), Literal("c")]);
        assert_eq!(split("$${x} ${y"), [Literal("${"), Literal("x} "), Unclosed]);
        assert_eq!(split("$ {} $$"), [Literal("$ {} $$")]);
        assert_eq!(split("é${}"), [Literal("é"), Reference("")]);
        assert_eq!(split(""), []);
    }
}
