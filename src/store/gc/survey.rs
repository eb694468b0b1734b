//! Looking over the store: what is kept and by what, what is too young to judge, and what may go.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::store::error::StoreError;
use crate::store::gc::GcOptions;
use crate::store::gc::names::Names;
use crate::store::gc::reach::{Reach, Trust};
use crate::store::gc::roots::Root;
use crate::store::layout::{Class, Store};
use crate::store::run::is_run_id;
use crate::store::stamp::{Stamp, now_ns};
use crate::store::usage::files_below;

/// A thing in the store that is collected or kept as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) class: Class,
    /// A digest, or the id of a run.
    pub(super) name: String,
    /// The same; absent for runs.
    pub(super) digest: Option<Digest>,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// When it was put here or last relied on: the later of its times.
    pub(super) touched_ns: i128,
}

impl Item {
    /// Whether it names others: those that only it names go after it, never before.
    pub(super) const fn is_record(&self) -> bool {
        matches!(self.class, Class::Results | Class::Experiments | Class::Runs)
    }
}

/// How much a root keeps that no root before it does.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeptBy {
    /// The root, or why else it stays.
    pub what: String,
    /// How many things.
    pub things: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// The store, looked over.
#[derive(Debug)]
pub(super) struct Survey {
    /// What is older than this may go, in nanoseconds since 1970; what is as old as this may be new.
    pub(super) cutoff_ns: i128,
    /// What each root keeps, and what stays for another reason.
    pub(super) kept: Vec<KeptBy>,
    /// What nothing keeps.
    pub(super) loose: Vec<Item>,
    /// How many bytes all of it has.
    pub(super) total_bytes: u64,
}

/// When something was last put or relied on. The modification time of a blob is fixed, so its change time counts.
pub(super) fn touched_ns(metadata: &Metadata) -> i128 {
    let stamp = Stamp::of(metadata);
    stamp.modified_ns.max(stamp.changed_ns)
}

impl Store {
    /// Looks the store over; moves nothing.
    ///
    /// # Errors
    /// [`StoreError::UnreadableRoot`], [`StoreError::Io`].
    pub(super) fn survey(&self, options: &GcOptions<'_>) -> Result<Survey, StoreError> {
        let cutoff_ns = self.cutoff_ns(options)?;
        let items = self.items()?;
        let sizes = sizes_by_name(&items);
        let mut reach = Reach::new(self);
        let mut kept = Vec::new();
        for root in options.roots.iter().cloned().chain(self.own_roots(options.keep_runs)?) {
            let new = reach.follow(root.names, Trust::Strict)?;
            kept.push(tally(root.what, &new, &sizes));
        }
        // What is young may belong to work that is not finished, so it keeps what it names.
        let young = || items.iter().filter(|item| item.touched_ns >= cutoff_ns);
        let names = Names {
            digests: young().filter_map(|item| item.digest).collect(),
            runs: young().filter(|item| item.class == Class::Runs).map(|item| item.name.clone()).collect(),
        };
        let new = reach.follow(names, Trust::Lenient)?;
        kept.push(tally("put or used too recently".to_owned(), &new, &sizes));
        let total_bytes = items.iter().map(|item| item.bytes).sum();
        let (stays, loose): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| match &item.digest {
            Some(digest) => reach.contains(digest),
            None => reach.runs.contains(&item.name),
        });
        kept.push(logs(&stays));
        kept.retain(|kept| kept.things > 0);
        Ok(Survey { cutoff_ns, kept: merge_equal(kept), loose, total_bytes })
    }

    /// Whatever a live process relies on it has put or renewed since it began.
    fn cutoff_ns(&self, options: &GcOptions<'_>) -> Result<i128, StoreError> {
        // Where nothing can be written nothing will be moved either, so that any clock will do.
        let is_written_to = self.folder(Class::Tmp).is_dir();
        let now = is_written_to.then(|| self.file_system_now_ns().ok()).flatten().unwrap_or_else(now_ns);
        let grace = i128::try_from(options.grace.as_nanos()).unwrap_or(now);
        let began = self.oldest_live_session_ns()?.unwrap_or(now);
        Ok((now - grace).min(began))
    }

    /// The time by the clock that stamps the files: it ticks coarsely, and on a file server it is another machine's.
    fn file_system_now_ns(&self) -> Result<i128, StoreError> {
        let draft = self.draft()?;
        let metadata = draft.create()?.metadata().map_err(|error| StoreError::io("read", &draft.path, error))?;
        Ok(Stamp::of(&metadata).changed_ns)
    }

    /// All things that may be collected. What does not lie where its name says is `cache verify`'s business.
    pub(super) fn items(&self) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for class in [Class::Blobs, Class::References, Class::Actions, Class::Results, Class::Experiments] {
            for (path, metadata) in self.list(class)? {
                let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
                let Some((name, digest)) = name.and_then(|name| Some((name.clone(), name.parse().ok()?))) else {
                    continue;
                };
                if metadata.is_file() && self.place(class, &name) == path {
                    let (bytes, touched_ns) = (metadata.len(), touched_ns(&metadata));
                    items.push(Item { class, name, digest: Some(digest), path, bytes, touched_ns });
                }
            }
        }
        for (path, metadata) in self.list(Class::Runs)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if metadata.is_dir() && is_run_id(&name) {
                let files = files_below(&path)?;
                let bytes = files.iter().map(|(_, metadata)| metadata.len()).sum();
                let times = files.iter().map(|(_, metadata)| touched_ns(metadata));
                let touched_ns = times.fold(touched_ns(&metadata), i128::max);
                items.push(Item { class: Class::Runs, name, digest: None, path, bytes, touched_ns });
            }
        }
        Ok(items)
    }
}

/// How many things bear each name, and their bytes: an action and its result have the same.
fn sizes_by_name(items: &[Item]) -> HashMap<Digest, (u64, u64)> {
    let mut sizes: HashMap<Digest, (u64, u64)> = HashMap::new();
    for item in items {
        if let Some(digest) = item.digest {
            let (things, bytes) = sizes.entry(digest).or_default();
            (*things, *bytes) = (*things + 1, *bytes + item.bytes);
        }
    }
    sizes
}

fn tally(what: String, names: &[Digest], sizes: &HashMap<Digest, (u64, u64)>) -> KeptBy {
    let names: HashSet<&Digest> = names.iter().collect();
    let found = names.into_iter().filter_map(|name| sizes.get(name));
    let (things, bytes) = found.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
    KeptBy { what, things, bytes }
}

/// Runs are kept by the records that name them, so their logs are a line of their own.
fn logs(stays: &[Item]) -> KeptBy {
    let logs = || stays.iter().filter(|item| item.class == Class::Runs);
    KeptBy {
        what: "logs of runs that made or used what stays".to_owned(),
        things: logs().count() as u64,
        bytes: logs().map(|item| item.bytes).sum(),
    }
}

/// One line for all of the same words: ten runs are ten roots.
fn merge_equal(kept: Vec<KeptBy>) -> Vec<KeptBy> {
    let mut merged: Vec<KeptBy> = Vec::new();
    for one in kept {
        match merged.iter_mut().find(|known| known.what == one.what) {
            Some(known) => (known.things, known.bytes) = (known.things + one.things, known.bytes + one.bytes),
            None => merged.push(one),
        }
    }
    merged
}

/// What the roots reach.
pub(super) fn reach_of<'a>(store: &'a Store, roots: &[Root], keep_runs: usize) -> Result<Reach<'a>, StoreError> {
    let mut reach = Reach::new(store);
    for root in roots.iter().cloned().chain(store.own_roots(keep_runs)?) {
        reach.follow(root.names, Trust::Strict)?;
    }
    Ok(reach)
}
