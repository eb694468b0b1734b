//! The arguments of a tool: JSON Schema kept as it is, or the shorthand of the source made into JSON Schema.
//!
//! The shorthand is `{"query": "str", "top_k?": "int", "filters": {"year": "int?"}, "ids": "list[str]"}`. A `?` behind
//! the name or the type makes an argument optional. `{}` and a missing schema describe nothing: an open object, counted.

use std::borrow::Cow;

use crate::diagnostic::nearest;
use crate::text::jsonl::{Kind, Text, Value};

use super::fields::Fields;
use super::problem::Path;

/// What an open object looks like.
const OPEN: &[u8] = br#"{"type":"object","properties":{}}"#;

/// How deep a shorthand may nest: each level becomes two of JSON Schema.
const MAX_SHORTHAND_DEPTH: usize = 8;

/// The names of types, each with its JSON Schema.
const TYPES: [(&str, &str); 19] = [
    ("str", "string"),
    ("string", "string"),
    ("text", "string"),
    ("int", "integer"),
    ("integer", "integer"),
    ("float", "number"),
    ("number", "number"),
    ("double", "number"),
    ("bool", "boolean"),
    ("boolean", "boolean"),
    ("list", "array"),
    ("array", "array"),
    ("tuple", "array"),
    ("object", "object"),
    ("dict", "object"),
    ("map", "object"),
    ("null", "null"),
    ("none", "null"),
    ("any", ""),
];

/// Writes the JSON Schema of a tool's arguments.
pub(super) fn write_parameters(schema: Option<Value<'_>>, path: &Path<'_>, out: &mut Vec<u8>, fields: &mut Fields<'_>) {
    let Some(schema) = schema.filter(|schema| !schema.is_null()) else {
        fields.problems.open_schemas += 1;
        return out.extend_from_slice(OPEN);
    };
    let Some(schema) = fields.kind(schema, Some(schema), path, Kind::Object) else { return };
    if is_json_schema(schema) {
        return schema.push_canonical(out);
    }
    if schema.entries().next().is_none() {
        fields.problems.open_schemas += 1;
    }
    write_shorthand(schema, path, 0, out, fields);
}

/// Whether an object is JSON Schema of an object, rather than argument names with types.
fn is_json_schema(schema: Value<'_>) -> bool {
    schema.entries().any(|(key, value)| {
        (key.is("type") && value.text().is_some_and(|text| text.is("object")))
            || (key.is("properties") && value.kind() == Kind::Object)
            || ["$schema", "$ref", "anyOf", "oneOf", "allOf"].iter().any(|word| key.is(word))
    })
}

fn write_shorthand(schema: Value<'_>, path: &Path<'_>, depth: usize, out: &mut Vec<u8>, fields: &mut Fields<'_>) {
    if depth > MAX_SHORTHAND_DEPTH {
        let message = format!("shorthand nests deeper than {MAX_SHORTHAND_DEPTH} levels; expected JSON Schema here");
        return fields.problems.push(schema.offset(), "data::bad_schema", path, message);
    }
    out.extend_from_slice(br#"{"type":"object","properties":{"#);
    let mut required = Vec::new();
    for (index, (key, value)) in schema.entries().enumerate() {
        let name = key.unescape();
        let (name, key_optional) = name.strip_suffix('?').map_or((&*name, false), |name| (name, true));
        let path = path.field(name);
        out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        crate::text::jsonl::push_escaped(name, out);
        out.extend_from_slice(b"\":");
        let type_optional = write_type(value, &path, depth, out, fields);
        if !(key_optional || type_optional) {
            required.extend_from_slice(if required.is_empty() { b"\"" } else { b",\"" });
            crate::text::jsonl::push_escaped(name, &mut required);
            required.push(b'"');
        }
    }
    out.push(b'}');
    if !required.is_empty() {
        out.extend_from_slice(b",\"required\":[");
        out.extend_from_slice(&required);
        out.push(b']');
    }
    out.push(b'}');
}

/// Writes the schema of one argument and says whether its type makes it optional.
fn write_type(value: Value<'_>, path: &Path<'_>, depth: usize, out: &mut Vec<u8>, fields: &mut Fields<'_>) -> bool {
    match value.kind() {
        Kind::Text(_) => write_named(value, path, out, fields),
        Kind::Object if value.get("type").and_then(Value::text).is_some_and(is_schema_type) => {
            value.push_canonical(out);
            false
        }
        Kind::Object if is_json_schema(value) || value.get("enum").is_some() => {
            value.push_canonical(out);
            false
        }
        Kind::Object => {
            write_shorthand(value, path, depth + 1, out, fields);
            false
        }
        Kind::Array if value.items().count() == 1 && depth < MAX_SHORTHAND_DEPTH => {
            out.extend_from_slice(br#"{"type":"array","items":"#);
            for item in value.items() {
                write_type(item, &path.item(0), depth + 1, out, fields);
            }
            out.push(b'}');
            false
        }
        _ => {
            fields.wrong_type(value, path, "the name of a type, an object or a list of one type");
            false
        }
    }
}

fn is_schema_type(text: Text<'_>) -> bool {
    ["string", "integer", "number", "boolean", "array", "object", "null"].iter().any(|name| text.is(name))
}

fn write_named(value: Value<'_>, path: &Path<'_>, out: &mut Vec<u8>, fields: &mut Fields<'_>) -> bool {
    let Some(text) = value.text() else { return false };
    let text = text.unescape();
    let name = text.trim();
    let (name, optional) = name.strip_suffix('?').map_or((name, false), |name| (name.trim_end(), true));
    let start = out.len();
    if !push_type(&lower_case(name), 0, out) {
        out.truncate(start);
        let lower = lower_case(name);
        let near = nearest(&lower, TYPES.iter().map(|(name, _)| *name));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let message = format!(
            "type is `{}`; expected `str`, `int`, `float`, `bool`, `list`, `list[str]`, `object`, `any`, with `?` when optional{hint}",
            crate::text::jsonl::cut(&text, 80)
        );
        fields.problems.push(value.offset(), "data::bad_schema", path, message);
    }
    optional
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii_lowercase()) { name.into() } else { name.to_lowercase().into() }
}

/// Writes the schema of a type's name; `list[…]` and `…[]` say what is in a list.
fn push_type(name: &str, depth: usize, out: &mut Vec<u8>) -> bool {
    if depth > MAX_SHORTHAND_DEPTH {
        return false;
    }
    let inner = name.strip_suffix("[]").or_else(|| {
        let open = name.strip_suffix(']')?;
        open.strip_prefix("list[").or_else(|| open.strip_prefix("array["))
    });
    if let Some(inner) = inner {
        out.extend_from_slice(br#"{"type":"array","items":"#);
        let known = push_type(inner.trim(), depth + 1, out);
        out.push(b'}');
        return known;
    }
    let Some((_, schema_type)) = TYPES.iter().find(|(known, _)| *known == name) else { return false };
    if schema_type.is_empty() {
        out.extend_from_slice(b"{}");
    } else {
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(schema_type.as_bytes());
        out.extend_from_slice(b"\"}");
    }
    true
}
