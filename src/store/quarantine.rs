//! Where damaged things go: out of the way, never deleted, named so that they can be listed.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::store::draft::unique;
use crate::store::error::{Damage, StoreError};
use crate::store::layout::{Class, Store};
use crate::store::stamp::now_s;

/// A damaged thing that was moved away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it is now.
    pub path: PathBuf,
    /// The folder it was in: `blobs`, `results`.
    pub class: String,
    /// Its digest or id.
    pub name: String,
    /// When it was moved, in seconds since 1970.
    pub since_unix_s: u64,
    /// How many bytes it has.
    pub size: u64,
}

impl Store {
    /// All that is in quarantine, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn quarantined(&self) -> Result<Vec<Quarantined>, StoreError> {
        let mut all: Vec<_> = self.list(Class::Quarantine)?.into_iter().filter_map(|(path, _)| parse(path)).collect();
        all.sort_unstable_by(|left, right| (left.since_unix_s, &left.path).cmp(&(right.since_unix_s, &right.path)));
        Ok(all)
    }

    /// Moves a damaged thing away. `seen` is the file that was found damaged: one that has replaced it since is left
    /// alone. A store that can't be written keeps it where it is, which the report says.
    pub(super) fn quarantine(&self, class: Class, path: &Path, seen: Option<&Metadata>, problem: String) -> Damage {
        let still_there = match (fs::symlink_metadata(path), seen) {
            (Ok(there), Some(seen)) => (there.dev(), there.ino()) == (seen.dev(), seen.ino()),
            (Ok(_), None) => true,
            (Err(_), _) => false,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let target = self.folder(Class::Quarantine).join(format!("{}.{name}.{}.{}", class.name(), now_s(), unique()));
        let moved = still_there
            && fs::create_dir_all(self.folder(Class::Quarantine)).is_ok()
            && fs::rename(path, &target).is_ok();
        Damage { path: path.to_owned(), problem, quarantined_to: moved.then_some(target) }
    }
}

fn parse(path: PathBuf) -> Option<Quarantined> {
    let file_name = path.file_name()?.to_str()?.to_owned();
    let mut fields = file_name.split('.');
    let (class, name, since) = (fields.next()?.to_owned(), fields.next()?.to_owned(), fields.next()?);
    let size = fs::symlink_metadata(&path).map_or(0, |metadata| metadata.len());
    Some(Quarantined { class, name, since_unix_s: since.parse().ok()?, size, path })
}
