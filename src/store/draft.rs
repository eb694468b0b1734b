//! Writing so that nothing half-written is ever seen: into `tmp/`, flushed to the disk, then renamed or linked.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::error::StoreError;

/// From this many files on, one flush of the whole file system is cheaper than a flush of each.
#[cfg(target_os = "linux")]
const FLUSH_TOGETHER: usize = 32;

/// A file on its way into the store; removed when dropped before it arrives.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) path: PathBuf,
    arrived: bool,
}

impl Draft {
    /// A file at a path that nobody else uses; the caller creates it.
    pub(super) const fn at(path: PathBuf) -> Self {
        Self { path, arrived: false }
    }

    /// Creates the file for writing.
    pub(super) fn create(&self) -> Result<File, StoreError> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&self.path)
            .map_err(|error| StoreError::io("create", &self.path, error))
    }

    /// Creates the file with these bytes.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.create()?.write_all(bytes).map_err(|error| StoreError::io("write", &self.path, error))
    }

    /// Leaves the file where it is, for good.
    pub(super) fn keep(mut self) {
        self.arrived = true;
    }

    /// Renames the file to its place, over whatever is there.
    pub(super) fn rename_to(mut self, place: &Path) -> Result<(), StoreError> {
        in_folder_of(place, || fs::rename(&self.path, place))?;
        self.arrived = true;
        Ok(())
    }

    /// Puts the file in its place unless something is there; says whether it did.
    pub(super) fn link_to(self, place: &Path) -> Result<bool, StoreError> {
        let linked = in_folder_of(place, || match fs::hard_link(&self.path, place) {
            Err(error) if is_unsupported(&error) => rename_to_free_place(&self.path, place),
            other => other,
        });
        match linked {
            Ok(()) => Ok(true),
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.arrived {
            // The session's folder is swept anyway, so a failure here leaves nothing for good.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Runs a rename or link; makes the folder of its target and tries once more when that is what is missing.
fn in_folder_of(place: &Path, put: impl Fn() -> io::Result<()>) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("create", place, error);
    match put() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = place.parent().unwrap_or(Path::new("/"));
            make_folders(folder)?;
            put().map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Creates a folder and those above it, and flushes each new name.
pub(super) fn make_folders(folder: &Path) -> Result<(), StoreError> {
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder.parent().is_some() => {
            make_folders(folder.parent().unwrap_or(folder))?;
            return make_folders(folder);
        }
        Err(error) => return Err(StoreError::io("create", folder, error)),
    }
    folder.parent().map_or(Ok(()), sync_folder)
}

/// The last resort where a file system knows no hard links.
pub(super) fn rename_to_free_place(from: &Path, place: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, place, RenameFlags::NOREPLACE)?)
}

pub(super) fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied)
}

/// Flushes the bytes of some files of one file system.
pub(super) fn sync_files(paths: &[&Path]) -> Result<(), StoreError> {
    #[cfg(target_os = "linux")]
    if paths.len() >= FLUSH_TOGETHER {
        let file = File::open(paths[0]).map_err(|error| StoreError::io("flush", paths[0], error))?;
        return rustix::fs::syncfs(file).map_err(|error| StoreError::io("flush", paths[0], error.into()));
    }
    for path in paths {
        let flushed = File::open(path).and_then(|file| file.sync_all());
        flushed.map_err(|error| StoreError::io("flush", path, error))?;
    }
    Ok(())
}

/// Flushes the names of some things, and those of their folders: another process may have made such a folder without
/// having flushed its name yet.
pub(super) fn sync_names<'a>(places: impl IntoIterator<Item = &'a Path>) -> Result<(), StoreError> {
    let folders: BTreeSet<&Path> = places.into_iter().flat_map(|place| place.ancestors().skip(1).take(2)).collect();
    folders.into_iter().try_for_each(sync_folder)
}

/// Flushes the names in a folder.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    match File::open(folder).and_then(|file| file.sync_all()) {
        // Some network file systems flush names by themselves and refuse to be asked.
        Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Err(StoreError::io("flush", folder, error))
        }
        _ => Ok(()),
    }
}

/// Creates a small file outside `tmp/`, whole or not at all; leaves one that is there alone.
pub(super) fn write_new_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", unique()));
    let draft = Draft::at(name.into());
    draft.write(bytes)?;
    sync_files(&[&draft.path])?;
    draft.link_to(path).map(|_| ())
}

/// A name that no other thread or process uses. The process id alone is not enough: in containers that share a cache
/// it is often the same.
pub(super) fn unique() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    static SALT: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    format!("{}-{:08x}-{}", std::process::id(), *SALT >> 32, COUNTER.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_link_wins_and_a_dropped_draft_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("new/folder/file");
        let draft = |text: &str| {
            let draft = Draft::at(folder.path().join(unique()));
            draft.write(text.as_bytes()).unwrap();
            draft
        };
        assert!(draft("one").link_to(&place).unwrap());
        assert!(!draft("two").link_to(&place).unwrap());
        assert_eq!(fs::read_to_string(&place).unwrap(), "one");
        drop(draft("three"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn where_links_are_unknown_a_rename_still_does_not_replace() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two, place) = (folder.path().join("1"), folder.path().join("2"), folder.path().join("place"));
        fs::write(&one, "one").unwrap();
        fs::write(&two, "two").unwrap();
        rename_to_free_place(&one, &place).unwrap();
        assert_eq!(rename_to_free_place(&two, &place).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&place).unwrap(), "one");
    }
}
