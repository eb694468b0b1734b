//! `pipe logs`: what a run told while it went on, from its record in the cache.

use std::io;

use serde_json::Value;

use crate::cli::arguments::LogsArguments;
use crate::cli::console::{note, say};
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load, project};
use crate::engine::event::{Event, Sink};
use crate::report::terminal::Terminal;
use crate::store::{Store, StoreError};

pub fn logs(arguments: &LogsArguments, session: &Session) -> Result<Exit, Failure> {
    let store = load::open_store(&session.global, &project::current_root())?;
    let run = find(arguments.run.as_deref(), &store)?;
    let events = store.events(&run)?;
    let wanted = |line: &&String| arguments.stage.as_ref().is_none_or(|stage| is_about(line, stage));
    let lines: Vec<&String> = events.lines.iter().filter(wanted).collect();
    if let (Some(stage), true) = (&arguments.stage, lines.is_empty()) {
        return Err(Failure::Usage(format!("run {run} says nothing of a stage `{stage}`")));
    }
    if session.console.json {
        lines.iter().for_each(|line| say(line));
    } else {
        let terminal = Terminal::new(session.console.page_style(), Box::new(io::stdout()));
        for line in lines {
            // An event of a later version is shown as it is.
            match serde_json::from_str::<Event>(line) {
                Ok(event) => terminal.emit(&event),
                Err(_) => say(line),
            }
        }
    }
    if events.is_torn {
        note("note: the run was killed while it wrote; its last event is not whole");
    }
    Ok(Exit::Ok)
}

/// The run of this id, that of this experiment, or the latest.
fn find(id: Option<&str>, store: &Store) -> Result<String, Failure> {
    let Some(id) = id else {
        let latest = store.runs()?.pop();
        return latest.ok_or_else(|| Failure::Usage("there are no runs in this cache yet".to_owned()));
    };
    match store.find_run(id) {
        Err(StoreError::NotFound { .. }) => match load::experiment(store, id) {
            Ok(record) => Ok(record.run),
            Err(_) => Err(Failure::Usage(format!(
                "neither a run nor an experiment has an id beginning with `{id}`; `pipe runs` lists them"
            ))),
        },
        found => Ok(found?),
    }
}

/// Whether an event is about a stage, or about a cell of it.
fn is_about(line: &str, stage: &str) -> bool {
    let event: Value = serde_json::from_str(line).unwrap_or_default();
    let name = event["stage"].as_str().or_else(|| event["owner"].as_str()).unwrap_or_default();
    name == stage || name.strip_prefix(stage).is_some_and(|rest| rest.starts_with('['))
}
