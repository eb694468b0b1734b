//! Reading an archive's entries: at each place one name can come, and nothing is believed before it was hashed.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tar::{Entries, Entry};

use crate::artifact::Content;
use crate::digest::{ActionKey, Digest, ExperimentId};
use crate::store::archive::import::{Checks, outputs_of};
use crate::store::archive::{HEAD, Shipment, VERSION};
use crate::store::blob::Ready;
use crate::store::error::StoreError;
use crate::store::layout::{Class, Store};
use crate::store::read::LARGEST_LISTING;
use crate::store::record::decode_text;
use crate::store::result::ResultRecord;
use crate::store::tree::Tree;

/// Records are small; what is larger is none.
const LARGEST_RECORD: u64 = 256 << 20;
const LARGEST_HEAD: u64 = 256;

/// All of an archive, verified, with the bytes of its blobs in drafts.
pub(super) struct Verified {
    pub(super) shipment: Shipment,
    pub(super) experiment: Vec<u8>,
    /// Key, action and result.
    pub(super) results: Vec<(ActionKey, Vec<u8>, Vec<u8>)>,
    pub(super) blobs: Vec<Ready>,
}

/// Goes through an archive from its first entry to its last.
pub(super) struct Reader<'a, R: Read> {
    store: &'a Store,
    path: &'a Path,
    entries: Entries<'a, R>,
    index: u64,
}

/// A failure to read: the disk's own are its, all others are the archive's fault.
pub(super) fn broken(path: &Path, error: io::Error) -> StoreError {
    if error.raw_os_error().is_some() {
        return StoreError::io("read", path, error);
    }
    // The message may hold bytes of the file.
    StoreError::BadArchive { path: path.to_owned(), problem: shown(error.to_string().as_bytes()) }
}

impl<'a, R: Read> Reader<'a, R> {
    /// `entries` must be raw: what tar has for long names, links and holes is refused, never acted on.
    pub(super) const fn new(store: &'a Store, path: &'a Path, entries: Entries<'a, R>) -> Self {
        Self { store, path, entries, index: 0 }
    }

    pub(super) fn all(mut self, checks: Checks<'_>) -> Result<Verified, StoreError> {
        let id = self.head()?;
        let experiment = self.small(&format!("experiments/{id}"), LARGEST_RECORD)?;
        let record = self.record::<Value>(Class::Experiments, &id.to_string(), &experiment)?;
        let shipment = (checks.experiment)(&record).map_err(|problem| self.bad(format!("experiment: {problem}")))?;
        if shipment.id != id {
            return Err(self.bad(format!("its record is of the experiment `{}`; expected `{id}`", shipment.id)));
        }
        let mut results = Vec::new();
        for (key, outputs) in &shipment.results {
            results.push(self.result(key, outputs, checks)?);
        }
        let blobs = self.blobs(&shipment)?;
        match self.next()? {
            None => Ok(Verified { shipment, experiment, results, blobs }),
            Some((_, name)) => Err(self.bad(format!("entry {} is `{name}`; expected the end", self.index))),
        }
    }

    fn head(&mut self) -> Result<ExperimentId, StoreError> {
        let head = self.small(HEAD, LARGEST_HEAD)?;
        let text = String::from_utf8_lossy(&head);
        let mut lines = text.split('\n');
        let version = lines.next().unwrap_or_default();
        if version != VERSION {
            return Err(self.bad(format!("version is `{}`; expected `{VERSION}`", version.escape_debug())));
        }
        match (lines.next().unwrap_or_default().parse(), lines.next(), lines.next()) {
            (Ok(id), Some(""), None) => Ok(id),
            _ => Err(self.bad(format!("`{HEAD}` does not name one experiment"))),
        }
    }

    fn result(
        &mut self,
        key: &ActionKey,
        outputs: &BTreeMap<String, Content>,
        checks: Checks<'_>,
    ) -> Result<(ActionKey, Vec<u8>, Vec<u8>), StoreError> {
        let name = key.to_string();
        let action = self.small(&format!("actions/{name}"), LARGEST_RECORD)?;
        let ingredients = self.record::<Value>(Class::Actions, &name, &action)?;
        (checks.action)(key, &ingredients).map_err(|problem| self.bad(format!("`actions/{name}`: {problem}")))?;
        let result = self.small(&format!("results/{name}"), LARGEST_RECORD)?;
        let record = self.record::<ResultRecord>(Class::Results, &name, &result)?;
        if record.key != *key || outputs_of(&record) != *outputs {
            return Err(self.bad(format!("`results/{name}` gives other outputs than the experiment")));
        }
        Ok((*key, action, result))
    }

    fn blobs(&mut self, shipment: &Shipment) -> Result<Vec<Ready>, StoreError> {
        let listings = shipment.listings();
        // Each file with its size, where a listing says it.
        let mut files: BTreeMap<Digest, Option<u64>> = shipment.files().into_iter().map(|file| (file, None)).collect();
        let mut blobs = Vec::new();
        for digest in &listings {
            let name = format!("blobs/{digest}");
            let bytes = self.small(&name, LARGEST_LISTING)?;
            let tree = Tree::parse(&bytes).map_err(|error| self.bad(format!("`{name}`: {error}")))?;
            for entry in tree.entries() {
                let known = files.entry(entry.digest).or_default();
                if known.is_some_and(|size| size != entry.size) {
                    return Err(self.bad(format!("`{}` is listed with two sizes", entry.digest)));
                }
                *known = Some(entry.size);
            }
            let ready = self.store.copy_from(bytes.as_slice(), self.path)?;
            blobs.push(self.verified(ready, digest, bytes.len() as u64)?);
        }
        files.retain(|digest, _| !listings.contains(digest));
        for (digest, size) in files {
            let (store, path, name) = (self.store, self.path, format!("blobs/{digest}"));
            let entry = self.expect(&name)?;
            let announced = entry.size();
            if let Some(size) = size.filter(|size| *size != announced) {
                return Err(self.bad(format!("`{name}` has {announced} bytes; expected {size}")));
            }
            let ready = store.copy_from(entry, path).map_err(|error| match error {
                StoreError::Io { operation: "read", source, .. } => broken(path, source),
                error => error,
            })?;
            blobs.push(self.verified(ready, &digest, announced)?);
        }
        Ok(blobs)
    }

    fn verified(&self, ready: Ready, digest: &Digest, announced: u64) -> Result<Ready, StoreError> {
        if ready.size != announced {
            return Err(self.bad(format!("it ends after {} of the {announced} bytes of `blobs/{digest}`", ready.size)));
        }
        if ready.digest != *digest {
            return Err(self.bad(format!("`blobs/{digest}` has the digest `{}`", ready.digest)));
        }
        Ok(ready)
    }

    fn record<T: DeserializeOwned>(&self, class: Class, name: &str, bytes: &[u8]) -> Result<T, StoreError> {
        decode_text(class, name, bytes).map_err(|problem| self.bad(format!("`{}/{name}` {problem}", class.name())))
    }

    /// The bytes of the next entry, which must have this name and no more bytes than `largest`.
    fn small(&mut self, name: &str, largest: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path;
        let mut entry = self.expect(name)?;
        let announced = entry.size();
        let mut bytes = Vec::new();
        if announced <= largest {
            entry.read_to_end(&mut bytes).map_err(|error| broken(path, error))?;
        } else {
            return Err(self.bad(format!("`{name}` has {announced} bytes; expected at most {largest}")));
        }
        if bytes.len() as u64 != announced {
            return Err(self.bad(format!("it ends after {} of the {announced} bytes of `{name}`", bytes.len())));
        }
        Ok(bytes)
    }

    /// The next entry, which must be a plain file of this name.
    fn expect(&mut self, expected: &str) -> Result<Entry<'a, R>, StoreError> {
        match self.next()? {
            None => Err(self.bad(format!("it ends before `{expected}`"))),
            Some((entry, _)) if &*entry.path_bytes() != expected.as_bytes() => {
                let name = shown(&entry.path_bytes());
                Err(self.bad(format!("entry {} is `{name}`; expected `{expected}`", self.index)))
            }
            Some((entry, name)) if !entry.header().entry_type().is_file() => {
                let kind = entry.header().entry_type();
                Err(self.bad(format!("entry {} (`{name}`) is a {kind:?}; expected a plain file", self.index)))
            }
            Some((entry, _)) => Ok(entry),
        }
    }

    /// The next entry with its name for people.
    fn next(&mut self) -> Result<Option<(Entry<'a, R>, String)>, StoreError> {
        self.index += 1;
        let entry = self.entries.next().transpose().map_err(|error| broken(self.path, error))?;
        Ok(entry.map(|entry| {
            let name = shown(&entry.path_bytes());
            (entry, name)
        }))
    }

    fn bad(&self, problem: String) -> StoreError {
        StoreError::BadArchive { path: self.path.to_owned(), problem }
    }
}

/// Foreign text as it may be printed.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(120).collect::<String>().escape_debug().to_string()
}
