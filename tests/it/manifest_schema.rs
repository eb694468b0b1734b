//! The JSON Schema of manifests agrees with what is read.

use serde_json::{Value, json};

use crate::manifest_kinds::KINDS;
use pipe::manifest::schema;

/// Every `$ref` in a schema.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(entries) => {
            found.extend(entries.get("$ref").and_then(Value::as_str));
            entries.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_to_a_definition() {
    let schema = schema(&KINDS);
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        let name = reference.strip_prefix("#/$defs/").expect("a definition of this schema");
        assert!(schema["$defs"].get(name).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn each_kind_has_a_branch_with_its_ports_and_settings() {
    let schema = schema(&KINDS);
    for kind in KINDS.iter().filter(|kind| kind.kind() != "run") {
        let branch = &schema["$defs"][format!("stage-{}", kind.kind())];
        for port in kind.inputs() {
            assert!(
                branch["properties"]["in"]["properties"].get(&*port.name).is_some(),
                "{} {}",
                kind.kind(),
                port.name
            );
        }
        let own = kind.schema();
        let settings = own["properties"].as_object().map_or(0, serde_json::Map::len);
        let shown = branch["properties"]["with"]["properties"].as_object().map_or(0, serde_json::Map::len);
        assert_eq!(settings, shown, "{}", kind.kind());
    }
    let rendering = &schema["$defs"]["stage-render-prompts"];
    assert_eq!(rendering["required"], json!(["in", "with"]));
    let length = &rendering["properties"]["with"]["properties"]["max_seq_len"];
    assert_eq!(length["description"], json!("The longest prompt, in tokens."), "what editors show on hover");
    assert_eq!(length["anyOf"][1]["$ref"], json!("#/$defs/interpolation"), "any setting may be a param");
}

/// Asks Python's jsonschema, where there is one, about all fixtures.
#[test]
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn an_independent_validator_accepts_what_plans_and_refuses_what_it_can_see() {
    const SCRIPT: &str = "
import json, sys, jsonschema
task = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(task['schema'])
check = jsonschema.Draft202012Validator(task['schema'])
print(json.dumps([check.is_valid(manifest) for manifest in task['manifests']]))
";
    let available = std::process::Command::new("python3").args(["-c", "import jsonschema"]).output();
    if !available.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 with jsonschema is not here");
        return;
    }
    let example = json!({
        "version": 1, "name": "example", "params": { "lr": 0.1 }, "inputs": { "raw": "data/raw.jsonl" },
        "stages": {
            "clean": { "in": { "sources": ["raw"], "held_out": "raw" }, "with": { "on_invalid": "reject" } },
            "again": { "uses": "clean", "in": { "sources": "raw" } },
            "count": { "run": ["wc", "-l", 3], "in": { "rows": "raw", "more": ["raw", "a.b"] }, "out": { "lines": "records", "x": { "path": "y" }, "z": null },
                "env": { "A": null, "B": "text", "C": 3 }, "secrets": ["T"], "tools": ["sh"], "timeout-minutes": 0.5, "retry": 2 },
            "clear": { "run": ["wc"], "env": ["HOME"] },
            "train": { "in": { "model": "raw", "prompts": "r.prompts" }, "with": { "learning_rate": "${params.lr}", "target_modules": ["${params.lr}"] } },
        },
        "exports": { "x": "clean.records", "y": { "from": "train.adapter", "when": "always" } },
    });
    let mut expected = vec![true];
    let mut manifests = vec![example.clone()];
    let mistakes = [
        ("/version", json!(2)),
        ("/name", json!("Not Kebab")),
        ("/seed", json!("x")),
        ("/unknown", json!(1)),
        ("/inputs/raw", json!(3)),
        ("/stages/clean/in/sources", json!([])),
        ("/stages/clean/in/nothing", json!("raw")),
        ("/stages/clean/with/on_invalid", json!("maybe")),
        ("/stages/clean/with/nothing", json!(1)),
        ("/stages/again/uses", json!("polish")),
        ("/stages/again/with", json!({ "dedupe": 3 })),
        ("/stages/count/run", json!("wc -l")),
        ("/stages/count/run", json!([])),
        ("/stages/count/uses", json!("clean")),
        ("/stages/count/with", json!({})),
        ("/stages/count/out/lines", json!("recrods")),
        ("/stages/count/out/x", json!({ "place": "y" })),
        ("/stages/count/env", json!("HOME")),
        ("/stages/count/timeout-minutes", json!(0)),
        ("/stages/count/retry", json!("often")),
        ("/stages/clean/tools", json!(["wc"])),
        ("/stages/train/in", json!({ "model": "raw" })),
        ("/stages/train/in/model", json!(["raw", "raw"])),
        ("/stages/train/with/learning_rate", json!("fast")),
        ("/exports/x", json!("clean")),
        ("/exports/y/when", json!("never")),
    ];
    for (path, value) in mistakes {
        let (parent, key) = path.rsplit_once('/').expect("a path");
        let mut manifest = example.clone();
        manifest.pointer_mut(parent).expect("a parent")[key] = value;
        manifests.push(manifest);
        expected.push(false);
    }
    let task = json!({ "schema": schema(&KINDS), "manifests": manifests }).to_string();
    let mut child = std::process::Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3 starts");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), task.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let verdicts: Vec<bool> = serde_json::from_slice(&output.stdout).expect("verdicts");
    assert_eq!(verdicts, expected);
}
