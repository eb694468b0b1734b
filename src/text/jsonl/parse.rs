//! The parser of one line: comments and trailing commas are tolerated there, and nothing else.

use std::borrow::Cow;

use super::fault::{Fault, FaultKind};
use super::string::Spelling;
use super::value::{Kind, Node, Tape};
use super::{MAX_DEPTH, MAX_LINE_BYTES};

/// What a line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// White space only.
    Blank,
    /// Comments only.
    Comment,
    /// A row: the tape holds it.
    Row,
}

/// What was tolerated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Notes {
    /// `//` comments.
    pub line_comments: u64,
    /// `/* */` comments.
    pub block_comments: u64,
    /// Commas before a closing bracket or behind a row.
    pub trailing_commas: u64,
    /// Byte order marks.
    pub byte_order_marks: u64,
    /// Lines that end in CR LF.
    pub crlf_lines: u64,
}

impl Notes {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.line_comments += other.line_comments;
        self.block_comments += other.block_comments;
        self.trailing_commas += other.trailing_commas;
        self.byte_order_marks += other.byte_order_marks;
        self.crlf_lines += other.crlf_lines;
    }
}

/// What the functions of the parser give.
pub(super) type Parsed<T> = Result<T, Box<Fault>>;

/// Parses a line of which nothing is known, and gives it as text.
///
/// # Errors
/// The first [`Fault`].
pub(crate) fn parse_bytes<'a>(bytes: &'a [u8], tape: &mut Tape, notes: &mut Notes) -> Parsed<(Line, &'a str)> {
    if bytes.len() > MAX_LINE_BYTES {
        return Err(Fault::new(0, FaultKind::LineTooLong(bytes.len() as u64)));
    }
    let text = str::from_utf8(bytes).map_err(|error| Fault::new(error.valid_up_to(), FaultKind::InvalidUtf8))?;
    Ok((parse_line(text, tape, notes)?, text))
}

/// Parses a line without its line feed.
///
/// # Errors
/// The first [`Fault`]; whatever the tape holds then is of no use.
pub(crate) fn parse_line(text: &str, tape: &mut Tape, notes: &mut Notes) -> Parsed<Line> {
    if text.len() > MAX_LINE_BYTES {
        return Err(Fault::new(0, FaultKind::LineTooLong(text.len() as u64)));
    }
    let mut parser = Parser::new(text, tape, true);
    let outcome = parser.line();
    notes.add(&parser.notes);
    notes.crlf_lines += u64::from(text.as_bytes().last() == Some(&b'\r'));
    outcome
}

/// Parses a whole text as one strict JSON value, such as the arguments of a call inside a string.
///
/// # Errors
/// The first [`Fault`].
pub(crate) fn parse_strict(text: &str, tape: &mut Tape) -> Parsed<()> {
    let mut parser = Parser::new(text, tape, false);
    parser.value(0)?;
    parser.trivia(false)?;
    if parser.at < text.len() { Err(parser.unexpected("the end")) } else { Ok(()) }
}

/// Parses one text into a tape; strings and numbers are in `literal.rs`.
pub(super) struct Parser<'a, 't> {
    pub text: &'a str,
    pub bytes: &'a [u8],
    pub at: usize,
    nodes: &'t mut Vec<Node>,
    notes: Notes,
    tolerant: bool,
}

impl<'a, 't> Parser<'a, 't> {
    fn new(text: &'a str, tape: &'t mut Tape, tolerant: bool) -> Self {
        tape.nodes.clear();
        Self { text, bytes: text.as_bytes(), at: 0, nodes: &mut tape.nodes, notes: Notes::default(), tolerant }
    }

    fn line(&mut self) -> Parsed<Line> {
        if self.text.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
            self.notes.byte_order_marks += 1;
        }
        self.trivia(false)?;
        match self.peek() {
            None if self.notes.line_comments + self.notes.block_comments > 0 => return Ok(Line::Comment),
            None => return Ok(Line::Blank),
            Some(b'{') => self.value(0)?,
            Some(_) => return Err(Fault::new(self.at, FaultKind::StrayText(self.found()))),
        }
        self.trivia(false)?;
        if self.peek() == Some(b',') {
            self.at += 1;
            self.notes.trailing_commas += 1;
            self.trivia(false)?;
        }
        match self.peek() {
            None => Ok(Line::Row),
            Some(_) => Err(Fault::new(self.at, FaultKind::AfterRow(self.found()))),
        }
    }

    fn value(&mut self, depth: usize) -> Parsed<()> {
        self.trivia(depth > 0)?;
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Kind::Boolean),
            Some(b'f') => self.word("false", Kind::Boolean),
            Some(b'n') => self.word("null", Kind::Null),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<()> {
        let index = self.open(Kind::Object, depth)?;
        // One bit for each look of a key: as long as all look different, none is compared.
        let (mut looks, mut alike) = (0_u64, false);
        let mut comma = false;
        loop {
            self.trivia(true)?;
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(b'}') if !comma => break,
                Some(b'}') if self.tolerant => {
                    self.notes.trailing_commas += 1;
                    break;
                }
                _ if comma => return Err(self.unexpected("a key in quotes")),
                _ => return Err(self.unexpected("a key in quotes or `}`")),
            }
            let look = self.look_of_last_key();
            alike |= looks & look != 0;
            looks |= look;
            self.trivia(true)?;
            if self.peek() != Some(b':') {
                return Err(self.unexpected("`:`"));
            }
            self.at += 1;
            self.value(depth)?;
            comma = self.comma(b'}', "`,` or `}`")?;
            if !comma {
                break;
            }
        }
        self.close(index);
        if alike { self.check_keys(index) } else { Ok(()) }
    }

    fn array(&mut self, depth: usize) -> Parsed<()> {
        let index = self.open(Kind::Array, depth)?;
        let mut comma = false;
        loop {
            self.trivia(true)?;
            if self.peek() == Some(b']') && (!comma || self.tolerant) {
                self.notes.trailing_commas += u64::from(comma);
                break;
            }
            self.value(depth)?;
            comma = self.comma(b']', "`,` or `]`")?;
            if !comma {
                break;
            }
        }
        self.close(index);
        Ok(())
    }

    fn open(&mut self, kind: Kind, depth: usize) -> Parsed<usize> {
        if depth > MAX_DEPTH {
            return Err(Fault::new(self.at, FaultKind::TooDeep));
        }
        let index = self.nodes.len();
        self.push(kind, self.at, self.at);
        self.at += 1;
        Ok(index)
    }

    fn close(&mut self, index: usize) {
        self.at += 1;
        let next = offset(self.nodes.len());
        let node = &mut self.nodes[index];
        (node.end, node.next) = (offset(self.at), next);
    }

    /// Passes a comma and says whether there was one; else the bracket is next.
    #[inline]
    fn comma(&mut self, bracket: u8, expected: &'static str) -> Parsed<bool> {
        if self.peek() != Some(b',') {
            self.trivia(true)?;
        }
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == bracket => Ok(false),
            _ => Err(self.unexpected(expected)),
        }
    }

    fn word(&mut self, word: &'static str, kind: Kind) -> Parsed<()> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.push(kind, self.at, self.at + word.len());
        self.at += word.len();
        Ok(())
    }

    /// Passes white space and, where they are tolerated, comments.
    #[expect(clippy::inline_always, reason = "between any two tokens there is most often nothing")]
    #[inline(always)]
    fn trivia(&mut self, inside_row: bool) -> Parsed<()> {
        match self.peek() {
            Some(b'"' | b'0'..) => Ok(()),
            _ => self.more_trivia(inside_row),
        }
    }

    fn more_trivia(&mut self, inside_row: bool) -> Parsed<()> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'/') if self.tolerant => self.comment(inside_row)?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self, inside_row: bool) -> Parsed<()> {
        let rest = &self.bytes[self.at + 1..];
        match rest.first() {
            Some(b'/') => {
                self.notes.line_comments += 1;
                self.at = self.bytes.len();
            }
            Some(b'*') => {
                let Some(end) = memchr::memmem::find(&rest[1..], b"*/") else {
                    return Err(Fault::new(self.at, FaultKind::UnclosedComment { inside_row }));
                };
                self.notes.block_comments += 1;
                self.at += end + 4;
            }
            _ => return Err(self.unexpected("`//` or `/*`")),
        }
        Ok(())
    }

    /// A bit made of the length and the outer bytes of the key that was just read; all bits where it has escapes.
    #[inline]
    fn look_of_last_key(&self) -> u64 {
        let Some(node) = self.nodes.last() else { return 0 };
        if node.kind != Kind::Text(Spelling::Plain) {
            return u64::MAX;
        }
        // The byte before the end is the opening quote when the key is empty.
        let (first, last) = (self.bytes[node.start as usize], self.bytes[node.end as usize - 1]);
        let look = u32::from(first) | u32::from(last) << 8 | (node.end - node.start) << 16;
        1 << (look.wrapping_mul(0x9e37_79b1) >> 26)
    }

    /// Refuses an object that holds a key twice: readers differ in which value they take.
    #[cold]
    fn check_keys(&self, index: usize) -> Parsed<()> {
        let end = self.nodes[index].next as usize;
        let (mut keys, mut at) = (Vec::new(), index + 1);
        while at < end {
            keys.push((self.key(at), self.nodes[at].start as usize - 1));
            at = self.nodes[at + 1].next as usize;
        }
        keys.sort_unstable();
        let repeated = keys.windows(2).filter(|pair| pair[0].0 == pair[1].0).min_by_key(|pair| pair[1].1);
        match repeated {
            Some([_, (key, offset)]) => {
                Err(Fault::new(*offset, FaultKind::DuplicateKey(super::cut(key, 80).to_owned())))
            }
            _ => Ok(()),
        }
    }

    fn key(&self, at: usize) -> Cow<'a, str> {
        let node = self.nodes[at];
        let raw = &self.text[node.start as usize..node.end as usize];
        match node.kind {
            Kind::Text(spelling) => super::Text::new(raw, spelling).unescape(),
            _ => raw.into(),
        }
    }

    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = offset(self.nodes.len() + 1);
        self.nodes.push(Node { kind, start: offset(start), end: offset(end), next });
    }

    #[cold]
    #[expect(clippy::unnecessary_box_returns, reason = "it is the error of small results")]
    pub fn unexpected(&self, expected: &'static str) -> Box<Fault> {
        Fault::new(self.at, FaultKind::Unexpected { found: self.found(), expected })
    }

    /// The character at the current place, for messages.
    #[cold]
    fn found(&self) -> String {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(character) if character.is_control() => format!("U+{:04X}", u32::from(character)),
            Some(character) => format!("`{character}`"),
            None => "the end of the line".to_owned(),
        }
    }
}

/// An offset into a line, which [`MAX_LINE_BYTES`] bounds; texts inside strings are shorter than their line.
#[inline]
fn offset(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
