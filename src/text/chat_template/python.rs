//! Python's text forms of template values: `str`, `repr` and the shortest float form; and JSON as template values.
//!
//! Sources: CPython's `float.__repr__` and `unicode_repr`. Nesting is bounded.

use std::fmt::Write as _;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use serde_json::{Map, Value as Json};

/// How deep a value may nest before it is refused.
const MAX_DEPTH: usize = 200;

/// A JSON value as a template value.
pub(super) fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(value_of).collect(),
        Json::Object(fields) => object_of(fields),
    }
}

/// A JSON object as a template value, its keys in order.
pub(super) fn object_of(fields: &Map<String, Json>) -> Value {
    Value::from_pairs(fields.iter().map(|(name, value)| (name.as_str(), value_of(value))))
}

/// `str(value)`: what `{{ value }}` prints.
///
/// # Errors
/// Values nested too deep.
pub(super) fn str_of(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_owned()),
        _ => {
            let mut out = String::new();
            write_repr(&mut out, value, 0)?;
            Ok(out)
        }
    }
}

fn write_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    check_depth(depth)?;
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => write_number(out, value, FloatStyle::Repr),
        ValueKind::String => write_string_repr(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => write_list_repr(out, value, depth)?,
        ValueKind::Map => write_map_repr(out, value, depth)?,
        ValueKind::Invalid => return Err(invalid(value.to_string())),
        _ => push_format(out, format_args!("{value}")),
    }
    Ok(())
}

fn write_list_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    let tuple = value.is_tuple();
    out.push(if tuple { '(' } else { '[' });
    let mut count = 0;
    for item in value.try_iter()? {
        if count > 0 {
            out.push_str(", ");
        }
        write_repr(out, &item, depth + 1)?;
        count += 1;
    }
    out.push_str(match (tuple, count) {
        (true, 1) => ",)",
        (true, _) => ")",
        (false, _) => "]",
    });
    Ok(())
}

fn write_map_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    out.push('{');
    for (index, key) in value.try_iter()?.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, &key, depth + 1)?;
        out.push_str(": ");
        write_repr(out, &value.get_item(&key)?, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

/// Python prefers single quotes, and double ones only where that saves an escape.
fn write_string_repr(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter == quote => {
                out.push('\\');
                out.push(letter);
            }
            _ => write_printable(out, letter),
        }
    }
    out.push(quote);
}

fn write_printable(out: &mut String, letter: char) {
    let code = u32::from(letter);
    let printable = !letter.is_control() && (letter == ' ' || !letter.is_whitespace()) && !is_format_or_private(code);
    match code {
        _ if printable => out.push(letter),
        0..=0xff => push_format(out, format_args!("\\x{code:02x}")),
        0x100..=0xffff => push_format(out, format_args!("\\u{code:04x}")),
        _ => push_format(out, format_args!("\\U{code:08x}")),
    }
}

/// The common characters of the categories Cf and Co, which Python escapes as well.
fn is_format_or_private(code: u32) -> bool {
    matches!(code, 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e
        | 0x2060..=0x206f | 0xe000..=0xf8ff | 0xfeff | 0xfff0..=0xfffb | 0xe0000..=0xe0fff | 0xf_0000..=0x10_ffff)
}

/// How infinities and what is no number are spelled.
#[derive(Clone, Copy)]
pub(super) enum FloatStyle {
    Json,
    Repr,
}

pub(super) fn write_number(out: &mut String, value: &Value, style: FloatStyle) {
    if value.is_integer() {
        push_format(out, format_args!("{value}"));
        return;
    }
    let float = f64::try_from(value.clone()).unwrap_or(f64::NAN);
    match (style, float) {
        (FloatStyle::Json, _) if float.is_nan() => out.push_str("NaN"),
        (FloatStyle::Json, f64::INFINITY) => out.push_str("Infinity"),
        (FloatStyle::Json, f64::NEG_INFINITY) => out.push_str("-Infinity"),
        _ => out.push_str(&float_repr(float)),
    }
}

/// `repr(float)`: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
#[must_use]
pub(crate) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        if plain.contains('.') { plain } else { plain + ".0" }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

pub(super) fn check_depth(depth: usize) -> Result<(), Error> {
    if depth < MAX_DEPTH { Ok(()) } else { Err(invalid(format!("a value nests deeper than `{MAX_DEPTH}` levels"))) }
}

pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

pub(super) fn push_format(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a `String` has no way to fail.
    let _ = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn floats_are_the_shortest_that_read_back() {
        let cases = [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (-0.0, "-0.0"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
        ];
        for (value, expected) in cases {
            assert_eq!(float_repr(value), expected);
        }
    }

    #[test]
    fn repr_is_that_of_python() {
        let value = value_of(&json!({"a": null, "b": [true, "it's", "\"'", "\u{200b}\u{0}é"], "c": 2.5}));
        assert_eq!(
            str_of(&value).expect("printable"),
            "{'a': None, 'b': [True, \"it's\", '\"\\'', '\\u200b\\x00é'], 'c': 2.5}"
        );
    }

    #[test]
    fn a_value_nested_without_end_is_refused() {
        let mut value = Value::from(1);
        for _ in 0..=MAX_DEPTH {
            value = Value::from(vec![value]);
        }
        assert!(str_of(&value).is_err());
    }
}
