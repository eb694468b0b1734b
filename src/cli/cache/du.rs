//! `pipe cache du`: what takes the space.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session};
use crate::digest::{Digest, ExperimentId};
use crate::report::table::{self, Align};
use crate::report::units;
use crate::store::{Lookup, Share, Store};

pub fn du(store: &Store, session: &Session) -> Result<Exit, Failure> {
    let ids = store.experiments()?;
    let (experiments, unheld) = store.shares(&ids.iter().map(|id| vec![*id.digest()]).collect::<Vec<_>>())?;
    let mut by_kind: BTreeMap<String, Vec<Digest>> = BTreeMap::new();
    for (key, kind) in store.result_kinds()? {
        by_kind.entry(kind).or_default().push(*key.digest());
    }
    let (kind_names, groups): (Vec<String>, Vec<Vec<Digest>>) = by_kind.into_iter().unzip();
    let (kinds, _) = store.shares(&groups)?;
    let mut experiments: Vec<(ExperimentId, Share)> = ids.into_iter().zip(experiments).collect();
    experiments.sort_by_key(|(_, share)| std::cmp::Reverse(share.bytes));
    let mut kinds: Vec<(String, Share)> = kind_names.into_iter().zip(kinds).collect();
    kinds.sort_by_key(|(_, share)| std::cmp::Reverse(share.bytes));
    if session.console.json {
        let experiments: Vec<_> =
            experiments.iter().map(|(id, share)| json!({ "experiment": id, "share": share })).collect();
        let kinds: Vec<_> = kinds.iter().map(|(kind, share)| json!({ "kind": kind, "share": share })).collect();
        say(&json!({ "version": 1, "experiments": experiments, "kinds": kinds, "rest": unheld }).to_string());
        return Ok(Exit::Ok);
    }
    let experiment_rows =
        experiments.iter().map(|(id, share)| row(format!("{}  {}", id.short(), name(store, id)), share));
    let mut rows: Vec<Vec<String>> = experiment_rows.collect();
    rows.push(row("of no experiment".to_owned(), &unheld));
    let kind_rows: Vec<Vec<String>> = kinds.into_iter().map(|(kind, share)| row(kind, &share)).collect();
    say(&format!("{}\n\n{}", table_of("experiment", &rows), table_of("results of", &kind_rows)));
    say("\nalone: what no other line of the table holds; elsewhere: large inputs, referenced where they lie");
    Ok(Exit::Ok)
}

/// The manifest's name of an experiment, where its record can be read.
fn name(store: &Store, id: &ExperimentId) -> String {
    match store.experiment(id) {
        Ok(Lookup::Found(record)) => record["name"].as_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

fn row(what: String, share: &Share) -> Vec<String> {
    let figures = [share.bytes, share.alone_bytes, share.referenced_bytes].map(units::bytes);
    [vec![what, share.things.to_string()], figures.to_vec()].concat()
}

fn table_of(what: &str, rows: &[Vec<String>]) -> String {
    let columns = [Align::Left, Align::Right, Align::Right, Align::Right, Align::Right];
    table::render(&[what, "things", "bytes", "alone", "elsewhere"], rows, &columns)
}
