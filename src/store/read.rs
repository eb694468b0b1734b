//! Reading bytes: always hashed, and what was hashed is what is handed over.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::artifact::{Content, Projection};
use crate::digest::Digest;
use crate::store::error::{Damage, StoreError};
use crate::store::hash::hash_open;
use crate::store::layout::{Class, Store};
use crate::store::reference::Reference;
use crate::store::stamp::Stamp;
use crate::store::tree::{BadTree, Tree};
use crate::store::walk::{Symlinks, open_file};

/// A listing of a million files has about a tenth of this; whatever is larger is no listing, so it is not read.
pub(super) const LARGEST_LISTING: u64 = 1 << 30;

/// Where the bytes of a digest lie.
pub(super) enum Located {
    /// In the store.
    Blob(PathBuf),
    /// Outside, referenced in place.
    Reference(Reference),
}

impl Store {
    /// An open file whose bytes were just hashed, its cursor at the start.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the blob is missing or has other bytes (then it is in quarantine),
    /// [`StoreError::ReferenceLost`] for a large input that is gone or changed, [`StoreError::Io`].
    pub fn open_verified(&self, digest: &Digest) -> Result<File, StoreError> {
        Ok(self.open_checked(digest)?.0)
    }

    /// The path of a file whose bytes were just hashed: the blob itself, or the large input where it lies. To be read
    /// soon and never written.
    ///
    /// # Errors
    /// As [`Store::open_verified`].
    pub fn verified_path(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        Ok(self.open_checked(digest)?.1)
    }

    /// The bytes themselves, hashed in memory; for what is small.
    ///
    /// # Errors
    /// As [`Store::open_verified`].
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let (mut file, path) = match self.locate(digest)? {
            // Large, so hashed on all cores before it is read; the memory is hashed below all the same.
            Located::Reference(_) => self.open_checked(digest)?,
            Located::Blob(path) => (self.open_blob(digest, &path)?, path),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| StoreError::io("read", &path, error))?;
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(self.damaged(digest, &path, &file, &found)) }
    }

    /// The listing of a folder.
    ///
    /// # Errors
    /// As [`Store::open_verified`], and [`StoreError::BadTree`] for a blob that lists no folder.
    pub fn read_tree(&self, digest: &Digest) -> Result<Tree, StoreError> {
        match self.read_stored_tree(digest) {
            Err(error @ StoreError::Damaged { .. }) => {
                let trees = self.unstored_trees.lock().unwrap_or_else(PoisonError::into_inner);
                trees.get(digest).cloned().ok_or(error)
            }
            read => read,
        }
    }

    fn read_stored_tree(&self, digest: &Digest) -> Result<Tree, StoreError> {
        let bad = |source| StoreError::BadTree { digest: *digest, source };
        let size = fs::symlink_metadata(self.blob_path(digest)).map_or(0, |metadata| metadata.len());
        if size > LARGEST_LISTING {
            let problem = format!("has `{size}` bytes; expected at most `{LARGEST_LISTING}`");
            return Err(bad(BadTree { line: 1, problem }));
        }
        Tree::parse(&self.read(digest)?).map_err(bad)
    }

    /// The digest of the part of some content that a port reads: of a folder, its listing restricted to the named
    /// files. It enters the key; nothing is stored under it.
    ///
    /// # Errors
    /// As [`Store::read_tree`].
    pub fn project(&self, content: Content, projection: Projection) -> Result<Digest, StoreError> {
        match (content, projection) {
            (Content::Tree(digest), Projection::Files(names)) => Ok(self.read_tree(&digest)?.project(names).digest()),
            (Content::Tree(digest) | Content::File(digest), _) => Ok(digest),
        }
    }

    /// Whether all bytes are there, of a folder those of every file. Looks at names and sizes only: whoever reads the
    /// bytes hashes them.
    ///
    /// # Errors
    /// [`StoreError::Io`]; a damaged listing is in quarantine and means no.
    pub fn contains(&self, content: Content) -> Result<bool, StoreError> {
        let digest = match content {
            Content::File(digest) => return self.has_bytes(&digest, None),
            Content::Tree(digest) => digest,
        };
        let tree = match self.read_stored_tree(&digest) {
            Ok(tree) => tree,
            Err(StoreError::Damaged { .. } | StoreError::ReferenceLost { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        for entry in tree.entries() {
            if !self.has_bytes(&entry.digest, Some(entry.size))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many bytes a digest stands for, when they are here. Looks at the size only.
    #[must_use]
    pub fn size_of(&self, digest: &Digest) -> Option<u64> {
        match self.locate(digest).ok()? {
            Located::Blob(path) => fs::symlink_metadata(path).map(|metadata| metadata.len()).ok(),
            Located::Reference(reference) => Some(reference.size),
        }
    }

    /// Whether the store itself has a copy of all bytes; a reference to where they lie is none. Looks at names and
    /// sizes only.
    ///
    /// # Errors
    /// [`StoreError::Io`]; a damaged listing is in quarantine and means no.
    pub fn holds_copy(&self, content: Content) -> Result<bool, StoreError> {
        let is_here = |digest: &Digest| fs::symlink_metadata(self.blob_path(digest)).is_ok_and(|found| found.is_file());
        let all_are_here = self.contains(content)? && is_here(content.digest());
        match content {
            Content::Tree(digest) if all_are_here => {
                Ok(self.read_tree(&digest)?.entries().iter().all(|entry| is_here(&entry.digest)))
            }
            _ => Ok(all_are_here),
        }
    }

    /// Whether there is a blob or a reference of this digest (and size).
    pub(super) fn has_bytes(&self, digest: &Digest, size: Option<u64>) -> Result<bool, StoreError> {
        let path = self.blob_path(digest);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file() && size.is_none_or(|size| metadata.len() == size)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.reference(digest)?.map_or(Ok(false), |reference| reference.is_there())
            }
            Err(error) => Err(StoreError::io("read", &path, error)),
        }
    }

    /// Where the bytes lie; that they are nowhere is damage.
    pub(super) fn locate(&self, digest: &Digest) -> Result<Located, StoreError> {
        let path = self.blob_path(digest);
        match fs::symlink_metadata(&path) {
            Ok(_) => Ok(Located::Blob(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.reference(digest)? {
                Some(reference) => Ok(Located::Reference(reference)),
                None => Err(missing(digest, path)),
            },
            Err(error) => Err(StoreError::io("read", &path, error)),
        }
    }

    /// Opens a blob; one that is no plain file goes to quarantine.
    pub(super) fn open_blob(&self, digest: &Digest, path: &Path) -> Result<File, StoreError> {
        match open_file(path, Symlinks::Refuse) {
            Ok((file, _)) => Ok(file),
            Err(StoreError::Unsupported { found, .. }) => {
                let damage = self.quarantine(Class::Blobs, path, None, format!("is {found}; expected a plain file"));
                Err(StoreError::Damaged { digest: *digest, damage })
            }
            Err(error) if error.is_not_found() => Err(missing(digest, path.to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Hashes an open blob; one with other bytes goes to quarantine. `path` is the blob's, also when `file` was opened
    /// by another link to it.
    pub(super) fn check_blob(&self, digest: &Digest, file: &File, path: &Path) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("read", path, error);
        let size = file.metadata().map_err(failed)?.len();
        let found = hash_open(file, size).map_err(failed)?;
        if found == *digest { Ok(()) } else { Err(self.damaged(digest, path, file, &found)) }
    }

    pub(super) fn damaged(&self, digest: &Digest, path: &Path, file: &File, found: &Digest) -> StoreError {
        let seen = file.metadata().ok();
        let size = seen.as_ref().map_or(0, fs::Metadata::len);
        let problem = format!("{size} bytes with digest `{}`; expected `{}`", found.short(), digest.short());
        let damage = self.quarantine(Class::Blobs, path, seen.as_ref(), problem);
        StoreError::Damaged { digest: *digest, damage }
    }

    fn open_checked(&self, digest: &Digest) -> Result<(File, PathBuf), StoreError> {
        match self.locate(digest)? {
            Located::Blob(path) => {
                let file = self.open_blob(digest, &path)?;
                self.check_blob(digest, &file, &path)?;
                Ok((file, path))
            }
            Located::Reference(reference) => {
                let (file, _) = self.heed(&reference, digest, reference.open_checked(digest))?;
                Ok((file, reference.path))
            }
        }
    }
}

impl Reference {
    /// Opens the file and hashes it; gives its stamp too.
    pub(super) fn open_checked(&self, digest: &Digest) -> Result<(File, Stamp), StoreError> {
        let (file, metadata) = match open_file(&self.path, Symlinks::Follow) {
            Err(error) if error.is_not_found() => return Err(self.lost(digest, "is gone")),
            opened => opened?,
        };
        if metadata.len() != self.size {
            return Err(self.lost(digest, &format!("has `{}` bytes now; expected `{}`", metadata.len(), self.size)));
        }
        match hash_open(&file, self.size) {
            Ok(found) if found == *digest => Ok((file, Stamp::of(&metadata))),
            Ok(found) => Err(self.lost(digest, &format!("has the digest `{}` now", found.short()))),
            Err(error) => Err(StoreError::io("read", &self.path, error)),
        }
    }

    pub(super) fn lost(&self, digest: &Digest, problem: &str) -> StoreError {
        StoreError::ReferenceLost { digest: *digest, path: self.path.clone(), problem: problem.to_owned() }
    }
}

fn missing(digest: &Digest, path: PathBuf) -> StoreError {
    let damage = Damage { path, problem: "is missing".to_owned(), quarantined_to: None };
    StoreError::Damaged { digest: *digest, damage }
}
