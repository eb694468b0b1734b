//! Handing content to whoever reads it by path: a stage's sandbox, an export.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::artifact::{Content, Projection};
use crate::digest::Digest;
use crate::store::draft::{Draft, is_unsupported};
use crate::store::error::StoreError;
use crate::store::hash::{copy_hashing, hash_open};
use crate::store::layout::Store;
use crate::store::read::Located;
use crate::store::reference::Reference;
use crate::store::session::remove_folder;
use crate::store::stamp::Stamp;
use crate::store::tree::{Tree, TreeEntry};

/// What the reader may do with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read: files are clones, else hard links, else copies; large inputs are symbolic links to where they lie.
    ReadOnly,
    /// Write too: files are clones or copies of their own.
    Writable,
}

/// What was handed over, and what it looked like.
#[derive(Debug)]
#[must_use = "the files should be checked once they were read"]
pub struct Materialised {
    files: Vec<(PathBuf, Stamp)>,
}

impl Materialised {
    /// Makes sure that nobody has written to the files since they were hashed, so that what was made of them may be
    /// stored.
    ///
    /// # Errors
    /// [`StoreError::ChangedWhileRead`].
    pub fn check_unchanged(&self) -> Result<(), StoreError> {
        let same = |(path, stamp): &&(PathBuf, Stamp)| {
            fs::metadata(path).is_ok_and(|metadata| Stamp::of(&metadata).same_bytes(stamp))
        };
        match self.files.iter().find(|file| !same(file)) {
            None => Ok(()),
            Some((path, _)) => Err(StoreError::ChangedWhileRead { path: path.clone() }),
        }
    }
}

impl Store {
    /// Puts content, or the projected part of a folder, at a path where nothing is yet (its parent must exist). Every
    /// byte is hashed. On failure nothing is left at the path.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::ReferenceLost`], [`StoreError::BadTree`], [`StoreError::Io`].
    pub fn materialise(
        &self,
        content: Content,
        projection: Projection,
        to: &Path,
        access: Access,
    ) -> Result<Materialised, StoreError> {
        let digest = match content {
            Content::File(digest) => {
                let stamp = self.place_file(&digest, to, access)?;
                return Ok(Materialised { files: vec![(to.to_owned(), stamp)] });
            }
            Content::Tree(digest) => digest,
        };
        let tree = match (self.read_tree(&digest)?, projection) {
            (tree, Projection::Whole) => tree,
            (tree, Projection::Files(names)) => tree.project(names),
        };
        fs::create_dir(to).map_err(|error| StoreError::io("create", to, error))?;
        let placed = self.place_tree(&tree, to, access);
        if placed.is_err() {
            // The first error is the one to report.
            let _ = remove_folder(to);
        }
        Ok(Materialised { files: placed? })
    }

    fn place_tree(&self, tree: &Tree, to: &Path, access: Access) -> Result<Vec<(PathBuf, Stamp)>, StoreError> {
        let folders: BTreeSet<&Path> =
            tree.entries().iter().filter_map(|entry| Path::new(&entry.path).parent()).collect();
        for folder in folders {
            let folder = to.join(folder);
            fs::create_dir_all(&folder).map_err(|error| StoreError::io("create", &folder, error))?;
        }
        let place = |entry: &TreeEntry| {
            let path = to.join(&entry.path);
            self.place_file(&entry.digest, &path, access).map(|stamp| (path, stamp))
        };
        tree.entries().par_iter().map(place).collect()
    }

    /// Puts one file at a path and gives its stamp, taken before it was hashed wherever that is not done on the way.
    /// Whatever it makes is a draft until its bytes are known to be right; what was there before is never touched.
    fn place_file(&self, digest: &Digest, to: &Path, access: Access) -> Result<Stamp, StoreError> {
        match (self.locate(digest)?, access) {
            (Located::Blob(blob), access) => self.place_blob(digest, &blob, to, access),
            (Located::Reference(reference), Access::ReadOnly) => {
                self.heed(&reference, digest, place_link(digest, &reference, to))
            }
            (Located::Reference(reference), Access::Writable) => {
                let (file, _) = self.heed(&reference, digest, reference.open_checked(digest))?;
                let (draft, found, stamp) = copy(&file, &reference.path, to, access)?;
                if found != *digest {
                    return Err(reference.lost(digest, "changed while it was copied"));
                }
                draft.keep();
                Ok(stamp)
            }
        }
    }

    fn place_blob(&self, digest: &Digest, blob: &Path, to: &Path, access: Access) -> Result<Stamp, StoreError> {
        let source = self.open_blob(digest, blob)?;
        let (draft, found, stamp) = if let Some(clone) = self.try_clone(&source, to) {
            let draft = Draft::at(to.to_owned());
            grant(to, access)?;
            let stamp = stamp_of(&clone, to)?;
            (draft, hash_blob(&clone, &stamp, blob)?, stamp)
        } else if access == Access::ReadOnly && link(blob, to)? {
            let draft = Draft::at(to.to_owned());
            let linked = File::open(to).map_err(|error| StoreError::io("open", to, error))?;
            let stamp = stamp_of(&linked, to)?;
            (draft, hash_blob(&linked, &stamp, blob)?, stamp)
        } else {
            copy(&source, blob, to, access)?
        };
        if found != *digest {
            return Err(self.damaged(digest, blob, &source, &found));
        }
        draft.keep();
        Ok(stamp)
    }
}

fn hash_blob(file: &File, stamp: &Stamp, blob: &Path) -> Result<Digest, StoreError> {
    hash_open(file, stamp.size).map_err(|error| StoreError::io("read", blob, error))
}

/// Links a blob; says whether the file system could.
fn link(blob: &Path, to: &Path) -> Result<bool, StoreError> {
    match fs::hard_link(blob, to) {
        Ok(()) => Ok(true),
        Err(error)
            if is_unsupported(&error)
                || matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks) =>
        {
            Ok(false)
        }
        Err(error) => Err(StoreError::io("create", to, error)),
    }
}

fn place_link(digest: &Digest, reference: &Reference, to: &Path) -> Result<Stamp, StoreError> {
    symlink(&reference.path, to).map_err(|error| StoreError::io("create", to, error))?;
    let draft = Draft::at(to.to_owned());
    let (_, stamp) = reference.open_checked(digest)?;
    match fs::metadata(to) {
        Ok(metadata) if Stamp::of(&metadata) == stamp => {
            draft.keep();
            Ok(stamp)
        }
        _ => Err(reference.lost(digest, "was replaced while it was hashed")),
    }
}

/// Copies to a new file; gives it with the digest of what was written and its stamp.
fn copy(from: &File, from_path: &Path, to: &Path, access: Access) -> Result<(Draft, Digest, Stamp), StoreError> {
    let draft = Draft::at(to.to_owned());
    let target = match draft.create() {
        Ok(target) => target,
        Err(error) => {
            // It is somebody else's.
            draft.keep();
            return Err(error);
        }
    };
    let (digest, _) = copy_hashing(from, &target).map_err(|error| error.at(from_path, to))?;
    grant(to, access)?;
    let stamp = stamp_of(&target, to)?;
    Ok((draft, digest, stamp))
}

fn stamp_of(file: &File, path: &Path) -> Result<Stamp, StoreError> {
    file.metadata().map(|metadata| Stamp::of(&metadata)).map_err(|error| StoreError::io("read", path, error))
}

/// A new file has the mode that the user's mask gives it, save that a clone may have its source's.
fn grant(path: &Path, access: Access) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("protect", path, error);
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    match access {
        Access::ReadOnly => fs::set_permissions(path, Permissions::from_mode(0o444)).map_err(failed),
        Access::Writable if mode & 0o200 == 0 => {
            fs::set_permissions(path, Permissions::from_mode(0o644)).map_err(failed)
        }
        Access::Writable => Ok(()),
    }
}
