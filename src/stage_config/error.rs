//! serde's errors in the words of somebody who writes a manifest: the way to the setting, what it is, what it may be.

use serde_json::Value;
use serde_path_to_error::{Error, Segment};

use crate::diagnostic::nearest;
use crate::stage::ConfigIssue;

/// A value of the wrong type or out of its range.
pub(super) fn invalid(path: Vec<String>, message: String) -> ConfigIssue {
    ConfigIssue { path, code: "config::invalid_value", message, help: None }
}

/// A setting that has no default and is not set.
pub(super) fn missing(path: Vec<String>, message: String) -> ConfigIssue {
    ConfigIssue { path, code: "config::missing_key", message, help: None }
}

/// The way to a setting as people write it: `rules[1].metric`.
pub(super) fn dotted(path: &[String]) -> String {
    path.iter().fold(String::new(), |mut text, part| {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push('[');
            text.push_str(part);
            text.push(']');
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(part);
        }
        text
    })
}

/// The issue that serde's error is about.
pub(super) fn read(error: &Error<serde_json::Error>, settings: &Value) -> ConfigIssue {
    let mut path: Vec<String> = error.path().iter().filter_map(segment).collect();
    let said = error.inner().to_string();
    let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    if said.starts_with("unknown field")
        && let [found, known @ ..] = quoted.as_slice()
    {
        if path.last().is_none_or(|last| last != found) {
            path.push((*found).to_owned());
        }
        return unknown_key(path, found, known);
    }
    let name = if path.is_empty() { "with".to_owned() } else { dotted(&path) };
    if said.starts_with("missing field")
        && let [field] = quoted.as_slice()
    {
        return missing(path, format!("{name} lacks `{field}`"));
    }
    let value = path.iter().try_fold(settings, |value, part| step(value, part));
    let found = value.map_or_else(String::new, excerpt);
    if said.starts_with("unknown variant")
        && let [variant, known @ ..] = quoted.as_slice()
    {
        let mut issue = invalid(path, format!("{name} is `{variant}`; expected {}", one_of(known)));
        issue.help = nearest(variant, known.iter().copied()).map(|name| format!("did you mean `{name}`?"));
        return issue;
    }
    match said.rsplit_once(", expected ") {
        Some((_, expected)) if said.starts_with("invalid ") => {
            invalid(path, format!("{name} is `{found}`; expected {}", in_words(expected)))
        }
        _ => invalid(path, format!("{name} is `{found}`: {said}")),
    }
}

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}

fn step<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        Value::Object(entries) => entries.get(part),
        _ => None,
    }
}

fn unknown_key(path: Vec<String>, found: &str, known: &[&str]) -> ConfigIssue {
    let place = dotted(&path[..path.len() - 1]);
    let help = match nearest(found, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected {}", one_of(known)),
    };
    let message = format!("{} has no key `{found}`", if place.is_empty() { "with" } else { &place });
    ConfigIssue { path, code: "config::unknown_key", message, help: Some(help) }
}

fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The value as JSON, cut where it would drown the message.
fn excerpt(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// What serde expects, without Rust's names of types.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" | "u128" => "a whole number of at least 0",
        "i8" | "i16" | "i32" | "i64" | "isize" | "i128" => "a whole number",
        "a nonzero u8" | "a nonzero u16" | "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => {
            "a whole number of at least 1"
        }
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "a map",
        "a string" | "string or map" => "a string",
        _ if expected.starts_with("struct ") => "a map",
        other => other,
    };
    words.to_owned()
}
