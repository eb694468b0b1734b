//! Puts cleaned chunks together in the files' order: finds duplicates, writes records and rejects, counts.

use std::io;

use crate::diagnostic::Diagnostic;
use crate::text::dedupe::{FirstSeen, Location};
use crate::text::jsonl::{Excerpts, Place};
use crate::text::overlap::Origin;

use super::counts::Counts;
use super::outputs::Outputs;
use super::refusal::{Reason, Refusal, RejectLine};
use super::worker::{Kept, Slot};

/// How many problems of a source are shown; the rest are counted.
const SHOWN: usize = 20;

/// The state between chunks.
#[derive(Debug)]
pub(crate) struct Merge {
    outputs: Outputs,
    first_seen: Option<FirstSeen>,
    /// Whether an invalid row makes the whole fail.
    invalid_fails: bool,
    /// Whether an overlapping row makes the whole fail.
    overlap_fails: bool,
    sources: Vec<Counts>,
    problems: Vec<Excerpts>,
    line: u64,
}

impl Merge {
    /// Starts without any source.
    pub fn new(outputs: Outputs, dedupe: bool, invalid_fails: bool, overlap_fails: bool) -> Self {
        let first_seen = dedupe.then(FirstSeen::default);
        let (sources, problems) = (Vec::new(), Vec::new());
        Self { outputs, first_seen, invalid_fails, overlap_fails, sources, problems, line: 1 }
    }

    /// Turns to the next source, which messages call `label`.
    pub fn begin_source(&mut self, label: &str) {
        self.sources.push(Counts::default());
        self.problems.push(Excerpts::new(label, SHOWN));
        self.line = 1;
    }

    /// Says how many bytes of the source were read.
    pub(super) fn set_bytes(&mut self, bytes: u64) {
        if let Some(source) = self.sources.last_mut() {
            source.bytes = bytes;
        }
    }

    /// Writes what became of the next chunk of the source.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub(super) fn chunk(&mut self, slot: &Slot) -> io::Result<()> {
        let mut counts = slot.counts.clone();
        let mut refused = slot.refused.iter().peekable();
        let mut run = Run::default();
        for kept in &slot.kept {
            while let Some(refusal) = refused.next_if(|refusal| refusal.order < kept.order) {
                self.refuse(slot, refusal)?;
            }
            if kept.is_dev != run.is_dev {
                self.write(slot, &mut run)?;
                run.is_dev = kept.is_dev;
            }
            if let Some(first) = self.seen_before(slot, kept, &mut run)? {
                self.write(slot, &mut run)?;
                self.duplicate(slot, kept, first)?;
                counts.duplicates += 1;
                (run.start, run.end) = (kept.end, kept.end);
            } else {
                *(if kept.is_dev { &mut counts.dev } else { &mut counts.kept }) += 1;
                run.end = kept.end;
            }
        }
        self.write(slot, &mut run)?;
        for refusal in refused {
            self.refuse(slot, refusal)?;
        }
        self.line += slot.line_ends;
        if let Some(source) = self.sources.last_mut() {
            source.add(&counts);
        }
        Ok(())
    }

    /// Writes out what is buffered; gives the counts of each source and the problems that make the whole fail.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub fn finish(mut self) -> io::Result<(Vec<Counts>, Vec<Diagnostic>)> {
        self.outputs.flush()?;
        Ok((self.sources, self.problems.into_iter().flat_map(Excerpts::finish).collect()))
    }

    fn source(&self) -> u32 {
        u32::try_from(self.sources.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Where an equal row came before. The row itself follows the run, which has to be written to be looked at.
    fn seen_before(&mut self, slot: &Slot, kept: &Kept, run: &mut Run) -> io::Result<Option<Origin>> {
        let Some(mut first_seen) = self.first_seen.take() else { return Ok(None) };
        let origin = Origin { source: self.source(), line: self.line + kept.line };
        let record = &slot.records[run.end..kept.end];
        let offset = self.outputs.side(kept.is_dev).len() + (run.end - run.start) as u64;
        let location = Location { is_dev: kept.is_dev, offset };
        let found = first_seen.note(kept.fingerprint, origin, location, |earlier| {
            self.write(slot, run)?;
            self.outputs.holds(earlier, record)
        });
        self.first_seen = Some(first_seen);
        found
    }

    fn write(&mut self, slot: &Slot, run: &mut Run) -> io::Result<()> {
        self.outputs.side(run.is_dev).write(&slot.records[run.start..run.end])?;
        run.start = run.end;
        Ok(())
    }

    fn refuse(&mut self, slot: &Slot, refusal: &Refusal) -> io::Result<()> {
        let bytes = match (refusal.raw, &slot.chunk.overlong) {
            (Some((start, end)), _) => &slot.chunk.bytes()[start..end],
            (None, Some(overlong)) => overlong.head.as_bytes(),
            (None, None) => &[],
        };
        let place = Place { line: self.line + refusal.line, column_before: refusal.column_before, bytes };
        let fails = if refusal.held_out.is_some() { self.overlap_fails } else { self.invalid_fails };
        if let Some(problems) = self.problems.last_mut().filter(|_| fails) {
            for reason in &refusal.reasons {
                problems.push(place, reason.offset, reason.code, message(reason));
            }
        }
        RejectLine::refused(self.source(), place, refusal).write(&mut self.outputs.rejects)
    }

    fn duplicate(&mut self, slot: &Slot, kept: &Kept, first: Origin) -> io::Result<()> {
        let bytes = &slot.chunk.bytes()[kept.raw.0..kept.raw.1];
        let place = Place { line: self.line + kept.line, column_before: 0, bytes };
        let message = format!("row equals line {} of source {}; expected each row once", first.line, first.source);
        let reasons = [Reason { code: "data::duplicate", column: 1, path: String::new(), message, offset: 0 }];
        RejectLine::duplicate(self.source(), place, &reasons, first).write(&mut self.outputs.rejects)
    }
}

/// Records of a chunk, one behind the other, that are good, not yet written, and go to the same side.
#[derive(Debug, Default)]
struct Run {
    start: usize,
    end: usize,
    is_dev: bool,
}

/// The reason for somebody who does not see the path beside it.
fn message(reason: &Reason) -> String {
    if reason.path.is_empty() { reason.message.clone() } else { format!("`{}`: {}", reason.path, reason.message) }
}
