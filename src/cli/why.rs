//! `pipe why`: why a stage would run, each reason on its line, or that it would not.

use serde_json::json;

use crate::cli::arguments::{ManifestArguments, WhyArguments};
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::load::{self, Fetch};
use crate::cli::{Failure, Session};
use crate::engine::why::Reason;
use crate::engine::{PreviewedStage, StagePreview, preview};
use crate::report::units;

pub fn why(arguments: &WhyArguments, session: &Session) -> Result<Exit, Failure> {
    let WhyArguments { manifest, stage: wanted, param } = arguments;
    let manifest =
        ManifestArguments { manifest: manifest.clone(), stages: Vec::new(), param: param.clone(), backend: None };
    let loaded = load::load(&manifest, session, Fetch::Nothing)?;
    let previews = preview(&loaded.plan, &loaded.store)?;
    let addressed = loaded.plan.address(wanted).map_err(|error| Failure::Diagnostics(vec![*error]))?;
    // A preview has the stages of the plan in its order.
    for stage in addressed.iter().filter_map(|id| previews.get(id.index())) {
        show(stage, &previews, session);
    }
    Ok(Exit::Ok)
}

/// One stage; as JSON, one line a stage.
fn show(stage: &PreviewedStage, previews: &[PreviewedStage], session: &Session) {
    let name = &stage.name;
    match &stage.preview {
        StagePreview::Hit(record) if session.console.json => {
            say(&json!({ "stage": name, "would": "hit", "key": record.key }).to_string());
        }
        StagePreview::Run(reasons) if session.console.json => {
            say(&json!({ "stage": name, "would": "run", "reasons": reasons }).to_string());
        }
        StagePreview::Hit(record) => {
            let saved = units::seconds(record.seconds);
            say(&format!("`{name}` would not run: its result is stored (saves {saved})"));
        }
        StagePreview::Run(reasons) => explain(name, reasons, previews),
    }
}

/// The stage's own reasons, then those of the stages that make it run, down to the first cause.
fn explain(wanted: &str, reasons: &[Reason], previews: &[PreviewedStage]) {
    say(&format!("`{wanted}` would run:"));
    let mut waiting: Vec<(usize, Reason)> = reasons.iter().rev().map(|reason| (1, reason.clone())).collect();
    let mut told = vec![wanted.to_owned()];
    while let Some((depth, reason)) = waiting.pop() {
        say(&format!("{}- {reason}", "  ".repeat(depth)));
        let Reason::UpstreamRuns { stage } = &reason else { continue };
        if told.contains(stage) {
            continue;
        }
        told.push(stage.clone());
        let upstream = previews.iter().find(|preview| preview.name == *stage);
        if let Some(StagePreview::Run(reasons)) = upstream.map(|preview| &preview.preview) {
            waiting.extend(reasons.iter().rev().map(|reason| (depth + 1, reason.clone())));
        }
    }
}
