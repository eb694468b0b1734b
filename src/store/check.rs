//! Whether stored bytes look untouched, fast enough for every hit of every run.
//!
//! Every blob gets one fixed modification time when it is put in. A writer that does not forge time stamps changes it,
//! so a blob that still has it is taken for whole without being read; any other is hashed. Bit rot below the file
//! system shows when the bytes are consumed, or to [`Store::verify`].

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::artifact::Content;
use crate::digest::Digest;
use crate::store::error::StoreError;
use crate::store::layout::Store;
use crate::store::read::Located;

/// One second after the epoch: a time at which no program of today writes.
pub(super) fn sealed() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1)
}

/// What is wrong with stored bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// They are not there.
    Missing(String),
    /// They are not what they should be.
    Corrupt(String),
}

impl fmt::Display for Defect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Missing(text) | Self::Corrupt(text)) = self;
        out.write_str(text)
    }
}

impl Store {
    /// What is wrong with some content, or nothing when it is all there and looks untouched. Damaged bytes are in
    /// quarantine afterwards.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn check(&self, content: Content) -> Result<Option<Defect>, StoreError> {
        match self.check_all(content) {
            Ok(()) => Ok(None),
            Err(StoreError::Damaged { digest, damage }) => {
                // What was there is in quarantine now, or still in its place where the store can't be written.
                let was_there = damage.quarantined_to.is_some() || damage.path.exists();
                let text = StoreError::Damaged { digest, damage }.to_string();
                Ok(Some(if was_there { Defect::Corrupt(text) } else { Defect::Missing(text) }))
            }
            Err(error @ StoreError::ReferenceLost { .. }) => Ok(Some(Defect::Missing(error.to_string()))),
            Err(error @ StoreError::BadTree { .. }) => Ok(Some(Defect::Corrupt(error.to_string()))),
            Err(error) => Err(error),
        }
    }

    fn check_all(&self, content: Content) -> Result<(), StoreError> {
        self.check_one(content.digest())?;
        if let Content::Tree(digest) = content {
            self.read_tree(&digest)?.entries().iter().try_for_each(|entry| self.check_one(&entry.digest))?;
        }
        Ok(())
    }

    fn check_one(&self, digest: &Digest) -> Result<(), StoreError> {
        match self.locate(digest)? {
            Located::Blob(path) => {
                let untouched = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
                if untouched.is_ok_and(|modified| modified == sealed()) {
                    return Ok(());
                }
                let file = self.open_blob(digest, &path)?;
                let before = modified(&file);
                self.check_blob(digest, &file, &path)?;
                // Only saves the next run from hashing it again, so that it fails is no failure. Not where somebody
                // wrote meanwhile: that would hide it.
                if before.is_some() && before == modified(&file) {
                    let _ = file.set_modified(sealed());
                }
                Ok(())
            }
            Located::Reference(reference) if reference.is_there()? => Ok(()),
            Located::Reference(reference) => Err(reference.lost(digest, "is gone")),
        }
    }
}

fn modified(file: &fs::File) -> Option<SystemTime> {
    file.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// Gives a file that is about to become a blob the modification time of an untouched one.
pub(super) fn seal_time(path: &Path) -> Result<(), StoreError> {
    let set = fs::File::open(path).and_then(|file| file.set_modified(sealed()));
    set.map_err(|error| StoreError::io("protect", path, error))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_flipped_byte_is_found_without_reading_untouched_blobs() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = store.put_bytes(b"some bytes").unwrap();
        assert_eq!(store.check(Content::File(digest)).unwrap(), None);
        let path = store.verified_path(&digest).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(2)).unwrap();
        file.write_all(b"X").unwrap();
        assert!(matches!(store.check(Content::File(digest)).unwrap(), Some(Defect::Corrupt(_))));
        assert!(!path.exists(), "it is in quarantine");
        assert!(matches!(store.check(Content::File(digest)).unwrap(), Some(Defect::Missing(_))));
    }

    #[test]
    fn a_touched_but_whole_blob_is_hashed_once_and_trusted_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = store.put_bytes(b"some bytes").unwrap();
        let path = store.verified_path(&digest).unwrap();
        fs::File::open(&path).unwrap().set_modified(SystemTime::now()).unwrap();
        assert_eq!(store.check(Content::File(digest)).unwrap(), None);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), sealed());
    }
}
