//! `pipe cache verify`: whether every byte is what it should be, and whether every experiment can be reproduced.

use serde_json::json;

use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session};
use crate::digest::ExperimentId;
use crate::report::units;
use crate::store::{Dangling, Store, VerifyReport};

pub fn verify(store: &Store, session: &Session) -> Result<Exit, Failure> {
    let report = store.verify(&|_| {})?;
    let lacking = crate::engine::irreproducible(store)?;
    if session.console.json {
        say(&as_json(&report, &lacking).to_string());
    } else {
        say(&page(&report, &lacking));
    }
    Ok(if report.is_clean() && lacking.is_empty() { Exit::Ok } else { Exit::StoreCorrupt })
}

/// An experiment and what of it is missing.
type Lacking = (ExperimentId, String);

fn as_json(report: &VerifyReport, lacking: &[Lacking]) -> serde_json::Value {
    json!({
        "version": 1,
        "blobs": report.blobs,
        "bytes": report.bytes,
        "records": report.records,
        "damaged": report.damaged.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "incomplete": report.dangling.iter().map(|dangling| dangling.key.to_string()).collect::<Vec<_>>(),
        "irreproducible": lacking.iter().map(|(id, what)| json!({ "experiment": id.to_string(), "lacks": what })).collect::<Vec<_>>(),
        "lost": report.lost_references,
        "unreadable": report.unreadable,
        "strays": report.strays,
    })
}

fn page(report: &VerifyReport, lacking: &[Lacking]) -> String {
    let mut lines: Vec<String> = report.damaged.iter().map(|damage| format!("damaged     {damage}")).collect();
    for Dangling { key, slot, .. } in &report.dangling {
        lines.push(format!("incomplete  result {}: the bytes of `{slot}` are gone", key.short()));
    }
    for (id, what) in lacking {
        lines.push(format!("incomplete  experiment {}: {what} is gone, so it can't be reproduced", id.short()));
    }
    lines.extend(report.lost_references.iter().map(|lost| format!("lost        {lost}")));
    lines.extend(report.unreadable.iter().map(|problem| format!("unreadable  {problem}")));
    lines.extend(report.strays.iter().map(|path| format!("stray       {}", path.display())));
    let (blobs, bytes, records) = (report.blobs, units::bytes(report.bytes), report.records);
    lines.push(format!("{blobs} blobs ({bytes}) and {records} records read: {} damaged", report.damaged.len()));
    if !report.is_clean() || !lacking.is_empty() {
        lines.push("help: run the manifest again; what was damaged or is gone is made anew".to_owned());
    }
    lines.join("\n")
}
