//! What each sort of rule says about small reports whose numbers are known.

use pipe::artifact::Verdict::{self, Failed, Inconclusive, Passed};
use pipe::stage::StageKind;
use pipe::stages::gate::{Gate, GateError, GateSettings, GateVerdict, Reason, judge, table};
use pipe::text::eval_report::EvalReport;

use super::eval_reports::{report, report_of};

/// Settings from JSON, checked.
fn settings(json: &str) -> GateSettings {
    let settings: GateSettings = serde_json::from_str(json).expect("settings of the right types");
    assert_eq!(Gate::check(&settings), [], "{json}");
    settings
}

fn one_rule(rule: &str) -> GateSettings {
    settings(&format!(r#"{{"rules":[{rule}]}}"#))
}

fn gate(rule: &str, report: &EvalReport, baseline: Option<&EvalReport>) -> GateVerdict {
    judge(&one_rule(rule), std::slice::from_ref(report), baseline).expect("the gate can judge")
}

fn check(rule: &str, report: &EvalReport, baseline: Option<&EvalReport>, verdict: Verdict, margin: f64) {
    let found = gate(rule, report, baseline);
    assert_eq!(found.verdict, verdict, "{rule}: {:#?}", found.checks);
    let found = found.checks[0].margin.expect("a margin");
    assert!((found - margin).abs() < 1e-12, "{rule}: margin {found}; expected {margin}");
}

/// `right` right answers of `total`, the right ones first.
fn rate(right: usize, total: usize) -> EvalReport {
    report(&(0..total).map(|at| at < right).collect::<Vec<_>>())
}

#[test]
fn a_value_equal_to_its_threshold_passes_and_the_next_one_does_not() {
    for (right, verdict, margin) in [(81, Passed, 0.01), (80, Passed, 0.0), (79, Failed, -0.01)] {
        check(r#"{"metric":"exact","min":0.8}"#, &rate(right, 100), None, verdict, margin);
    }
    for (right, verdict, margin) in [(19, Passed, 0.01), (20, Passed, 0.0), (21, Failed, -0.01)] {
        check(r#"{"metric":"exact","max":0.2}"#, &rate(right, 100), None, verdict, margin);
    }
    check(r#"{"metric":"exact","min":0}"#, &rate(0, 10), None, Passed, 0.0);
    check(r#"{"metric":"exact","min":1}"#, &rate(10, 10), None, Passed, 0.0);
    check(r#"{"metric":"exact","min":1}"#, &rate(9, 10), None, Failed, -0.1);
}

#[test]
fn drops_and_gains_equal_to_their_threshold_pass_in_spite_of_rounding() {
    for paired in [true, false] {
        for hundredth in (0..=100usize).step_by(5) {
            let threshold = hundredth as f64 / 100.0;
            let drop = format!(r#"{{"metric":"exact","max_drop":{threshold},"paired":{paired}}}"#);
            check(&drop, &rate(100 - hundredth, 100), Some(&rate(100, 100)), Passed, 0.0);
            let gain = format!(r#"{{"metric":"exact","min_gain":{threshold},"paired":{paired}}}"#);
            check(&gain, &rate(hundredth, 100), Some(&rate(0, 100)), Passed, 0.0);
        }
    }
    // 0.8 - 0.7 is above 0.1 in doubles, and 0.7 - 0.8 below -0.1; the rules must not see that.
    check(r#"{"metric":"exact","max_drop":0.1}"#, &rate(70, 100), Some(&rate(80, 100)), Passed, 0.0);
    check(r#"{"metric":"exact","max_drop":0.1,"paired":false}"#, &rate(70, 100), Some(&rate(80, 100)), Passed, 0.0);
}

#[test]
fn a_drop_or_gain_beyond_its_threshold_fails_by_the_rest() {
    let (low, high) = (rate(80, 100), rate(90, 100));
    check(r#"{"metric":"exact","max_drop":0.05}"#, &low, Some(&high), Failed, -0.05);
    check(r#"{"metric":"exact","max_drop":0.05}"#, &high, Some(&low), Passed, 0.15);
    check(r#"{"metric":"exact","min_gain":0.15}"#, &high, Some(&low), Failed, -0.05);
    check(r#"{"metric":"exact","min_gain":0.05}"#, &high, Some(&low), Passed, 0.05);
}

#[test]
fn ci_lower_holds_the_wilson_bound_against_min_and_max() {
    // Wilson 95 % of 90/100 is [.82563, .94477], of 10/100 [.05523, .17437].
    let report = rate(90, 100);
    check(r#"{"metric":"exact","min":0.8,"bound":"ci_lower"}"#, &report, None, Passed, 0.025_634_338_495_086_5);
    check(r#"{"metric":"exact","min":0.83,"bound":"ci_lower"}"#, &report, None, Failed, -0.004_365_661_504_913_5);
    let report = rate(10, 100);
    check(r#"{"metric":"exact","max":0.2,"bound":"ci_lower"}"#, &report, None, Passed, 0.025_634_338_495_086_5);
    check(r#"{"metric":"exact","max":0.17,"bound":"ci_lower"}"#, &report, None, Failed, -0.004_365_661_504_913_5);
}

#[test]
fn ci_lower_holds_the_resampled_bound_against_differences() {
    // 20 gained, 10 lost of 100: the difference is .1, its 95 % interval about [-.01, .2].
    let baseline = report(&(0..100).map(|at| at < 50).collect::<Vec<_>>());
    let report = report(&(0..100).map(|at| (10..70).contains(&at)).collect::<Vec<_>>());
    let found = gate(r#"{"metric":"exact","min_gain":0.05,"bound":"ci_lower"}"#, &report, Some(&baseline));
    assert_eq!(found.verdict, Failed);
    let comparison = found.checks[0].comparison.as_ref().expect("a comparison");
    assert!((comparison.interval.lower - -0.01).abs() < 0.0101, "{comparison:?}");
    assert!((comparison.interval.upper - 0.2).abs() < 0.0201, "{comparison:?}");
    assert_eq!(found.checks[0].judged, Some(comparison.interval.lower));
    let pairs = comparison.pairs.expect("pairs");
    assert_eq!((pairs.gained, pairs.lost), (20, 10));
    // scipy 1.17.1: binomtest(20, 30, .5).pvalue
    assert!((pairs.p_value.expect("a rate") - 0.098_737_14).abs() < 1e-6, "{pairs:?}");
    check_verdict(r#"{"metric":"exact","max_drop":0.05,"bound":"ci_lower"}"#, &report, Some(&baseline), Passed, None);
}

fn check_verdict(
    rule: &str,
    report: &EvalReport,
    baseline: Option<&EvalReport>,
    verdict: Verdict,
    reason: Option<Reason>,
) {
    let found = gate(rule, report, baseline);
    assert_eq!((found.verdict, found.checks[0].reason), (verdict, reason), "{rule}: {:#?}", found.checks);
}

#[test]
fn a_bound_that_no_result_could_reach_is_underpowered_and_not_failed() {
    let underpowered = Some(Reason::Underpowered);
    // Wilson 95 % of 20/20 is [.839, 1], of 0/20 [0, .161].
    check_verdict(
        r#"{"metric":"exact","min":0.9,"bound":"ci_lower"}"#,
        &rate(20, 20),
        None,
        Inconclusive,
        underpowered,
    );
    check_verdict(r#"{"metric":"exact","min":0.9,"bound":"ci_lower"}"#, &rate(17, 20), None, Failed, None);
    check_verdict(r#"{"metric":"exact","max":0.1,"bound":"ci_lower"}"#, &rate(0, 20), None, Inconclusive, underpowered);
    check_verdict(r#"{"metric":"exact","min":0.8,"bound":"ci_lower"}"#, &rate(19, 20), None, Failed, None);
    let same = rate(15, 20);
    let drop = r#"{"metric":"exact","max_drop":0.02,"bound":"ci_lower"}"#;
    check_verdict(drop, &same, Some(&same), Inconclusive, underpowered);
    let many = rate(300, 400);
    check_verdict(drop, &many, Some(&many), Passed, None);
}

#[test]
fn too_few_examples_are_inconclusive_whatever_they_say() {
    let few = settings(r#"{"min_examples":11,"rules":[{"metric":"exact","min":0.5}]}"#);
    for right in [0, 10] {
        let found = judge(&few, &[rate(right, 10)], None).expect("a verdict");
        assert_eq!((found.verdict, found.checks[0].reason), (Inconclusive, Some(Reason::TooFewExamples)));
        assert_eq!(found.checks[0].value, Some(right as f64 / 10.0));
    }
    let enough = judge(&few, &[rate(11, 11)], None).expect("a verdict");
    assert_eq!(enough.verdict, Passed);
}

#[test]
fn a_missing_metric_or_slice_is_inconclusive_or_fails_as_set() {
    let report = rate(10, 10);
    for rule in [
        r#"{"metric":"token_f1","min":0.5}"#,
        r#"{"metric":"exact","min":0.5,"slice":"tag:absent"}"#,
        r#"{"metric":"exact","min":0.5,"slice":"without_context"}"#,
    ] {
        check_verdict(rule, &report, None, Inconclusive, Some(Reason::Missing));
        let fail = settings(&format!(r#"{{"on_missing":"fail","rules":[{rule}]}}"#));
        let found = judge(&fail, std::slice::from_ref(&report), None).expect("a verdict");
        assert_eq!((found.verdict, found.checks[0].n, found.checks[0].value), (Failed, 0, None));
    }
    check_verdict(
        r#"{"metric":"token_f1","max_drop":0.5}"#,
        &report,
        Some(&report),
        Inconclusive,
        Some(Reason::Missing),
    );
}

#[test]
fn a_slice_is_judged_by_its_own_examples() {
    let report = report_of(&[(true, &["a"][..]), (true, &["a", "b"]), (false, &["b"]), (false, &[])]);
    check(r#"{"metric":"exact","min":1,"slice":"tag:a"}"#, &report, None, Passed, 0.0);
    check(r#"{"metric":"exact","min":0.5,"slice":"tag:b"}"#, &report, None, Passed, 0.0);
    check(r#"{"metric":"exact","min":0.6,"slice":"with_context"}"#, &report, None, Failed, -0.1);
}

#[test]
fn failed_comes_before_inconclusive_and_warnings_do_not_count() {
    let (passes, fails) = (r#"{"metric":"exact","min":0.5}"#, r#"{"metric":"exact","min":0.99}"#);
    let inconclusive = r#"{"metric":"token_f1","min":0.5}"#;
    let warns = r#"{"metric":"exact","min":0.99,"level":"warn"}"#;
    for (rules, verdict) in [
        (vec![passes], Passed),
        (vec![passes, inconclusive], Inconclusive),
        (vec![inconclusive, fails, passes], Failed),
        (vec![fails, inconclusive], Failed),
        (vec![passes, warns], Passed),
        (vec![warns, inconclusive], Inconclusive),
    ] {
        let settings = settings(&format!(r#"{{"rules":[{}]}}"#, rules.join(",")));
        let found = judge(&settings, &[rate(8, 10)], None).expect("a verdict");
        assert_eq!(found.verdict, verdict, "{rules:?}");
        assert_eq!(found.checks.len(), rules.len());
    }
}

#[test]
fn a_rule_must_hold_for_each_report() {
    let rule = one_rule(r#"{"metric":"exact","min":0.8}"#);
    let found = judge(&rule, &[rate(9, 10), rate(7, 10), rate(8, 10)], None).expect("a verdict");
    let verdicts: Vec<_> = found.checks.iter().map(|check| (check.report, check.verdict)).collect();
    assert_eq!(verdicts, [(1, Passed), (2, Failed), (3, Passed)]);
    assert_eq!(found.verdict, Failed);
}

#[test]
fn pairing_needs_the_same_examples_in_any_order() {
    let (baseline, report) = (rate(5, 10), rate(5, 10));
    let mut shuffled = report.clone();
    shuffled.examples.reverse();
    let rule = r#"{"metric":"exact","max_drop":0.1}"#;
    let pairs = |report| gate(rule, report, Some(&baseline)).checks[0].comparison.clone().and_then(|found| found.pairs);
    assert_eq!(pairs(&shuffled), pairs(&report));
    assert_eq!(pairs(&report).map(|pairs| (pairs.gained, pairs.lost)), Some((0, 0)));

    let error = judge(&one_rule(rule), &[rate(5, 9)], Some(&baseline)).expect_err("one example is missing");
    assert!(error.to_string().contains("0 of the report's 9 examples"), "{error}");
    assert!(error.to_string().contains("1 of the baseline's"), "{error}");
    let unpaired = one_rule(r#"{"metric":"exact","max_drop":0.1,"paired":false}"#);
    assert!(judge(&unpaired, &[rate(5, 9)], Some(&baseline)).is_ok());

    let mut loose = report;
    loose.settings.normalize = pipe::text::metrics::Normalisation::new([]);
    let error = judge(&one_rule(rule), &[loose], Some(&baseline)).expect_err("another normalisation");
    assert!(error.to_string().contains("`normalize` []"), "{error}");
}

#[test]
fn a_comparison_without_a_baseline_is_an_error() {
    let error = judge(&one_rule(r#"{"metric":"exact","min_gain":0.1}"#), &[rate(5, 10)], None);
    assert!(matches!(error, Err(GateError::NoBaseline { rule: 1, demand: "min_gain" })), "{error:?}");
}

#[test]
fn the_examples_responsible_are_named_and_capped() {
    let found = gate(r#"{"metric":"exact","min":0.9}"#, &rate(70, 100), None);
    let examples = &found.checks[0].examples;
    assert_eq!((examples.total, examples.shown.len()), (30, 20));
    assert_eq!((examples.shown[0].query.as_str(), examples.shown[0].output.as_str()), ("question 70", "wrong 70"));

    let flips = gate(
        r#"{"metric":"exact","min_gain":0.5}"#,
        &report(&[true, false, true, false]),
        Some(&report(&[false, false, true, true])),
    );
    let shown = &flips.checks[0].examples.shown;
    let outputs: Vec<_> = shown.iter().map(|one| (one.output.as_str(), one.baseline_output.as_deref())).collect();
    assert_eq!(outputs, [("wrong 3", Some("answer 3")), ("answer 0", Some("wrong 0"))]);

    let passed = gate(r#"{"metric":"exact","min":0.5}"#, &rate(70, 100), None);
    assert_eq!((passed.checks[0].examples.total, passed.checks[0].examples.shown.len()), (30, 0));
}

#[test]
fn the_table_says_which_rule_failed_by_how_much_on_which_examples() {
    let rows = table(&gate(r#"{"metric":"exact","min":0.9,"slice":"with_context"}"#, &rate(75, 100), None));
    assert_eq!(rows[0].rule, "exact ≥ 0.9");
    assert_eq!(rows[0].slice, "with_context");
    // statsmodels 0.15.0: proportion_confint(75, 100, .05, "wilson")
    assert_eq!(rows[0].value, "0.75 [0.657, 0.8245]");
    assert_eq!(rows[0].margin, "-0.15");
    assert_eq!(rows[0].verdict, "failed");
    assert_eq!(rows[0].examples.len(), 21);
    assert!(rows[0].examples[0].ends_with(r#""question 75": expected "answer 75", got "wrong 75""#), "{rows:?}");
    assert_eq!(rows[0].examples[20], "and 5 more");

    let rows = table(&gate(r#"{"metric":"exact","min_gain":0.1}"#, &rate(6, 10), Some(&rate(0, 10))));
    assert!(rows[0].value.starts_with("0.6 against 0: +0.6 ["), "{}", rows[0].value);
    assert!(rows[0].value.ends_with("6 gained, 0 lost, p 0.0312"), "{}", rows[0].value);
    let rows = table(&gate(r#"{"metric":"token_f1","min":0.1,"level":"warn"}"#, &rate(6, 10), None));
    assert_eq!((rows[0].rule.as_str(), rows[0].margin.as_str()), ("token_f1 ≥ 0.1 (warn)", "–"));
    assert_eq!(rows[0].verdict, "inconclusive: metric or slice missing");
}

#[test]
fn a_verdict_is_written_as_it_is_read_and_hostile_ones_are_refused() {
    let verdict = gate(r#"{"metric":"exact","min_gain":0.1}"#, &rate(6, 10), Some(&rate(3, 10)));
    let json = verdict.to_json().expect("json");
    assert_eq!(GateVerdict::read(&json).expect("the same verdict"), verdict);
    for at in 0..json.len() - 2 {
        assert!(GateVerdict::read(&json[..at]).is_err(), "cut at {at}");
    }
    for (bytes, message) in [
        (&b""[..], "not a gate's verdict"),
        (b"{\"version\":2}", "verdict version is `2`; expected `1`"),
        (b"{\"version\":1}", "missing field"),
        (b"\xff\xfe", "not a gate's verdict"),
    ] {
        let error = GateVerdict::read(bytes).expect_err("no verdict").to_string();
        assert!(error.contains(message), "{error}");
    }
}
