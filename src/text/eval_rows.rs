//! Reads evaluation rows: `{query, context?, expected, accept?, tags?, id?}`, one a line.
//!
//! Comments and blank lines are tolerated as in training data. All else is strict, since an exam that is silently
//! shorter than it looks makes every score wrong: an unknown field, an empty text or a stray line is an error, and all
//! errors of the file are reported at once.

use std::fs::File;
use std::path::Path;

use crate::diagnostic::{Diagnostic, nearest};

use super::jsonl::{
    Chunk, ChunkReader, Excerpts, FaultKind, Kind, Line, Notes, Piece, Place, Tape, Value, parse_bytes,
};

/// How many problems are shown; the rest are counted.
const SHOWN: usize = 50;

const FIELDS: [&str; 6] = ["query", "context", "expected", "accept", "tags", "id"];

/// One question of an exam.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EvalRow {
    /// What the user asks.
    pub query: String,
    /// What retrieval would find, when the question needs it.
    pub context: Option<String>,
    /// The right answer.
    pub expected: String,
    /// Further answers that are right, too.
    pub accept: Vec<String>,
    /// Labels for slices.
    pub tags: Vec<String>,
}

/// Reads all rows of a file that the user calls `label`.
///
/// # Errors
/// Every problem, each pointing at `label:line:column`; also when the file cannot be read, or holds no row.
pub fn read_eval_rows(path: &Path, label: &str) -> Result<Vec<EvalRow>, Vec<Diagnostic>> {
    let unreadable = |error: std::io::Error| {
        vec![Diagnostic::error("data::unreadable", format!("`{label}` cannot be read: {error}"))]
    };
    let mut reader = ChunkReader::new(File::open(path).map_err(unreadable)?);
    let mut rows = Rows { kept: Vec::new(), problems: Excerpts::new(label, SHOWN) };
    let (mut chunk, mut tape, mut line) = (Chunk::default(), Tape::default(), 1);
    while reader.read(&mut chunk).map_err(unreadable)? {
        for piece in chunk.pieces() {
            rows.read_piece(line + piece.line, piece, &mut tape);
        }
        if let Some(overlong) = &chunk.overlong {
            let place =
                Place { line: line + chunk.line_of_overlong(), column_before: 0, bytes: overlong.head.as_bytes() };
            let kind = FaultKind::LineTooLong(overlong.length);
            rows.problems.push(place, 0, kind.code(), kind.to_string());
        }
        line += chunk.line_ends();
    }
    if !rows.problems.is_empty() {
        return Err(rows.problems.finish());
    }
    if rows.kept.is_empty() {
        let message = format!("`{label}` holds no row; expected at least one `{{\"query\": …, \"expected\": …}}`");
        return Err(vec![Diagnostic::error("data::empty", message)]);
    }
    Ok(rows.kept)
}

/// The rows so far, and what was wrong with the others.
struct Rows {
    kept: Vec<EvalRow>,
    problems: Excerpts,
}

impl Rows {
    fn read_piece(&mut self, line: u64, piece: Piece<'_>, tape: &mut Tape) {
        let place = Place { line, column_before: piece.column_before, bytes: piece.bytes };
        let (kind, text) = match parse_bytes(piece.bytes, tape, &mut Notes::default()) {
            Ok(parsed) => parsed,
            Err(fault) => return self.problems.push(place, fault.offset, fault.kind.code(), fault.kind.to_string()),
        };
        let Some(root) = tape.root(text).filter(|_| kind == Line::Row) else { return };
        let mut problems = Vec::new();
        let row = eval_row(root, &mut problems);
        if problems.is_empty() {
            self.kept.push(row);
        }
        for (offset, code, message) in problems {
            self.problems.push(place, offset, code, message);
        }
    }
}

/// Where in the line, the code, and what was found and expected.
type Problem = (usize, &'static str, String);

fn eval_row(root: Value<'_>, problems: &mut Vec<Problem>) -> EvalRow {
    for (key, value) in root.entries() {
        let key = key.unescape();
        if !FIELDS.contains(&&*key) {
            let hint = nearest(&key, FIELDS).map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            let expected = "expected `query`, `context`, `expected`, `accept`, `tags` or `id`";
            problems.push((value.offset(), "data::unknown_field", format!("field is `{key}`; {expected}{hint}")));
        }
    }
    if let Some(id) = root.get("id").filter(|id| !matches!(id.kind(), Kind::Text(_) | Kind::Integer | Kind::Null)) {
        problems.push(wrong_type("id", id, "a string or an integer"));
    }
    EvalRow {
        query: text(root, "query", problems).unwrap_or_else(|| missing(root, "query", problems)),
        context: context(root, problems),
        expected: text(root, "expected", problems).unwrap_or_else(|| missing(root, "expected", problems)),
        accept: texts(root, "accept", problems),
        tags: texts(root, "tags", problems),
    }
}

/// The context; people write an empty one where there is none.
fn context(root: Value<'_>, problems: &mut Vec<Problem>) -> Option<String> {
    let value = root.get("context")?;
    if value.text().is_some_and(super::jsonl::Text::is_blank) { None } else { text(root, "context", problems) }
}

/// The text of a field; an empty string, with the problem noted, where there is something else.
fn text(root: Value<'_>, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let value = root.get(name).filter(|value| !value.is_null())?;
    match value.text() {
        Some(text) if text.is_blank() => {
            problems.push((value.offset(), "data::empty_field", format!("`{name}` is empty; expected a text")));
            Some(String::new())
        }
        Some(text) => Some(text.unescape().into_owned()),
        None => {
            problems.push(wrong_type(name, value, "a string"));
            Some(String::new())
        }
    }
}

fn missing(root: Value<'_>, name: &str, problems: &mut Vec<Problem>) -> String {
    problems.push((root.offset(), "data::missing_field", format!("`{name}` is missing; expected a string")));
    String::new()
}

fn texts(root: Value<'_>, name: &str, problems: &mut Vec<Problem>) -> Vec<String> {
    let Some(value) = root.get(name).filter(|value| !value.is_null()) else { return Vec::new() };
    if value.kind() != Kind::Array {
        problems.push(wrong_type(name, value, "a list of strings"));
    }
    let mut texts = Vec::new();
    for (index, item) in value.items().enumerate() {
        match item.text() {
            Some(text) => texts.push(text.unescape().into_owned()),
            None => problems.push(wrong_type(&format!("{name}[{index}]"), item, "a string")),
        }
    }
    texts
}

fn wrong_type(path: &str, value: Value<'_>, expected: &str) -> Problem {
    (value.offset(), "data::wrong_type", format!("`{path}` is a {}; expected {expected}", value.type_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<EvalRow>, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exam");
        std::fs::write(&path, text).unwrap();
        read_eval_rows(&path, "exam.jsonl").map_err(|diagnostics| {
            let line = |found: &Diagnostic| {
                format!("{} {} {}", found.location().unwrap_or_default(), found.code, found.message)
            };
            diagnostics.iter().map(line).collect()
        })
    }

    #[test]
    fn rows_are_read_between_comments_and_blank_lines() {
        let text = "\u{feff}// exam of May\r\n\n{\"query\":\"a // b?\",\"expected\":\"18%\",\"id\":7} // easy\n/* two\nlines */ {\"query\":\"q\",\"context\":\"see https://x.org\",\"expected\":\"e\",\"accept\":[\"E\"],\"tags\":[\"t\"]}";
        let rows = read(text.as_bytes()).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].query.as_str(), rows[0].expected.as_str()), ("a // b?", "18%"));
        assert_eq!(rows[1].context.as_deref(), Some("see https://x.org"));
        assert_eq!((&rows[1].accept[0], &rows[1].tags[0]), (&"E".to_owned(), &"t".to_owned()));
    }

    #[test]
    fn all_problems_are_reported_at_once_each_with_its_place() {
        let text = "{\"query\":\"é\",\"expectd\":\"x\"}\nstray\n{\"query\":7,\"expected\":\" \",\"tags\":[1]}\n{\"query\":\"a\",\"expected\":\"b\"\n";
        let mut bytes = text.as_bytes().to_vec();
        bytes.extend_from_slice(b"\xff\n");
        let problems = read(&bytes).unwrap_err();
        assert_eq!(
            problems,
            [
                "exam.jsonl:1:24 data::unknown_field field is `expectd`; expected `query`, `context`, `expected`, \
                 `accept`, `tags` or `id`; did you mean `expected`?",
                "exam.jsonl:1:1 data::missing_field `expected` is missing; expected a string",
                "exam.jsonl:2:1 data::stray_text found `s`; expected a row beginning with `{`, a comment or a blank line",
                "exam.jsonl:3:10 data::wrong_type `query` is a number; expected a string",
                "exam.jsonl:3:23 data::empty_field `expected` is empty; expected a text",
                "exam.jsonl:3:35 data::wrong_type `tags[0]` is a number; expected a string",
                "exam.jsonl:4:28 data::malformed_json found the end of the line; expected `,` or `}`",
                "exam.jsonl:5:1 data::invalid_utf8 found bytes that are not UTF-8; expected UTF-8 text",
            ]
        );
    }

    #[test]
    fn a_file_without_rows_is_an_error() {
        assert!(read(b"// nothing\n\n").unwrap_err()[0].contains("holds no row"));
        assert!(read(b"").unwrap_err()[0].contains("holds no row"));
    }

    #[test]
    fn many_problems_are_capped_and_counted() {
        let problems = read(&b"x\n".repeat(70)).unwrap_err();
        assert_eq!(problems.len(), 51);
        assert!(problems[50].contains("20 more problems"), "{}", problems[50]);
    }
}
