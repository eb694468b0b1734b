//! Record files: JSON for people and programs, with a last line that proves the rest.
//!
//! ```text
//! {
//!   "record": "results",
//!   "version": 1,
//!   "name": "<key or id>",
//!   "body": { … }
//! }
//! blake3 <digest of all lines above>
//! ```
//! A record that is torn, flipped, or lies under another's name is moved to quarantine and reported.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::store::draft::{Draft, sync_files, sync_names};
use crate::store::error::{Damage, StoreError};
use crate::store::layout::{Class, Store};

/// The version of every record's form.
const VERSION: u32 = 1;

/// What looking for a record gives. Damage is not an error, since the work goes on as if nothing had been there, but
/// it has to be reported.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Lookup<T> {
    /// The record.
    Found(T),
    /// There is none.
    Absent,
    /// There was a damaged one.
    Damaged(Damage),
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    record: Class,
    version: u32,
    name: String,
    body: T,
}

impl Store {
    /// Looks for a record.
    pub(super) fn read_record<T: DeserializeOwned>(&self, class: Class, name: &str) -> Result<Lookup<T>, StoreError> {
        self.read_record_at(class, name, &self.place(class, name))
    }

    /// A record if it is there and whole. What is damaged stays where it is, for the look-up that reports it.
    pub(super) fn peek_record<T: DeserializeOwned>(&self, class: Class, name: &str) -> Option<T> {
        decode(class, name, &std::fs::read(self.place(class, name)).ok()?).ok()
    }

    /// The same for a record that lies elsewhere than its class says.
    pub(super) fn read_record_at<T: DeserializeOwned>(
        &self,
        class: Class,
        name: &str,
        path: &Path,
    ) -> Result<Lookup<T>, StoreError> {
        let failed = |error| StoreError::io("read", path, error);
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lookup::Absent),
            Err(error) => return Err(failed(error)),
        };
        let seen = file.metadata().map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        match decode(class, name, &bytes) {
            Ok(body) => Ok(Lookup::Found(body)),
            Err(Unreadable::Version(found)) => Err(StoreError::UnknownVersion {
                path: path.to_owned(),
                found: found.to_string(),
                expected: VERSION.to_string(),
            }),
            Err(Unreadable::Damaged(problem)) => {
                Ok(Lookup::Damaged(self.quarantine(class, path, Some(&seen), problem)))
            }
        }
    }

    /// Puts a record where none is yet, flushed; says whether it did.
    pub(super) fn create_record(&self, class: Class, name: &str, body: &impl Serialize) -> Result<bool, StoreError> {
        let place = self.place(class, name);
        let created = self.draft_record(class, name, body)?.link_to(&place)?;
        // Also when another process was first: its name may not be flushed yet.
        sync_names([place.as_path()])?;
        Ok(created)
    }

    /// Puts a record in place of what is there, flushed.
    pub(super) fn replace_record(&self, class: Class, name: &str, body: &impl Serialize) -> Result<(), StoreError> {
        self.replace_record_at(class, name, &self.place(class, name), body)
    }

    /// The same for a record that lies elsewhere than its class says.
    pub(super) fn replace_record_at(
        &self,
        class: Class,
        name: &str,
        path: &Path,
        body: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.draft_record(class, name, body)?.rename_to(path)?;
        sync_names([path])
    }

    fn draft_record(&self, class: Class, name: &str, body: &impl Serialize) -> Result<Draft, StoreError> {
        let draft = self.draft()?;
        let encoded = encode(class, name, body).map_err(|error| StoreError::io("write", &draft.path, error.into()))?;
        draft.write(&encoded)?;
        sync_files(&[&draft.path])?;
        Ok(draft)
    }
}

fn encode(class: Class, name: &str, body: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes =
        serde_json::to_vec_pretty(&Envelope { record: class, version: VERSION, name: name.to_owned(), body })?;
    bytes.push(b'\n');
    Ok(seal(bytes))
}

#[derive(Debug)]
enum Unreadable {
    Damaged(String),
    Version(u64),
}

fn decode<T: DeserializeOwned>(class: Class, name: &str, bytes: &[u8]) -> Result<T, Unreadable> {
    let damaged = |problem: String| Unreadable::Damaged(problem);
    let text = unseal(bytes).ok_or_else(|| damaged("its last line does not prove the rest".to_owned()))?;
    let envelope: Envelope<Value> =
        serde_json::from_slice(text).map_err(|error| damaged(format!("no record: {error}")))?;
    if envelope.version != VERSION {
        return Err(Unreadable::Version(envelope.version.into()));
    }
    if (envelope.record, envelope.name.as_str()) != (class, name) {
        let (found, expected) = (envelope.record.name(), class.name());
        return Err(damaged(format!("is the record `{}` of {found}; expected `{name}` of {expected}", envelope.name)));
    }
    serde_json::from_value(envelope.body).map_err(|error| damaged(format!("no body of {}: {error}", class.name())))
}

/// Reads a record's bytes, or says what is wrong with them; moves nothing.
pub(super) fn decode_text<T: DeserializeOwned>(class: Class, name: &str, bytes: &[u8]) -> Result<T, String> {
    decode(class, name, bytes).map_err(|unreadable| match unreadable {
        Unreadable::Damaged(problem) => problem,
        Unreadable::Version(found) => format!("its version is `{found}`; expected `{VERSION}`"),
    })
}

/// The text of a file that may or may not end in a line that proves it; one that does not prove the rest is an error.
pub(super) fn check_proof(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let last = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if last.starts_with(PROOF) { unseal(bytes).ok_or("its last line does not prove the rest") } else { Ok(bytes) }
}

const PROOF: &[u8] = b"blake3 ";
const PROOF_LENGTH: usize = PROOF.len() + 64 + 1;

/// Adds the line that proves all before it. The text ends in a newline.
pub(super) fn seal(mut text: Vec<u8>) -> Vec<u8> {
    let digest = Digest::of(&text);
    text.extend_from_slice(PROOF);
    text.extend_from_slice(digest.to_hex().as_bytes());
    text.push(b'\n');
    text
}

/// The text without the line that proves it, if it does.
pub(super) fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let (text, proof) = bytes.split_at_checked(bytes.len().checked_sub(PROOF_LENGTH)?)?;
    let digest = proof.strip_prefix(PROOF)?.strip_suffix(b"\n")?;
    (digest == Digest::of(text).to_hex().as_bytes()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_reads_back_with_the_order_of_its_keys() {
        let body = json!({ "z": 1, "a": [1.5, null, "é"] });
        let bytes = encode(Class::Actions, "k", &body).unwrap();
        assert!(String::from_utf8_lossy(&bytes).starts_with("{\n  \"record\": \"actions\""));
        let read: Value = decode(Class::Actions, "k", &bytes).unwrap();
        assert_eq!(read.to_string(), body.to_string());
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_found() {
        let bytes = encode(Class::Results, "k", &json!({ "a": 1 })).unwrap();
        for length in 0..bytes.len() {
            assert!(decode::<Value>(Class::Results, "k", &bytes[..length]).is_err(), "cut to {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<Value>(Class::Results, "k", &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_under_another_name_or_class_is_damaged_and_a_later_version_is_not() {
        let bytes = encode(Class::Results, "k", &json!(1)).unwrap();
        for (class, name) in [(Class::Results, "other"), (Class::Actions, "k")] {
            assert!(matches!(decode::<Value>(class, name, &bytes), Err(Unreadable::Damaged(_))));
        }
        let later = seal(b"{\"record\":\"results\",\"version\":2,\"name\":\"k\",\"body\":1}\n".to_vec());
        assert!(matches!(decode::<Value>(Class::Results, "k", &later), Err(Unreadable::Version(2))));
    }
}
