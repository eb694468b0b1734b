//! How much is in the store, and walking over it.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::store::error::StoreError;
use crate::store::layout::{Class, Store};

/// How much there is of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ClassUsage {
    /// The class.
    pub class: Class,
    /// How many files (of runs: how many runs).
    pub count: u64,
    /// How many bytes they have together.
    pub bytes: u64,
}

/// How much there is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Every class, in the order of the documentation.
    pub classes: Vec<ClassUsage>,
}

impl Usage {
    /// How many bytes all classes have together. Files that share their bytes by hard links or clones count each time.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.classes.iter().map(|class| class.bytes).sum()
    }
}

impl Store {
    /// Counts what is there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn stat(&self) -> Result<Usage, StoreError> {
        let usage = |class: Class| -> Result<ClassUsage, StoreError> {
            let files = files_below(&self.folder(class))?;
            let bytes = files.iter().map(|(_, metadata)| metadata.len()).sum();
            let count = if class == Class::Runs { self.list(class)?.len() } else { files.len() };
            Ok(ClassUsage { class, count: count as u64, bytes })
        };
        Ok(Usage { classes: Class::ALL.into_iter().map(usage).collect::<Result<_, _>>()? })
    }

    /// All things of a class with their metadata, in no order. What vanishes meanwhile is left out.
    pub(super) fn list(&self, class: Class) -> Result<Vec<(PathBuf, Metadata)>, StoreError> {
        let entries = entries_of(&self.folder(class))?;
        if !class.is_sharded() {
            return Ok(entries);
        }
        let mut all = Vec::new();
        for (path, metadata) in entries {
            if metadata.is_dir() {
                all.extend(entries_of(&path)?);
            } else {
                all.push((path, metadata));
            }
        }
        Ok(all)
    }
}

/// The entries of a folder; none when it is not there.
fn entries_of(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, StoreError> {
    let failed = |error| StoreError::io("read", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        match entry.metadata() {
            Ok(metadata) => all.push((entry.path(), metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(all)
}

/// All files below a folder, at any depth.
pub(super) fn files_below(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, StoreError> {
    let mut files = Vec::new();
    let mut waiting = entries_of(folder)?;
    while let Some((path, metadata)) = waiting.pop() {
        if metadata.is_dir() {
            waiting.extend(entries_of(&path)?);
        } else {
            files.push((path, metadata));
        }
    }
    Ok(files)
}
