//! The files that cleaning writes. Records can be compared with what was written before.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::text::dedupe::Location;

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 1 << 20;

/// The files written.
#[derive(Debug)]
pub(crate) struct Outputs {
    records: RecordFile,
    dev: Option<RecordFile>,
    /// Refused lines.
    pub(super) rejects: BufWriter<File>,
}

impl Outputs {
    /// Creates the files; without `dev` there is no other side of a split.
    ///
    /// # Errors
    /// Whatever creating a file fails with.
    pub fn create(records: &Path, dev: Option<&Path>, rejects: &Path) -> io::Result<Self> {
        let rejects = BufWriter::with_capacity(BUFFER_BYTES, File::create(rejects)?);
        Ok(Self { records: RecordFile::create(records)?, dev: dev.map(RecordFile::create).transpose()?, rejects })
    }

    /// One side of the split.
    pub(super) fn side(&mut self, is_dev: bool) -> &mut RecordFile {
        match &mut self.dev {
            Some(dev) if is_dev => dev,
            _ => &mut self.records,
        }
    }

    /// Whether exactly these bytes were written at a location.
    ///
    /// # Errors
    /// Whatever reading fails with.
    pub(super) fn holds(&mut self, location: Location, bytes: &[u8]) -> io::Result<bool> {
        self.side(location.is_dev).holds(location.offset, bytes)
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.records.flush()?;
        self.rejects.flush()?;
        self.dev.as_mut().map_or(Ok(()), RecordFile::flush)
    }
}

/// A file that is written from start to end, any part of which can be looked at.
#[derive(Debug)]
pub(super) struct RecordFile {
    file: File,
    /// How much is in the file.
    flushed: u64,
    /// What comes behind it.
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

impl RecordFile {
    fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Self { file, flushed: 0, buffer: Vec::with_capacity(BUFFER_BYTES), scratch: Vec::new() })
    }

    /// How much was written.
    pub fn len(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    /// Writes at the end.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES / 8 && self.buffer.is_empty() {
            self.file.write_all(bytes)?;
            self.flushed += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn holds(&mut self, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        if let Some(start) = offset.checked_sub(self.flushed).and_then(|start| usize::try_from(start).ok()) {
            return Ok(self.buffer.get(start..start + bytes.len()) == Some(bytes));
        }
        if offset + bytes.len() as u64 > self.flushed {
            self.flush()?;
        }
        if offset + bytes.len() as u64 > self.flushed {
            return Ok(false);
        }
        self.scratch.resize(bytes.len(), 0);
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(&mut self.scratch)?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(self.scratch == bytes)
    }
}
