//! `pipe why`: why a stage would run, followed to what changed in the first place; or that it would not, and who made
//! its result.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli::arguments::{ManifestArguments, WhyArguments};
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::load::{self, Fetch, Loaded};
use crate::cli::{Failure, Session};
use crate::engine::record::StageRecord;
use crate::engine::why::Reason;
use crate::engine::{PreviewedStage, StagePreview, uses_of};
use crate::report::units;
use crate::store::{ResultRecord, utc};

/// How many names of stages are shown before the rest is counted.
const MOST_NAMES: usize = 8;

pub fn why(arguments: &WhyArguments, session: &Session) -> Result<Exit, Failure> {
    let WhyArguments { manifest, stage: wanted, param, hit } = arguments;
    let manifest =
        ManifestArguments { manifest: manifest.clone(), stages: Vec::new(), param: param.clone(), backend: None };
    let loaded = load::load(&manifest, session, Fetch::Nothing)?;
    let ids = loaded.plan.named(&[wanted])?;
    let previews = loaded.preview(&BTreeSet::new())?;
    let behind: Vec<&str> = loaded
        .plan
        .behind(&ids)
        .iter()
        .map(|id| &previews[id.index()])
        .filter(|stage| stage.would_run())
        .map(|stage| stage.name.as_str())
        .collect();
    for id in &ids {
        let stage = &previews[id.index()];
        let text = match &stage.preview {
            StagePreview::Run(reasons) if session.console.json => run_as_json(stage, reasons, &behind).to_string(),
            StagePreview::Run(reasons) => explain(stage, reasons, &previews, &behind),
            StagePreview::Hit(record) => {
                let made = loaded.store.peek_result(&record.key);
                let made = made.as_ref().map(|made| (made, uses_of(&loaded.store, &record.key)));
                if session.console.json {
                    hit_as_json(record, made).to_string()
                } else if *hit {
                    who(record, made, &loaded)
                } else {
                    let saved = units::seconds(record.seconds);
                    format!("`{}` would not run: its result is stored (saves {saved})", stage.name)
                }
            }
        };
        say(&text);
    }
    Ok(Exit::Ok)
}

/// What in the end makes the stage run, then its reasons and those of the stages before it, then what it sets off.
fn explain(stage: &PreviewedStage, reasons: &[Reason], previews: &[PreviewedStage], behind: &[&str]) -> String {
    let mut lines = match stage.causes.as_slice() {
        [] => vec![format!("`{}` would run", stage.name)],
        [cause] if cause.stage == stage.name => vec![format!("`{}` would run: {}", stage.name, cause.because)],
        [cause] => vec![format!("`{}` would run since {cause}", stage.name)],
        [first, more @ ..] => {
            vec![format!("`{}` would run since {first} (and {} more)", stage.name, units::count(more.len(), "cause"))]
        }
    };
    // One reason that is the cause has been told.
    let is_told = reasons.len() == 1 && stage.causes.iter().any(|cause| cause.because == reasons[0]);
    let mut waiting: Vec<(usize, &Reason)> = if is_told { Vec::new() } else { indent(1, reasons) };
    let mut told = vec![stage.name.as_str()];
    while let Some((depth, reason)) = waiting.pop() {
        lines.push(format!("{}- {reason}", "  ".repeat(depth)));
        let Reason::UpstreamRuns { stage } = reason else { continue };
        if told.contains(&stage.as_str()) {
            continue;
        }
        told.push(stage);
        let upstream = previews.iter().find(|preview| preview.name == *stage);
        if let Some(StagePreview::Run(reasons)) = upstream.map(|preview| &preview.preview) {
            waiting.extend(indent(depth + 1, reasons));
        }
    }
    if !behind.is_empty() {
        let count = units::count(behind.len(), "stage");
        lines.push(format!("{count} behind it would run too, where its bytes change: {}", names(behind)));
    }
    lines.join("\n")
}

/// Reasons at one depth, the last first, as a stack wants them.
fn indent(depth: usize, reasons: &[Reason]) -> Vec<(usize, &Reason)> {
    reasons.iter().rev().map(|reason| (depth, reason)).collect()
}

fn names(names: &[&str]) -> String {
    let shown = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
    if names.len() > MOST_NAMES { format!("{shown}, …") } else { shown }
}

/// Who made a stored result, when, and what it has saved since.
fn who(record: &StageRecord, made: Option<(&ResultRecord, usize)>, loaded: &Loaded) -> String {
    let mut lines = vec![format!("`{}` would not run: its result is stored", record.name)];
    lines.push(format!("key       {}", record.key));
    if let Some((made, uses)) = made {
        lines.push(format!("made by   run {}", made.run));
        lines.push(format!("made at   {}", utc(made.created_unix_s)));
        let hits = uses.saturating_sub(1);
        let saved = units::seconds(made.seconds * hits as f64);
        lines.push(format!("took      {}", units::seconds(made.seconds)));
        lines.push(format!("saved     {saved} in {} since", units::count(hits, "run")));
    }
    lines.extend(record.numerics_class.as_ref().map(|class| format!("class     {class}")));
    lines.push(format!("cache     {}", loaded.store.path().display()));
    lines.join("\n")
}

fn run_as_json(stage: &PreviewedStage, reasons: &[Reason], behind: &[&str]) -> Value {
    json!({ "version": 1, "stage": stage.name, "would": "run", "reasons": reasons, "causes": stage.causes, "behind": behind })
}

fn hit_as_json(record: &StageRecord, made: Option<(&ResultRecord, usize)>) -> Value {
    let made = made.map(|(made, uses)| {
        json!({ "run": made.run, "created_unix_s": made.created_unix_s, "seconds": made.seconds,
            "hits": uses.saturating_sub(1), "numerics_class": made.numerics_class })
    });
    json!({ "version": 1, "stage": record.name, "would": "hit", "key": record.key, "made": made })
}
