//! What changes a plan's id, and what does not.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::manifest_kinds::{plan_in, project, rendered};
use pipe::artifact::{ArtifactKind, InputPort, OutputPort};
use pipe::digest::PlanId;
use pipe::manifest;
use pipe::plan::Planner;
use pipe::stage::{Numerics, Outcome, Stage, StageContext, StageError, StageKind};
use pipe::stage_config::Kind;
use pipe::surroundings::Bare;

fn manifest() -> Value {
    json!({
        "version": 1, "name": "laws", "seed": 3, "params": { "lr": 0.001 },
        "inputs": { "raw": "data/raw.jsonl", "exam": "data/exam.jsonl", "base": "models/base" },
        "stages": {
            "clean": { "in": { "sources": ["raw", "exam"] }, "with": { "on_invalid": "reject", "dedupe": "exact" } },
            "render-prompts": { "in": { "records": "clean.records", "model": "base" }, "with": { "max_seq_len": 64 } },
            "train": {
                "in": { "model": "base", "prompts": "render-prompts.prompts" },
                "with": { "lora_r": 8, "learning_rate": "${params.lr}", "packing": false, "target_modules": ["q_proj"], "logging_steps": 1 },
            },
            "merge": { "in": { "model": "base", "adapter": "train.adapter" } },
            "eval": { "in": { "model": "merge.model", "data": "exam" }, "with": { "metrics": ["exact"], "max_new_tokens": 4 } },
            "gate": { "in": { "reports": "eval.report" }, "with": { "rules": [{ "metric": "exact", "min": 0.5 }] } },
        },
    })
}

fn id_of(text: &str) -> PlanId {
    let project = project();
    let plan = plan_in(project.path(), "m.yaml", text.as_bytes(), &[]);
    plan.unwrap_or_else(|errors| panic!("{}\n{text}", rendered(&errors))).id()
}

/// Writes YAML with its keys in some order and with comments; `choices` is used up in turn.
fn write(value: &Value, choices: &mut dyn FnMut() -> usize, out: &mut String) {
    let pad = |choices: &mut dyn FnMut() -> usize, out: &mut String| {
        out.push_str([" ", "\n", " # a comment: { [ \"\n", "\n\n\n# é\n ", "   "][choices() % 5]);
    };
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<(&String, &Value)> = entries.iter().collect();
            out.push('{');
            while !entries.is_empty() {
                let (key, value) = entries.remove(choices() % entries.len());
                pad(choices, out);
                out.push_str(&[key.clone(), format!("\"{key}\""), format!("'{key}'")][choices() % 3]);
                out.push_str(": ");
                write(value, choices, out);
                out.push(',');
            }
            pad(choices, out);
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                pad(choices, out);
                write(item, choices, out);
                out.push(',');
            }
            pad(choices, out);
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Renames stages and inputs, in their entries and wherever an edge refers to them.
fn rename(value: &mut Value, suffix: &str) {
    let renamed = |map: &Value| -> Map<String, Value> {
        map.as_object().expect("map").iter().map(|(name, value)| (format!("{name}{suffix}"), value.clone())).collect()
    };
    value["inputs"] = Value::Object(renamed(&value["inputs"]));
    let mut stages = renamed(&value["stages"]);
    for (name, stage) in &mut stages {
        stage["uses"] = json!(name.strip_suffix(suffix));
        for port in stage["in"].as_object_mut().expect("ports").values_mut() {
            let edges: &mut [Value] = match port {
                Value::Array(edges) => edges,
                one => std::slice::from_mut(one),
            };
            for edge in edges {
                let text = edge.as_str().expect("edge");
                *edge = match text.split_once('.') {
                    Some((stage, slot)) => json!(format!("{stage}{suffix}.{slot}")),
                    None => json!(format!("{text}{suffix}")),
                };
            }
        }
    }
    value["stages"] = Value::Object(stages);
    value["name"] = json!(format!("laws{suffix}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn comments_key_order_and_renames_keep_the_id(choices in prop::collection::vec(any::<u16>(), 1..300), suffix in "-[a-z]{1,8}") {
        let mut value = manifest();
        rename(&mut value, &suffix);
        let mut next = choices.iter().cycle();
        let mut text = String::new();
        write(&value, &mut || usize::from(*next.next().expect("a cycle")), &mut text);
        prop_assert_eq!(id_of(&text), id_of(&manifest().to_string()));
    }

    #[test]
    fn another_number_in_a_setting_is_another_id(one in 1_u32..5_000, other in 1_u32..5_000, rate in 1e-9..1.0, faster in 1e-9..1.0) {
        let with = |rank: u32, rate: f64| {
            let mut value = manifest();
            value["stages"]["train"]["with"]["lora_r"] = json!(rank);
            value["params"]["lr"] = json!(rate);
            id_of(&value.to_string())
        };
        prop_assert_eq!(with(one, rate) == with(other, rate), one == other);
        prop_assert_eq!(with(one, rate) == with(one, faster), rate.to_bits() == faster.to_bits());
    }
}

#[test]
fn each_ingredient_changed_alone_gives_another_id() {
    let base = manifest();
    let mut ids = HashSet::from([id_of(&base.to_string())]);
    let changes: &[(&str, Value)] = &[
        ("/seed", json!(4)),
        ("/params/lr", json!(0.002)),
        ("/stages/clean/with/on_invalid", json!("fail")),
        ("/stages/clean/with/dedupe", json!(null)),
        ("/stages/clean/in/sources", json!(["exam", "raw"])),
        ("/stages/clean/in/sources", json!(["raw"])),
        ("/stages/render-prompts/with/max_seq_len", json!(65)),
        ("/stages/train/with/lora_r", json!(9)),
        ("/stages/train/with/packing", json!(true)),
        ("/stages/train/with/target_modules", json!(["q_proj", "v_proj"])),
        ("/stages/merge/in/model", json!("merge-first.model")),
        ("/stages/eval/in/model", json!("base")),
        ("/stages/eval/in/data", json!("raw")),
        ("/stages/eval/with/metrics", json!([])),
        ("/stages/gate/with/rules/0/min", json!(0.25)),
        ("/stages/gate/with/rules/0/min", json!(null)),
    ];
    for (path, new) in changes {
        let mut value = base.clone();
        if *new == json!("merge-first.model") {
            value["stages"]["merge-first"] =
                json!({ "uses": "merge", "in": { "model": "base", "adapter": "train.adapter" } });
        }
        *value.pointer_mut(path).expect("a path of the manifest") = new.clone();
        assert!(ids.insert(id_of(&value.to_string())), "{path} = {new}");
    }
    let mut ndarray = base.clone();
    ndarray["backend"] = json!("ndarray");
    assert!(ids.insert(id_of(&ndarray.to_string())), "the backend of model stages");
    let mut without = base.clone();
    without["stages"].as_object_mut().expect("stages").remove("gate");
    assert!(ids.insert(id_of(&without.to_string())), "one stage less");
}

#[test]
fn what_decides_no_output_is_not_in_the_id() {
    let base = manifest();
    let id = id_of(&base.to_string());
    let mut value = base.clone();
    value["stages"]["train"]["with"]["logging_steps"] = json!(77);
    assert_eq!(id_of(&value.to_string()), id, "an unkeyed setting");
    value["stages"]["train"]["with"]["max_seq_len"] = json!(512);
    assert_eq!(id_of(&value.to_string()), id, "a default written out");
    value["exports"] = json!({ "outputs/x": "train.adapter" });
    assert_eq!(id_of(&value.to_string()), id, "an export");
    value["inputs"]["raw"] = json!("data/inside.jsonl");
    assert_eq!(id_of(&value.to_string()), id, "another path to the same bytes");
    value["stages"]["train-again"] = value["stages"]["train"].clone();
    value["stages"]["train-again"]["uses"] = json!("train");
    assert_eq!(id_of(&value.to_string()), id, "the same action under another name");
}

#[test]
fn the_contents_of_inputs_are_in_the_id_and_swapping_them_changes_it() {
    let project = project();
    let text = manifest().to_string();
    let id = || {
        let plan = plan_in(project.path(), "m.yaml", text.as_bytes(), &[]);
        plan.unwrap_or_else(|errors| panic!("{}", rendered(&errors))).id()
    };
    let before = id();
    let (raw, exam) = (project.path().join("data/raw.jsonl"), project.path().join("data/exam.jsonl"));
    let (raw_bytes, exam_bytes) = (fs::read(&raw).expect("raw"), fs::read(&exam).expect("exam"));
    fs::write(&raw, &exam_bytes).expect("write");
    fs::write(&exam, &raw_bytes).expect("write");
    let swapped = id();
    assert_ne!(swapped, before);
    fs::write(&raw, &raw_bytes).expect("write");
    fs::write(&exam, &exam_bytes).expect("write");
    assert_eq!(id(), before);
    fs::write(project.path().join("models/base/config.json"), "other").expect("write");
    assert_ne!(id(), before);
}

/// The same stage kind before and after its author bumped the epoch.
struct Source<const EPOCH: u32>;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<const EPOCH: u32> StageKind for Source<EPOCH> {
    type Config = Nothing;
    const NAME: &'static str = "source";
    const ABOUT: &'static str = "Makes records of nothing.";
    const EPOCH: u32 = EPOCH;
    const INPUTS: &'static [InputPort] = &[];
    const OUTPUTS: &'static [OutputPort] =
        &[OutputPort { name: Cow::Borrowed("records"), kind: ArtifactKind::Records, about: "What it makes." }];
    const NUMERICS: Numerics = Numerics::Exact;

    fn run(_: &Nothing, _: &StageContext<'_>) -> Result<Outcome, StageError> {
        Ok(Outcome::default())
    }
}

#[test]
fn another_epoch_is_another_id_and_exact_stages_do_not_mind_the_backend() {
    static ONE: Kind<Source<1>> = Kind::new();
    static TWO: Kind<Source<2>> = Kind::new();
    let id = |kind: &'static dyn Stage, backend: &str| {
        let text = format!("{{version: 1, name: epochs, backend: {backend}, stages: {{source: {{}}}}}}");
        let manifest = manifest::read("m.yaml", text.as_bytes(), &[]).expect("readable");
        let never = |_: &std::path::Path| -> std::io::Result<_> { panic!("there is no input") };
        let plan = Planner {
            kinds: &[kind],
            project: std::path::Path::new("."),
            fetched: &|_| None,
            pinned: &|_| None,
            digest: &never,
            machine: &Bare,
        }
        .plan(&manifest);
        plan.unwrap_or_else(|errors| panic!("{}", rendered(&errors))).id()
    };
    assert_ne!(id(&ONE, "flex"), id(&TWO, "flex"));
    assert_eq!(id(&ONE, "flex"), id(&ONE, "wgpu"));
    assert_eq!(id(&ONE, "cpu"), id(&ONE, "flex"));
}
