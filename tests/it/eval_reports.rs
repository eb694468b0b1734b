//! Evaluation reports: round trip, figures, and what the strict reader refuses.

use std::collections::BTreeMap;

use pipe::text::baselines::{Baselines, ContextRow};
use pipe::text::eval_report::{
    ContextAs, EvalReport, Example, ExampleIds, ReportSettings, Score, Slice, StopReason, read,
};
use pipe::text::metrics::Normalisation;
use pipe::text::statistics::Method;

/// A report by `exact` with context everywhere: whether each answer is right.
pub fn report(right: &[bool]) -> EvalReport {
    report_of(&right.iter().map(|right| (*right, &[][..])).collect::<Vec<_>>())
}

/// The same with tags.
pub fn report_of(rows: &[(bool, &[&str])]) -> EvalReport {
    let mut ids = ExampleIds::default();
    let examples: Vec<Example> = rows
        .iter()
        .enumerate()
        .map(|(at, (right, tags))| {
            let (query, expected) = (format!("question {at}"), format!("answer {at}"));
            Example {
                id: ids.next(&query, Some("context"), &expected, &[]),
                output: if *right { expected.clone() } else { format!("wrong {at}") },
                query,
                expected,
                accept: Vec::new(),
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                has_context: true,
                new_tokens: 2,
                stop_reason: if *right { StopReason::StopToken } else { StopReason::MaxNewTokens },
                scores: BTreeMap::from([("exact".to_owned(), if *right { 1.0 } else { 0.0 })]),
            }
        })
        .collect();
    let contexts: Vec<ContextRow<'_>> = examples
        .iter()
        .map(|example| ContextRow { context: "context", expected: &example.expected, accept: &example.accept })
        .collect();
    let settings = ReportSettings {
        context_as: ContextAs::Retrieve,
        style: "native mode".to_owned(),
        max_new_tokens: 32,
        metrics: vec!["exact".to_owned()],
        normalize: Normalisation::default(),
    };
    let baselines = Baselines::of(&contexts, &settings.normalize);
    EvalReport::new(settings, baselines, examples)
}

fn json_of(report: &EvalReport) -> String {
    String::from_utf8(report.to_json().expect("json")).expect("UTF-8")
}

#[test]
fn a_report_is_written_as_it_is_read_and_twice_the_same() {
    let report = report_of(&[(true, &["a"][..]), (false, &["b", "a"]), (true, &[])]);
    let json = json_of(&report);
    assert_eq!(read(json.as_bytes()).expect("the same report"), report);
    assert_eq!(json_of(&report), json);
    let empty = report_of(&[]);
    assert_eq!(read(json_of(&empty).as_bytes()).expect("the same report"), empty);
}

#[test]
fn both_context_slices_are_always_there_and_tags_have_their_own() {
    let report = report_of(&[(true, &["a"][..]), (false, &["b", "a", "a"]), (true, &[])]);
    let slices: BTreeMap<String, (Option<f64>, usize)> = report
        .slices
        .iter()
        .map(|(slice, scores)| (slice.to_string(), (scores["exact"].value, scores["exact"].n)))
        .collect();
    let expected = [
        ("tag:a", (Some(0.5), 2)),
        ("tag:b", (Some(0.0), 1)),
        ("with_context", (Some(2.0 / 3.0), 3)),
        ("without_context", (None, 0)),
    ];
    assert_eq!(slices, expected.map(|(slice, score)| (slice.to_owned(), score)).into());
    assert_eq!(report.stops[&StopReason::MaxNewTokens], 1);
    let interval = report.metrics["exact"].interval.expect("an interval");
    assert_eq!(interval.method, Method::Wilson);
    assert_eq!(report.slices[&Slice::WithoutContext]["exact"].interval, None);
}

#[test]
fn scores_between_zero_and_one_get_a_resampled_interval() {
    let score = Score::of(&[0.25, 0.5, 1.0]);
    assert_eq!(score.interval.map(|interval| interval.method), Some(Method::Bootstrap));
}

#[test]
fn a_cut_report_is_refused_wherever_it_is_cut() {
    let json = json_of(&report(&[true, false]));
    for at in 0..json.len() - 2 {
        assert!(read(&json.as_bytes()[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn hostile_reports_are_refused_with_the_reason() {
    let deep = "[".repeat(100_000);
    let deep_inside = format!(r#"{{"version":1,"settings":{deep}"#);
    for (json, message) in [
        ("", "not an evaluation report"),
        ("null", "not an evaluation report"),
        ("[1]", "not an evaluation report"),
        (r#"{"version":1}"#, "missing field `settings`"),
        (r#"{"version":2,"anything":"else"}"#, "report version is `2`; expected `1`"),
        (r#"{"version":-1}"#, "invalid value"),
        (r#"{"version":"1"}"#, "invalid type"),
        (deep.as_str(), "invalid type"),
        (deep_inside.as_str(), "not an evaluation report"),
    ] {
        let error = read(json.as_bytes()).expect_err(json).to_string();
        assert!(error.contains(message), "{}: {error}", &json[..json.len().min(40)]);
    }
    assert!(read(b"{\"version\":1,\"x\":\"\xff\"}").is_err());
}

#[test]
fn a_tampered_report_is_refused_with_what_does_not_fit() {
    let original = report_of(&[(true, &["a"][..]), (false, &[])]);
    let json = json_of(&original);
    let first = original.examples[0].id.clone();
    let second = original.examples[1].id.clone();
    for (from, to, message) in [
        (
            r#""value": 0.5"#,
            r#""value": 0.75"#,
            "metrics.exact is `Some(0.75) of 2`; the examples give `Some(0.5) of 2`",
        ),
        (r#""exact": 1.0"#, r#""exact": 0.0"#, "metrics.exact is"),
        (r#""exact": 1.0"#, r#""exact": 1.5"#, "scores `1.5` on `exact`; expected 0 to 1"),
        (r#""exact": 1.0"#, r#""exact": -1e-300"#, "expected 0 to 1"),
        (r#""exact": 1.0"#, r#""exact": null"#, "not an evaluation report"),
        (r#""exact": 1.0"#, r#""contains": 1.0"#, "has scores for `contains`; expected `exact`"),
        (r#""stop_token": 1"#, r#""stop_token": 2"#, "stops is"),
        (r#""stop_token""#, r#""bored""#, "unknown variant `bored`"),
        (r#""tag:a""#, r#""tag:b""#, "slices is"),
        (r#""tag:a""#, r#""a""#, "slice is `a`; expected"),
        (r#""has_context": true"#, r#""has_context": false"#, "slices.with_context.exact is"),
        (r#""copy_first": {"#, r#""copy_first": {"m": 1,"#, "unknown field `m`"),
        (&*second, &*first, "occurs twice"),
        (r#""version": 1,"#, r#""version": 1, "version": 1,"#, "duplicate field"),
    ] {
        assert!(json.contains(from), "{from}");
        let error = read(json.replacen(from, to, 1).as_bytes()).expect_err(to).to_string();
        assert!(error.contains(message), "{to}: {error}");
    }
}
