//! Taking in an archive: everything is verified before anything is visible.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde_json::Value;
use tar::Archive;

use crate::artifact::Content;
use crate::digest::{ActionKey, Digest, ExperimentId};
use crate::store::archive::Shipment;
use crate::store::archive::reader::{Reader, Verified, broken};
use crate::store::draft::{sync_files, sync_names};
use crate::store::error::{Damage, StoreError};
use crate::store::layout::{Class, Store};
use crate::store::record::Lookup;
use crate::store::result::ResultRecord;

/// What only the maker of the records can say about them.
#[derive(Clone, Copy)]
pub struct Checks<'a> {
    /// What belongs to the experiment with this record, or why it is none.
    pub experiment: &'a dyn Fn(&Value) -> Result<Shipment, String>,
    /// Whether these ingredients give this key.
    pub action: &'a dyn Fn(&ActionKey, &Value) -> Result<(), String>,
}

/// What was taken in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// The experiment.
    pub experiment: ExperimentId,
    /// Whether it was not here before.
    pub is_new: bool,
    /// How many files it has.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Actions of which another result stands here, with other bytes.
    pub differing: Vec<ActionKey>,
}

impl Store {
    /// Takes in the experiment of an archive. To do it again changes nothing; to be killed on the way leaves nothing that
    /// is not whole.
    ///
    /// # Errors
    /// [`StoreError::BadArchive`] for any file but a whole and valid archive, [`StoreError::Io`].
    pub fn import(&self, path: &Path, checks: Checks<'_>) -> Result<Imported, StoreError> {
        let file = File::open(path).map_err(|error| StoreError::io("open", path, error))?;
        let mut archive = Archive::new(BufReader::with_capacity(1 << 20, file));
        let entries = archive.entries().map_err(|error| broken(path, error))?.raw(true);
        let verified = Reader::new(self, path, entries).all(checks)?;
        check_rest(archive.into_inner(), path)?;
        self.take_in_verified(verified)
    }

    /// Makes all of it visible: bytes, then actions, then results, then the experiment.
    fn take_in_verified(&self, verified: Verified) -> Result<Imported, StoreError> {
        let Verified { shipment, experiment, results, blobs } = verified;
        let mut imported = Imported {
            experiment: shipment.id,
            is_new: false,
            blobs: blobs.len() as u64,
            bytes: blobs.iter().map(|blob| blob.size).sum(),
            differing: Vec::new(),
        };
        self.put_ready(blobs)?;
        for (key, action, result) in results {
            self.put_record_bytes(Class::Actions, key.digest(), &action)?;
            let is_new = self.put_record_bytes(Class::Results, key.digest(), &result)?;
            let differs = |here: ResultRecord| Some(outputs_of(&here)) != shipment.results.get(&key).cloned();
            if !is_new && self.peek_result(&key).is_some_and(differs) {
                imported.differing.push(key);
            }
        }
        imported.is_new = self.put_record_bytes(Class::Experiments, shipment.id.digest(), &experiment)?;
        Ok(imported)
    }

    /// Puts a record where no whole one is yet, flushed; says whether it did. What stands is renewed, so that it stays.
    fn put_record_bytes(&self, class: Class, digest: &Digest, bytes: &[u8]) -> Result<bool, StoreError> {
        let name = digest.to_hex();
        let place = self.place(class, &name);
        self.renew_record(class, digest)?;
        match self.read_record::<Value>(class, &name)? {
            Lookup::Found(_) => return Ok(false),
            Lookup::Absent | Lookup::Damaged(Damage { quarantined_to: Some(_), .. }) => {}
            Lookup::Damaged(damage) => {
                return Err(StoreError::io("replace", &place, std::io::Error::other(damage.problem)));
            }
        }
        let draft = self.draft()?;
        draft.write(bytes)?;
        sync_files(&[&draft.path])?;
        let is_new = draft.link_to(&place)?;
        sync_names([place.as_path()])?;
        Ok(is_new)
    }
}

pub(super) fn outputs_of(record: &ResultRecord) -> BTreeMap<String, Content> {
    record.outputs.iter().map(|(slot, output)| (slot.clone(), output.content)).collect()
}

/// Refuses anything but zeros after the last entry.
fn check_rest(mut file: impl Read, path: &Path) -> Result<(), StoreError> {
    let mut space = [0; 4096];
    loop {
        match file.read(&mut space).map_err(|error| StoreError::io("read", path, error))? {
            0 => return Ok(()),
            count if space[..count].iter().all(|byte| *byte == 0) => {}
            _ => {
                let problem = "something follows the last entry".to_owned();
                return Err(StoreError::BadArchive { path: path.to_owned(), problem });
            }
        }
    }
}
