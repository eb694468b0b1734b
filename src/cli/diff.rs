//! `pipe diff`: two experiments side by side, only what differs.

use crate::cli::arguments::DiffArguments;
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load, project};
use crate::report::diff as report;

pub fn diff(arguments: &DiffArguments, session: &Session) -> Result<Exit, Failure> {
    let store = load::open_store(&session.global, &project::current_root())?;
    let (old, new) = (load::experiment(&store, &arguments.old)?, load::experiment(&store, &arguments.new)?);
    let found = crate::engine::diff(&old, &new, &store);
    let json = || serde_json::to_string(&found).unwrap_or_default();
    say(&if session.console.json { json() } else { report::page(&found) });
    Ok(Exit::Ok)
}
