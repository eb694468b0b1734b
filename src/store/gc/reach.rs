//! What is reached from names: a record that is kept keeps what it names, a listing the files of its folder.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use crate::digest::Digest;
use crate::store::error::StoreError;
use crate::store::gc::names::Names;
use crate::store::layout::{Class, Store};
use crate::store::read::LARGEST_LISTING;
use crate::store::record::decode_text;
use crate::store::tree::{self, Tree};

/// What to do about a record or listing whose names can't be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Refuse: a root leads here, and what is not seen would be lost.
    Strict,
    /// Take the names that can be read: nothing that must be kept leads here.
    Lenient,
}

/// All that was reached so far.
#[derive(Debug)]
pub(super) struct Reach<'a> {
    store: &'a Store,
    /// What some text names.
    named: HashSet<Digest>,
    /// The files of folders that are named.
    held: HashSet<Digest>,
    /// The runs that are named.
    pub(super) runs: BTreeSet<String>,
}

impl<'a> Reach<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, named: HashSet::new(), held: HashSet::new(), runs: BTreeSet::new() }
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.named.contains(digest) || self.held.contains(digest)
    }

    /// Goes on from some names to all that they lead to; gives what was not reached before.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::UnreadableRoot`] for damage, when strict.
    pub(super) fn follow(&mut self, names: Names, trust: Trust) -> Result<Vec<Digest>, StoreError> {
        self.runs.extend(names.runs);
        let (mut waiting, mut new): (Vec<Digest>, Vec<Digest>) = (names.digests.into_iter().collect(), Vec::new());
        while let Some(digest) = waiting.pop() {
            if !self.named.insert(digest) {
                continue;
            }
            if !self.held.contains(&digest) {
                new.push(digest);
            }
            for class in [Class::Results, Class::Experiments] {
                if let Some(found) = names_of_record(self.store, class, &digest, trust)? {
                    waiting.extend(found.digests);
                    self.runs.extend(found.runs);
                }
            }
            for file in files_of_listing(self.store, &digest, trust)? {
                if self.held.insert(file) && !self.named.contains(&file) {
                    new.push(file);
                }
            }
        }
        Ok(new)
    }
}

/// What one record names, itself and the files of folders included, other records' names not.
pub(super) fn held_by(store: &Store, class: Class, name: &Digest) -> Result<BTreeSet<Digest>, StoreError> {
    let direct = names_of_record(store, class, name, Trust::Lenient)?.unwrap_or_default().digests;
    let mut all = direct.clone();
    for digest in direct {
        all.extend(files_of_listing(store, &digest, Trust::Lenient)?);
    }
    Ok(all)
}

/// The names in a record; nothing when it is not there.
fn names_of_record(store: &Store, class: Class, name: &Digest, trust: Trust) -> Result<Option<Names>, StoreError> {
    let path = store.place(class, &name.to_hex());
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    if trust == Trust::Strict {
        decode_text::<Value>(class, &name.to_hex(), &bytes).map_err(|problem| unreadable(&path, problem))?;
    }
    Ok(Some(Names::in_text(&bytes)))
}

/// The files of a folder, when the blob of that digest lists one.
fn files_of_listing(store: &Store, digest: &Digest, trust: Trust) -> Result<Vec<Digest>, StoreError> {
    let path = store.blob_path(digest);
    let Some(bytes) = read_listing(&path).map_err(|error| StoreError::io("read", &path, error))? else {
        return Ok(Vec::new());
    };
    if trust == Trust::Strict && Digest::of(&bytes) != *digest {
        return Err(unreadable(&path, "its bytes do not have the digest in its name".to_owned()));
    }
    // A file whose bytes merely begin as a listing does is no folder.
    let tree = Tree::parse(&bytes).unwrap_or_default();
    Ok(tree.entries().iter().map(|entry| entry.digest).collect())
}

/// The bytes of a blob that begins as listings do, and of no other.
fn read_listing(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.by_ref().take(tree::HEADER.len() as u64).read_to_end(&mut bytes)?;
    if bytes != tree::HEADER.as_bytes() {
        return Ok(None);
    }
    file.take(LARGEST_LISTING).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn unreadable(path: &Path, problem: String) -> StoreError {
    StoreError::UnreadableRoot { what: format!("`{}`", path.display()), problem }
}
