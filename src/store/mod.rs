//! The content-addressed store behind `cache/`: blobs, folder listings, results, records of experiments and runs.
//!
//! # What is where
//! ```text
//! version, CACHEDIR.TAG
//! blobs/ab/<digest>        bytes, read-only; `b3sum` of a file is its name
//! references/ab/<digest>   where a large input lies that is not copied
//! actions/ab/<key>         the ingredients of a key, for `why` and `diff`
//! results/ab/<key>         the commit point of an action
//! experiments/<id>         complete runs
//! runs/<id>/               events.jsonl and whatever the engine adds
//! stat/ab/<digest>         what each input path looked like when it was last hashed
//! claims/<key>             kernel locks: who is making which result; gate and collector: see `renew.rs`, `trash.rs`
//! tmp/<session>/           drafts and sandboxes of a live process
//! roots/pins/<id or key>   what a person wants kept; every other file below roots/ keeps what it names, too
//! trash/<time>/            what the collector moved, until it is restored or emptied
//! quarantine/              damaged things
//! sources/                 fetched models: `crate::sources` looks after them
//! ```
//!
//! # How the engine uses it
//! ```text
//! let store = Store::open(path)?;                                    // writes nothing
//! let content = store.digest_of(path)?;                              // hit check: stat cache, else hashed; stores nothing
//! let digest = store.project(content, port.projection)?;             // what enters the key
//! match store.result(&key)? { Found | Absent | Damaged(report) }     // damaged = moved to quarantine, so: a miss to report
//! store.check(content)?                                              // a hit whose bytes are gone or touched is no hit
//! store.renew_result(&key)?;                                         // before a run relies on a hit: see `gc/mod.rs`
//! let claim = store.claim(&key, &cancelled, &mut on_wait)?;          // then look for the result once more
//! let kept = store.snapshot(path)?;                                  // before a stage reads an input; compare with `content`
//! let sandbox = store.sandbox()?;
//! let read = store.materialise(content, projection, &to, Access::ReadOnly)?;   // verified
//! … the stage runs …
//! read.check_unchanged()?;                                           // nobody wrote to what it read
//! let content = store.adopt(&sandbox.path().join("records"))?;       // each output
//! match store.commit(&action, &record)? { New | Same(old) | Diverged { existing } }
//! ```
//! A [`StoreError::Damaged`] from a read means that the bytes are gone: make them again and `adopt` them, the result
//! that names them stays valid.
//!
//! # Promises
//! - Nothing half-written is ever visible: bytes go to `tmp/`, are flushed, then renamed. A result is linked last, so
//!   **a result implies that its blobs and its action were flushed to disk before it**; the first one wins.
//! - Every record ends in the BLAKE3 of what is before it and names itself, so a torn, flipped or swapped record is
//!   found; it goes to quarantine and is reported, never silently missed.
//! - Bytes are hashed whenever they are consumed or exported. What was hashed is what is handed over: an open file, a
//!   buffer, or a path made (linked, cloned or copied) *before* hashing. This guards against bit rot, truncation and
//!   stray writers. It is no guard against somebody who may write to the cache and rewrites a file in place *after* it
//!   was hashed: hard links share the blob's inode. [`Materialised::check_unchanged`] detects that (by inode, size and
//!   mtime) for whoever does not forge time stamps, and the next reader hashes again.
//! - Of large inputs only the place is kept; replacing one is detected when it is consumed.
//! - A store that can't be written still serves hits; the first write says so in a [`StoreError::Io`].
//! - Errors of the disk lose nothing that was stored; [`StoreError::help`] says what to do.
//!
//! It refuses to follow symbolic links out of folders it stores, to guess at unknown versions, and to delete anything
//! but its own temporary files and, when asked, its trash.

mod archive;
mod baseline;
mod blob;
mod check;
mod claim;
mod draft;
mod error;
mod experiment;
mod gc;
mod hash;
mod input;
mod layout;
mod materialise;
mod pin;
mod quarantine;
mod read;
mod record;
mod reference;
mod reflink;
mod renew;
mod result;
mod run;
mod session;
mod stamp;
mod trash;
mod tree;
mod usage;
mod verify;
mod walk;

pub use archive::{Checks, Exported, Imported, Shipment};
pub use baseline::Baseline;
pub use check::Defect;
pub use claim::{Claim, Holder};
pub use error::{Damage, StoreError};
pub use gc::{GcOptions, GcReport, Going, KeptBy, Names, Root, Share};
pub use hash::hash_file;
pub use layout::{Class, Store};
pub use materialise::{Access, Materialised};
pub use pin::{Pin, Pinned};
pub use quarantine::Quarantined;
pub use record::Lookup;
pub use result::{Committed, Output, ResultRecord};
pub use run::{Events, RunFolder, utc};
pub use session::Sandbox;
pub use trash::{Emptied, Restored, Trashed};
pub use tree::{BadTree, Tree, TreeEntry};
pub use usage::{ClassUsage, Usage};
pub use verify::{Dangling, VerifyProgress, VerifyReport};
