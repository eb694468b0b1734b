//! Putting bytes into the store: from memory, from files, from folders.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::artifact::Content;
use crate::digest::Digest;
use crate::store::check::seal_time;
use crate::store::draft::{Draft, sync_files, sync_names};
use crate::store::error::StoreError;
use crate::store::hash::{copy_hashing, hash_open};
use crate::store::layout::Store;
use crate::store::reflink::clone_file;
use crate::store::stamp::Stamp;
use crate::store::tree::{Tree, TreeEntry};
use crate::store::walk::{Symlinks, open_file, walk};

/// Hashed bytes that only have to be flushed and renamed.
pub(super) struct Ready {
    draft: Draft,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

impl Store {
    /// Stores some bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let place = self.blob_path(&digest);
        if fs::read(&place).is_ok_and(|stored| stored == bytes) {
            // Another process may have renamed it there without having flushed the name yet.
            sync_names([place.as_path()])?;
            self.renew_blob(&digest)?;
            if place.exists() {
                return Ok(digest);
            }
        }
        let draft = self.draft()?;
        draft.write(bytes)?;
        protect(&draft.path)?;
        self.put_ready(vec![Ready { draft, digest, size: bytes.len() as u64 }])?;
        Ok(digest)
    }

    /// Stores a copy (a clone, where the file system can) of a file's bytes, hashed on the way.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for anything but a plain file, [`StoreError::Io`].
    pub fn put_file(&self, path: &Path) -> Result<Digest, StoreError> {
        let (file, _) = open_file(path, Symlinks::Refuse)?;
        let ready = self.copy_in(&file, path)?;
        let digest = ready.digest;
        self.put_ready(vec![ready])?;
        Ok(digest)
    }

    /// Stores copies of all files of a folder and its listing, whose digest it returns. Empty folders leave no trace.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for symbolic links, devices, and names that are no UTF-8 or hold control
    /// characters; [`StoreError::Io`].
    pub fn put_tree(&self, path: &Path) -> Result<Digest, StoreError> {
        self.put_folder(path, |path| {
            let (file, _) = open_file(path, Symlinks::Refuse)?;
            self.copy_in(&file, path)
        })
    }

    /// Takes a file or folder that was just written, best in a [`Sandbox`](crate::store::Sandbox): renames instead of
    /// copying. The path is the store's from now on and may be gone, whatever is returned.
    ///
    /// A file with further hard links, or of another file system, is copied, since somebody might write to it later.
    ///
    /// # Errors
    /// As [`Store::put_tree`], and [`StoreError::ChangedWhileRead`] when somebody still writes to it.
    pub fn adopt(&self, path: &Path) -> Result<Content, StoreError> {
        let metadata = fs::symlink_metadata(path).map_err(|error| StoreError::io("read", path, error))?;
        if metadata.is_dir() {
            return self.put_folder(path, |path| self.take_in(path)).map(Content::Tree);
        }
        let ready = self.take_in(path)?;
        let digest = ready.digest;
        self.put_ready(vec![ready])?;
        Ok(Content::File(digest))
    }

    fn put_folder(
        &self,
        path: &Path,
        make_ready: impl Fn(&Path) -> Result<Ready, StoreError> + Sync,
    ) -> Result<Digest, StoreError> {
        let found = walk(path, Symlinks::Refuse)?;
        let ready: Vec<Ready> = found.par_iter().map(|file| make_ready(&file.path)).collect::<Result<_, _>>()?;
        let entries = found.into_iter().zip(&ready).map(|(file, ready)| TreeEntry {
            path: file.relative,
            digest: ready.digest,
            size: ready.size,
        });
        let tree = Tree::new(entries.collect())
            .map_err(|error| StoreError::unsupported(path, error.problem, "a folder of plain files"))?;
        self.put_ready(ready)?;
        self.put_bytes(tree.to_text().as_bytes())
    }

    /// Copies an open file to a draft, hashing what was written.
    pub(super) fn copy_in(&self, file: &File, path: &Path) -> Result<Ready, StoreError> {
        let draft = self.draft()?;
        let (digest, size) = match self.try_clone(file, &draft.path) {
            Some(clone) => {
                let failed = |error| StoreError::io("read", &draft.path, error);
                let size = clone.metadata().map_err(failed)?.len();
                (hash_open(&clone, size).map_err(failed)?, size)
            }
            None => copy_hashing(file, draft.create()?).map_err(|error| error.at(path, &draft.path))?,
        };
        protect(&draft.path)?;
        Ok(Ready { draft, digest, size })
    }

    /// Copies what a reader yields to a draft, hashing what was written; `path` is for messages.
    pub(super) fn copy_from(&self, from: impl Read, path: &Path) -> Result<Ready, StoreError> {
        let draft = self.draft()?;
        let (digest, size) = copy_hashing(from, draft.create()?).map_err(|error| error.at(path, &draft.path))?;
        protect(&draft.path)?;
        Ok(Ready { draft, digest, size })
    }

    /// Makes a clone of an open file, unless this file system is known not to.
    pub(super) fn try_clone(&self, file: &File, to: &Path) -> Option<File> {
        if self.clones_refused.load(Ordering::Relaxed) {
            return None;
        }
        let clone = clone_file(file, to).then(|| File::open(to).ok()).flatten();
        if clone.is_none() {
            self.clones_refused.store(true, Ordering::Relaxed);
        }
        clone
    }

    /// Hashes a file where it lies and makes it read-only, so that it can be renamed into place.
    fn take_in(&self, path: &Path) -> Result<Ready, StoreError> {
        let (file, before) = open_file(path, Symlinks::Refuse)?;
        if before.nlink() > 1 || before.dev() != self.session()?.device {
            return self.copy_in(&file, path);
        }
        let draft = Draft::at(path.to_owned());
        protect(path)?;
        let size = before.len();
        let digest = hash_open(&file, size).map_err(|error| StoreError::io("read", path, error))?;
        let after = file.metadata().map_err(|error| StoreError::io("read", path, error))?;
        if !Stamp::of(&before).same_bytes(&Stamp::of(&after)) {
            return Err(StoreError::ChangedWhileRead { path: path.to_owned() });
        }
        Ok(Ready { draft, digest, size })
    }

    /// Flushes drafts, renames them into place (over what is there: fresh bytes mend a damaged blob) and flushes the
    /// names.
    pub(super) fn put_ready(&self, ready: Vec<Ready>) -> Result<(), StoreError> {
        let drafts: Vec<&Path> = ready.iter().map(|ready| ready.draft.path.as_path()).collect();
        drafts.iter().try_for_each(|draft| seal_time(draft))?;
        sync_files(&drafts)?;
        let places: Vec<PathBuf> = ready.iter().map(|ready| self.blob_path(&ready.digest)).collect();
        for (ready, place) in ready.into_iter().zip(&places) {
            ready.draft.rename_to(place)?;
        }
        sync_names(places.iter().map(PathBuf::as_path))
    }
}

fn protect(path: &Path) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(0o444)).map_err(|error| StoreError::io("protect", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        (folder, store)
    }

    #[test]
    fn a_blob_is_read_only_and_named_by_its_plain_digest() {
        let (_folder, store) = store();
        let digest = store.put_bytes(b"hello").unwrap();
        let path = store.path().join("blobs").join(&digest.to_hex()[..2]).join(digest.to_hex());
        assert_eq!(fs::read(&path).unwrap(), b"hello");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
        assert_eq!(store.put_bytes(b"hello").unwrap(), digest);
    }

    #[test]
    fn adopting_moves_the_inode_and_a_second_link_to_it_forces_a_copy() {
        let (_folder, store) = store();
        let sandbox = store.sandbox().unwrap();
        let (moved, linked) = (sandbox.path().join("moved"), sandbox.path().join("linked"));
        fs::write(&moved, "one").unwrap();
        fs::write(&linked, "two").unwrap();
        fs::hard_link(&linked, sandbox.path().join("other")).unwrap();
        let inode = fs::metadata(&moved).unwrap().ino();
        let Content::File(digest) = store.adopt(&moved).unwrap() else { panic!("a file") };
        assert_eq!(fs::metadata(store.blob_path(&digest)).unwrap().ino(), inode);
        let Content::File(digest) = store.adopt(&linked).unwrap() else { panic!("a file") };
        fs::write(sandbox.path().join("other"), "evil").unwrap();
        assert_eq!(store.read(&digest).unwrap(), b"two");
    }

    #[test]
    fn folders_with_the_same_files_have_the_same_digest_however_they_were_put() {
        let (folder, store) = store();
        let source = folder.path().join("source");
        fs::create_dir_all(source.join("deep/empty")).unwrap();
        fs::write(source.join("deep/a"), "a").unwrap();
        fs::write(source.join("b"), "a").unwrap();
        let put = store.put_tree(&source).unwrap();
        let paths: Vec<_> = store.read_tree(&put).unwrap().entries().iter().map(|entry| entry.path.clone()).collect();
        assert_eq!(paths, ["b", "deep/a"]);
        assert_eq!(store.adopt(&source).unwrap(), Content::Tree(put));
        assert!(store.contains(Content::Tree(put)).unwrap());
    }

    #[test]
    fn symbolic_links_are_refused_wherever_they_point() {
        let (folder, store) = store();
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", source.join("link")).unwrap();
        for error in [
            store.put_tree(&source).unwrap_err(),
            store.adopt(&source).unwrap_err(),
            store.adopt(&source.join("link")).unwrap_err(),
            store.put_file(&source.join("link")).unwrap_err(),
        ] {
            assert!(error.to_string().contains("is a symbolic link to `/etc/passwd`"), "{error}");
        }
    }

    #[test]
    fn more_files_than_are_flushed_one_by_one_arrive_whole() {
        let (folder, store) = store();
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        for index in 0..100 {
            fs::write(source.join(format!("{index}")), format!("file {}", index % 60)).unwrap();
        }
        let tree = store.put_tree(&source).unwrap();
        assert!(store.contains(Content::Tree(tree)).unwrap());
        assert_eq!(store.read_tree(&tree).unwrap().entries().len(), 100);
    }
}
