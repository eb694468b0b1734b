//! Large inputs that are not copied: the store keeps where they lie, and hashes them whenever they are read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::store::error::StoreError;
use crate::store::layout::{Class, Store};
use crate::store::record::Lookup;

/// Where a large input lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reference {
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

impl Store {
    /// Notes where bytes lie. A newer place replaces an older one.
    pub(super) fn put_reference(&self, digest: &Digest, path: &Path, size: u64) -> Result<(), StoreError> {
        let path = fs::canonicalize(path).map_err(|error| StoreError::io("find", path, error))?;
        let reference = Reference { path, size };
        self.renew_blob(digest)?;
        if matches!(self.reference(digest)?, Some(known) if known == reference) {
            return Ok(());
        }
        self.replace_record(Class::References, &digest.to_hex(), &reference)
    }

    /// Passes on what reading a reference gave, and forgets the reference when a file of the right size with other
    /// bytes lies there now: by its looks it would be believed for ever, and no run would note where the bytes lie today.
    /// That it can't be forgotten, in a store that can't be written, is no failure of the reader.
    pub(super) fn heed<T>(
        &self,
        reference: &Reference,
        digest: &Digest,
        read: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if matches!(read, Err(StoreError::ReferenceLost { .. })) && reference.is_there()? {
            let _ = fs::remove_file(self.place(Class::References, &digest.to_hex()));
        }
        read
    }

    /// Where bytes lie, if that was ever noted. A damaged note is as good as none: its input is hashed again.
    pub(super) fn reference(&self, digest: &Digest) -> Result<Option<Reference>, StoreError> {
        Ok(match self.read_record(Class::References, &digest.to_hex())? {
            Lookup::Found(reference) => Some(reference),
            Lookup::Absent | Lookup::Damaged(_) => None,
        })
    }
}

impl Reference {
    /// Whether a file of that size is still there.
    pub(super) fn is_there(&self) -> Result<bool, StoreError> {
        match fs::metadata(&self.path) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == self.size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("read", &self.path, error)),
        }
    }
}
