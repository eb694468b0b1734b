//! Reads, cleans and writes one source: all three at once, in bounded memory.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use crate::text::jsonl::ChunkReader;

use super::merge::Merge;
use super::worker::{Rules, Slot};

/// How much is cleaned at once: enough to keep all cores busy, little enough to stay in the processor's cache.
const BATCH_BYTES: u64 = 4 << 20;

/// Why a source could not be cleaned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CleanError {
    /// The source cannot be read.
    #[error("reading the source failed: {0}")]
    Read(#[source] io::Error),
    /// An output cannot be written.
    #[error("writing an output failed: {0}")]
    Write(#[source] io::Error),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Stopped,
}

/// Cleans a file; `progress` is told how many bytes of it have been read, and may stop the work.
///
/// # Errors
/// [`CleanError`].
pub(crate) fn clean_source(
    path: &Path,
    rules: &Rules,
    merge: &mut Merge,
    progress: &(dyn Fn(u64) -> ControlFlow<()> + Sync),
) -> Result<(), CleanError> {
    let mut reader = ChunkReader::new(File::open(path).map_err(CleanError::Read)?);
    let (mut current, mut other) = (Batch::default(), Batch::default());
    current.read(&mut reader, progress)?;
    while !current.is_empty() {
        let write_and_read = || {
            other.write(merge)?;
            other.read(&mut reader, progress)
        };
        let (outcome, ()) = rayon::join(write_and_read, || current.clean(rules));
        outcome?;
        std::mem::swap(&mut current, &mut other);
    }
    other.write(merge)?;
    merge.set_bytes(reader.position());
    Ok(())
}

/// Some chunks in order, whose memory is used again.
#[derive(Default)]
struct Batch {
    slots: Vec<Slot>,
    used: usize,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.used == 0
    }

    fn read(
        &mut self,
        reader: &mut ChunkReader<File>,
        progress: &(dyn Fn(u64) -> ControlFlow<()> + Sync),
    ) -> Result<(), CleanError> {
        self.used = 0;
        let start = reader.position();
        while reader.position() - start < BATCH_BYTES {
            if self.used == self.slots.len() {
                self.slots.push(Slot::default());
            }
            if !reader.read(&mut self.slots[self.used].chunk).map_err(CleanError::Read)? {
                break;
            }
            self.used += 1;
            if progress(reader.position()).is_break() {
                return Err(CleanError::Stopped);
            }
        }
        Ok(())
    }

    fn clean(&mut self, rules: &Rules) {
        self.slots[..self.used].par_iter_mut().for_each(|slot| slot.clean(rules));
    }

    fn write(&mut self, merge: &mut Merge) -> Result<(), CleanError> {
        self.slots[..self.used].iter().try_for_each(|slot| merge.chunk(slot)).map_err(CleanError::Write)
    }
}
