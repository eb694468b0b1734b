//! `gate`: holds evaluation reports against rules and says passed, failed or inconclusive.
//!
//! A verdict is a result, not an error: the stage succeeds whatever it says. Each rule must hold for each report.
//! Comparisons pair the examples of report and baseline by id. A rule at level `warn` is judged and shown like any
//! other and leaves the gate's verdict alone.

mod evidence;
mod judge;
mod seeds;
mod settings;
mod table;
mod verdict;
mod verify;

use std::borrow::Cow;

use serde_json::json;

pub use evidence::PairingError;
pub use judge::{GateError, judge, judge_cells};
pub use settings::{Bound, Demand, GateSettings, Level, OnMissing, OverSeeds, Rule};
pub use table::{TableRow, table};
pub use verdict::{
    Check, Comparison, GateVerdict, Pairs, Reason, Responsible, SeedCheck, Seeds, ShownExample, VerdictError,
};
pub use verify::{VerifyError, recompute};

use crate::artifact::{Arity, ArtifactKind, InputPort, OutputPort, Projection, Verdict};
use crate::cell::Cell;
use crate::diagnostic::Diagnostic;
use crate::stage::{ConfigIssue, Input, Numerics, Outcome, StageContext, StageError, StageKind};
use crate::text::eval_report::{self, EvalReport};

/// The `gate` stage kind.
pub struct Gate;

impl StageKind for Gate {
    type Config = GateSettings;
    const NAME: &'static str = "gate";
    const ABOUT: &'static str = "Holds evaluation reports against rules: passed, failed or inconclusive.";
    const EPOCH: u32 = 1;
    const INPUTS: &'static [InputPort] = &[
        InputPort {
            name: Cow::Borrowed("reports"),
            accepts: &[ArtifactKind::Report],
            arity: Arity::Many,
            projection: Projection::Whole,
            about: "The reports to judge; each rule must hold for each of them.",
        },
        InputPort {
            name: Cow::Borrowed("baseline"),
            accepts: &[ArtifactKind::Report],
            arity: Arity::Optional,
            projection: Projection::Whole,
            about: "The report that `max_drop` and `min_gain` compare with.",
        },
    ];
    const OUTPUTS: &'static [OutputPort] = &[OutputPort {
        name: Cow::Borrowed("verdict"),
        kind: ArtifactKind::Verdict,
        about: "The verdict of each rule on each report, with every number used and the examples behind it.",
    }];
    const NUMERICS: Numerics = Numerics::Exact;
    const CELL_PORTS: &'static [&'static str] = &["reports"];

    fn check(config: &GateSettings) -> Vec<ConfigIssue> {
        settings::check(config)
    }

    fn run(config: &GateSettings, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let reports = context.inputs("reports").iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let baseline = context.optional_input("baseline").map(read).transpose()?;
        let cells: Vec<Cell> = context.inputs("reports").iter().map(|input| input.cell.clone()).collect();
        context.check_cancel()?;
        let verdict = judge_cells(config, &reports, &cells, baseline.as_ref())
            .map_err(|error| StageError::Data(vec![explain(&error)]))?;
        for check in
            verdict.checks.iter().filter(|check| check.level == Level::Warn && check.verdict != Verdict::Passed)
        {
            let message =
                format!("rule {} is {} for report {}, at level `warn`", check.rule, check.verdict, check.report);
            context.observer.warning(Diagnostic::warning("gate::warn", message));
        }
        let path = context.output("verdict");
        let json = verdict.to_json().map_err(StageError::failed)?;
        std::fs::write(&path, json).map_err(|error| StageError::io(&path, &error))?;
        Ok(outcome(&verdict))
    }
}

fn read(input: &Input) -> Result<EvalReport, StageError> {
    let json = std::fs::read(&input.path).map_err(|error| StageError::io(&input.path, &error))?;
    eval_report::read(&json).map_err(|error| {
        let diagnostic = Diagnostic::error("gate::bad_report", format!("report `{}`: {error}", input.label));
        StageError::Data(vec![diagnostic.help("a report is what an `eval` stage of this version writes")])
    })
}

fn explain(error: &GateError) -> Diagnostic {
    match error {
        GateError::NoBaseline { .. } => Diagnostic::error("gate::no_baseline", error.to_string())
            .help("wire one, for example `in: { reports: eval.report, baseline: eval-base.report }`"),
        GateError::NoSeeds => Diagnostic::error("gate::no_seeds", error.to_string())
            .help("fan the seeds in, for example `in: { reports: \"eval[seed=*].report\" }`, or remove `over_seeds`"),
        GateError::Pairing { .. } => Diagnostic::error("gate::not_paired", error.to_string())
            .help("evaluate both on the same data with the same settings, or set `paired: false`"),
    }
}

fn outcome(verdict: &GateVerdict) -> Outcome {
    let count = |wanted: Verdict| verdict.checks.iter().filter(|check| check.verdict == wanted).count();
    let mut outcome = Outcome { verdict: Some(verdict.verdict), ..Outcome::default() };
    outcome.metrics.insert("checks".into(), json!(verdict.checks.len()));
    outcome.metrics.insert("failed".into(), json!(count(Verdict::Failed)));
    outcome.metrics.insert("inconclusive".into(), json!(count(Verdict::Inconclusive)));
    let worst = verdict.checks.iter().filter_map(|check| check.margin).min_by(f64::total_cmp);
    if let Some(worst) = worst {
        outcome.metrics.insert("worst_margin".into(), json!(worst));
    }
    outcome
}
