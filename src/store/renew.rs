//! Marking what a run relies on as just used, so that the collector leaves it alone and knows what was used last.
//!
//! The collector moves what is old, looking at each thing's times right before. A run renews a thing and goes on to use
//! it. Both happen under one kernel lock, shared among runs and held by the collector for one look and one rename: so
//! either the run comes first and the thing is young, or the rename does and the run sees that the thing is gone. Where
//! the store can't be written nothing is renewed: hits are served, and what is collected meanwhile is made again.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::SystemTime;

use crate::artifact::Content;
use crate::digest::{ActionKey, Digest, ExperimentId};
use crate::store::check::sealed;
use crate::store::draft::make_folders;
use crate::store::error::StoreError;
use crate::store::layout::{Class, Store};

/// The file below `claims/` that the lock is on. It is never removed.
const GATE: &str = "gate";

/// Who passes the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Runs, which only mark.
    Shared,
    /// The collector, which moves.
    Alone,
}

impl Store {
    /// Marks the result of an action as used now. That there is none is no failure.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the lock fails.
    pub fn renew_result(&self, key: &ActionKey) -> Result<(), StoreError> {
        self.renew_record(Class::Results, key.digest())
    }

    /// Marks an experiment as used now.
    ///
    /// # Errors
    /// As [`Store::renew_result`].
    pub fn renew_experiment(&self, id: &ExperimentId) -> Result<(), StoreError> {
        self.renew_record(Class::Experiments, id.digest())
    }

    /// Marks all bytes of some content as used now; what is missing of it is no failure.
    ///
    /// # Errors
    /// [`StoreError::Io`], and what keeps a listing from being read.
    pub fn renew(&self, content: Content) -> Result<(), StoreError> {
        self.renew_blob(content.digest())?;
        let Content::Tree(digest) = content else { return Ok(()) };
        match self.read_tree(&digest) {
            Ok(tree) => tree.entries().iter().try_for_each(|entry| self.renew_blob(&entry.digest)),
            Err(StoreError::Damaged { .. } | StoreError::ReferenceLost { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn renew_record(&self, class: Class, name: &Digest) -> Result<(), StoreError> {
        let path = self.place(class, &name.to_hex());
        self.pass(Pass::Shared, || touch(&path))
    }

    pub(super) fn renew_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        let (blob, reference) = (self.blob_path(digest), self.place(Class::References, &digest.to_hex()));
        self.pass(Pass::Shared, || {
            touch_sealed(&blob);
            touch(&reference);
        })
    }

    /// Does something while nobody who must not is at it. In a store that can't be written there is no gate, since
    /// nothing moves there.
    pub(super) fn pass<T>(&self, pass: Pass, work: impl FnOnce() -> T) -> Result<T, StoreError> {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.is_none() {
            match self.open_gate() {
                Ok(file) => *gate = Some(file),
                Err(_) if pass == Pass::Shared => return Ok(work()),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &*gate else { return Ok(work()) };
        let failed = |error| StoreError::io("lock", &self.folder(Class::Claims).join(GATE), error);
        match pass {
            Pass::Shared => file.lock_shared(),
            Pass::Alone => file.lock(),
        }
        .map_err(failed)?;
        let done = work();
        file.unlock().map_err(failed)?;
        Ok(done)
    }

    fn open_gate(&self) -> Result<File, StoreError> {
        self.session()?;
        let folder = self.folder(Class::Claims);
        make_folders(&folder)?;
        let path = folder.join(GATE);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        file.map_err(|error| StoreError::io("lock", &path, error))
    }
}

/// Gives a record the time of now. One that is gone stays gone, one of another user is left as it is.
fn touch(path: &Path) {
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Gives a blob a new change time, which any setting of its times does, and keeps what its modification time says: that
/// it is untouched, or that it has to be hashed.
fn touch_sealed(path: &Path) {
    let _: io::Result<()> = File::open(path).and_then(|file| {
        let is_sealed = file.metadata()?.modified()? == sealed();
        file.set_modified(if is_sealed { sealed() } else { SystemTime::now() })
    });
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_renewed_blob_is_young_and_still_known_to_be_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = store.put_bytes(b"bytes").unwrap();
        let path = store.blob_path(&digest);
        let seen = || std::fs::metadata(&path).unwrap();
        let changed = |metadata: std::fs::Metadata| (metadata.ctime(), metadata.ctime_nsec());
        let before = changed(seen());
        while changed(seen()) == before {
            store.renew(Content::File(digest)).unwrap();
        }
        assert_eq!(seen().modified().unwrap(), sealed());
        File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        store.renew(Content::File(digest)).unwrap();
        assert_ne!(seen().modified().unwrap(), sealed(), "what was touched is hashed by the next reader");
    }
}
