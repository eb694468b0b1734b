//! `pipe cache pin`, `unpin` and `pins`.

use serde_json::json;

use crate::cli::cache::arguments::PinArguments;
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load};
use crate::digest::ActionKey;
use crate::engine::{self, RunState};
use crate::report::table::{self, Align};
use crate::store::{Pin, Pinned, Store, StoreError};

pub fn pin(arguments: &PinArguments, store: &Store, session: &Session) -> Result<Exit, Failure> {
    // All are looked for before the first is pinned.
    let found: Vec<(Pinned, String)> =
        arguments.targets.iter().map(|target| find(target, store)).collect::<Result<_, _>>()?;
    let mut pins = Vec::new();
    for (pinned, label) in found {
        pins.push(store.pin(pinned, &label, &arguments.note)?);
    }
    tell("pinned", &pins, session);
    Ok(Exit::Ok)
}

pub fn unpin(targets: &[String], store: &Store, session: &Session) -> Result<Exit, Failure> {
    let mut names = Vec::new();
    for target in targets {
        names.push(store.unpin(target)?);
    }
    if session.console.json {
        say(&json!({ "version": 1, "unpinned": names }).to_string());
    } else {
        let short: Vec<String> = names.iter().map(|name| name.chars().take(12).collect()).collect();
        say(&format!("unpinned {}", short.join(", ")));
    }
    Ok(Exit::Ok)
}

pub fn pins(store: &Store, session: &Session) -> Result<Exit, Failure> {
    let pins = store.pins()?;
    if session.console.json || !pins.is_empty() {
        tell("pinned", &pins, session);
    } else {
        say("nothing is pinned");
    }
    Ok(Exit::Ok)
}

/// What somebody means: an experiment, a result, or what a stage gave in the latest run that has it.
fn find(target: &str, store: &Store) -> Result<(Pinned, String), Failure> {
    match store.find_experiment(target) {
        Ok(id) => return Ok((Pinned::Experiment(id), load::experiment(store, &id.to_string())?.name)),
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    match store.find_result(target) {
        Ok(key) => {
            return Ok((Pinned::Result(key), store.peek_result(&key).map_or_else(String::new, |found| found.kind)));
        }
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    match latest_of(target, store)? {
        Some(key) => Ok((Pinned::Result(key), target.to_owned())),
        None => Err(Failure::Usage(format!(
            "`{target}` begins the id of no experiment and the key of no result, and no recorded run has a stage of that name; \
             `pipe runs` lists the runs"
        ))),
    }
}

fn latest_of(stage: &str, store: &Store) -> Result<Option<ActionKey>, Failure> {
    let runs = engine::runs(store, usize::MAX)?;
    Ok(runs.iter().find_map(|(_, state)| match state {
        RunState::Ended(record) => record.keys.get(stage).copied(),
        RunState::Live | RunState::Killed => None,
    }))
}

fn tell(verb: &str, pins: &[Pin], session: &Session) {
    if session.console.json {
        say(&json!({ "version": 1, verb: pins }).to_string());
        return;
    }
    let row = |pin: &Pin| {
        let what = if matches!(pin.pinned, Pinned::Experiment(_)) { "experiment" } else { "result" };
        vec![pin.pinned.digest().short(), what.to_owned(), pin.label.clone(), pin.note.clone()]
    };
    let rows: Vec<Vec<String>> = pins.iter().map(row).collect();
    say(&table::render(&[verb, "what", "name", "note"], &rows, &[Align::Left; 4]));
}
