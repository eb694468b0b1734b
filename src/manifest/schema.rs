//! The JSON Schema of a manifest, for editors: one branch per stage kind, with its ports and settings.
//!
//! Source: JSON Schema draft 2020-12. It describes what an editor can know; names, edges and files are checked by
//! the plan.

use serde_json::{Map, Value, json};

use super::{VERSION, command, policy};
use crate::artifact::{Arity, InputPort};
use crate::stage::Stage;

/// The schema of a manifest whose stages may be of these kinds.
#[must_use]
pub fn schema(kinds: &[&dyn Stage]) -> Value {
    let mut definitions = definitions();
    definitions.insert("stage".to_owned(), any_stage(kinds));
    for kind in kinds {
        add_kind(*kind, &mut definitions);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A pipe manifest",
        "description": "What `pipe run` turns into a fine-tuned, evaluated and gated model.",
        "type": "object",
        "required": ["version", "name", "stages"],
        "additionalProperties": false,
        "properties": {
            "version": { "description": "The version of the grammar.", "const": VERSION },
            "name": { "description": "The manifest's name, in kebab-case.", "$ref": "#/$defs/kebab-name" },
            "seed": {
                "description": "The seed of every stage that has one and sets none.",
                "type": "integer", "minimum": 0, "default": 0,
            },
            "backend": {
                "description": "Where model work runs; `cpu` is `flex`.",
                "enum": ["cpu", "flex", "ndarray", "wgpu"], "default": "flex",
            },
            "params": {
                "description": "Values that settings use as `${params.<name>}`; `-p name=value` overrides them.",
                "type": "object", "propertyNames": { "$ref": "#/$defs/name" },
            },
            "inputs": {
                "description": "The doors to the outside: a name for each file or folder of the project.",
                "type": "object", "propertyNames": { "$ref": "#/$defs/name" },
                "additionalProperties": { "type": "string", "minLength": 1 },
            },
            "stages": stages(kinds),
            "exports": {
                "description": "Paths in the project, each with the output that is placed there after a run.",
                "type": "object", "additionalProperties": { "$ref": "#/$defs/export" },
            },
        },
        "$defs": definitions,
    })
}

fn definitions() -> Map<String, Value> {
    let definitions = json!({
        "name": { "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$" },
        "kebab-name": { "type": "string", "pattern": "^[a-z][a-z0-9-]{0,63}$" },
        "edge": {
            "description": "The name of an input, `stage.slot`, or cells of a stage: `stage[axis=value].slot`, `stage[*].slot`.",
            "type": "string", "pattern": "^[a-z][a-z0-9_-]*((\\[.+\\])?\\.[a-z][a-z0-9_-]*)?$",
        },
        "output": {
            "description": "`stage.slot`, or of one cell `stage[axis=value].slot`.",
            "type": "string", "pattern": "^[a-z][a-z0-9_-]*(\\[.+\\])?\\.[a-z][a-z0-9_-]*$",
        },
        "interpolation": {
            "description": "A param, `${params.<name>}`, or the cell's value of an axis, `${matrix.<axis>}`.", "type": "string", "pattern": "\\$\\{",
        },
        "axis-value": { "type": ["number", "string", "boolean"] },
        "partial-cell": {
            "type": "object", "propertyNames": { "$ref": "#/$defs/name" },
            "additionalProperties": { "$ref": "#/$defs/axis-value" },
        },
        "matrix": {
            "description": "One cell of the stage for each combination of the axes' values; settings use `${matrix.<axis>}`.",
            "type": "object", "propertyNames": { "$ref": "#/$defs/name" },
            "properties": {
                "exclude": {
                    "description": "Combinations to leave out; an entry may name some of the axes.",
                    "type": "array", "maxItems": 1000, "items": { "$ref": "#/$defs/partial-cell" },
                },
                "include": {
                    "description": "Values added to the cells they fit, or else cells added.",
                    "type": "array", "maxItems": 1000, "items": { "$ref": "#/$defs/partial-cell" },
                },
            },
            "additionalProperties": {
                "description": "An axis with its values.", "type": "array", "minItems": 1,
                "items": { "$ref": "#/$defs/axis-value" },
            },
        },
        "timeout-minutes": {
            "description": "How long one attempt may take; a stage that takes longer is stopped and has failed.",
            "type": "number", "exclusiveMinimum": 0, "maximum": policy::MOST_MINUTES,
        },
        "retry": {
            "description": "How often it is tried again after a failure that may be a passing one.",
            "type": "integer", "minimum": 0, "maximum": policy::MOST_RETRIES, "default": 0,
        },
        "export": {
            "anyOf": [
                { "$ref": "#/$defs/output" },
                {
                    "type": "object", "required": ["from"], "additionalProperties": false,
                    "properties": {
                        "from": { "$ref": "#/$defs/output" },
                        "when": {
                            "description": "Place it when every gate passed, or always.",
                            "enum": ["passed", "always"], "default": "passed",
                        },
                    },
                },
            ],
        },
    });
    match definitions {
        Value::Object(definitions) => definitions,
        _ => Map::new(),
    }
}

/// A stage named like a kind is of that kind unless `uses` says otherwise; any other stage needs `uses`.
fn stages(kinds: &[&dyn Stage]) -> Value {
    let own = |kind: &&dyn Stage| {
        let branch = json!({
            "if": { "anyOf": [{ "required": ["uses"] }, { "required": [command::KIND] }] },
            "then": { "$ref": "#/$defs/stage" },
            "else": { "$ref": definition_ref(kind.kind()) },
        });
        (kind.kind().to_owned(), branch)
    };
    json!({
        "description": "The work: a name for each stage, its kind, its edges and its settings.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": { "$ref": "#/$defs/kebab-name" },
        "properties": kinds.iter().map(own).collect::<Map<_, _>>(),
        "additionalProperties": { "$ref": "#/$defs/stage" },
    })
}

/// A stage whose `uses` chooses the branch.
fn any_stage(kinds: &[&dyn Stage]) -> Value {
    let branch = |kind: &&dyn Stage| {
        json!({
            "if": { "properties": { "uses": { "const": kind.kind() } }, "required": ["uses"] },
            "then": { "$ref": definition_ref(kind.kind()) },
        })
    };
    let runs = kinds.iter().any(|kind| kind.kind() == command::KIND);
    let used = || kinds.iter().filter(|kind| kind.kind() != command::KIND);
    let name = |kind: &&dyn Stage| json!({ "const": kind.kind(), "description": kind.about() });
    let kind = json!({
        "type": "object",
        "required": ["uses"],
        "properties": {
            "uses": {
                "description": "The stage kind; the stage's name unless given.",
                "anyOf": used().map(name).collect::<Vec<_>>(),
            },
        },
        "allOf": used().map(branch).collect::<Vec<_>>(),
    });
    if !runs {
        return kind;
    }
    json!({ "if": { "required": [command::KIND] }, "then": { "$ref": definition_ref(command::KIND) }, "else": kind })
}

fn definition_ref(kind: &str) -> String {
    format!("#/$defs/stage-{kind}")
}

fn add_kind(kind: &dyn Stage, definitions: &mut Map<String, Value>) {
    let name = kind.kind();
    let mut with = kind.schema();
    if let Some(with) = with.as_object_mut() {
        with.remove("$schema");
        with.remove("title");
        let own = with.remove("$defs");
        for (inner, mut definition) in own.into_iter().filter_map(into_object).flatten() {
            adapt(&mut definition, name);
            definitions.insert(format!("{name}.{inner}"), definition);
        }
    }
    adapt(&mut with, name);
    let needs_settings = with["required"].as_array().is_some_and(|required| !required.is_empty());
    let ports: Map<String, Value> =
        kind.inputs().iter().map(|port| (port.name.to_string(), port_schema(port))).collect();
    let needed: Vec<&str> = kind.inputs().iter().filter(|port| is_needed(port)).map(|port| &*port.name).collect();
    let mut required = Vec::new();
    if !needed.is_empty() {
        required.push("in");
    }
    if needs_settings {
        required.push("with");
    }
    if name == command::KIND {
        definitions.insert(format!("stage-{name}"), command_schema(kind.about(), &with));
        return;
    }
    let stage = json!({
        "description": format!("{} Outputs: {}.", kind.about(), outputs(kind)),
        "type": "object",
        "required": required,
        "additionalProperties": false,
        "properties": {
            "uses": { "description": "The stage kind; the stage's name unless given.", "const": name },
            "in": {
                "description": "The edges: port to the inputs or outputs it reads.",
                "type": "object", "required": needed, "additionalProperties": false, "properties": ports,
            },
            "with": with,
            "timeout-minutes": { "$ref": "#/$defs/timeout-minutes" },
            "retry": { "$ref": "#/$defs/retry" },
            "matrix": { "$ref": "#/$defs/matrix" },
            "max-parallel": {
                "description": "How many cells of the stage may run at once.", "type": "integer", "minimum": 1,
            },
        },
    });
    definitions.insert(format!("stage-{name}"), stage);
}

/// A stage with `run`: its settings stand in the stage itself, and it names its own ports.
fn command_schema(about: &str, settings: &Value) -> Value {
    let mut properties = settings["properties"].as_object().cloned().unwrap_or_default();
    let edges = json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/edge" } });
    let ports = json!({
        "description": "The edges: names of your own, each with the inputs or outputs that the command reads there.",
        "type": "object", "propertyNames": { "$ref": "#/$defs/name" },
        "additionalProperties": { "anyOf": [{ "$ref": "#/$defs/edge" }, edges] },
    });
    properties.insert("in".to_owned(), ports);
    for policy in ["timeout-minutes", "retry"] {
        properties.insert(policy.to_owned(), json!({ "$ref": format!("#/$defs/{policy}") }));
    }
    json!({
        "description": about,
        "type": "object",
        "required": [command::KIND],
        "additionalProperties": false,
        "properties": properties,
    })
}

fn outputs(kind: &dyn Stage) -> String {
    let slot = |port: &crate::artifact::OutputPort| format!("`{}` ({})", port.name, port.kind);
    match kind.outputs() {
        [] => "none".to_owned(),
        ports => ports.iter().map(slot).collect::<Vec<_>>().join(", "),
    }
}

fn is_needed(port: &InputPort) -> bool {
    matches!(port.arity, Arity::One | Arity::Many)
}

fn port_schema(port: &InputPort) -> Value {
    let kinds: Vec<&str> = port.accepts.iter().map(|kind| kind.name()).collect();
    let mut list = json!({ "type": "array", "items": { "$ref": "#/$defs/edge" } });
    match port.arity {
        Arity::One => (list["minItems"], list["maxItems"]) = (json!(1), json!(1)),
        Arity::Optional => list["maxItems"] = json!(1),
        Arity::Many => list["minItems"] = json!(1),
        Arity::Any => {}
    }
    json!({
        "description": format!("{} Takes {}.", port.about, kinds.join(" or ")),
        "anyOf": [{ "$ref": "#/$defs/edge" }, list],
    })
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(entries) => Some(entries),
        _ => None,
    }
}

/// Makes a kind's own schema part of the whole: its definitions get the kind's name before theirs, and every setting
/// may also be a `${…}`.
fn adapt(schema: &mut Value, kind: &str) {
    match schema {
        Value::Object(entries) => {
            if let Some(Value::String(reference)) = entries.get_mut("$ref")
                && let Some(inner) = reference.strip_prefix("#/$defs/")
            {
                *reference = format!("#/$defs/{kind}.{inner}");
            }
            for (key, value) in entries.iter_mut() {
                adapt(value, kind);
                match (key.as_str(), value) {
                    ("properties", Value::Object(properties)) => properties.values_mut().for_each(or_interpolation),
                    ("items" | "additionalProperties", value @ Value::Object(_)) => or_interpolation(value),
                    _ => {}
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| adapt(item, kind)),
        _ => {}
    }
}

fn or_interpolation(schema: &mut Value) {
    let mut own = std::mem::take(schema);
    let mut outer = Map::new();
    if let Value::Object(own) = &mut own {
        for shown in ["title", "description", "default"] {
            if let Some(value) = own.shift_remove(shown) {
                outer.insert(shown.to_owned(), value);
            }
        }
    }
    outer.insert("anyOf".to_owned(), json!([own, { "$ref": "#/$defs/interpolation" }]));
    *schema = Value::Object(outer);
}
