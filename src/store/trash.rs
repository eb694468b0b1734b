//! The trash: what the collector moved, by the time at which it did, until it is restored or emptied.
//!
//! ```text
//! trash/20261123-101530-3fa2b1/{blobs,references,actions,results,experiments,runs}/<name>
//! ```
//! Restoring goes the way back: bytes before the records that name them, so that also then, at no time, is there a result
//! without its bytes. Only here does the store delete for good, and only real folders inside its own.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::store::draft::{make_folders, rename_to_free_place, sync_names};
use crate::store::error::StoreError;
use crate::store::experiment::only;
use crate::store::layout::{Class, Store};
use crate::store::run::{is_run_id, new_id};
use crate::store::session::remove_folder;
use crate::store::stamp::{Stamp, now_s};
use crate::store::usage::files_below;

/// What can lie in a trash, in the order in which it is restored.
const RESTORED: [Class; 6] =
    [Class::Blobs, Class::References, Class::Actions, Class::Results, Class::Experiments, Class::Runs];

/// One collection's trash.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Trashed {
    /// Its name: when it was made.
    pub name: String,
    /// How many files are in it.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How long ago the last thing came in, in seconds.
    pub age_s: u64,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// Which trash it was in.
    pub name: String,
    /// How many things are back.
    pub things: u64,
    /// How many had been made again meanwhile: what stands there stays, these stay in the trash.
    pub made_again: u64,
}

/// What was deleted for good.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Emptied {
    /// The names of the trashes.
    pub names: Vec<String>,
    /// How many bytes they had.
    pub bytes: u64,
}

impl Store {
    /// All trashes, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn trashes(&self) -> Result<Vec<Trashed>, StoreError> {
        let mut all = Vec::new();
        for (path, metadata) in self.list(Class::Trash)? {
            let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_run_id(name));
            let (Some(name), true) = (name, metadata.is_dir()) else { continue };
            let files = files_below(&path)?;
            let last = metadata.modified().ok().and_then(|last| SystemTime::now().duration_since(last).ok());
            let trashed = Trashed {
                name: name.to_owned(),
                files: files.len() as u64,
                bytes: files.iter().map(|(_, metadata)| metadata.len()).sum(),
                age_s: last.map_or(0, |age| age.as_secs()),
            };
            // By the time to the nanosecond: a name has only the second.
            all.push((Stamp::of(&metadata).modified_ns, trashed));
        }
        all.sort_unstable_by(|left, right| (left.0, &left.1.name).cmp(&(right.0, &right.1.name)));
        Ok(all.into_iter().map(|(_, trashed)| trashed).collect())
    }

    /// Puts everything of the latest trash, or of the one whose name begins so, back where it was.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`], [`StoreError::Io`]; when it ends early, the rest is still in
    /// the trash.
    pub fn restore_trash(&self, name: Option<&str>) -> Result<Restored, StoreError> {
        let _alone = self.lock_trash()?;
        let mut names: Vec<String> = self.trashes()?.into_iter().map(|trashed| trashed.name).collect();
        let name = match name {
            Some(prefix) => only("trash", prefix, names)?,
            None => names.pop().ok_or_else(|| StoreError::NotFound { what: "trash", prefix: String::new() })?,
        };
        let trash = self.folder(Class::Trash).join(&name);
        let mut restored = Restored { name, things: 0, made_again: 0 };
        for class in RESTORED {
            self.restore_class(class, &trash.join(class.name()), &mut restored)?;
        }
        // Fails, as it should, where something is left in it.
        let _ = fs::remove_dir(&trash);
        Ok(restored)
    }

    fn restore_class(&self, class: Class, from: &Path, restored: &mut Restored) -> Result<(), StoreError> {
        let entries = match fs::read_dir(from) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::io("read", from, error)),
        };
        let mut places: Vec<PathBuf> = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| StoreError::io("read", from, error))?;
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str() else { continue };
            let place = self.place(class, name);
            make_folders(place.parent().unwrap_or(&place))?;
            match move_back(&entry.path(), &place) {
                Ok(()) => {
                    restored.things += 1;
                    places.push(place);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => restored.made_again += 1,
                Err(error) => return Err(StoreError::io("restore", &place, error)),
            }
        }
        let _ = fs::remove_dir(from);
        sync_names(places.iter().map(PathBuf::as_path))
    }

    /// Deletes for good what has been in the trash for at least so long.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn empty_trash(&self, at_least: Duration) -> Result<Emptied, StoreError> {
        let mut emptied = Emptied::default();
        if !self.folder(Class::Trash).exists() {
            return Ok(emptied);
        }
        let _alone = self.lock_trash()?;
        for Trashed { name, bytes, age_s, .. } in self.trashes()? {
            if Duration::from_secs(age_s) >= at_least {
                let path = self.folder(Class::Trash).join(&name);
                remove_folder(&path).map_err(|error| StoreError::io("remove", &path, error))?;
                emptied.bytes += bytes;
                emptied.names.push(name);
            }
        }
        Ok(emptied)
    }

    /// A new trash: its name and folder.
    pub(super) fn new_trash(&self) -> Result<(String, PathBuf), StoreError> {
        let trash = self.folder(Class::Trash);
        make_folders(&trash)?;
        loop {
            let name = new_id(now_s());
            let path = trash.join(&name);
            match fs::create_dir(&path) {
                Ok(()) => return Ok((name, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io("create", &path, error)),
            }
        }
    }

    /// Waits until nobody else collects, restores or empties. Refuses a trash that is a link to elsewhere.
    pub(super) fn lock_trash(&self) -> Result<File, StoreError> {
        self.session()?;
        let trash = self.folder(Class::Trash);
        if fs::symlink_metadata(&trash).is_ok_and(|metadata| !metadata.is_dir()) {
            return Err(StoreError::unsupported(&trash, "no real folder", "a folder in the cache"));
        }
        let claims = self.folder(Class::Claims);
        make_folders(&claims)?;
        let path = claims.join("collector");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| StoreError::io("lock", &path, error))?;
        file.lock().map_err(|error| StoreError::io("lock", &path, error))?;
        Ok(file)
    }
}

/// Renames to where nothing is. A file system that can't do both at once is asked first.
fn move_back(from: &Path, place: &Path) -> io::Result<()> {
    match rename_to_free_place(from, place) {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            if fs::symlink_metadata(place).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, place)
        }
        other => other,
    }
}
