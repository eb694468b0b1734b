//! Where everything lies, and opening a store. Opening writes nothing: folders appear with the first thing put in.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use crate::digest::Digest;
use crate::store::draft::{sync_names, write_new_file};
use crate::store::error::StoreError;
use crate::store::session::Session;
use crate::store::tree::Tree;

/// The version of the layout and of the record formats in it.
const VERSION: &str = "pipe store 1";

/// See <https://bford.info/cachedir/>: backup programs skip the folder.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This folder is a cache of pipe. It can be made again from manifests and inputs.\n";

/// A store: one folder, shared safely by any number of threads and processes.
#[derive(Debug)]
pub struct Store {
    pub(super) root: PathBuf,
    pub(super) session: Mutex<Option<Arc<Session>>>,
    /// Listings of inputs that were hashed but not stored (yet), so that they can be projected.
    pub(super) unstored_trees: Mutex<HashMap<Digest, Tree>>,
    /// Whether this file system has refused to clone a file, so that it need not be asked again.
    pub(super) clones_refused: AtomicBool,
    /// The lock between runs and the collector, once it was needed.
    pub(super) gate: Mutex<Option<File>>,
}

/// The sorts of things in a store; each has its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Bytes of files and folder listings.
    Blobs,
    /// Large inputs left where they are.
    References,
    /// Ingredients of keys.
    Actions,
    /// What actions gave.
    Results,
    /// Complete runs.
    Experiments,
    /// All runs.
    Runs,
    /// What input paths looked like when they were hashed.
    Stat,
    /// What must be kept.
    Roots,
    /// Kernel locks.
    Claims,
    /// Drafts and sandboxes.
    Tmp,
    /// What is about to be deleted.
    Trash,
    /// Damaged things.
    Quarantine,
}

impl Class {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Blobs,
        Self::References,
        Self::Actions,
        Self::Results,
        Self::Experiments,
        Self::Runs,
        Self::Stat,
        Self::Roots,
        Self::Claims,
        Self::Tmp,
        Self::Trash,
        Self::Quarantine,
    ];

    /// The folder's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::References => "references",
            Self::Actions => "actions",
            Self::Results => "results",
            Self::Experiments => "experiments",
            Self::Runs => "runs",
            Self::Stat => "stat",
            Self::Roots => "roots",
            Self::Claims => "claims",
            Self::Tmp => "tmp",
            Self::Trash => "trash",
            Self::Quarantine => "quarantine",
        }
    }

    /// Whether names are spread over folders named by their first two digits.
    pub(super) const fn is_sharded(self) -> bool {
        matches!(self, Self::Blobs | Self::References | Self::Actions | Self::Results | Self::Stat)
    }
}

impl Store {
    /// Opens the store in a folder, which need not exist yet; writes nothing.
    ///
    /// # Errors
    /// [`StoreError::UnknownVersion`], [`StoreError::NotAStore`] for a folder with other things in it, and
    /// [`StoreError::Io`] when it can't be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let root = std::path::absolute(path).map_err(|error| StoreError::io("find", path, error))?;
        check_version(&root)?;
        Ok(Self {
            root,
            session: Mutex::default(),
            unstored_trees: Mutex::default(),
            clones_refused: AtomicBool::new(false),
            gate: Mutex::default(),
        })
    }

    /// The store's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The folder of a class.
    #[must_use]
    pub fn folder(&self, class: Class) -> PathBuf {
        self.root.join(class.name())
    }

    /// Where something of this name and class lies.
    pub(super) fn place(&self, class: Class, name: &str) -> PathBuf {
        let folder = self.folder(class);
        if class.is_sharded() { folder.join(name.get(..2).unwrap_or_default()).join(name) } else { folder.join(name) }
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.place(Class::Blobs, &digest.to_hex())
    }

    /// Makes the store's own folder and its two files, the version last.
    pub(super) fn create(&self) -> Result<(), StoreError> {
        if check_version(&self.root)? {
            return Ok(());
        }
        fs::create_dir_all(&self.root).map_err(|error| StoreError::io("create", &self.root, error))?;
        write_new_file(&self.root.join("CACHEDIR.TAG"), CACHEDIR_TAG.as_bytes())?;
        write_new_file(&self.root.join("version"), format!("{VERSION}\n").as_bytes())?;
        sync_names([self.root.join("version").as_path()])
    }
}

/// Whether there is a store of this version.
fn check_version(root: &Path) -> Result<bool, StoreError> {
    let path = root.join("version");
    match fs::read(&path) {
        Ok(bytes) if bytes.trim_ascii() == VERSION.as_bytes() => Ok(true),
        Ok(bytes) => {
            let found = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).trim().escape_debug().to_string();
            Err(StoreError::UnknownVersion { path, found, expected: VERSION.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => check_unused(root).map(|()| false),
        Err(error) => Err(StoreError::io("read", &path, error)),
    }
}

/// Refuses a folder that holds anything a store being created would not hold.
fn check_unused(root: &Path) -> Result<(), StoreError> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("read", root, error)),
    };
    for entry in entries {
        let name = entry.map_err(|error| StoreError::io("read", root, error))?.file_name();
        let name = name.to_string_lossy();
        let ours = name.starts_with("CACHEDIR.TAG")
            || name.starts_with("version")
            || name.starts_with('.')
            // Models may be fetched into the cache before anything is stored.
            || name == "sources"
            || name == "lost+found";
        if !ours {
            return Err(StoreError::NotAStore { path: root.to_owned(), found: name.into_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_writes_nothing_and_the_first_write_makes_a_marked_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("cache");
        let store = Store::open(&root).unwrap();
        assert!(!root.exists());
        store.put_bytes(b"x").unwrap();
        assert_eq!(fs::read_to_string(root.join("version")).unwrap(), "pipe store 1\n");
        assert!(fs::read_to_string(root.join("CACHEDIR.TAG")).unwrap().starts_with("Signature: 8a477f597d28d172"));
    }

    #[test]
    fn an_unknown_version_and_a_foreign_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "x").unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(matches!(&error, StoreError::NotAStore { found, .. } if found == "thesis.tex"), "{error}");
        fs::write(folder.path().join("version"), "pipe store 2\n").unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("is `pipe store 2`; expected `pipe store 1`"), "{error}");
        assert!(error.help().unwrap().contains("PIPE_CACHE"));
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_an_error_that_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Store::open(file.path()).unwrap_err();
        assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
    }
}
