//! What a command left behind, brought to where the engine takes outputs: each declared one to its slot, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use super::place::Place;
use super::settings::{Output, RunSettings};
use crate::stage::{StageContext, StageError};

/// Checks and moves them.
///
/// # Errors
/// When an output is missing, is not of the shape of its kind or is a link, and when there is anything else.
pub(super) fn take(config: &RunSettings, context: &StageContext<'_>, place: &Place) -> Result<(), StageError> {
    let folder = &context.output_folder;
    let apart = place.apart("taken")?;
    for (slot, output) in &config.out {
        let path = folder.join(RunSettings::path_of(slot, output));
        check(slot, output, &path, folder)?;
        rename(&path, &apart.join(slot))?;
    }
    if let Some(left) = first_file(folder).map_err(|error| StageError::io(folder, &error))? {
        let left = left.strip_prefix(folder).unwrap_or(&left).display().to_string();
        let message = format!(
            "the command left `{left}`, which is not declared; name it under `out`, or write it to the folder TMPDIR"
        );
        return Err(StageError::failed(message));
    }
    // Only empty folders are left, among them one of a path that is another slot's name.
    fs::remove_dir_all(folder).map_err(|error| StageError::io(folder, &error))?;
    rename(&apart, folder)
}

fn check(slot: &str, output: &Output, path: &Path, folder: &Path) -> Result<(), StageError> {
    let shown = path.strip_prefix(folder).unwrap_or(path).display();
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Err(StageError::failed(format!("the command wrote no `{shown}`, its output `{slot}`")));
    };
    // A link on the way there would lead the move out of the folder.
    let real = path.parent().and_then(|parent| parent.canonicalize().ok());
    let inside = folder.canonicalize().is_ok_and(|folder| real.is_some_and(|real| real.starts_with(folder)));
    let found = match metadata.file_type() {
        kind if kind.is_symlink() || !inside => "a symbolic link",
        kind if kind.is_dir() => "a folder",
        kind if kind.is_file() => "a file",
        _ => "neither a file nor a folder",
    };
    let expected = if output.kind.is_folder() { "a folder" } else { "a file" };
    if found == expected {
        return Ok(());
    }
    let kind = output.kind;
    Err(StageError::failed(format!("the output `{slot}` is {found}; expected {expected}, as `{kind}` is")))
}

fn rename(from: &Path, to: &Path) -> Result<(), StageError> {
    fs::rename(from, to).map_err(|error| StageError::io(from, &error))
}

/// Anything but folders, below a folder.
fn first_file(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                return Ok(Some(entry.path()));
            }
            waiting.push(entry.path());
        }
    }
    Ok(None)
}
