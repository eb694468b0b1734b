//! `pipe plan`: what would run, and why; nothing runs.

use std::collections::BTreeSet;

use serde_json::json;

use crate::cli::arguments::ManifestArguments;
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::load::{self, Fetch, Loaded, only_unfetched};
use crate::cli::{Failure, Session};
use crate::diagnostic::Diagnostic;
use crate::engine::why::{Cause, Reason};
use crate::engine::{PreviewedStage, StagePreview};
use crate::plan::Note;
use crate::report::table::{self, Align};
use crate::report::units;

pub fn plan(arguments: &ManifestArguments, session: &Session) -> Result<Exit, Failure> {
    let loaded = match load::load(arguments, session, Fetch::Nothing) {
        Err(Failure::Diagnostics(found)) if only_unfetched(&found) => {
            unresolved(&found, session);
            return Ok(Exit::Ok);
        }
        loaded => loaded?,
    };
    let previews = loaded.preview(&BTreeSet::new())?;
    show(&loaded, &previews, session)?;
    Ok(Exit::Ok)
}

/// Says what would become of each stage, after a look at the inputs of those that would run.
pub fn show(loaded: &Loaded, previews: &[PreviewedStage], session: &Session) -> Result<(), Failure> {
    let runs = previews.iter().filter(|stage| stage.would_run());
    let running: BTreeSet<String> = runs.map(|stage| stage.name.clone()).collect();
    let notes = loaded.preflight(&running)?;
    if session.console.json {
        let stages = previews.iter().map(as_json).collect::<Vec<_>>();
        let document = json!({ "version": 1, "name": loaded.plan.name(), "plan": loaded.plan.id(), "stages": stages, "notes": notes });
        say(&document.to_string());
        return Ok(());
    }
    let rows: Vec<Vec<String>> = previews.iter().map(row).collect();
    say(&format!("{} · plan {}\n", loaded.plan.name(), loaded.plan.id().short()));
    say(&table::render(&["stage", "", "why"], &rows, &[Align::Left; 3]));
    for Note { stage, note } in &notes {
        say(&format!("\nnote: `{stage}`: {note}"));
    }
    say(&match running.len() {
        0 => "\nnothing would run".to_owned(),
        runs => format!("\n{runs} of {} would run", units::count(previews.len(), "stage")),
    });
    Ok(())
}

/// There is no plan id before every input is known.
pub fn unresolved(found: &[Diagnostic], session: &Session) {
    if session.console.json {
        let inputs: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
        say(&json!({ "version": 1, "plan": null, "unresolved": inputs }).to_string());
    } else {
        say("unresolved: no plan before every input is known");
        for one in found {
            say(&format!("  {}", one.message));
        }
        say("`pipe models pull MANIFEST` fetches what is missing; so does `pipe run`");
    }
}

fn row(stage: &PreviewedStage) -> Vec<String> {
    match &stage.preview {
        StagePreview::Hit(record) => {
            vec![stage.name.clone(), "hit".into(), format!("stored, saves {}", units::seconds(record.seconds))]
        }
        StagePreview::Run(reasons) => {
            vec![stage.name.clone(), "run".into(), why(stage, reasons)]
        }
    }
}

/// The stage's reasons; where all of them are about something before it, what in the end is behind them.
fn why(stage: &PreviewedStage, reasons: &[Reason]) -> String {
    let own: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    let elsewhere: Vec<&Cause> = stage.causes.iter().filter(|cause| cause.stage != stage.name).collect();
    let is_derived = |reason: &Reason| matches!(reason, Reason::UpstreamRuns { .. } | Reason::InputChanged { .. });
    if !reasons.iter().all(is_derived) {
        return own.join("; ");
    }
    let is_told =
        |cause: &&Cause| reasons.iter().any(|reason| *reason == Reason::UpstreamRuns { stage: cause.stage.clone() });
    match elsewhere.as_slice() {
        [] => own.join("; "),
        // The cause stands in the row of the stage that is named already.
        causes if causes.iter().all(is_told) => own.join("; "),
        [cause] => format!("{}, since {cause}", own.join("; ")),
        [first, more @ ..] => format!("{}, since {first} (and {} more)", own.join("; "), more.len()),
    }
}

fn as_json(stage: &PreviewedStage) -> serde_json::Value {
    match &stage.preview {
        StagePreview::Hit(record) => json!({ "stage": stage.name, "would": "hit", "key": record.key }),
        StagePreview::Run(reasons) => {
            json!({ "stage": stage.name, "would": "run", "reasons": reasons, "causes": stage.causes })
        }
    }
}
