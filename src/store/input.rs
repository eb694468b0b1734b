//! Inputs: hashed once, remembered by what the file looks like from outside, kept for `reproduce`.
//!
//! For each input path the stat cache has one small file with the stamp and digest of every file below it. It only
//! saves time: whatever is torn, racy (see `stamp.rs`) or absent there is hashed again, and a failure to write it is no
//! failure. Clocks: a file server whose clock lags more than two seconds behind weakens the rule about racy files.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::artifact::Content;
use crate::digest::Digest;
use crate::store::blob::Ready;
use crate::store::error::StoreError;
use crate::store::hash::hash_open;
use crate::store::layout::{Class, Store};
use crate::store::record::{seal, unseal};
use crate::store::stamp::{Stamp, now_ns};
use crate::store::tree::{Tree, TreeEntry};
use crate::store::walk::{Found, Symlinks, open_file, walk};

/// Larger files are not copied into the store but referenced where they lie.
const LARGEST_COPY: u64 = 64 << 20;
/// How often a file that changes under the reader is read anew.
const ATTEMPTS: usize = 3;

/// What to do with an input's bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    Bytes,
}

/// A file of an input with its digest.
struct Hashed {
    digest: Digest,
    stamp: Stamp,
    /// Whether the stamp may be trusted next time.
    is_settled: bool,
    /// Its bytes, where they have yet to be put.
    ready: Option<Ready>,
}

/// Path below the input (empty for an input that is a file) to what was known of it.
type Known = HashMap<String, (Stamp, Digest)>;

impl Store {
    /// The content of an input file or folder. Files that look as they did when they were last hashed are not read;
    /// links to files are followed, links to folders are an error. Stores no bytes, and works where the store can't be
    /// written.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Unsupported`], [`StoreError::ChangedWhileRead`].
    pub fn digest_of(&self, path: &Path) -> Result<Content, StoreError> {
        self.look_at(path, Keep::Nothing)
    }

    /// The same, and sees to it that the bytes can be read back by digest: files of up to 64 MiB are copied, larger
    /// ones referenced in place.
    ///
    /// # Errors
    /// As [`Store::digest_of`].
    pub fn snapshot(&self, path: &Path) -> Result<Content, StoreError> {
        self.look_at(path, Keep::Bytes)
    }

    fn look_at(&self, path: &Path, keep: Keep) -> Result<Content, StoreError> {
        let failed = |error| StoreError::io("read", path, error);
        let metadata = fs::metadata(path).map_err(failed)?;
        let is_folder = metadata.is_dir();
        let files = if is_folder {
            walk(path, Symlinks::Follow)?
        } else {
            vec![Found { relative: String::new(), path: path.to_owned(), metadata }]
        };
        let memory = self.memory_of(path)?;
        let known = recall(&memory);
        let mut hashed: Vec<Hashed> = files
            .par_iter()
            .map(|file| self.look_at_file(file, known.get(&file.relative), keep))
            .collect::<Result<_, _>>()?;
        let ready: Vec<Ready> = hashed.iter_mut().filter_map(|file| file.ready.take()).collect();
        if !ready.is_empty() {
            self.put_ready(ready)?;
        }
        self.remember(&memory, &known, &files, &hashed);
        match hashed.first() {
            Some(only) if !is_folder => Ok(Content::File(only.digest)),
            _ => self.list_folder(path, files, &hashed, keep),
        }
    }

    fn list_folder(
        &self,
        path: &Path,
        files: Vec<Found>,
        hashed: &[Hashed],
        keep: Keep,
    ) -> Result<Content, StoreError> {
        let entries = files.into_iter().zip(hashed).map(|(file, hashed)| TreeEntry {
            path: file.relative,
            digest: hashed.digest,
            size: hashed.stamp.size,
        });
        let tree = Tree::new(entries.collect())
            .map_err(|error| StoreError::unsupported(path, error.problem, "a folder of plain files"))?;
        if keep == Keep::Bytes {
            return self.put_bytes(tree.to_text().as_bytes()).map(Content::Tree);
        }
        let digest = tree.digest();
        self.unstored_trees.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, tree);
        Ok(Content::Tree(digest))
    }

    fn look_at_file(&self, found: &Found, known: Option<&(Stamp, Digest)>, keep: Keep) -> Result<Hashed, StoreError> {
        let stamp = Stamp::of(&found.metadata);
        if let Some((known, digest)) = known
            && *known == stamp
            && (keep == Keep::Nothing || self.has_bytes_for_good(digest, stamp.size)?)
        {
            return Ok(Hashed { digest: *digest, stamp, is_settled: true, ready: None });
        }
        for _ in 0..ATTEMPTS {
            if let Some(hashed) = self.hash_input(&found.path, keep)? {
                return Ok(hashed);
            }
        }
        Err(StoreError::ChangedWhileRead { path: found.path.clone() })
    }

    /// Whether there are these bytes, renewed first, so that the collector can't take them afterwards.
    fn has_bytes_for_good(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        self.renew_blob(digest)?;
        self.has_bytes(digest, Some(size))
    }

    /// Hashes (and copies) a file; nothing when it changed meanwhile.
    fn hash_input(&self, path: &Path, keep: Keep) -> Result<Option<Hashed>, StoreError> {
        let began = now_ns();
        let (file, metadata) = open_file(path, Symlinks::Follow)?;
        let stamp = Stamp::of(&metadata);
        let (digest, ready) = if keep == Keep::Bytes && stamp.size <= LARGEST_COPY {
            let ready = self.copy_in(&file, path)?;
            (ready.digest, Some(ready))
        } else {
            match hash_open(&file, stamp.size) {
                Ok(digest) => (digest, None),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(StoreError::io("read", path, error)),
            }
        };
        // By its path: a file that was replaced meanwhile is not the one that was hashed.
        let after = fs::metadata(path).map_err(|error| StoreError::io("read", path, error))?;
        if Stamp::of(&after) != stamp {
            return Ok(None);
        }
        if keep == Keep::Bytes && ready.is_none() {
            self.put_reference(&digest, path, stamp.size)?;
        }
        Ok(Some(Hashed { digest, stamp, is_settled: stamp.settled_at(began), ready }))
    }

    /// Where the stat cache keeps what it knows of a path.
    fn memory_of(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let path = std::path::absolute(path).map_err(|error| StoreError::io("find", path, error))?;
        Ok(self.place(Class::Stat, &Digest::of(path.as_os_str().as_encoded_bytes()).to_hex()))
    }

    /// Notes what is settled, if that is news.
    fn remember(&self, memory: &Path, known: &Known, files: &[Found], hashed: &[Hashed]) {
        let settled = || files.iter().zip(hashed).filter(|(_, hashed)| hashed.is_settled);
        let is_known = |(file, hashed): (&Found, &Hashed)| {
            known.get(&file.relative).is_some_and(|known| *known == (hashed.stamp, hashed.digest))
        };
        if settled().count() == known.len() && settled().all(is_known) {
            return;
        }
        let mut text = String::from(HEADER);
        for (file, Hashed { digest, stamp, .. }) in settled() {
            // Writing to a String can't fail.
            let _ = writeln!(text, "{digest} {} {}", stamp.to_text(), file.relative);
        }
        // Not flushed: after a crash a torn note is not believed, and the file is hashed again.
        let _ = self.draft().and_then(|draft| {
            draft.write(&seal(text.into_bytes()))?;
            draft.rename_to(memory)
        });
    }
}

const HEADER: &str = "pipe stat v1\n";

/// Reads what is known of a path; what can't be read is not known.
fn recall(memory: &Path) -> Known {
    let bytes = fs::read(memory).unwrap_or_default();
    let text =
        unseal(&bytes).and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.strip_prefix(HEADER));
    let line = |line: &str| {
        let mut fields = line.splitn(7, ' ');
        let digest = fields.next()?.parse().ok()?;
        let stamp = Stamp::from_fields(&mut fields)?;
        Some((fields.next()?.to_owned(), (stamp, digest)))
    };
    text.unwrap_or_default().lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        (folder, store)
    }

    /// Writes into the stat cache that a file, as it looks now, has some digest.
    fn pretend(store: &Store, path: &Path, digest: Digest) {
        let stamp = Stamp::of(&fs::metadata(path).unwrap());
        let found = Found { relative: String::new(), path: path.to_owned(), metadata: fs::metadata(path).unwrap() };
        let hashed = Hashed { digest, stamp, is_settled: true, ready: None };
        store.remember(&store.memory_of(path).unwrap(), &Known::new(), &[found], &[hashed]);
    }

    #[test]
    fn a_file_written_just_before_it_was_hashed_is_not_remembered() {
        let (folder, store) = store();
        let path = folder.path().join("input");
        fs::write(&path, "one").unwrap();
        store.digest_of(&path).unwrap();
        assert!(recall(&store.memory_of(&path).unwrap()).is_empty());
        // The same size and, on a coarse clock, the same times.
        fs::write(&path, "two").unwrap();
        assert_eq!(store.digest_of(&path).unwrap(), Content::File(Digest::of(b"two")));
    }

    #[test]
    fn a_remembered_file_is_not_read_and_any_change_of_its_stamp_reads_it() {
        let (folder, store) = store();
        let path = folder.path().join("input");
        fs::write(&path, "one").unwrap();
        pretend(&store, &path, Digest::of(b"remembered"));
        assert_eq!(store.digest_of(&path).unwrap(), Content::File(Digest::of(b"remembered")));
        fs::File::options().append(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(store.digest_of(&path).unwrap(), Content::File(Digest::of(b"one")));
    }

    #[test]
    fn a_torn_note_is_not_believed() {
        let (folder, store) = store();
        let path = folder.path().join("input");
        fs::write(&path, "one").unwrap();
        pretend(&store, &path, Digest::of(b"remembered"));
        let memory = store.memory_of(&path).unwrap();
        let mut bytes = fs::read(&memory).unwrap();
        bytes[20] ^= 1;
        fs::write(&memory, bytes).unwrap();
        assert_eq!(store.digest_of(&path).unwrap(), Content::File(Digest::of(b"one")));
    }

    #[test]
    fn a_snapshot_puts_bytes_back_that_are_remembered_but_gone() {
        let (folder, store) = store();
        let path = folder.path().join("input");
        fs::write(&path, "one").unwrap();
        pretend(&store, &path, Digest::of(b"one"));
        assert!(!store.contains(store.digest_of(&path).unwrap()).unwrap());
        let content = store.snapshot(&path).unwrap();
        assert_eq!(store.read(content.digest()).unwrap(), b"one");
    }

    #[test]
    fn links_to_files_are_followed_and_links_to_folders_refused() {
        let (folder, store) = store();
        let input = folder.path().join("input");
        fs::create_dir(&input).unwrap();
        fs::write(folder.path().join("blob"), "weights").unwrap();
        std::os::unix::fs::symlink("../blob", input.join("model")).unwrap();
        let content = store.snapshot(&input).unwrap();
        let tree = store.read_tree(content.digest()).unwrap();
        assert_eq!(tree.get("model").unwrap().digest, Digest::of(b"weights"));
        std::os::unix::fs::symlink("..", input.join("up")).unwrap();
        let error = store.digest_of(&input).unwrap_err();
        assert!(error.to_string().contains("symbolic link to a folder"), "{error}");
    }

    #[test]
    fn a_folder_that_was_only_hashed_can_be_projected() {
        let (folder, store) = store();
        let input = folder.path().join("input");
        fs::create_dir(&input).unwrap();
        fs::write(input.join("config.json"), "{}").unwrap();
        fs::write(input.join("weights"), "w").unwrap();
        let content = store.digest_of(&input).unwrap();
        let projection = crate::artifact::Projection::Files(&["config.json"]);
        let part = store.project(content, projection).unwrap();
        fs::write(input.join("weights"), "other").unwrap();
        assert_eq!(store.project(store.digest_of(&input).unwrap(), projection).unwrap(), part);
        assert!(!store.contains(content).unwrap());
    }
}
