//! Writing an archive: every byte is hashed on its way out.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use blake3::Hasher;
use serde_json::Value;
use tar::{Builder, EntryType, Header};

use crate::digest::Digest;
use crate::store::archive::import::outputs_of;
use crate::store::archive::{HEAD, Shipment, VERSION};
use crate::store::draft::{Draft, sync_files, sync_folder, unique};
use crate::store::error::StoreError;
use crate::store::layout::{Class, Store};
use crate::store::read::Located;
use crate::store::record::decode_text;
use crate::store::walk::{Symlinks, open_file};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// How many entries the archive has.
    pub entries: u64,
    /// How many bytes the file has.
    pub bytes: u64,
}

impl Store {
    /// Writes the archive of an experiment to a new file, whole or not at all.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] and [`StoreError::ReferenceLost`] when bytes are missing or wrong,
    /// [`StoreError::Io`], for one when there is such a file already.
    pub fn export(&self, shipment: &Shipment, to: &Path) -> Result<Exported, StoreError> {
        if fs::symlink_metadata(to).is_ok() {
            return Err(StoreError::io("create", to, io::ErrorKind::AlreadyExists.into()));
        }
        // Of a bare file name the folder is not the empty path.
        let to = &std::path::absolute(to).map_err(|error| StoreError::io("find", to, error))?;
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let draft = Draft::at(to.with_file_name(format!(".{name}.{}", unique())));
        let mut writer = Writer { store: self, to, tar: Builder::new(BufWriter::new(draft.create()?)), entries: 0 };
        writer.all(shipment)?;
        let Writer { tar, entries, .. } = writer;
        let flushed = tar.into_inner().and_then(|mut buffer| buffer.flush());
        flushed.map_err(|error| StoreError::io("write", to, error))?;
        sync_files(&[&draft.path])?;
        let bytes = fs::metadata(&draft.path).map_err(|error| StoreError::io("read", &draft.path, error))?.len();
        if !draft.link_to(to)? {
            return Err(StoreError::io("create", to, io::ErrorKind::AlreadyExists.into()));
        }
        to.parent().map_or(Ok(()), sync_folder)?;
        Ok(Exported { entries, bytes })
    }
}

struct Writer<'a> {
    store: &'a Store,
    to: &'a Path,
    tar: Builder<BufWriter<File>>,
    entries: u64,
}

impl Writer<'_> {
    fn all(&mut self, shipment: &Shipment) -> Result<(), StoreError> {
        let head = format!("{VERSION}\n{}\n", shipment.id);
        self.entry(HEAD, head.len() as u64, head.as_bytes())?;
        self.record(shipment, Class::Experiments, &shipment.id.to_string())?;
        for (key, outputs) in &shipment.results {
            let name = key.to_string();
            self.record(shipment, Class::Actions, &name)?;
            // On another class of machine the same action may have given other bytes, and the first result stands.
            if self.store.peek_result(key).is_some_and(|standing| outputs_of(&standing) != *outputs) {
                let problem = format!("the result of `{}` that stands in the cache has other outputs", key.short());
                return Err(StoreError::NotExportable { id: shipment.id, problem });
            }
            self.record(shipment, Class::Results, &name)?;
        }
        let listings = shipment.listings();
        let mut files: BTreeSet<Digest> = shipment.files();
        for listing in &listings {
            files.extend(self.store.read_tree(listing)?.entries().iter().map(|entry| entry.digest));
            self.blob(listing)?;
        }
        files.difference(&listings).try_for_each(|digest| self.blob(digest))
    }

    /// A record as it lies in the store, if it is whole.
    fn record(&mut self, shipment: &Shipment, class: Class, name: &str) -> Result<(), StoreError> {
        let path = self.store.place(class, name);
        let refuse = |problem: String| {
            let problem = format!("`{}`: {problem}", path.display());
            StoreError::NotExportable { id: shipment.id, problem }
        };
        let bytes = fs::read(&path).map_err(|error| refuse(error.to_string()))?;
        decode_text::<Value>(class, name, &bytes).map_err(refuse)?;
        self.entry(&format!("{}/{name}", class.name()), bytes.len() as u64, bytes.as_slice())
    }

    /// The bytes of a blob or large input, never whole in memory.
    fn blob(&mut self, digest: &Digest) -> Result<(), StoreError> {
        let located = self.store.locate(digest)?;
        let (file, path) = match &located {
            Located::Blob(path) => (self.store.open_blob(digest, path)?, path),
            Located::Reference(reference) => (open_file(&reference.path, Symlinks::Follow)?.0, &reference.path),
        };
        let size = file.metadata().map_err(|error| StoreError::io("read", path, error))?.len();
        let mut reader = HashingReader { inner: (&file).take(size), hasher: Hasher::new() };
        self.entry(&format!("blobs/{digest}"), size, &mut reader)?;
        let found = Digest::from_bytes(*reader.hasher.finalize().as_bytes());
        if found == *digest && reader.hasher.count() == size {
            return Ok(());
        }
        Err(match &located {
            Located::Blob(path) => self.store.damaged(digest, path, &file, &found),
            Located::Reference(reference) => reference.lost(digest, "has other bytes now"),
        })
    }

    fn entry(&mut self, name: &str, size: u64, bytes: impl Read) -> Result<(), StoreError> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o444);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size);
        self.entries += 1;
        self.tar.append_data(&mut header, name, bytes).map_err(|error| StoreError::io("write", self.to, error))
    }
}

/// Hashes what passes through.
struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(space)?;
        self.hasher.update(&space[..count]);
        Ok(count)
    }
}
