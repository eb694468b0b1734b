//! What can go wrong with the store, and what to do about each.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::{ActionKey, Digest, ExperimentId};
use crate::store::tree::BadTree;

/// A failure of the store. None of them loses anything that was stored before.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {operation} `{}`", path.display())]
    Io {
        /// What was tried, as an infinitive: `read`, `create`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program of another age made this.
    #[error("version of `{}` is `{found}`; expected `{expected}`", path.display())]
    UnknownVersion {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this program reads.
        expected: String,
    },
    /// The folder is used for something else.
    #[error("`{}` has no `version` file but holds `{found}`; expected a cache or an empty folder", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// Something in it.
        found: String,
    },
    /// Stored bytes are missing or not what their digest says; they have to be made again.
    #[error("blob `{}` is damaged: {damage}", digest.short())]
    Damaged {
        /// The digest they should have.
        digest: Digest,
        /// What was found.
        damage: Damage,
    },
    /// A large input that is referenced in place is gone or has other bytes now.
    #[error("input `{}` with digest `{}` {problem}", path.display(), digest.short())]
    ReferenceLost {
        /// The digest it had.
        digest: Digest,
        /// Where it was.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file was written to while it was read.
    #[error("`{}` changed while it was read", path.display())]
    ChangedWhileRead {
        /// The file.
        path: PathBuf,
    },
    /// Something that can't be stored.
    #[error("`{}` is {found}; expected {expected}", path.display())]
    Unsupported {
        /// What was to be stored.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A blob that should list a folder does not.
    #[error("listing `{}` is not valid", digest.short())]
    BadTree {
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        source: BadTree,
    },
    /// A result names bytes that are not in the store.
    #[error("result of action `{}` names blob `{}`, which is not in the cache", key.short(), digest.short())]
    Incomplete {
        /// The action.
        key: ActionKey,
        /// The missing bytes.
        digest: Digest,
    },
    /// Something that says what must be kept can't be read.
    #[error("{what} can't be read: {problem}")]
    UnreadableRoot {
        /// The root, or the record that one leads to.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store lacks something of an experiment that its archive must have.
    #[error("experiment `{}` can't be exported: {problem}", id.short())]
    NotExportable {
        /// The experiment.
        id: ExperimentId,
        /// What is missing or wrong.
        problem: String,
    },
    /// A file is no archive of an experiment, or not a whole one; nothing of it was taken in.
    #[error("`{}` is no valid archive: {problem}", path.display())]
    BadArchive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No record has an id that begins so.
    #[error("no {what} has an id beginning with `{prefix}`")]
    NotFound {
        /// `experiment` or `run`.
        what: &'static str,
        /// What was asked for.
        prefix: String,
    },
    /// Several records have an id that begins so.
    #[error("`{prefix}` begins the ids of {} {what}s: `{}`", candidates.len(), candidates.join("`, `"))]
    Ambiguous {
        /// `experiment` or `run`.
        what: &'static str,
        /// What was asked for.
        prefix: String,
        /// All that match, sorted.
        candidates: Vec<String>,
    },
    /// The caller gave up waiting.
    #[error("interrupted while waiting for another run")]
    Cancelled,
}

impl StoreError {
    pub(super) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { operation, path: path.to_owned(), source }
    }

    pub(super) fn unsupported(path: &Path, found: impl Into<String>, expected: &'static str) -> Self {
        Self::Unsupported { path: path.to_owned(), found: found.into(), expected }
    }

    /// The message with those of its causes, for reports that hold no errors.
    pub(super) fn with_causes(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |error| error.source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// What the reader of the message can do, when there is something.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, path, .. } => return io_help(source, path),
            Self::UnknownVersion { .. } => {
                "use the version of pipe that made this cache, or point PIPE_CACHE at another folder".into()
            }
            Self::NotAStore { .. } => "point PIPE_CACHE at a folder that is empty or does not exist yet".into(),
            Self::Damaged { damage: Damage { quarantined_to: Some(path), .. }, .. } => {
                format!("the bytes are kept in `{}`; run the pipeline again to make them anew", path.display())
            }
            Self::Damaged { .. } => "run the pipeline again to make the bytes anew".into(),
            Self::ReferenceLost { .. } => {
                "put the file back as it was, or run again so that the file of today is used".into()
            }
            Self::ChangedWhileRead { .. } => "run again once nothing writes to the file".into(),
            Self::Unsupported { .. } => "replace it by a plain file or folder".into(),
            Self::Incomplete { .. } => "run the pipeline again; somebody removed files of the cache meanwhile".into(),
            Self::UnreadableRoot { .. } => {
                "nothing was moved, since what it keeps is not known; put it right, or remove it if it is to keep nothing"
                    .into()
            }
            Self::NotExportable { .. } => "run its manifest again, then export".into(),
            Self::BadArchive { .. } => {
                "nothing of it was taken in; write it again with `pipe cache export`, and copy it whole".into()
            }
            Self::Ambiguous { .. } => "give more digits of the id".into(),
            Self::BadTree { .. } | Self::NotFound { .. } | Self::Cancelled => return None,
        })
    }
}

fn io_help(source: &io::Error, path: &Path) -> Option<String> {
    const KEPT: &str = "nothing that was stored is lost, and nothing half-written is visible";
    let path = path.display();
    Some(match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!(
                "{KEPT}; free some space on the disk of `{path}` or point PIPE_CACHE at another disk, then run again"
            )
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            format!(
                "{KEPT}; stored results are still served; to store new ones make `{path}` accessible or point PIPE_CACHE at a folder you may write to"
            )
        }
        io::ErrorKind::FileTooLarge => {
            format!("{KEPT}; the file system of `{path}` can't hold a file of that size; point PIPE_CACHE elsewhere")
        }
        _ if source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            format!("{KEPT}; the disk of `{path}` reports a fault: check it, then run `pipe cache verify`")
        }
        _ => return None,
    })
}

/// Stored bytes that are not what they should be, and where they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where they were.
    pub path: PathBuf,
    /// What is wrong: found and expected.
    pub problem: String,
    /// Where they were moved; absent when nothing was there, or when the store can't be written.
    pub quarantined_to: Option<PathBuf>,
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`: {}", self.path.display(), self.problem)?;
        match &self.quarantined_to {
            Some(path) => write!(out, " (moved to `{}`)", path.display()),
            None => Ok(()),
        }
    }
}
