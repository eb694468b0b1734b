//! JSON Lines as people write them: one object a line, between blank lines, comments and stray text.
//!
//! `//` and `/* */` are comments only outside strings, so a URL in a row survives. A comment, a byte order mark, a
//! CRLF or a trailing comma is tolerated and counted; all else that is not strict JSON is a [`Fault`] with its place,
//! and reading goes on with the next line. A row lies on one line: a block comment may span lines only outside a row.
//! Refused rather than repaired: duplicate keys, integers beyond 64 bits, lone surrogates, raw control characters,
//! nesting beyond [`MAX_DEPTH`], lines beyond [`MAX_LINE_BYTES`]. Source: RFC 8259.

mod chunks;
mod excerpt;
mod fault;
mod literal;
mod parse;
mod scan;
mod string;
mod value;

pub(crate) use chunks::{Chunk, ChunkReader, Piece};
pub(crate) use excerpt::{Excerpts, Place, cut, source_line};
pub(crate) use fault::{Fault, FaultKind};
pub(crate) use parse::{Line, Notes, parse_bytes, parse_line, parse_strict};
pub(crate) use string::{Text, push_escaped};
pub(crate) use value::{Kind, Tape, Value};

/// How deep a row may nest. The record that is made of it nests a few levels deeper and must stay below the 128 levels
/// that `serde_json` reads.
pub(crate) const MAX_DEPTH: usize = 100;

/// How long a line may be, without its line end.
pub(crate) const MAX_LINE_BYTES: usize = 16 << 20;

/// How much of a refused line is kept to show it.
pub(crate) const SHOWN_BYTES: usize = 16 << 10;
