//! Reads what is held out: evaluation rows, or rows of any format that training knows.
//!
//! A held-out line that cannot be read is an error whatever the settings say: what is not understood cannot be kept out.

use std::fs::File;
use std::io;
use std::path::Path as FilePath;

use crate::diagnostic::Diagnostic;
use crate::text::formats::{LastTools, Passage, Problems, RecordWriter, Speaker, convert, eval_passages};
use crate::text::jsonl::{
    Chunk, ChunkReader, Excerpts, FaultKind, Line, Notes, Piece, Place, Tape, Value, parse_bytes,
};
use crate::text::overlap::{HeldOut, Origin};

/// How many problems of a file are shown; the rest are counted.
const SHOWN: usize = 20;

/// Holds out the rows of a file, which messages call `label`; gives how many rows there were, and what was wrong.
///
/// # Errors
/// Whatever reading the file fails with.
pub(crate) fn read_held_out(
    path: &FilePath,
    label: &str,
    source: u32,
    held_out: &mut HeldOut,
) -> io::Result<(u64, Vec<Diagnostic>)> {
    let mut reader = ChunkReader::new(File::open(path)?);
    let mut exam = Exam { held_out, problems: Excerpts::new(label, SHOWN), rows: 0, tape: Tape::default() };
    let (mut chunk, mut line) = (Chunk::default(), 1);
    while reader.read(&mut chunk)? {
        for piece in chunk.pieces() {
            exam.piece(piece, Origin { source, line: line + piece.line });
        }
        if let Some(overlong) = &chunk.overlong {
            let line = line + chunk.line_of_overlong();
            let kind = FaultKind::LineTooLong(overlong.length);
            let place = Place { line, column_before: 0, bytes: overlong.head.as_bytes() };
            exam.problems.push(place, 0, kind.code(), kind.to_string());
        }
        line += chunk.line_ends();
    }
    Ok((exam.rows, exam.problems.finish()))
}

struct Exam<'h> {
    held_out: &'h mut HeldOut,
    problems: Excerpts,
    rows: u64,
    tape: Tape,
}

impl Exam<'_> {
    fn piece(&mut self, piece: Piece<'_>, origin: Origin) {
        let place = Place { line: origin.line, column_before: piece.column_before, bytes: piece.bytes };
        let (kind, text) = match parse_bytes(piece.bytes, &mut self.tape, &mut Notes::default()) {
            Ok(parsed) => parsed,
            Err(fault) => return self.problems.push(place, fault.offset, fault.kind.code(), fault.kind.to_string()),
        };
        let Some(root) = self.tape.root(text).filter(|_| kind == Line::Row) else { return };
        self.rows += 1;
        for problem in hold_out(root, origin, self.held_out).list {
            let message = format!("`{}`: {}", problem.path, problem.message);
            self.problems.push(place, problem.offset, problem.code, message);
        }
    }
}

fn hold_out(root: Value<'_>, origin: Origin, held_out: &mut HeldOut) -> Problems {
    let (mut text, mut passages, mut problems) = (Vec::new(), Vec::new(), Problems::default());
    if root.get("query").is_some() {
        eval_passages(root, &mut text, &mut passages, &mut problems);
    } else {
        convert(root, RecordWriter::new(&mut text, &mut passages), &mut problems, &mut LastTools::default());
    }
    let mut asked = false;
    for Passage { speaker, start, end } in passages {
        let words = &text[start..end];
        // Later messages of a chat, such as `yes`, are asked everywhere; only the first is the question.
        if speaker == Speaker::User && !asked {
            held_out.add_query(words, origin);
            asked = true;
        }
        if speaker != Speaker::Assistant {
            held_out.add_runs(words, origin);
        }
    }
    problems
}
