//! `pipe cache stat`: how much is stored.

use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session};
use crate::report::table::{self, Align};
use crate::report::units;
use crate::store::{ClassUsage, Store};

pub fn stat(store: &Store, session: &Session) -> Result<Exit, Failure> {
    let usage = store.stat()?;
    if session.console.json {
        say(&serde_json::to_string(&usage).unwrap_or_default());
        return Ok(Exit::Ok);
    }
    let row =
        |usage: &ClassUsage| vec![usage.class.name().to_owned(), usage.count.to_string(), units::bytes(usage.bytes)];
    let rows: Vec<Vec<String>> = usage.classes.iter().map(row).collect();
    say(&format!("{}\n", store.path().display()));
    say(&table::render(&["what", "files", "bytes"], &rows, &[Align::Left, Align::Right, Align::Right]));
    Ok(Exit::Ok)
}
