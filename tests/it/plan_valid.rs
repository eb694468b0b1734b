//! Each manifest in `fixtures/manifests/valid` plans; the plan is a snapshot. Its ids are golden: they change only with
//! the encoding of plans.

use std::fmt::Write as _;
use std::fs;

use crate::manifest_invalid::fixtures;
use crate::manifest_kinds::{KINDS, digest, plan_in, project, rendered};
use pipe::artifact::Content;
use pipe::digest::Digest;
use pipe::manifest;
use pipe::plan::{Origin, Plan, Planner, StageId};
use pipe::surroundings::Bare;

fn names(plan: &Plan, ids: &[StageId]) -> String {
    ids.iter().map(|id| plan.stage(*id).name.to_string()).collect::<Vec<_>>().join(" ")
}

fn shown(plan: &Plan) -> String {
    let mut text = format!("{} on {}\nplan {}\n", plan.name(), plan.device().backend, plan.id());
    for id in plan.order() {
        let stage = plan.stage(*id);
        let _ = writeln!(text, "\n{}: {} (node {})", stage.name, stage.stage.kind(), stage.node.short());
        let _ = writeln!(text, "  with {}", stage.config.all);
        for edges in &stage.inputs {
            for ((origin, label), kind) in edges.origins.iter().zip(&edges.labels).zip(&edges.kinds) {
                let from = match origin {
                    Origin::Input { source, content, .. } => format!("{source} {}", content.digest().short()),
                    Origin::Output { stage, slot } => format!("stage {} slot {slot}", stage.index()),
                };
                let _ = writeln!(text, "  in {} ← {label}: {kind} ({from})", edges.port.name);
            }
        }
        let _ = writeln!(
            text,
            "  after [{}] before [{}]",
            names(plan, plan.upstream(*id)),
            names(plan, plan.downstream(*id))
        );
    }
    for export in plan.exports() {
        let stage = &plan.stage(export.stage).name;
        let _ =
            writeln!(text, "\nexport {} ← {stage}.{} ({}, {:?})", export.path, export.slot, export.kind, export.when);
    }
    text
}

fn planned(text: &str) -> Plan {
    let project = project();
    plan_in(project.path(), "m.yaml", text.as_bytes(), &[]).unwrap_or_else(|errors| panic!("{}", rendered(&errors)))
}

fn fixture(name: &str) -> String {
    let found = fixtures("valid").into_iter().find(|(file, _)| file == name).expect("a fixture");
    fs::read_to_string(found.1).expect("fixture")
}

#[test]
fn every_valid_manifest_plans_as_its_snapshot_says() {
    let project = project();
    for (name, path) in fixtures("valid") {
        let plan = plan_in(project.path(), &name, &fs::read(path).expect("fixture"), &[]);
        let plan = plan.unwrap_or_else(|errors| panic!("{}", rendered(&errors)));
        insta::with_settings!({
            snapshot_path => "../fixtures/manifests/snapshots",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!(format!("valid-{}", name.trim_end_matches(".yaml")), shown(&plan)) });
    }
}

#[test]
fn an_overridden_param_reaches_the_settings_and_the_id() {
    let project = project();
    let text = fixture("design.yaml");
    let plan = |overrides: &[&str]| {
        let overrides: Vec<_> = overrides.iter().map(|text| text.parse().expect("name=value")).collect();
        plan_in(project.path(), "m.yaml", text.as_bytes(), &overrides)
            .unwrap_or_else(|errors| panic!("{}", rendered(&errors)))
    };
    let changed = plan(&["lr=1"]);
    let train = changed.stage(changed.find("train").expect("train"));
    assert_eq!(train.config.all["learning_rate"], serde_json::json!(1.0));
    assert_ne!(plan(&[]).id(), changed.id());
    assert_eq!(plan(&[]).id(), plan(&["lr=2e-4", "epochs=3"]).id(), "the same value is the same plan");
}

#[test]
fn the_starter_manifest_plans_as_it_is() {
    let project = project();
    fs::copy(project.path().join("data/raw.jsonl"), project.path().join("data/train.jsonl")).expect("copy");
    let plan = plan_in(project.path(), "starter.yaml", manifest::STARTER.as_bytes(), &[]);
    assert!(plan.is_ok(), "{}", rendered(&plan.err().unwrap_or_default()));
}

#[test]
fn a_selection_has_the_stages_and_all_they_need() {
    let plan = planned(&fixture("design.yaml"));
    let part = plan.select(&["merge"]).unwrap_or_else(|errors| panic!("{}", rendered(&errors)));
    assert_eq!(names(&part, part.order()), "clean render-prompts train merge");
    let inputs: Vec<&str> = part.inputs().map(|input| input.name.as_str()).collect();
    assert_eq!(inputs, ["raw", "algebra", "exam", "base"]);
    assert_eq!(part.exports().len(), 2);
    assert_ne!(part.id(), plan.id());
    for id in part.order() {
        let stage = part.stage(*id);
        assert_eq!(stage.node, plan.stage(plan.find(stage.name.as_str()).expect("same name")).node);
    }
    let base = plan.select(&["eval-base"]).unwrap_or_else(|errors| panic!("{}", rendered(&errors)));
    assert_eq!(names(&base, base.order()), "eval-base");
    assert_eq!(base.inputs().map(|input| input.name.to_string()).collect::<Vec<_>>(), ["exam", "base"]);
    assert!(base.exports().is_empty());
    assert!(base.downstream(base.order()[0]).is_empty(), "the gate is not selected");
    let everything = plan.select(&["gate"]).unwrap_or_else(|errors| panic!("{}", rendered(&errors)));
    assert_eq!(everything.id(), plan.id());
}

#[test]
fn a_selection_numbers_its_stages_anew() {
    let plan = planned(
        "version: 1\nname: numbers\ninputs: { raw: data/raw.jsonl, base: models/base }\nstages:\n  \
         first: { uses: clean, in: { sources: raw } }\n  second: { uses: clean, in: { sources: [raw, raw] } }\n  \
         late: { uses: render-prompts, in: { records: second.records, model: base }, with: { max_seq_len: 8 } }\n\
         exports: { outputs/prompts: late.prompts }\n",
    );
    let part = plan.select(&["late"]).unwrap_or_else(|errors| panic!("{}", rendered(&errors)));
    let late = part.find("late").expect("selected");
    assert_eq!(names(&part, part.order()), "second late");
    assert_eq!(names(&part, part.upstream(late)), "second");
    let Origin::Output { stage, .. } = part.stage(late).inputs[0].origins[0] else { panic!("an output") };
    assert_eq!(part.stage(stage).name.as_str(), "second");
    assert_eq!(part.exports()[0].stage, late);
}

#[test]
fn selecting_unknown_stages_names_the_nearest_of_each() {
    let plan = planned(&fixture("design.yaml"));
    let errors = plan.select(&["trian", "eval", "zzz"]).err().expect("refused");
    let helps: Vec<&str> = errors.iter().filter_map(|error| error.help.as_deref()).collect();
    assert_eq!(helps.len(), 2);
    assert_eq!(helps[0], "did you mean `train`?");
    assert!(helps[1].starts_with("the stages are clean, render-prompts"), "{}", helps[1]);
}

#[test]
fn a_recorded_plan_has_the_same_id_and_reads_no_file() {
    let text = fixture("design.yaml");
    let plan = planned(&text);
    let recorded: Vec<(String, Content)> = plan.inputs().map(|input| (input.name.to_string(), input.content)).collect();
    let recorded: Vec<(&str, Content)> = recorded.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    let manifest = manifest::read("m.yaml", text.as_bytes(), &[]).expect("readable");
    let again = Planner::plan_recorded(&KINDS, &manifest, &recorded, &Bare)
        .unwrap_or_else(|errors| panic!("{}", rendered(&errors)));
    assert_eq!(again.id(), plan.id());
    let errors = Planner::plan_recorded(&KINDS, &manifest, &recorded[1..], &Bare).err().expect("refused");
    assert_eq!(errors[0].message, "the record has no input `raw`");
}

#[test]
fn inputs_are_hashed_once_each_and_only_when_nothing_is_wrong() {
    let project = project();
    let count = |text: &str| {
        let hashed = std::cell::RefCell::new(Vec::new());
        let manifest = manifest::read("m.yaml", text.as_bytes(), &[]).expect("readable");
        let digest = |path: &std::path::Path| {
            hashed.borrow_mut().push(path.display().to_string());
            digest(project.path(), path)
        };
        let ok = Planner {
            kinds: &KINDS,
            project: project.path(),
            fetched: &|_| None,
            pinned: &|_| None,
            digest: &digest,
            machine: &Bare,
        }
        .plan(&manifest)
        .is_ok();
        (ok, hashed.into_inner())
    };
    let text = fixture("order.yaml");
    assert_eq!(count(&text), (true, vec!["data/raw.jsonl".into(), "data/exam.jsonl".into(), "models/base".into()]));
    assert_eq!(count(&text.replace("max_seq_len: 8", "max_seq_len: x")), (false, vec![]));
}

#[test]
fn an_input_that_cannot_be_read_is_a_diagnostic() {
    let project = project();
    let manifest = manifest::read("m.yaml", fixture("order.yaml").as_bytes(), &[]).expect("readable");
    let digest = |path: &std::path::Path| {
        let readable = path.ends_with("base").then(|| Content::Tree(Digest::of(b"")));
        readable.ok_or_else(|| std::io::Error::other("no permission"))
    };
    let errors = Planner {
        kinds: &KINDS,
        project: project.path(),
        fetched: &|_| None,
        pinned: &|_| None,
        digest: &digest,
        machine: &Bare,
    }
    .plan(&manifest)
    .err()
    .expect("refused");
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the input `one` is `data/raw.jsonl`, which can't be read: no permission",
            "the input `two` is `data/exam.jsonl`, which can't be read: no permission",
        ]
    );
}
