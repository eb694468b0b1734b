//! `json.dumps`: the JSON that models have seen.
//!
//! Chat templates are written against Python: `{"a": 1.0}`, never `{"a":1.0}`, keys in order, no HTML escapes. Source:
//! CPython's `json.encoder`. Nesting is bounded.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::generator::Generator;
use super::python::{FloatStyle, check_depth, invalid, push_format, write_number};

/// The arguments of `json.dumps` that templates use.
#[derive(Debug, Clone)]
pub(super) struct JsonStyle {
    /// Escape everything outside ASCII.
    pub ensure_ascii: bool,
    /// One level of indentation; `None` keeps everything on one line.
    pub indent: Option<String>,
    /// Between items.
    pub item_separator: String,
    /// Between key and value.
    pub key_separator: String,
    /// Sort the keys of every object.
    pub sort_keys: bool,
}

impl Default for JsonStyle {
    fn default() -> Self {
        Self {
            ensure_ascii: false,
            indent: None,
            item_separator: ", ".into(),
            key_separator: ": ".into(),
            sort_keys: false,
        }
    }
}

/// `json.dumps(value)`.
///
/// # Errors
/// What Python can't serialise: undefined values, generators, objects; and values nested too deep.
pub(super) fn json_dumps(value: &Value, style: &JsonStyle) -> Result<String, Error> {
    let mut out = String::new();
    write_json(&mut out, value, style, 0)?;
    Ok(out)
}

fn write_json(out: &mut String, value: &Value, style: &JsonStyle, depth: usize) -> Result<(), Error> {
    check_depth(depth)?;
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => write_number(out, value, FloatStyle::Json),
        ValueKind::String => write_json_string(out, value.as_str().unwrap_or_default(), style.ensure_ascii),
        ValueKind::Seq => write_json_list(out, value, style, depth)?,
        ValueKind::Iterable if value.downcast_object_ref::<Generator>().is_none() => {
            write_json_list(out, value, style, depth)?;
        }
        ValueKind::Map => write_json_object(out, value, style, depth)?,
        kind => return Err(invalid(format!("value of type `{kind}` is not JSON serializable"))),
    }
    Ok(())
}

fn write_json_list(out: &mut String, value: &Value, style: &JsonStyle, depth: usize) -> Result<(), Error> {
    let mut first = true;
    out.push('[');
    for item in value.try_iter()? {
        write_separator(out, style, depth + 1, first);
        first = false;
        write_json(out, &item, style, depth + 1)?;
    }
    write_end(out, style, depth, first);
    out.push(']');
    Ok(())
}

fn write_json_object(out: &mut String, value: &Value, style: &JsonStyle, depth: usize) -> Result<(), Error> {
    let mut keys = value.try_iter()?.collect::<Vec<_>>();
    if style.sort_keys {
        keys.sort();
    }
    let mut first = true;
    out.push('{');
    for key in keys {
        write_separator(out, style, depth + 1, first);
        first = false;
        write_json_key(out, &key, style)?;
        out.push_str(&style.key_separator);
        write_json(out, &value.get_item(&key)?, style, depth + 1)?;
    }
    write_end(out, style, depth, first);
    out.push('}');
    Ok(())
}

fn write_json_key(out: &mut String, key: &Value, style: &JsonStyle) -> Result<(), Error> {
    match key.kind() {
        ValueKind::String => write_json_string(out, key.as_str().unwrap_or_default(), style.ensure_ascii),
        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
            out.push('"');
            write_json(out, key, style, 0)?;
            out.push('"');
        }
        kind => return Err(invalid(format!("a key of type `{kind}` is not JSON serializable"))),
    }
    Ok(())
}

fn write_separator(out: &mut String, style: &JsonStyle, depth: usize, first: bool) {
    if !first {
        out.push_str(&style.item_separator);
    }
    if let Some(indent) = &style.indent {
        out.push('\n');
        (0..depth).for_each(|_| out.push_str(indent));
    }
}

fn write_end(out: &mut String, style: &JsonStyle, depth: usize, empty: bool) {
    if let (Some(indent), false) = (&style.indent, empty) {
        out.push('\n');
        (0..depth).for_each(|_| out.push_str(indent));
    }
}

fn write_json_string(out: &mut String, text: &str, ensure_ascii: bool) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => push_format(out, format_args!("\\u{:04x}", u32::from(letter))),
            _ if ensure_ascii && !letter.is_ascii() => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    push_format(out, format_args!("\\u{unit:04x}"));
                }
            }
            _ if ensure_ascii && letter == '\u{7f}' => out.push_str("\\u007f"),
            _ => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chat_template::python::value_of;
    use serde_json::json;

    fn dumps(value: &serde_json::Value) -> String {
        json_dumps(&value_of(value), &JsonStyle::default()).expect("serialisable")
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        assert_eq!(
            dumps(&json!({"b": 1, "a": [1.0, null, true, "é<&>'\"\n\u{1}"]})),
            "{\"b\": 1, \"a\": [1.0, null, true, \"é<&>'\\\"\\n\\u0001\"]}"
        );
        assert_eq!(dumps(&json!({})), "{}");
        assert_eq!(dumps(&json!([])), "[]");
    }

    #[test]
    fn json_arguments_change_separators_order_and_escapes() {
        let value = value_of(&json!({"b": [1, 2], "a": "é🙂\u{7f}", "c": {}}));
        let style = JsonStyle {
            ensure_ascii: true,
            indent: Some("  ".into()),
            item_separator: ",".into(),
            sort_keys: true,
            ..JsonStyle::default()
        };
        assert_eq!(
            json_dumps(&value, &style).expect("serialisable"),
            "{\n  \"a\": \"\\u00e9\\ud83d\\ude42\\u007f\",\n  \"b\": [\n    1,\n    2\n  ],\n  \"c\": {}\n}"
        );
    }

    #[test]
    fn what_python_cannot_serialise_is_refused() {
        let mut deep = Value::from(1);
        for _ in 0..=200 {
            deep = Value::from(vec![deep]);
        }
        for value in [Value::UNDEFINED, deep] {
            assert!(json_dumps(&value, &JsonStyle::default()).is_err());
        }
    }
}
