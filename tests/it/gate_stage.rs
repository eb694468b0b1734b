//! The gate as a stage: what it reads, writes and says.

use pipe::artifact::ArtifactKind;
use pipe::artifact::Verdict::{Failed, Passed};
use pipe::stages::gate::{Gate, GateVerdict};
use serde_json::json;

use super::eval_reports::report;
use super::stage_run::{StageRun, data_problems};

#[test]
fn a_gate_writes_its_verdict_and_succeeds_whatever_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = ["report", "baseline"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], report(&[true, true, false, false]).to_json().expect("json")).expect("written");
    std::fs::write(&paths[1], report(&[true, true, true, true]).to_json().expect("json")).expect("written");
    let run = |with: &str| {
        StageRun::new(&folder.path().join("out"))
            .input("reports", ArtifactKind::Report, &paths[0])
            .input("reports", ArtifactKind::Report, &paths[1])
            .input("baseline", ArtifactKind::Report, &paths[1])
            .run::<Gate>(with)
    };
    let with = r#"{"rules":[{"metric":"exact","min":0.75},{"metric":"exact","max_drop":0.1,"level":"warn"}]}"#;
    let (outcome, heard) = run(with);
    let outcome = outcome.expect("a verdict is no error");
    assert_eq!(outcome.verdict, Some(Failed));
    assert_eq!(outcome.metrics["checks"], json!(4));
    assert_eq!(outcome.metrics["failed"], json!(2));
    assert_eq!(outcome.metrics["worst_margin"], json!(-0.4));
    assert_eq!(heard.warnings, ["rule 2 is failed for report 1, at level `warn`"]);

    let path = folder.path().join("out").join("verdict");
    let first = std::fs::read(&path).expect("the verdict was written");
    let verdict = GateVerdict::read(&first).expect("a verdict");
    let verdicts: Vec<_> = verdict.checks.iter().map(|check| (check.rule, check.report, check.verdict)).collect();
    assert_eq!(verdicts, [(1, 1, Failed), (1, 2, Passed), (2, 1, Failed), (2, 2, Passed)]);
    assert!(!String::from_utf8_lossy(&first).contains("the-reports"), "labels are not in the key");
    run(with).0.expect("again");
    assert_eq!(std::fs::read(&path).expect("written again"), first);
}

#[test]
fn a_bad_report_or_a_missing_baseline_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    std::fs::write(&good, report(&[true]).to_json().expect("json")).expect("written");
    std::fs::write(&bad, "{\"version\":7}").expect("written");
    let run = |path, with: &str| {
        let run = StageRun::new(&folder.path().join("out")).input("reports", ArtifactKind::Report, path);
        data_problems(run.run::<Gate>(with).0)
    };
    let problems = run(&bad, r#"{"rules":[{"metric":"exact","min":0.5}]}"#);
    assert_eq!(problems[0].message, "report `the-reports`: report version is `7`; expected `1`");
    let problems = run(&good, r#"{"rules":[{"metric":"exact","min_gain":0.5}]}"#);
    assert_eq!(problems[0].code, "gate::no_baseline");
    assert!(problems[0].help.as_deref().is_some_and(|help| help.contains("baseline: ")), "{problems:?}");
    assert!(!folder.path().join("out").join("verdict").exists());
}
