//! Why a line was left out, and how the rejects artifact says so.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use crate::text::jsonl::{Place, SHOWN_BYTES, source_line};
use crate::text::overlap::Origin;

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    /// The stable code.
    pub code: &'static str,
    /// The column, in characters from 1.
    pub column: usize,
    /// The way to the field; empty for the line as a whole.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
    /// The byte of the piece.
    #[serde(skip)]
    pub offset: usize,
}

/// A line that a worker refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Which piece of its chunk this is.
    pub order: usize,
    /// How many line ends lie between the start of the chunk and the line.
    pub line: u64,
    /// How many characters of the line came before the piece.
    pub column_before: usize,
    /// Where the piece is in the chunk; an overlong line is beside it.
    pub raw: Option<(usize, usize)>,
    /// How long the line is.
    pub length: u64,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The held-out line it overlaps with.
    pub held_out: Option<Origin>,
}

/// One line of the rejects artifact.
#[derive(Debug, Serialize)]
pub(super) struct RejectLine<'a> {
    source: u32,
    line: u64,
    reasons: &'a [Reason],
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<Origin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_out: Option<Origin>,
    raw: Cow<'a, str>,
    /// The whole length, where `raw` was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_bytes: Option<u64>,
}

impl<'a> RejectLine<'a> {
    /// A line refused for its own sake or because of a held-out line.
    pub fn refused(source: u32, place: Place<'a>, refusal: &'a Refusal) -> Self {
        let (raw, raw_bytes) = raw(place.bytes, refusal.length);
        let (reasons, held_out) = (&*refusal.reasons, refusal.held_out);
        Self { source, line: place.line, reasons, first: None, held_out, raw, raw_bytes }
    }

    /// A row that came before.
    pub fn duplicate(source: u32, place: Place<'a>, reasons: &'a [Reason], first: Origin) -> Self {
        let (raw, raw_bytes) = raw(place.bytes, place.bytes.len() as u64);
        Self { source, line: place.line, reasons, first: Some(first), held_out: None, raw, raw_bytes }
    }

    /// Writes the line with its end.
    ///
    /// # Errors
    /// Whatever writing fails with.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")
    }
}

fn raw(bytes: &[u8], length: u64) -> (Cow<'_, str>, Option<u64>) {
    let raw = source_line(bytes, SHOWN_BYTES);
    (raw.into(), (length > bytes.len().min(SHOWN_BYTES) as u64).then_some(length))
}
