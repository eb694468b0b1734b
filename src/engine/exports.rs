//! Exports: outputs copied into the working tree, each swapped in whole.
//!
//! What is there already is replaced only when the store has a copy of the very same bytes, so that nothing is lost: a
//! file the user changed is left alone, and so is a large input that the store only references where it lies.

use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::artifact::{Content, Projection, Verdict};
use crate::engine::event::{Event, Sink};
use crate::engine::resolve::Products;
use crate::engine::{EngineError, RunOptions};
use crate::plan::{Export, ExportWhen, Plan};
use crate::store::{Access, Store, StoreError};

/// Swaps in every export whose condition holds; gives those that failed.
pub fn swap_in(
    plan: &Plan,
    store: &Store,
    options: &RunOptions,
    products: &Products,
    verdict: Option<Verdict>,
    sink: &dyn Sink,
) -> Vec<EngineError> {
    let mut failures = Vec::new();
    for export in plan.exports() {
        let path = export.path.clone();
        let passed = verdict.is_none_or(|verdict| verdict == Verdict::Passed);
        if export.when == ExportWhen::Passed && !passed {
            let reason = "the gates did not pass; `when: always` exports all the same".to_owned();
            sink.emit(&Event::ExportSkipped { path, reason });
            continue;
        }
        let event = match export_one(export, store, &options.project, products) {
            Ok(Done::Wrote) => Event::Exported { path, unchanged: false },
            Ok(Done::Unchanged) => Event::Exported { path, unchanged: true },
            Ok(Done::LeftAlone) => {
                let reason =
                    "it was changed since it was written here; move it away to have it written again".to_owned();
                Event::ExportSkipped { path, reason }
            }
            Err(error) => {
                failures.push(error);
                continue;
            }
        };
        sink.emit(&event);
    }
    failures
}

/// Whether a stored output was found damaged while it was exported; tells of each.
pub fn found_damage(failures: &[EngineError], sink: &dyn Sink) -> bool {
    let damage = failures.iter().filter_map(|error| match error {
        EngineError::DamagedExport { path, damage } => Some((path, damage)),
        _ => None,
    });
    damage.fold(false, |_, (path, damage)| {
        sink.emit(&Event::Damaged { owner: path.clone(), message: damage.to_string() });
        true
    })
}

enum Done {
    Wrote,
    Unchanged,
    LeftAlone,
}

/// How often an export is tried again when another run swaps in the same target meanwhile.
const ATTEMPTS: usize = 8;

fn export_one(export: &Export, store: &Store, project: &Path, products: &Products) -> Result<Done, EngineError> {
    let output = products.get(&export.stage).and_then(|record| record.outputs.get(export.slot.as_str()));
    let output = output.ok_or_else(|| failed(export, format!("`{}` was not written", export.slot)))?;
    let target = project.join(&export.path);
    for _ in 0..ATTEMPTS {
        if let Some(done) = try_export(export, output.content, store, &target)? {
            return Ok(done);
        }
    }
    Err(failed(export, "other runs keep writing to it".into()))
}

/// One attempt; nothing when somebody else put something there or took it away meanwhile.
fn try_export(export: &Export, content: Content, store: &Store, target: &Path) -> Result<Option<Done>, EngineError> {
    let told = |error: &dyn std::fmt::Display| failed(export, error.to_string());
    let there = target.symlink_metadata().ok();
    if let Some(found) = &there {
        match store.digest_of(target) {
            Ok(same) if same == content => return Ok(Some(Done::Unchanged)),
            // An exchange would replace the link, not what it points at.
            Ok(other) if !found.is_symlink() && store.holds_copy(other)? => {}
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            _ => return Ok(Some(Done::LeftAlone)),
        }
    }
    let (parent, name) = target.parent().zip(target.file_name()).ok_or_else(|| told(&"it has no name"))?;
    std::fs::create_dir_all(parent).map_err(|error| told(&error))?;
    let flags = if there.is_some() { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
    let copy_and_swap = |draft: &Path| -> Result<Result<(), Errno>, EngineError> {
        remove(draft);
        let copied = store.materialise(content, Projection::Whole, draft, Access::Writable);
        drop(copied.map_err(|error| match error {
            StoreError::Damaged { .. } => {
                EngineError::DamagedExport { path: export.path.clone(), damage: Box::new(error) }
            }
            error => told(&error),
        })?);
        Ok(renameat_with(CWD, draft, CWD, target, flags))
    };
    // In the store, where a killed run's drafts are swept away; beside the target when that is on another disk.
    let sandbox = store.sandbox().ok();
    let beside = parent.join(format!(".{}.pipe-{}", name.to_string_lossy(), std::process::id()));
    let stray = beside.clone();
    let in_store = sandbox.as_ref().map_or_else(|| beside.clone(), |sandbox| sandbox.path().join("export"));
    let (swapped, draft) = match copy_and_swap(&in_store)? {
        Err(Errno::XDEV) => (copy_and_swap(&beside)?, beside),
        swapped => (swapped, in_store),
    };
    if swapped.is_ok() && there.is_some() {
        // The user may have written during the copy: what came out is looked at once more before it is removed.
        let is_held = store.digest_of(&draft).is_ok_and(|old| store.holds_copy(old).unwrap_or(false));
        if !is_held {
            renameat_with(CWD, &draft, CWD, target, RenameFlags::EXCHANGE).map_err(|error| told(&error))?;
            if store.digest_of(&draft).is_ok_and(|ours| ours == content) {
                remove(&draft);
            } else {
                // Somebody wrote in between the two exchanges as well; that is kept, beside the target.
                let _ = std::fs::rename(&draft, &stray);
            }
            return Ok(Some(Done::LeftAlone));
        }
    }
    // After an exchange the draft's name holds what was there before, which the store has; else the draft.
    remove(&draft);
    match swapped {
        Ok(()) => Ok(Some(Done::Wrote)),
        Err(Errno::EXIST | Errno::NOENT) => Ok(None),
        Err(error) => Err(told(&error)),
    }
}

fn failed(export: &Export, reason: String) -> EngineError {
    EngineError::Export { path: export.path.clone(), reason }
}

fn remove(path: &Path) {
    // That nothing is there is the usual case; what can't be removed is in nobody's way.
    let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
}
