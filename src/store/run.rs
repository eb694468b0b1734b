//! Folders of runs: an append-only file of events, and whatever else the engine keeps there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::digest::Digest;
use crate::store::draft::{make_folders, unique};
use crate::store::error::StoreError;
use crate::store::experiment::only;
use crate::store::layout::{Class, Store};
use crate::store::record::Lookup;
use crate::store::stamp::{now_ns, now_s};

const EVENTS: &str = "events.jsonl";
const RECORD: &str = "record";

/// The folder of a run that is going on. A kernel lock on its events says so, until it is dropped or the process ends.
#[derive(Debug)]
pub struct RunFolder {
    id: String,
    path: PathBuf,
    events: Mutex<File>,
}

/// The events of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// One JSON text a line.
    pub lines: Vec<String>,
    /// Whether a last line lacked its end and was left out: the run was killed while it wrote.
    pub is_torn: bool,
}

impl RunFolder {
    /// The run's id: UTC date and time, and six digits against collisions. Ids sort by time.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line to the events. Not flushed to the disk: events are a log, not a result.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn append(&self, line: &str) -> Result<(), StoreError> {
        let mut text = line.replace(['\n', '\r'], " ");
        text.push('\n');
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.write_all(text.as_bytes()).map_err(|error| StoreError::io("write", &self.path.join(EVENTS), error))
    }
}

impl Store {
    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// [`StoreError::Io`], for one when the store can't be written.
    pub fn start_run(&self) -> Result<RunFolder, StoreError> {
        self.session()?;
        let runs = self.folder(Class::Runs);
        make_folders(&runs)?;
        loop {
            let id = new_id(now_s());
            let path = runs.join(&id);
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(StoreError::io("create", &path, error)),
            }
            let place = path.join(EVENTS);
            let events = OpenOptions::new().append(true).create_new(true).open(&place);
            let events = events.map_err(|error| StoreError::io("create", &place, error))?;
            events.lock().map_err(|error| StoreError::io("lock", &place, error))?;
            return Ok(RunFolder { id, path, events: Mutex::new(events) });
        }
    }

    /// Keeps (or replaces) the record of a run, flushed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such run, [`StoreError::Io`].
    pub fn put_run(&self, id: &str, record: &Value) -> Result<(), StoreError> {
        let folder = self.run_path(id)?;
        self.replace_record_at(Class::Runs, id, &folder.join(RECORD), record)
    }

    /// The record of a run; a run that was killed has none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such run, [`StoreError::Io`], [`StoreError::UnknownVersion`].
    pub fn run(&self, id: &str) -> Result<Lookup<Value>, StoreError> {
        self.read_record_at(Class::Runs, id, &self.run_path(id)?.join(RECORD))
    }

    /// The events of a run so far.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such run, [`StoreError::Io`].
    pub fn events(&self, id: &str) -> Result<Events, StoreError> {
        let path = self.run_path(id)?.join(EVENTS);
        let bytes = fs::read(&path).map_err(|error| StoreError::io("read", &path, error))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let is_torn = lines.pop().is_some_and(|rest| !rest.is_empty());
        Ok(Events { lines, is_torn })
    }

    /// Whether a run is going on, in whichever process.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such run, [`StoreError::Io`].
    pub fn is_live(&self, id: &str) -> Result<bool, StoreError> {
        let path = self.run_path(id)?.join(EVENTS);
        let events = File::open(&path).map_err(|error| StoreError::io("read", &path, error))?;
        match events.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path, error)),
        }
    }

    /// The ids of all runs, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn runs(&self) -> Result<Vec<String>, StoreError> {
        self.names(Class::Runs)
    }

    /// The one run whose id begins so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`], [`StoreError::Io`].
    pub fn find_run(&self, prefix: &str) -> Result<String, StoreError> {
        only("run", prefix, self.runs()?)
    }

    /// The folder of a run. An id is one plain name, so it can't reach outside.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn run_path(&self, id: &str) -> Result<PathBuf, StoreError> {
        let is_plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let path = self.folder(Class::Runs).join(id);
        if is_plain && path.is_dir() {
            Ok(path)
        } else {
            Err(StoreError::NotFound { what: "run", prefix: id.chars().take(80).collect() })
        }
    }
}

/// A time in seconds since 1970 as people read it: `2026-11-23 10:15:30 UTC`.
#[must_use]
pub fn utc(unix_s: u64) -> String {
    let (year, month, day) = civil(unix_s / 86_400);
    let (hour, minute, second) = (unix_s / 3600 % 24, unix_s / 60 % 60, unix_s % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// `20261123-101530-3fa2b1`.
pub(super) fn new_id(unix_s: u64) -> String {
    let days = unix_s / 86_400;
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (unix_s / 3600 % 24, unix_s / 60 % 60, unix_s % 60);
    let mut salt = Digest::of(format!("{} {}", unique(), now_ns()).as_bytes()).short();
    salt.truncate(6);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{salt}")
}

/// Whether a text is the id of a run: `20261123-101530-3fa2b1`.
pub(super) fn is_run_id(text: &str) -> bool {
    let mut parts = text.split('-');
    let part = |part: Option<&str>, length: usize| {
        part.is_some_and(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    part(parts.next(), 8) && part(parts.next(), 6) && part(parts.next(), 6) && parts.next().is_none()
}

/// Year, month and day of a day since 1970. Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_780), (2026, 11, 23));
        assert!(new_id(1_795_428_930).starts_with("20261123-101530-"));
    }

    #[test]
    fn events_are_appended_and_a_torn_last_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let run = store.start_run().unwrap();
        run.append("{\"a\":1}").unwrap();
        run.append("{\"b\":\n2}").unwrap();
        let mut file = OpenOptions::new().append(true).open(run.path().join(EVENTS)).unwrap();
        file.write_all(b"{\"c\"").unwrap();
        let events = store.events(run.id()).unwrap();
        assert_eq!(events, Events { lines: vec!["{\"a\":1}".into(), "{\"b\": 2}".into()], is_torn: true });
    }

    #[test]
    fn a_run_is_live_until_its_folder_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let run = store.start_run().unwrap();
        let id = run.id().to_owned();
        assert!(store.is_live(&id).unwrap());
        assert_eq!(store.run(&id).unwrap(), Lookup::Absent);
        store.put_run(&id, &json!({ "v": 1 })).unwrap();
        store.put_run(&id, &json!({ "v": 2 })).unwrap();
        drop(run);
        assert!(!store.is_live(&id).unwrap());
        assert_eq!(store.run(&id).unwrap(), Lookup::Found(json!({ "v": 2 })));
        assert_eq!(store.find_run(&id[..8]).unwrap(), id);
    }

    #[test]
    fn an_id_that_climbs_out_of_the_folder_is_no_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.put_bytes(b"x").unwrap();
        for id in ["..", "../tmp", "", "a/b", "/etc"] {
            assert!(matches!(store.run(id), Err(StoreError::NotFound { .. })), "{id}");
        }
    }
}
