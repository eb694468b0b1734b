//! Archives: one file with all that another machine needs to serve and to reproduce an experiment.
//!
//! # The format, version 1
//! A tar of plain files, in exactly this order:
//! ```text
//! pipe-archive          `pipe archive 1`, newline, the experiment's id, newline
//! experiments/<id>      its record
//! actions/<key>         for each action of the experiment, by key: its ingredients …
//! results/<key>         … and what it gave
//! blobs/<digest>        the listings of all folders among manifest, inputs and outputs, by digest
//! blobs/<digest>        the files, by digest, those of the folders and large inputs included
//! ```
//! Records are the bytes that lie in the store, blobs are plain. Each entry has the mode 0444, the time 0 and no owner, so
//! an experiment has one archive, and to import and export it gives the same bytes again.
//!
//! # Why an archive can't do harm
//! The record says which actions and contents there are, and the listings which files: at each place one name can come,
//! and any other is refused, which rules out duplicates, links, paths that climb and entries that nobody asked for. Sizes
//! are believed only as far as bytes follow. Nothing is visible before the last digest was verified. What an archive can
//! not prove is that its results were honestly computed: `pipe reproduce` does.

mod export;
mod import;
mod reader;

use std::collections::{BTreeMap, BTreeSet};

use crate::artifact::Content;
use crate::digest::{ActionKey, Digest, ExperimentId};

pub use export::Exported;
pub use import::{Checks, Imported};

/// The name of the first entry, and its first line.
const HEAD: &str = "pipe-archive";
const VERSION: &str = "pipe archive 1";

/// What belongs to an experiment, as its record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipment {
    /// The experiment.
    pub id: ExperimentId,
    /// Its manifest and inputs.
    pub given: Vec<Content>,
    /// Each action's outputs by slot.
    pub results: BTreeMap<ActionKey, BTreeMap<String, Content>>,
}

impl Shipment {
    fn contents(&self) -> impl Iterator<Item = &Content> {
        self.given.iter().chain(self.results.values().flat_map(BTreeMap::values))
    }

    /// The listings of folders.
    fn listings(&self) -> BTreeSet<Digest> {
        self.contents().filter(|content| matches!(content, Content::Tree(_))).map(|content| *content.digest()).collect()
    }

    /// The files that are outputs or inputs by themselves.
    fn files(&self) -> BTreeSet<Digest> {
        self.contents().filter(|content| matches!(content, Content::File(_))).map(|content| *content.digest()).collect()
    }
}
