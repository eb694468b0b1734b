//! `pipe cache gc`: what nothing keeps goes to the trash, and comes back from it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::cli::cache::arguments::{GcArguments, LATEST};
use crate::cli::cache::roots;
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session};
use crate::report::table::{self, Align};
use crate::report::units;
use crate::store::{Emptied, GcOptions, GcReport, Store, StoreError};

pub fn gc(arguments: &GcArguments, store: &Store, project: &Path, session: &Session) -> Result<Exit, Failure> {
    if let Some(name) = &arguments.undo {
        return undo(Some(name.as_str()).filter(|name| *name != LATEST), store, session);
    }
    if arguments.empty_trash {
        return empty(arguments.yes, store, session);
    }
    let mut projects = vec![project];
    projects.extend(arguments.project.iter().map(std::path::PathBuf::as_path));
    let roots = roots::locks(&projects)?;
    let options = GcOptions {
        roots: &roots,
        keep_runs: arguments.keep_runs,
        grace: arguments.grace,
        max_bytes: arguments.max_size,
    };
    let (report, emptied) = if arguments.yes {
        let emptied = store.empty_trash(arguments.keep_trash)?;
        (store.collect_garbage(&options)?, emptied)
    } else {
        (store.garbage(&options)?, Emptied::default())
    };
    if session.console.json {
        say(&as_json(&report, &emptied, arguments.yes).to_string());
    } else {
        say(&page(&report, &emptied, arguments, store));
    }
    Ok(Exit::Ok)
}

fn undo(name: Option<&str>, store: &Store, session: &Session) -> Result<Exit, Failure> {
    let restored = match store.restore_trash(name) {
        Err(StoreError::NotFound { .. }) if name.is_none() => {
            return Err(Failure::Usage("the trash is empty: there is nothing to undo".to_owned()));
        }
        restored => restored?,
    };
    if session.console.json {
        say(&json!({ "version": 1, "restored": restored }).to_string());
        return Ok(Exit::Ok);
    }
    say(&format!("{} of trash {} put back", things(restored.things), restored.name));
    if restored.made_again > 0 {
        say(&format!("{} had been made again meanwhile; what was trashed stays there", things(restored.made_again)));
    }
    Ok(Exit::Ok)
}

fn empty(yes: bool, store: &Store, session: &Session) -> Result<Exit, Failure> {
    let emptied = if yes {
        store.empty_trash(Duration::ZERO)?
    } else {
        let trashes = store.trashes()?;
        let bytes = trashes.iter().map(|trashed| trashed.bytes).sum();
        Emptied { names: trashes.into_iter().map(|trashed| trashed.name).collect(), bytes }
    };
    if session.console.json {
        say(&json!({ "version": 1, "dry_run": !yes, "emptied": emptied }).to_string());
        return Ok(Exit::Ok);
    }
    let (amount, names) = (units::bytes(emptied.bytes), emptied.names.join(", "));
    say(&match (emptied.names.is_empty(), yes) {
        (true, _) => "the trash is empty".to_owned(),
        (false, true) => format!("deleted for good: {amount} in {names}"),
        (false, false) => format!("would delete for good: {amount} in {names}; add --yes to do it"),
    });
    Ok(Exit::Ok)
}

fn as_json(report: &GcReport, emptied: &Emptied, done: bool) -> serde_json::Value {
    json!({
        "version": 1,
        "dry_run": !done,
        "going": report.going,
        "going_bytes": report.going_bytes(),
        "kept": report.kept,
        "total_bytes": report.total_bytes,
        "over_bytes": report.over_bytes,
        "trash": report.trash,
        "emptied": emptied,
    })
}

fn page(report: &GcReport, emptied: &Emptied, arguments: &GcArguments, store: &Store) -> String {
    let mut classes: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for going in &report.going {
        let (count, bytes) = classes.entry(going.class.name()).or_default();
        (*count, *bytes) = (*count + 1, *bytes + going.bytes);
    }
    let row =
        |(what, (count, bytes)): (&str, (u64, u64))| vec![what.to_owned(), count.to_string(), units::bytes(bytes)];
    let columns = [Align::Left, Align::Right, Align::Right];
    let mut parts = vec![format!("{} ({})", store.path().display(), units::bytes(report.total_bytes))];
    if !classes.is_empty() {
        let rows: Vec<Vec<String>> = classes.into_iter().map(row).collect();
        parts.push(table::render(&["what goes", "things", "bytes"], &rows, &columns));
    }
    if !report.kept.is_empty() {
        let kept = report.kept.iter().map(|kept| row((&kept.what, (kept.things, kept.bytes))));
        parts.push(table::render(&["why the rest stays", "things", "bytes"], &kept.collect::<Vec<_>>(), &columns));
    }
    parts.push(last_lines(report, emptied, arguments).join("\n"));
    parts.join("\n\n")
}

fn last_lines(report: &GcReport, emptied: &Emptied, arguments: &GcArguments) -> Vec<String> {
    let mut lines = Vec::new();
    if !emptied.names.is_empty() {
        lines.push(format!("deleted for good: {} of old trash", units::bytes(emptied.bytes)));
    }
    if let (Some(most), 1..) = (arguments.max_size, report.over_bytes) {
        let (over, most) = (units::bytes(report.over_bytes), units::bytes(most));
        lines.push(format!("the rest is {over} larger than {most}: all of it is kept for the reasons above"));
    }
    let (going, bytes) = (things(report.going.len() as u64), units::bytes(report.going_bytes()));
    lines.push(match &report.trash {
        _ if report.going.is_empty() => "nothing to collect".to_owned(),
        None => format!("would move {going} ({bytes}) to the trash; add --yes to do it"),
        Some(name) => format!(
            "moved {going} ({bytes}) to trash {name}\nback: pipe cache gc --undo   for good: pipe cache gc --empty-trash --yes"
        ),
    });
    lines
}

fn things(count: u64) -> String {
    units::count(usize::try_from(count).unwrap_or(usize::MAX), "thing")
}
