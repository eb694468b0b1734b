//! Diagnostics about lines of a file that nobody holds in memory.

use crate::diagnostic::{Diagnostic, SourceText, Span};

/// How much of a line a diagnostic shows.
const EXCERPT_BYTES: usize = 4 << 10;

/// The longest beginning of a text that has at most so many bytes.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A line as text, whatever its bytes are, cut at so many bytes and never inside a character.
pub(crate) fn source_line(bytes: &[u8], limit: usize) -> String {
    let mut end = bytes.len().min(limit);
    let may_cut = |end: usize| bytes.get(end).is_none_or(|&byte| byte & 0xc0 != 0x80);
    end -= (0..4.min(end)).find(|back| may_cut(end - back)).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.trim_end_matches('\r').to_owned()
}

/// A line, or a piece of one, of which somebody complains.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The line, from 1.
    pub line: u64,
    /// How many characters of the line come before the piece.
    pub column_before: usize,
    /// The piece.
    pub bytes: &'a [u8],
}

impl Place<'_> {
    /// The column, in characters from 1, of a byte of the piece.
    pub fn column(&self, offset: usize) -> usize {
        let before = &self.bytes[..offset.min(self.bytes.len())];
        self.column_before + before.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() + 1
    }
}

/// Diagnostics of one file, at most `cap` of them kept and the rest counted.
#[derive(Debug)]
pub(crate) struct Excerpts {
    label: String,
    cap: usize,
    kept: Vec<Kept>,
    more: usize,
}

#[derive(Debug)]
struct Kept {
    line: u64,
    column: usize,
    text: String,
    code: &'static str,
    message: String,
}

impl Excerpts {
    /// Collects diagnostics of the file that the user calls `label`.
    pub fn new(label: &str, cap: usize) -> Self {
        Self { label: label.to_owned(), cap, kept: Vec::new(), more: 0 }
    }

    /// Notes that something is wrong at a byte of a piece of a line.
    pub fn push(&mut self, place: Place<'_>, offset: usize, code: &'static str, message: String) {
        if self.kept.len() == self.cap {
            self.more += 1;
            return;
        }
        // What came before the piece was not kept; blanks stand for it, so that columns are right.
        let mut text = " ".repeat(place.column_before.min(EXCERPT_BYTES));
        text.push_str(&source_line(place.bytes, EXCERPT_BYTES));
        self.kept.push(Kept { line: place.line, column: place.column(offset), text, code, message });
    }

    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The diagnostics. Their source text is the file with all lines empty but those that are pointed at, and with the
    /// last diagnostic counts what was left out.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.kept.sort_by_key(|kept| kept.line);
        let (source, spans) = self.sparse_text();
        let mut diagnostics: Vec<Diagnostic> = (self.kept.into_iter().zip(spans))
            .map(|(kept, span)| Diagnostic::error(kept.code, kept.message).at(&source, span, ""))
            .collect();
        if self.more > 0 {
            let message = format!("`{}`: {} more problems are not shown", self.label, self.more);
            diagnostics.push(Diagnostic::error("data::more", message));
        }
        diagnostics
    }

    fn sparse_text(&self) -> (SourceText, Vec<Span>) {
        let (mut text, mut line, mut line_start) = (String::new(), 1, 0);
        let mut spans = Vec::new();
        for (index, kept) in self.kept.iter().enumerate() {
            let is_new = index == 0 || self.kept[index - 1].line != kept.line;
            if is_new {
                let ends = kept.line.saturating_sub(line);
                text.extend(std::iter::repeat_n('\n', usize::try_from(ends).unwrap_or(0)));
                (line, line_start) = (kept.line, text.len());
                text.push_str(&kept.text);
            }
            let shown = &text[line_start..];
            let offset = shown.char_indices().nth(kept.column - 1).map_or(shown.len(), |(offset, _)| offset);
            spans.push(Span { offset: line_start + offset, length: usize::from(offset < shown.len()) });
        }
        (SourceText::new(&self.label, &text), spans)
    }
}
