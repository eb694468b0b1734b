//! `pipe runs`: the runs in the cache, newest first.

use serde_json::{Value, json};

use crate::cli::arguments::RunsArguments;
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load, project};
use crate::engine::RunState;
use crate::engine::record::RunRecord;
use crate::report::table::{self, Align};
use crate::report::units;

pub fn runs(arguments: &RunsArguments, session: &Session) -> Result<Exit, Failure> {
    let store = load::open_store(&session.global, &project::current_root())?;
    let found = crate::engine::runs(&store, arguments.limit)?;
    if session.console.json {
        say(&Value::Array(found.iter().map(|(id, state)| as_json(id, state)).collect()).to_string());
        return Ok(Exit::Ok);
    }
    if found.is_empty() {
        say("no runs yet; start one with `pipe run pipelines/quickstart.yaml`");
        return Ok(Exit::Ok);
    }
    let open = |id: &String, end: &str| {
        vec![id.clone(), String::new(), end.to_owned(), String::new(), String::new(), String::new()]
    };
    let rows = found.iter().map(|(id, state)| match state {
        RunState::Ended(record) => row(id, record),
        RunState::Live => open(id, "running"),
        RunState::Killed => open(id, "killed"),
    });
    let heads = ["run (UTC)", "manifest", "end", "executed / hits", "time", "experiment"];
    say(&table::render(&heads, &rows.collect::<Vec<_>>(), &[Align::Left; 6]));
    Ok(Exit::Ok)
}

/// A run for programs.
pub fn as_json(id: &str, state: &RunState) -> Value {
    match state {
        RunState::Ended(record) => json!({ "run": id, "state": "ended", "record": record }),
        RunState::Live => json!({ "run": id, "state": "live", "record": null }),
        RunState::Killed => json!({ "run": id, "state": "killed", "record": null }),
    }
}

/// How a run ended, in a few words.
pub fn end_of(record: &RunRecord) -> String {
    if record.interrupted {
        "interrupted".to_owned()
    } else if record.failed.is_empty() {
        record.verdict.map_or_else(|| "done".to_owned(), |verdict| verdict.to_string())
    } else {
        format!("failed: {}", record.failed.join(", "))
    }
}

fn row(id: &str, record: &RunRecord) -> Vec<String> {
    let experiment = record.experiment.map_or_else(String::new, |id| id.short());
    let work = format!("{} / {}", record.executed, record.hits);
    vec![id.to_owned(), record.name.clone(), end_of(record), work, units::seconds(record.seconds), experiment]
}
