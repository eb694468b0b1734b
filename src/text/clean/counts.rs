//! What was seen and what became of it, counted per source.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::text::formats::Format;
use crate::text::jsonl::Notes;

/// The version of the statistics' layout.
const VERSION: u32 = 1;

/// The counts of one source, or of a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Bytes read.
    pub bytes: u64,
    /// Lines, of any sort.
    pub lines: u64,
    /// Lines of white space only.
    pub blank_lines: u64,
    /// Comments and other things tolerated.
    pub tolerated: Notes,
    /// Rows whose format was recognised, by format.
    pub formats: BTreeMap<&'static str, u64>,
    /// Rows written as training records.
    pub kept: u64,
    /// Rows written to the other side of the split.
    pub dev: u64,
    /// Lines refused as invalid.
    pub rejected: u64,
    /// Rows left out because an equal one came before.
    pub duplicates: u64,
    /// Rows left out because they overlap with what is held out.
    pub overlaps: u64,
    /// Reasons of the refusals, by code; a line may have several.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Fields that no format knows, left out of the records.
    pub ignored_fields: u64,
    /// Tools whose arguments are not described.
    pub open_schemas: u64,
}

impl Counts {
    /// Counts a row of a format.
    pub fn row(&mut self, format: Format) {
        *self.formats.entry(format.name()).or_default() += 1;
    }

    /// Counts a reason.
    pub fn reason(&mut self, code: &'static str) {
        *self.reasons.entry(code).or_default() += 1;
    }

    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.lines += other.lines;
        self.blank_lines += other.blank_lines;
        self.tolerated.add(&other.tolerated);
        self.kept += other.kept;
        self.dev += other.dev;
        self.rejected += other.rejected;
        self.duplicates += other.duplicates;
        self.overlaps += other.overlaps;
        self.ignored_fields += other.ignored_fields;
        self.open_schemas += other.open_schemas;
        for (name, count) in &other.formats {
            *self.formats.entry(name).or_default() += count;
        }
        for (code, count) in &other.reasons {
            *self.reasons.entry(code).or_default() += count;
        }
    }
}

/// What is held out, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct HeldOutCounts {
    /// Rows read.
    pub rows: u64,
    /// Different queries.
    pub queries: usize,
    /// Different runs of words.
    pub runs: usize,
}

/// The statistics artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Statistics<'a> {
    version: u32,
    total: Counts,
    sources: &'a [Counts],
    held_out: HeldOutCounts,
}

impl<'a> Statistics<'a> {
    /// The statistics of some sources, in order.
    pub fn new(sources: &'a [Counts], held_out: HeldOutCounts) -> Self {
        let mut total = Counts::default();
        for counts in sources {
            total.add(counts);
        }
        Self { version: VERSION, total, sources, held_out }
    }

    /// The sum over all sources.
    pub fn total(&self) -> &Counts {
        &self.total
    }
}
