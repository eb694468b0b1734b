//! What the cells of a matrix are, who inherits them, and how they are addressed.

use crate::manifest_kinds::{plan_in, project, rendered};
use pipe::plan::{Plan, StageId};

/// A training with the given matrix, and stages behind it.
fn manifest(matrix: &str, rest: &str) -> String {
    format!(
        "version: 1\nname: cells\ninputs: {{ raw: data/raw.jsonl, exam: data/exam.jsonl, base: models/base }}\nstages:\n  \
         clean: {{ in: {{ sources: [raw] }} }}\n  \
         render-prompts: {{ in: {{ records: clean.records, model: base }}, with: {{ max_seq_len: 8 }} }}\n  \
         train:\n    matrix: {matrix}\n    in: {{ model: base, prompts: render-prompts.prompts }}\n    \
         with: {{ lora_r: \"${{matrix.r}}\", learning_rate: \"${{matrix.lr}}\" }}\n  \
         merge: {{ in: {{ model: base, adapter: train.adapter }} }}\n{rest}"
    )
}

const FOUR: &str = "{ r: [8, 16], lr: [0.1, 0.2] }";
const EVAL: &str =
    "  eval: { in: { model: merge.model, data: exam }, with: { metrics: [exact], max_new_tokens: 4 } }\n";
const EXAM: &str = "  plain: { uses: clean, in: { sources: [exam] } }\n";

fn plan(text: &str) -> Plan {
    let project = project();
    plan_in(project.path(), "m.yaml", text.as_bytes(), &[])
        .unwrap_or_else(|errors| panic!("{}\n{text}", rendered(&errors)))
}

fn refused(text: &str) -> String {
    let project = project();
    let errors = plan_in(project.path(), "m.yaml", text.as_bytes(), &[]).err().expect("refused");
    assert_eq!(errors.len(), 1, "{}", rendered(&errors));
    rendered(&errors)
}

fn names(plan: &Plan, ids: &[StageId]) -> Vec<String> {
    ids.iter().map(|id| plan.stage(*id).name.to_string()).collect()
}

fn cells_of(plan: &Plan, stage: &str) -> Vec<String> {
    names(plan, &plan.address(stage).unwrap_or_else(|error| panic!("{}", error.message)))
}

/// A training whose matrix is this one has these cells.
fn check_cells(matrix: &str, expected: &[&str]) {
    let plan = plan(&manifest(matrix, &format!("{EVAL}{EXAM}")));
    let expected: Vec<String> = expected.iter().map(|cell| format!("train[{cell}]")).collect();
    assert_eq!(cells_of(&plan, "train"), expected, "{matrix}");
}

#[test]
fn exclude_and_include_mean_what_they_mean_in_github_actions() {
    check_cells(FOUR, &["lr=0.1, r=8", "lr=0.2, r=8", "lr=0.1, r=16", "lr=0.2, r=16"]);
    check_cells(
        "{ r: [8, 16], lr: [0.1, 0.2], exclude: [{ r: 8, lr: 0.2 }] }",
        &["lr=0.1, r=8", "lr=0.1, r=16", "lr=0.2, r=16"],
    );
    check_cells("{ r: [8, 16], lr: [0.1, 0.2], exclude: [{ r: 8 }] }", &["lr=0.1, r=16", "lr=0.2, r=16"]);
    check_cells("{ r: [8], lr: [0.1], include: [{ r: 32, lr: 0.3 }] }", &["lr=0.1, r=8", "lr=0.3, r=32"]);
    check_cells("{ r: [8, 16], include: [{ lr: 0.5 }] }", &["lr=0.5, r=8", "lr=0.5, r=16"]);
    check_cells("{ r: [8, 16], include: [{ lr: 0.5 }, { r: 16, lr: 0.7 }] }", &["lr=0.5, r=8", "lr=0.7, r=16"]);
    check_cells("{ include: [{ r: 1, lr: 0.1 }, { r: 2, lr: 0.1 }] }", &["lr=0.1, r=1", "lr=0.1, r=2"]);
}

#[test]
fn each_cell_has_its_settings_with_their_types_and_reads_the_cell_that_matches() {
    let plan = plan(&manifest(FOUR, &format!("{EVAL}{EXAM}")));
    for id in plan.address("train").expect("cells") {
        let stage = plan.stage(id);
        assert!(stage.config.all["lora_r"].is_u64() && stage.config.all["learning_rate"].is_f64());
        assert_eq!(stage.name.cell().get("r").expect("axis").to_json(), stage.config.all["lora_r"]);
    }
    for stage in ["merge", "eval"] {
        assert_eq!(cells_of(&plan, stage).len(), 4, "{stage}");
    }
    for id in plan.address("merge").expect("cells") {
        let label = plan.stage(id).name.to_string().replace("merge", "train");
        assert_eq!(names(&plan, plan.upstream(id)), [label]);
    }
    assert_eq!(cells_of(&plan, "plain"), ["plain"]);
}

#[test]
fn a_star_fans_in_a_value_restricts_and_the_rest_is_inherited() {
    let gate = |reports: &str| {
        let gate = format!(
            "  gate: {{ in: {{ reports: \"{reports}\" }}, with: {{ rules: [{{ metric: exact, min: 0.5 }}] }} }}\n"
        );
        let plan = plan(&manifest(FOUR, &format!("{EVAL}{gate}{EXAM}")));
        plan.address("gate")
            .expect("gates")
            .iter()
            .map(|id| (plan.stage(*id).name.to_string(), names(&plan, plan.upstream(*id)).len()))
            .collect::<Vec<_>>()
    };
    let owned =
        |list: &[(&str, usize)]| list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect::<Vec<_>>();
    assert_eq!(gate("eval[*].report"), owned(&[("gate", 4)]));
    assert_eq!(gate("eval[lr=*].report"), owned(&[("gate[r=8]", 2), ("gate[r=16]", 2)]));
    assert_eq!(gate("eval[r=8].report"), owned(&[("gate[lr=0.1]", 1), ("gate[lr=0.2]", 1)]));
    assert_eq!(gate("eval[r=8, lr=*].report"), owned(&[("gate", 2)]));
    assert_eq!(gate("eval.report").len(), 4);
}

#[test]
fn a_label_means_the_same_in_any_order_and_a_part_of_one_means_all_that_match() {
    let plan = plan(&manifest(FOUR, &format!("{EVAL}{EXAM}")));
    assert_eq!(cells_of(&plan, "train[ r = 8 , lr = 1e-1 ]"), ["train[lr=0.1, r=8]"]);
    assert_eq!(cells_of(&plan, "train[lr=0.2]"), ["train[lr=0.2, r=8]", "train[lr=0.2, r=16]"]);
    let part = plan.select(&["merge[r=8]"]).unwrap_or_else(|errors| panic!("{}", rendered(&errors)));
    assert_eq!(part.order().len(), 2 + 2 + 2, "two trainings and what they need");
    for (wrong, help) in [
        ("train[r=9]", "`train[lr=0.1, r=8]`"),
        ("train[rl=8]", "did you mean `lr`"),
        ("clean[r=8]", "write `clean`"),
        ("trian[r=8]", "did you mean `train`"),
    ] {
        let error = plan.address(wrong).expect_err(wrong);
        assert!(error.help.as_deref().is_some_and(|found| found.contains(help)), "{wrong}: {error:?}");
    }
}

#[test]
fn the_order_of_a_matrix_the_names_of_its_stages_and_equal_cells_do_not_change_the_plan() {
    let id = |text: &str| plan(text).id();
    let written = manifest(FOUR, &format!("{EVAL}{EXAM}"));
    assert_eq!(id(&written), id(&manifest("{ lr: [0.2, 0.1], r: [16, 8] }", &format!("{EVAL}{EXAM}"))));
    assert_eq!(id(&written), id(&written.replace("plain:", "other:")));
    assert_ne!(id(&written), id(&manifest("{ lr: [0.2, 0.1], r: [16, 9] }", &format!("{EVAL}{EXAM}"))));
}

#[test]
fn an_export_is_of_one_cell() {
    let with = |from: &str| manifest(FOUR, &format!("{EVAL}{EXAM}exports: {{ outputs/x: \"{from}\" }}\n"));
    let plan = plan(&with("train[r=8, lr=0.1].adapter"));
    assert_eq!(plan.stage(plan.exports()[0].stage).name.as_str(), "train[lr=0.1, r=8]");
    let message = refused(&with("train[r=8].adapter"));
    assert!(message.contains("names 2 cells") && message.contains("train[lr=0.2, r=8]"), "{message}");
    assert!(refused(&with("train.adapter")).contains("names 4 cells"));
}

#[test]
fn what_is_wrong_with_every_cell_is_said_once() {
    let text = manifest(FOUR, &format!("{EVAL}{EXAM}")).replace("train.adapter", "train.adaptor");
    assert!(refused(&text).contains("did you mean `train.adapter`"));
    let text = manifest("{ r: [0, 16], lr: [0.1, 0.2] }", &format!("{EVAL}{EXAM}"));
    let message = refused(&text);
    assert!(message.contains("train"), "{message}");
}

#[test]
fn a_matrix_beyond_all_measure_is_refused_before_it_is_made() {
    let values = (1..=1_000).map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
    let matrix = format!("{{ r: [{values}], lr: [{values}] }}");
    let project = project();
    let errors = plan_in(project.path(), "m.yaml", manifest(&matrix, EVAL).as_bytes(), &[]).err().expect("refused");
    assert!(errors.iter().any(|error| error.code == "manifest::too_many_cells"), "{}", rendered(&errors));
}
