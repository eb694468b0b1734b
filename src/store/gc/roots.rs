//! Roots: what must be kept whatever else goes. Some the caller knows (lock files), the others lie in the store.
//!
//! A root that can't be read stops the collector: to guess what it keeps would be to lose it.

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use crate::digest::Digest;
use crate::store::error::StoreError;
use crate::store::gc::names::Names;
use crate::store::layout::{Class, Store};
use crate::store::record::check_proof;
use crate::store::run::is_run_id;
use crate::store::stamp::Stamp;
use crate::store::usage::files_below;

/// Something that keeps what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// What it is, for people: `lock pipelines/x.lock`, `pin 5fe0ab91`.
    pub what: String,
    /// What it names.
    pub names: Names,
}

impl Root {
    /// A root that names whatever digests and runs stand in a text.
    ///
    /// # Errors
    /// [`StoreError::UnreadableRoot`] for a text that names nothing: an empty or torn file must not pass for one that
    /// keeps nothing.
    pub fn of_text(what: String, text: &[u8]) -> Result<Self, StoreError> {
        let names = Names::in_text(text);
        if names == Names::default() {
            let problem = format!("its {} bytes name no digest; expected at least one", text.len());
            return Err(StoreError::UnreadableRoot { what, problem });
        }
        Ok(Self { what, names })
    }
}

impl Store {
    /// The roots in the store: every file below `roots/`, then the live runs, then the latest `keep_runs`.
    pub(super) fn own_roots(&self, keep_runs: usize) -> Result<Vec<Root>, StoreError> {
        let mut roots = self.root_files()?;
        let runs: Vec<String> = self.runs()?.into_iter().filter(|id| is_run_id(id)).collect();
        let latest = runs.len().saturating_sub(keep_runs);
        for (index, id) in runs.iter().enumerate() {
            // A folder without a log is one that was killed while it was made: nobody is in it.
            let is_live =
                self.is_live(id).or_else(|error| if error.is_not_found() { Ok(false) } else { Err(error) })?;
            if is_live || index >= latest {
                let what = if is_live { format!("live run {id}") } else { format!("one of the last {keep_runs} runs") };
                roots.push(Root { what, names: self.names_of_run(id)? });
            }
        }
        Ok(roots)
    }

    fn root_files(&self) -> Result<Vec<Root>, StoreError> {
        let folder = self.folder(Class::Roots);
        let mut files = files_below(&folder)?;
        files.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let root = |(path, metadata): &(std::path::PathBuf, fs::Metadata)| {
            let what = told(path.strip_prefix(&folder).unwrap_or(path));
            if !metadata.is_file() {
                let problem = "it is no plain file".to_owned();
                return Err(StoreError::UnreadableRoot { what, problem });
            }
            let bytes = fs::read(path).map_err(|error| StoreError::io("read", path, error))?;
            let text = check_proof(&bytes)
                .map_err(|problem| StoreError::UnreadableRoot { what: what.clone(), problem: problem.to_owned() })?;
            let root = Root::of_text(what, text)?;
            let leads_on = |digest: &Digest| {
                let classes = [Class::Results, Class::Experiments, Class::Blobs, Class::References];
                classes.iter().any(|class| self.place(*class, &digest.to_hex()).exists())
            };
            if root.names.digests.iter().any(leads_on) {
                return Ok(root);
            }
            let problem = "what it keeps is not in the cache any more, so what that led to is not known".to_owned();
            Err(StoreError::UnreadableRoot { what: root.what, problem })
        };
        files.iter().map(root).collect()
    }

    /// What the record and the log of a run name: a killed run has no record.
    fn names_of_run(&self, id: &str) -> Result<Names, StoreError> {
        let folder = self.run_path(id)?;
        let mut names = Names::default();
        names.runs.insert(id.to_owned());
        for (path, metadata) in files_below(&folder)? {
            if metadata.is_file() {
                let text = fs::read(&path).map_err(|error| StoreError::io("read", &path, error))?;
                names.digests.extend(Names::in_text(&text).digests);
            }
        }
        Ok(names)
    }

    /// When the oldest process that now works in the store began, in nanoseconds since 1970.
    pub(super) fn oldest_live_session_ns(&self) -> Result<Option<i128>, StoreError> {
        let mut oldest = None;
        for (path, metadata) in self.list(Class::Tmp)? {
            if path.extension().is_some_and(|extension| extension == "lock") && is_locked(&path)? {
                let began = Stamp::of(&metadata).modified_ns;
                oldest = Some(oldest.map_or(began, |oldest: i128| oldest.min(began)));
            }
        }
        Ok(oldest)
    }
}

/// What people call a file below `roots/`.
fn told(path: &Path) -> String {
    let pin = path.strip_prefix("pins").ok().and_then(Path::to_str).and_then(|name| name.get(..12));
    pin.map_or_else(|| format!("root `{}`", path.display()), |short| format!("pin {short}"))
}

/// Whether a process has a lock on a file; the lock that the question takes is let go at once.
fn is_locked(path: &Path) -> Result<bool, StoreError> {
    let file = match OpenOptions::new().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StoreError::io("open", path, error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
    }
}
