//! `pipe why`: why a stage would run, each reason on its line, or that it would not.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::arguments::{ManifestArguments, WhyArguments};
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::load::{self, Fetch};
use crate::cli::{Failure, Session};
use crate::diagnostic::nearest;
use crate::engine::why::Reason;
use crate::engine::{PreviewedStage, StagePreview, preview};
use crate::report::units;

pub fn why(arguments: &WhyArguments, session: &Session) -> Result<Exit, Failure> {
    let WhyArguments { manifest, stage: wanted, param } = arguments;
    let manifest =
        ManifestArguments { manifest: manifest.clone(), stages: Vec::new(), param: param.clone(), backend: None };
    let loaded = load::load(&manifest, session, Fetch::Nothing)?;
    let previews = preview(&loaded.plan, &loaded.store, &BTreeSet::new())?;
    let Some(stage) = previews.iter().find(|stage| stage.name == *wanted) else {
        let names = previews.iter().map(|stage| stage.name.as_str());
        let hint = nearest(wanted, names).map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        return Err(Failure::Usage(format!("no stage is called `{wanted}`{hint}")));
    };
    match &stage.preview {
        StagePreview::Hit(record) if session.console.json => {
            say(&json!({ "stage": wanted, "would": "hit", "key": record.key }).to_string());
        }
        StagePreview::Run(reasons) if session.console.json => {
            say(&json!({ "stage": wanted, "would": "run", "reasons": reasons }).to_string());
        }
        StagePreview::Hit(record) => {
            let saved = units::seconds(record.seconds);
            say(&format!("`{wanted}` would not run: its result is stored (saves {saved})"));
        }
        StagePreview::Run(reasons) => explain(wanted, reasons, &previews),
    }
    Ok(Exit::Ok)
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
