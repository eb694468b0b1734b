//! JSON strings as slices of the line: read without copying, written in one canonical spelling.
//!
//! The canonical spelling is `serde_json`'s: only the quote, the backslash and characters below U+0020 are escaped, the
//! latter by their short form where there is one. So equal texts are equal bytes, whatever the row's author escaped.

use std::borrow::Cow;

/// How a string is spelled in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// No backslash in it.
    Plain,
    /// Only escapes that the canonical spelling uses too.
    Canonical,
    /// Escapes to be respelled: `\/` or `\uXXXX`.
    Free,
}

/// The inside of a JSON string that the parser has checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    spelling: Spelling,
}

impl<'a> Text<'a> {
    pub(super) const fn new(raw: &'a str, spelling: Spelling) -> Self {
        Self { raw, spelling }
    }

    /// What the string says.
    pub fn unescape(self) -> Cow<'a, str> {
        if self.spelling == Spelling::Plain {
            return Cow::Borrowed(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            text.push_str(&rest[..at]);
            let (character, length) = decode(&rest[at..]);
            text.push(character);
            rest = &rest[at + length..];
        }
        text.push_str(rest);
        Cow::Owned(text)
    }

    /// Writes the inside of the string in its canonical spelling.
    #[inline]
    pub fn push_canonical(self, out: &mut Vec<u8>) {
        if self.spelling == Spelling::Free {
            push_escaped(&self.unescape(), out);
        } else {
            out.extend_from_slice(self.raw.as_bytes());
        }
    }

    /// Whether the string says exactly this.
    #[inline]
    pub fn is(self, other: &str) -> bool {
        if self.spelling == Spelling::Plain { self.raw == other } else { self.unescape() == other }
    }

    /// Whether there is nothing but white space.
    #[inline]
    pub fn is_blank(self) -> bool {
        match self.raw.as_bytes().first() {
            Some(byte) if byte.is_ascii_graphic() && *byte != b'\\' => false,
            _ => self.unescape().trim().is_empty(),
        }
    }
}

/// Writes the inside of a string literal in its canonical spelling.
pub(crate) fn push_escaped(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    loop {
        let at = super::scan::plain_end(rest, 0);
        out.extend_from_slice(&rest[..at]);
        let Some(&byte) = rest.get(at) else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
}

/// The character of the escape that a checked text begins with, and how many bytes the escape takes.
fn decode(text: &str) -> (char, usize) {
    let unit = |at: usize| text.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match text.as_bytes().get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => match (unit(2), unit(8)) {
            (Some(high @ 0xd800..=0xdbff), Some(low)) => (join(high, low), 12),
            (Some(scalar), _) => (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
            (None, _) => (char::REPLACEMENT_CHARACTER, 2),
        },
        Some(other) => (char::from(*other), 2),
        None => ('\\', 1),
    }
}

fn join(high: u32, low: u32) -> char {
    let scalar = 0x1_0000 + ((high - 0xd800) << 10) + low.wrapping_sub(0xdc00);
    char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER)
}
