//! `cache verify`: hashes everything again and moves what is damaged to quarantine.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde_json::Value;

use crate::artifact::Content;
use crate::digest::{ActionKey, Digest};
use crate::store::error::{Damage, StoreError};
use crate::store::layout::{Class, Store};
use crate::store::record::Lookup;
use crate::store::reference::Reference;
use crate::store::result::ResultRecord;

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes hashed so far.
    pub bytes: u64,
    /// Bytes there were at the beginning.
    pub total: u64,
}

/// A result one of whose outputs can't be read: the next run makes it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dangling {
    /// The action.
    pub key: ActionKey,
    /// The output's slot.
    pub slot: String,
    /// Its content.
    pub content: Content,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many blobs were hashed.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many records were checked.
    pub records: u64,
    /// What was damaged, with where it is now.
    pub damaged: Vec<Damage>,
    /// Results whose bytes are missing, for one because they were damaged.
    pub dangling: Vec<Dangling>,
    /// Large inputs that are gone or changed where they lay, as messages; no damage to the store.
    pub lost_references: Vec<String>,
    /// Files that the disk can't read, or records of a later version, as messages.
    pub unreadable: Vec<String>,
    /// Files that have no business where they are.
    pub strays: Vec<PathBuf>,
}

impl VerifyReport {
    /// Whether every byte in the store is what it should be and every result whole.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damaged.is_empty() && self.dangling.is_empty() && self.unreadable.is_empty()
    }

    fn note(&mut self, error: &StoreError) {
        match error {
            StoreError::Damaged { damage, .. } => self.damaged.push(damage.clone()),
            StoreError::ReferenceLost { .. } => self.lost_references.push(error.to_string()),
            _ => self.unreadable.push(error.with_causes()),
        }
    }
}

impl Store {
    /// Hashes every blob and large input, reads every record, and follows every result to its bytes. Works beside
    /// running pipelines: what vanishes meanwhile is left out.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the store's folders can't be listed; all else is in the report.
    pub fn verify(&self, progress: &(dyn Fn(VerifyProgress) + Sync)) -> Result<VerifyReport, StoreError> {
        let mut report = VerifyReport::default();
        self.verify_blobs(&mut report, progress)?;
        self.verify_records(&mut report)?;
        self.verify_results(&mut report)?;
        report.damaged.sort_unstable_by(|left, right| left.path.cmp(&right.path));
        Ok(report)
    }

    fn verify_blobs(
        &self,
        report: &mut VerifyReport,
        progress: &(dyn Fn(VerifyProgress) + Sync),
    ) -> Result<(), StoreError> {
        let mut blobs: Vec<(Digest, PathBuf, u64)> = Vec::new();
        for (path, metadata) in self.list(Class::Blobs)? {
            match name_of(&path).and_then(|name| name.parse().ok()) {
                Some(digest) if self.blob_path(&digest) == path => blobs.push((digest, path, metadata.len())),
                _ => report.strays.push(path),
            }
        }
        let total = blobs.iter().map(|(_, _, size)| size).sum();
        let (done, errors) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        blobs.par_iter().for_each(|(digest, path, size)| {
            let checked = self.open_blob(digest, path).and_then(|file| self.check_blob(digest, &file, path));
            match checked {
                // Gone since it was listed.
                Err(StoreError::Damaged { damage, .. }) if damage.quarantined_to.is_none() && !path.exists() => {}
                Err(error) => errors.lock().unwrap_or_else(PoisonError::into_inner).push(error),
                Ok(()) => {}
            }
            progress(VerifyProgress { bytes: done.fetch_add(*size, Ordering::Relaxed) + size, total });
        });
        report.blobs = blobs.len() as u64;
        report.bytes = total;
        errors.into_inner().unwrap_or_else(PoisonError::into_inner).iter().for_each(|error| report.note(error));
        Ok(())
    }

    fn verify_records(&self, report: &mut VerifyReport) -> Result<(), StoreError> {
        for class in [Class::Actions, Class::Experiments] {
            for name in self.record_names(class, report)? {
                self.verify_record::<Value>(class, &name, &self.place(class, &name), report);
            }
        }
        for id in self.runs()? {
            let path = self.folder(Class::Runs).join(&id).join("record");
            self.verify_record::<Value>(Class::Runs, &id, &path, report);
        }
        for name in self.record_names(Class::References, report)? {
            let path = self.place(Class::References, &name);
            let reference = self.verify_record::<Reference>(Class::References, &name, &path, report);
            if let (Some(reference), Ok(digest)) = (reference, name.parse())
                && let Err(error) = reference.open_checked(&digest)
            {
                report.note(&error);
            }
        }
        Ok(())
    }

    fn verify_results(&self, report: &mut VerifyReport) -> Result<(), StoreError> {
        for name in self.record_names(Class::Results, report)? {
            let path = self.place(Class::Results, &name);
            let Some(record) = self.verify_record::<ResultRecord>(Class::Results, &name, &path, report) else {
                continue;
            };
            for (slot, output) in record.outputs {
                match self.contains(output.content) {
                    Ok(true) => {}
                    Ok(false) => {
                        report.dangling.push(Dangling { key: record.key, slot, content: output.content });
                    }
                    Err(error) => report.note(&error),
                }
            }
        }
        Ok(())
    }

    /// The sorted names of the records of a class; whatever does not lie where its name says is a stray.
    fn record_names(&self, class: Class, report: &mut VerifyReport) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        for (path, _) in self.list(class)? {
            match name_of(&path) {
                Some(name) if name.parse::<Digest>().is_ok() && self.place(class, name) == path => {
                    names.push(name.to_owned());
                }
                _ => report.strays.push(path),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn verify_record<T: serde::de::DeserializeOwned>(
        &self,
        class: Class,
        name: &str,
        path: &Path,
        report: &mut VerifyReport,
    ) -> Option<T> {
        match self.read_record_at(class, name, path) {
            Ok(Lookup::Found(body)) => {
                report.records += 1;
                return Some(body);
            }
            Ok(Lookup::Absent) => {}
            Ok(Lookup::Damaged(damage)) => {
                report.records += 1;
                report.damaged.push(damage);
            }
            Err(error) => report.note(&error),
        }
        None
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}
