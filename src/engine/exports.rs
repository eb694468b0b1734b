//! Exports: outputs copied into the working tree, each swapped in whole.
//!
//! What is there already is replaced only when the store holds the very same bytes, so that nothing is lost: a file
//! the user changed is left alone, and the run says so.

use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::artifact::{Projection, Verdict};
use crate::engine::event::{Event, Sink};
use crate::engine::resolve::Products;
use crate::engine::{EngineError, RunOptions};
use crate::plan::{Export, ExportWhen, Plan};
use crate::store::{Access, Store};

/// Swaps in every export whose condition holds.
pub fn swap_in(
    plan: &Plan,
    store: &Store,
    options: &RunOptions,
    products: &Products,
    verdict: Option<Verdict>,
    sink: &dyn Sink,
) -> Result<(), EngineError> {
    for export in plan.exports() {
        let path = export.path.clone();
        let passed = verdict.is_none_or(|verdict| verdict == Verdict::Passed);
        if export.when == ExportWhen::Passed && !passed {
            let reason = "the gates did not pass; `when: always` exports all the same".to_owned();
            sink.emit(&Event::ExportSkipped { path, reason });
            continue;
        }
        let event = match export_one(export, store, &options.project, products)? {
            Done::Wrote => Event::Exported { path, unchanged: false },
            Done::Unchanged => Event::Exported { path, unchanged: true },
            Done::LeftAlone => {
                let reason =
                    "it was changed since it was written here; move it away to have it written again".to_owned();
                Event::ExportSkipped { path, reason }
            }
        };
        sink.emit(&event);
    }
    Ok(())
}

enum Done {
    Wrote,
    Unchanged,
    LeftAlone,
}

fn export_one(export: &Export, store: &Store, project: &Path, products: &Products) -> Result<Done, EngineError> {
    let failed = |reason: String| EngineError::Export { path: export.path.clone(), reason };
    let output = products.get(&export.stage).and_then(|record| record.outputs.get(export.slot.as_str()));
    let output = output.ok_or_else(|| failed(format!("`{}` was not written", export.slot)))?;
    let target = project.join(&export.path);
    let occupied = target.symlink_metadata().is_ok();
    if occupied {
        match store.digest_of(&target) {
            Ok(there) if there == output.content => return Ok(Done::Unchanged),
            Ok(there) if store.contains(there)? => {}
            _ => return Ok(Done::LeftAlone),
        }
    }
    let (parent, name) = target.parent().zip(target.file_name()).ok_or_else(|| failed("it has no name".into()))?;
    std::fs::create_dir_all(parent).map_err(|error| failed(error.to_string()))?;
    let draft = parent.join(format!(".{}.pipe-{}", name.to_string_lossy(), std::process::id()));
    remove(&draft);
    let copied = store.materialise(output.content, Projection::Whole, &draft, Access::Writable);
    drop(copied.map_err(|error| failed(error.to_string()))?);
    let flags = if occupied { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
    let swapped = renameat_with(CWD, &draft, CWD, &target, flags);
    // After an exchange the draft's name holds what was there before; after a failure, the draft.
    remove(&draft);
    swapped.map_err(|error| failed(error.to_string()))?;
    Ok(Done::Wrote)
}

fn remove(path: &Path) {
    // That nothing is there is the usual case; what can't be removed is in nobody's way.
    let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
}
