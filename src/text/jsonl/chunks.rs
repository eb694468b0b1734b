//! Reads a file in chunks of whole lines, so that lines can be parsed in parallel and memory does not grow with it.
//!
//! The only thing that reaches beyond a line is a block comment over several lines. The reader finds and skips those;
//! what lies before and behind one comes as two pieces. A `/*` that nothing ends until the end of the file is no
//! comment: the reader goes back, and the parser refuses that one line.

use std::io::{self, Read, Seek, SeekFrom};

use memchr::{memchr, memchr_iter, memchr3, memmem, memrchr};

use super::fault::FaultKind;
use super::parse::{Notes, parse_line};
use super::value::Tape;
use super::{MAX_LINE_BYTES, SHOWN_BYTES, source_line};

/// How much is read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Some whole lines of a file.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// Line ends passed since the chunk before: those of a skipped block comment.
    lines_before: u64,
    /// Characters of the first line that came before this chunk.
    column_before: usize,
    /// Whether the first piece is the rest of a line.
    continues: bool,
    /// Whether a block comment was skipped just before this chunk.
    after_comment: bool,
    /// Whether the last piece is followed by a block comment on its line.
    opens_comment: bool,
    /// Block comments over several lines, in order.
    holes: Vec<Hole>,
    /// A line that is too long, behind the others.
    pub overlong: Option<Overlong>,
}

/// A block comment over several lines; an empty one where a comment begins that nothing ends.
#[derive(Debug, Clone, Copy)]
struct Hole {
    start: usize,
    end: usize,
    /// How many line ends are in it.
    lines: u64,
    /// How many characters its last line has.
    column: usize,
}

/// The trace of a line that is too long to be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overlong {
    /// How it begins.
    pub head: String,
    /// How long it is.
    pub length: u64,
}

/// A line, or the piece of it before or behind a block comment over several lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// How many line ends lie between the start of the chunk and this piece.
    pub line: u64,
    /// How many characters of the line come before the piece.
    pub column_before: usize,
    /// The text without its line feed.
    pub bytes: &'a [u8],
    /// Where `bytes` begin in the chunk.
    pub start: usize,
    /// Whether a block comment is the rest of the line, so that an empty piece is no blank line.
    pub partial: bool,
    /// Whether the line begins with the piece.
    pub begins_line: bool,
}

impl Chunk {
    /// The lines, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut holes = self.holes.iter().peekable();
        let (mut start, mut line) = (0, self.lines_before);
        let mut column_before = self.column_before;
        let mut begins_line = !self.continues;
        std::iter::from_fn(move || {
            let rest = self.bytes.get(start..)?;
            let end = memchr(b'\n', rest).map_or(self.bytes.len(), |found| start + found);
            let hole = holes.next_if(|hole| hole.start <= end);
            let end = hole.map_or(end, |hole| hole.start);
            let bytes = &self.bytes[start..end];
            let is_last = end == self.bytes.len();
            if is_last && bytes.is_empty() && begins_line && !self.opens_comment {
                return None;
            }
            let partial = !begins_line || hole.is_some() || (is_last && self.opens_comment);
            let piece = Piece { line, column_before, bytes, start, partial, begins_line };
            (start, line, column_before) =
                hole.map_or((end + 1, line + 1, 0), |hole| (hole.end, line + hole.lines, hole.column));
            begins_line = hole.is_none();
            Some(piece)
        })
    }

    /// How many block comments over several lines there are.
    pub fn long_comments(&self) -> u64 {
        let in_chunk = self.holes.iter().filter(|hole| hole.lines > 0).count() as u64;
        in_chunk + u64::from(self.after_comment)
    }

    /// How many line ends lie between the start of this chunk and its overlong line.
    pub fn line_of_overlong(&self) -> u64 {
        self.lines_before + memchr_iter(b'\n', &self.bytes).count() as u64
    }

    /// How many line ends lie between the start of this chunk and the start of the next.
    pub fn line_ends(&self) -> u64 {
        self.line_of_overlong() + u64::from(self.overlong.is_some())
    }

    /// How many lines begin in a block comment, or are overlong.
    pub fn unseen_lines(&self) -> u64 {
        let in_holes: u64 = self.holes.iter().map(|hole| hole.lines).sum();
        in_holes + self.lines_before + u64::from(self.overlong.is_some() && !self.continues)
    }

    /// The bytes of the lines.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads chunks from a file.
#[derive(Debug)]
pub(crate) struct ChunkReader<R> {
    file: R,
    /// What was read and not yet given out.
    carry: Vec<u8>,
    /// Where in the file `carry` ends.
    position: u64,
    at_end: bool,
    /// Known once a `/*` was found to which there is no `*/`: then no later one has one either.
    nothing_closes: bool,
    /// What the next chunk is to say about its start.
    next: Chunk,
    scratch: Tape,
}

impl<R: Read + Seek> ChunkReader<R> {
    /// Reads a file from its start.
    pub fn new(file: R) -> Self {
        Self {
            file,
            carry: Vec::new(),
            position: 0,
            at_end: false,
            nothing_closes: false,
            next: Chunk::default(),
            scratch: Tape::default(),
        }
    }

    /// Fills a chunk, reusing its memory, and says whether there was anything left.
    ///
    /// # Errors
    /// Whatever reading the file fails with.
    pub fn read(&mut self, chunk: &mut Chunk) -> io::Result<bool> {
        let mut bytes = std::mem::take(&mut chunk.bytes);
        *chunk = std::mem::take(&mut self.next);
        bytes.clear();
        bytes.append(&mut self.carry);
        if bytes.len() < CHUNK_BYTES && !self.at_end {
            let missing = CHUNK_BYTES - bytes.len();
            self.fill(&mut bytes, missing)?;
        }
        loop {
            if let Some(end) = memrchr(b'\n', &bytes) {
                self.carry.extend_from_slice(&bytes[end + 1..]);
                bytes.truncate(end + 1);
                break;
            }
            if bytes.len() > MAX_LINE_BYTES {
                chunk.overlong = Some(self.pass_overlong(&mut bytes)?);
                break;
            }
            if self.at_end {
                break;
            }
            let more = bytes.len().max(CHUNK_BYTES);
            self.fill(&mut bytes, more)?;
        }
        chunk.bytes = bytes;
        self.cut_at_comment(chunk)?;
        Ok(!chunk.bytes.is_empty() || chunk.overlong.is_some() || chunk.after_comment || self.next.continues)
    }

    /// How many bytes of the file have been given out.
    pub fn position(&self) -> u64 {
        self.position - self.carry.len() as u64
    }

    fn fill(&mut self, bytes: &mut Vec<u8>, at_most: usize) -> io::Result<()> {
        bytes.reserve(at_most);
        let read = (&mut self.file).take(at_most as u64).read_to_end(bytes)?;
        self.position += read as u64;
        self.at_end = read < at_most;
        Ok(())
    }

    /// Passes the rest of a line that is too long, of which `bytes` is the start, without holding it.
    fn pass_overlong(&mut self, bytes: &mut Vec<u8>) -> io::Result<Overlong> {
        let head = source_line(bytes, SHOWN_BYTES);
        let mut length = bytes.len() as u64;
        loop {
            bytes.clear();
            if self.at_end {
                return Ok(Overlong { head, length });
            }
            self.fill(bytes, CHUNK_BYTES)?;
            if let Some(end) = memchr(b'\n', bytes) {
                self.carry.extend_from_slice(&bytes[end + 1..]);
                bytes.clear();
                return Ok(Overlong { head, length: length + end as u64 });
            }
            length += bytes.len() as u64;
        }
    }

    /// Finds the block comments over several lines. One that the chunk does not end ends the chunk, and is skipped.
    fn cut_at_comment(&mut self, chunk: &mut Chunk) -> io::Result<()> {
        let (mut from, mut line_start, mut column) = (0, 0, chunk.column_before);
        while let Some(found) = memmem::find(&chunk.bytes[from..], b"/*") {
            let found = from + found;
            // The line begins behind a line end or behind the comment before.
            if let Some(end) = memrchr(b'\n', &chunk.bytes[line_start..found]) {
                (line_start, column) = (line_start + end + 1, 0);
            }
            let line_end = memchr(b'\n', &chunk.bytes[found..]).map_or(chunk.bytes.len(), |end| found + end);
            let line = &chunk.bytes[line_start..line_end];
            let Some(opening) = opened_comment(line, &mut self.scratch) else {
                from = line_end;
                continue;
            };
            let start = line_start + opening;
            if self.nothing_closes {
                // No comment, so only the rest of the line is refused, like that of the first such line.
                let column = column + characters(&line[..opening]);
                chunk.holes.push(Hole { start, end: start, lines: 0, column });
                from = line_end;
                continue;
            }
            let Some(length) = memmem::find(&chunk.bytes[start + 2..], b"*/").map(|length| length + 4) else {
                self.next.column_before = column + characters(&line[..opening]);
                self.next.continues = true;
                chunk.opens_comment = true;
                let mut rest = chunk.bytes.split_off(start);
                rest.append(&mut self.carry);
                self.carry = rest;
                return self.skip_comment();
            };
            let comment = &chunk.bytes[start..start + length];
            let lines = memchr_iter(b'\n', comment).count() as u64;
            column = characters(&comment[memrchr(b'\n', comment).map_or(0, |end| end + 1)..]);
            chunk.holes.push(Hole { start, end: start + length, lines, column });
            (from, line_start) = (start + length, start + length);
        }
        Ok(())
    }

    /// Skips the block comment that `carry` begins with; goes back to it when nothing ends it.
    fn skip_comment(&mut self) -> io::Result<()> {
        let (start, column) = (self.position(), self.next.column_before);
        let mut from = 2;
        loop {
            if let Some(found) = memmem::find(&self.carry[from..], b"*/") {
                self.pass(from + found + 2);
                self.next.after_comment = true;
                return Ok(());
            }
            if self.at_end {
                self.next.column_before = column;
                return self.go_back(start);
            }
            // The last byte may be the star of `*/`, but the star of `/*` may not.
            self.pass((self.carry.len() - 1).max(from));
            from = 0;
            let mut carry = std::mem::take(&mut self.carry);
            self.fill(&mut carry, CHUNK_BYTES)?;
            self.carry = carry;
        }
    }

    /// Drops the first bytes of `carry`, keeping count of lines and columns.
    fn pass(&mut self, length: usize) {
        let passed = &self.carry[..length];
        let ends = memchr_iter(b'\n', passed).count() as u64;
        self.next.lines_before += ends;
        let last_line = memrchr(b'\n', passed).map_or(0, |end| end + 1);
        let before = if ends == 0 { self.next.column_before } else { 0 };
        self.next.column_before = before + characters(&passed[last_line..]);
        self.carry.drain(..length);
    }

    fn go_back(&mut self, start: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(start))?;
        (self.position, self.at_end, self.nothing_closes) = (start, false, true);
        self.carry.clear();
        self.next.lines_before = 0;
        Ok(())
    }
}

/// Where on a line a block comment begins that is still open at its end: before or behind a row, never inside one.
fn opened_comment(line: &[u8], scratch: &mut Tape) -> Option<usize> {
    if !may_open(line) {
        return None;
    }
    let fault = parse_line(str::from_utf8(line).ok()?, scratch, &mut Notes::default()).err()?;
    (fault.kind == FaultKind::UnclosedComment { inside_row: false }).then_some(fault.offset)
}

/// Whether a `/*` outside strings is still open at the end of a line. Knows strings and comments only.
fn may_open(line: &[u8]) -> bool {
    let (mut at, mut in_string) = (0, false);
    while let Some(found) = memchr3(b'"', b'/', b'\\', &line[at..]) {
        at += found;
        match (line[at], line.get(at + 1)) {
            (b'"', _) => in_string = !in_string,
            (b'\\', _) => at += 1,
            (b'/', Some(b'/')) if !in_string => return false,
            (b'/', Some(b'*')) if !in_string => match memmem::find(&line[at + 2..], b"*/") {
                Some(end) => at += end + 3,
                None => return true,
            },
            _ => {}
        }
        at += 1;
        if at >= line.len() {
            return false;
        }
    }
    false
}

fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}
