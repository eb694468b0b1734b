//! The roots that lie outside the store: the lock files of projects.
//!
//! A lock is read without knowing its form: whatever digests and ids stand in it are kept, also those on both sides of a
//! merge that was not resolved yet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::{Failure, project};
use crate::store::{Root, StoreError};

/// One root for each lock below the `pipelines` folders of some projects.
pub fn locks(projects: &[&Path]) -> Result<Vec<Root>, Failure> {
    let mut roots = Vec::new();
    for folder in projects {
        if !folder.is_dir() {
            let (what, problem) = (format!("project `{}`", folder.display()), "it is no folder".to_owned());
            return Err(StoreError::UnreadableRoot { what, problem }.into());
        }
        for path in locks_below(&folder.join("pipelines"))? {
            let what = format!("lock `{}`", project::shown(&path));
            let text = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
            roots.push(Root::of_text(what, &text)?);
        }
    }
    Ok(roots)
}

/// All `*.lock` files below a folder, sorted; links to folders are not followed.
fn locks_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&folder, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(|error| unreadable(&entry.path(), &error))?);
            if kind.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "lock") {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let what = format!("`{}`", project::shown(path));
    StoreError::UnreadableRoot { what, problem: error.to_string() }.into()
}
