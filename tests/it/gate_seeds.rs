//! What a gate says about reports that differ by their seed.

use pipe::artifact::Verdict::{self, Failed, Inconclusive, Passed};
use pipe::cell::Cell;
use pipe::stage_name::StageName;
use pipe::stages::gate::{Check, GateError, GateSettings, GateVerdict, judge_cells, table};
use pipe::text::eval_report::EvalReport;

use super::eval_reports::report;

fn rate(right: usize, total: usize) -> EvalReport {
    report(&(0..total).map(|at| at < right).collect::<Vec<_>>())
}

fn cell(label: &str) -> Cell {
    format!("eval[{label}]").parse::<StageName>().expect("a label").cell().clone()
}

/// Reports of ten examples: the label of the cell and how many are right.
fn judged(over: &str, rule: &str, reports: &[(&str, usize)], baseline: Option<&EvalReport>) -> GateVerdict {
    let settings = format!(r#"{{"over_seeds":"{over}","rules":[{rule}]}}"#);
    let settings: GateSettings = serde_json::from_str(&settings).expect("settings");
    let cells: Vec<Cell> = reports.iter().map(|(label, _)| cell(label)).collect();
    let reports: Vec<EvalReport> = reports.iter().map(|(_, right)| rate(*right, 10)).collect();
    judge_cells(&settings, &reports, &cells, baseline).expect("a verdict")
}

const THREE: &[(&str, usize)] = &[("seed=1", 6), ("seed=2", 8), ("seed=3", 9)];

fn only(verdict: &GateVerdict) -> &Check {
    assert_eq!(verdict.checks.len(), 1);
    &verdict.checks[0]
}

fn check(over: &str, rule: &str, expected: Verdict) {
    assert_eq!(judged(over, rule, THREE, None).verdict, expected, "{over} {rule}");
}

#[test]
fn the_mean_the_worst_and_every_seed_are_held_against_the_threshold() {
    check("mean", r#"{"metric":"exact","min":0.75}"#, Passed);
    check("mean", r#"{"metric":"exact","min":0.78}"#, Failed);
    check("min", r#"{"metric":"exact","min":0.6}"#, Passed);
    check("min", r#"{"metric":"exact","min":0.65}"#, Failed);
    check("all", r#"{"metric":"exact","min":0.6}"#, Passed);
    check("all", r#"{"metric":"exact","min":0.65}"#, Failed);
    // The largest is the worst for `max`.
    check("min", r#"{"metric":"exact","max":0.85}"#, Failed);
    check("mean", r#"{"metric":"exact","max":0.85}"#, Passed);
}

#[test]
fn the_verdict_holds_each_seed_their_mean_and_their_spread() {
    let verdict = judged("mean", r#"{"metric":"exact","min":0.5}"#, THREE, None);
    let seeds = only(&verdict).seeds.clone().expect("seeds");
    assert_eq!(seeds.count, 3);
    assert!((seeds.mean.expect("a mean") - 23.0 / 30.0).abs() < 1e-12);
    // The deviations from 23/30 are -5/30, 1/30 and 4/30; their squares sum to 42/900.
    assert!((seeds.standard_deviation.expect("three seeds") - (42.0_f64 / 900.0 / 2.0).sqrt()).abs() < 1e-12);
    assert_eq!((seeds.min, seeds.max), (Some(0.6), Some(0.9)));
    let each: Vec<_> = seeds.each.iter().map(|seed| (seed.cell.to_string(), seed.value)).collect();
    assert_eq!(
        each,
        [("seed=1".to_owned(), Some(0.6)), ("seed=2".to_owned(), Some(0.8)), ("seed=3".to_owned(), Some(0.9))]
    );
    let json = verdict.to_json().expect("json");
    assert_eq!(GateVerdict::read(&json).expect("read back"), verdict);
    assert!(table(&verdict)[0].slice.ends_with("3 seeds"));
}

#[test]
fn after_the_reduction_a_rule_must_hold_for_each_remaining_cell() {
    let reports = [("r=8, seed=1", 9), ("r=16, seed=1", 5), ("r=8, seed=2", 9), ("r=16, seed=2", 6)];
    let verdict = judged("mean", r#"{"metric":"exact","min":0.8}"#, &reports, None);
    let found: Vec<_> = verdict.checks.iter().map(|check| (check.cell.to_string(), check.verdict)).collect();
    assert_eq!(found, [("r=8".to_owned(), Passed), ("r=16".to_owned(), Failed)]);
    assert_eq!(verdict.verdict, Failed);
}

#[test]
fn comparisons_are_paired_seed_by_seed() {
    let baseline = rate(5, 10);
    let verdict = judged("mean", r#"{"metric":"exact","min_gain":0.2}"#, THREE, Some(&baseline));
    let seeds = only(&verdict).seeds.clone().expect("seeds");
    let gained: Vec<_> =
        seeds.each.iter().filter_map(|seed| seed.comparison.as_ref()?.pairs).map(|pairs| pairs.gained).collect();
    assert_eq!(gained, [1, 3, 4]);
    assert!((seeds.mean.expect("a mean") - 8.0 / 30.0).abs() < 1e-12);
    assert_eq!(verdict.verdict, Passed);
    assert_eq!(judged("all", r#"{"metric":"exact","min_gain":0.2}"#, THREE, Some(&baseline)).verdict, Failed);
}

#[test]
fn a_seed_without_the_metric_leaves_no_mean() {
    for over in ["mean", "min", "all"] {
        assert_eq!(judged(over, r#"{"metric":"contains","min":0.1}"#, THREE, None).checks.len(), 1);
        let verdict = judged(over, r#"{"metric":"exact","min":0.1,"slice":"tag:none"}"#, THREE, None);
        assert_eq!((verdict.verdict, only(&verdict).seeds.clone().expect("seeds").count), (Inconclusive, 0), "{over}");
    }
}

#[test]
fn without_seeds_there_is_nothing_to_reduce() {
    let settings = r#"{"over_seeds":"mean","rules":[{"metric":"exact","min":0.5}]}"#;
    let settings: GateSettings = serde_json::from_str(settings).expect("settings");
    assert!(matches!(judge_cells(&settings, &[rate(1, 2)], &[cell("r=8")], None), Err(GateError::NoSeeds)));
}
