//! A process's own corner of `tmp/`: its drafts and sandboxes, and the lock that says that it lives.
//!
//! The kernel frees the lock however the process ends, so whoever opens the store for writing next removes what a
//! killed one left behind. `tmp/<session>.lock` holds the process id, for people.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use crate::store::draft::{Draft, unique};
use crate::store::error::StoreError;
use crate::store::layout::{Class, Store};

/// A live process's folder below `tmp/`.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
    pub(super) device: u64,
}

/// A folder for one stage to write in; removed when dropped, or by the next process when this one is killed.
#[derive(Debug)]
pub struct Sandbox {
    path: PathBuf,
    _session: Arc<Session>,
}

impl Sandbox {
    /// The folder; empty at first.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = remove_folder(&self.path);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = remove_folder(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
    }
}

impl Store {
    /// A new empty folder in the store's file system, so that what is written there can be [`Store::adopt`]ed.
    ///
    /// # Errors
    /// [`StoreError::Io`], for one when the store can't be written.
    pub fn sandbox(&self) -> Result<Sandbox, StoreError> {
        let session = self.session()?;
        let path = session.folder.join(format!("sandbox-{}", unique()));
        fs::create_dir(&path).map_err(|error| StoreError::io("create", &path, error))?;
        Ok(Sandbox { path, _session: session })
    }

    /// A draft in this process's folder.
    pub(super) fn draft(&self) -> Result<Draft, StoreError> {
        Ok(Draft::at(self.session()?.folder.join(format!("draft-{}", unique()))))
    }

    /// This process's folder; creates the store when it is not there yet. Every write begins here.
    pub(super) fn session(&self) -> Result<Arc<Session>, StoreError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        self.create()?;
        let folder = self.folder(Class::Tmp);
        fs::create_dir_all(&folder).map_err(|error| StoreError::io("create", &folder, error))?;
        let new = Arc::new(start(&folder)?);
        sweep(&folder)?;
        *session = Some(Arc::clone(&new));
        Ok(new)
    }
}

/// Takes a free name, locks it, and makes its folder.
fn start(tmp: &Path) -> Result<Session, StoreError> {
    loop {
        let name = unique();
        let lock_path = tmp.join(format!("{name}.lock"));
        let mut lock = match OpenOptions::new().write(true).create_new(true).open(&lock_path) {
            Ok(lock) => lock,
            // A dead process had the same id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(StoreError::io("create", &lock_path, error)),
        };
        match lock.try_lock() {
            // Somebody may have swept the file between its creation and its lock.
            Ok(()) if is_still_at(&lock, &lock_path) => {}
            Ok(()) | Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &lock_path, error)),
        }
        let folder = tmp.join(name);
        match fs::create_dir(&folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(StoreError::io("create", &folder, error)),
        }
        let device = fs::metadata(&folder).map_err(|error| StoreError::io("read", &folder, error))?.dev();
        // For people who look; the lock is what counts.
        let _ = writeln!(lock, "{}", std::process::id());
        return Ok(Session { folder, lock_path, _lock: lock, device });
    }
}

/// Removes what dead processes left.
fn sweep(tmp: &Path) -> Result<(), StoreError> {
    let entries = fs::read_dir(tmp).map_err(|error| StoreError::io("read", tmp, error))?;
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        let is_lock = path.extension().is_some_and(|extension| extension == "lock");
        let Some(lock) = is_lock.then(|| OpenOptions::new().write(true).open(&path).ok()).flatten() else { continue };
        if lock.try_lock().is_ok() && is_still_at(&lock, &path) {
            // What can't be removed now (another user's, say) is tried again by the next process.
            if remove_folder(&path.with_extension("")).is_ok() {
                let _ = fs::remove_file(&path);
            }
        }
    }
    Ok(())
}

/// Whether an open file is the one that lies at a path, rather than one that was removed or replaced.
pub(super) fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Removes a folder with all that is in it, also where a stage left folders without write permission. No symbolic
/// link is followed; that there is none is success.
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match gone(fs::remove_dir_all(path)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_folders(path)?;
            gone(fs::remove_dir_all(path))
        }
        other => other,
    }
}

fn open_folders(path: &Path) -> io::Result<()> {
    let mut waiting = vec![path.to_owned()];
    while let Some(folder) = waiting.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_process_leftovers_are_swept_and_a_live_one_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let tmp = folder.path().join("tmp");
        let live = Store::open(folder.path()).unwrap();
        let sandbox = live.sandbox().unwrap();
        fs::create_dir_all(tmp.join("999999-0/sandbox-1/deep")).unwrap();
        fs::write(tmp.join("999999-0/draft-7"), "half").unwrap();
        fs::write(tmp.join("999999-0.lock"), "999999\n").unwrap();
        let second = Store::open(folder.path()).unwrap();
        second.put_bytes(b"x").unwrap();
        assert!(!tmp.join("999999-0").exists());
        assert!(!tmp.join("999999-0.lock").exists());
        assert!(sandbox.path().is_dir());
        let path = sandbox.path().to_owned();
        drop(sandbox);
        assert!(!path.exists());
        drop((live, second));
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
    }

    #[test]
    fn a_sandbox_outlives_its_store_and_may_hold_locked_folders() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let sandbox = store.sandbox().unwrap();
        drop(store);
        let locked = sandbox.path().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::write(locked.join("file"), "x").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
        drop(sandbox);
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }
}
