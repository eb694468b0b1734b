//! `pipe cache export` and `import`: an experiment in one file, for another machine.

use std::path::Path;

use serde_json::json;

use crate::cli::console::{note, say};
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session};
use crate::digest::ExperimentId;
use crate::engine::{self, EngineError};
use crate::report::units;
use crate::store::{Checks, Lookup, Shipment, Store};

pub fn export(prefix: &str, file: &Path, store: &Store, session: &Session) -> Result<Exit, Failure> {
    if file.exists() {
        return Err(Failure::Usage(format!("`{}` exists already; give another name or remove it", file.display())));
    }
    let id = store.find_experiment(prefix)?;
    let exported = store.export(&shipment_of(&id, store)?, file)?;
    if session.console.json {
        say(&json!({ "version": 1, "experiment": id, "file": file, "exported": exported }).to_string());
        return Ok(Exit::Ok);
    }
    let (file, bytes) = (file.display(), units::bytes(exported.bytes));
    say(&format!("wrote experiment {} to {file} ({bytes}, {} entries)", id.short(), exported.entries));
    say(&format!("elsewhere: pipe cache import {file}"));
    Ok(Exit::Ok)
}

fn shipment_of(id: &ExperimentId, store: &Store) -> Result<Shipment, Failure> {
    let what = id.to_string();
    match store.experiment(id)? {
        Lookup::Found(record) => {
            engine::shipment(&record).map_err(|reason| EngineError::Record { what, reason }.into())
        }
        Lookup::Absent => Err(EngineError::Record { what, reason: "it vanished meanwhile".into() }.into()),
        Lookup::Damaged(damage) => Err(EngineError::DamagedRecord { what, damage: damage.to_string() }.into()),
    }
}

pub fn import(file: &Path, store: &Store, session: &Session) -> Result<Exit, Failure> {
    let imported = store.import(file, Checks { experiment: &engine::shipment, action: &engine::check_action })?;
    if session.console.json {
        say(&json!({ "version": 1, "imported": imported }).to_string());
        return Ok(Exit::Ok);
    }
    let (id, bytes) = (imported.experiment.short(), units::bytes(imported.bytes));
    let was_here = if imported.is_new { "" } else { ", which was here already" };
    say(&format!("took in experiment {id}{was_here}: {} files ({bytes}), every digest verified", imported.blobs));
    for key in &imported.differing {
        note(&format!("another result of {} stands here, with other bytes; it was left as it is", key.short()));
    }
    say(&format!("again: pipe reproduce {id}"));
    Ok(Exit::Ok)
}
