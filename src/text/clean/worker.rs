//! Cleans one chunk: every line becomes a record or a refusal. Runs in parallel and knows no other chunk.

use crate::text::dedupe::fingerprint;
use crate::text::formats::{LastTools, Passage, Path, Problem, Problems, RecordWriter, convert};
use crate::text::jsonl::{Chunk, Fault, FaultKind, Line, Piece, Place, Tape, parse_bytes, parse_line};
use crate::text::overlap::{HeldOut, Overlap};
use crate::text::words::spread;

use super::counts::Counts;
use super::refusal::{Reason, Refusal};

/// What decides a row's fate, apart from the row.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// What must not be trained on.
    pub held_out: Option<HeldOut>,
    /// The share of rows for the other side, from 0 to below 1.
    pub split: f64,
    /// Seed of the split.
    pub seed: u64,
}

impl Rules {
    /// Whether a row goes to the other side: decided by its own content and the seed alone.
    fn is_dev(&self, fingerprint: u64) -> bool {
        // 53 bits make a fraction exactly.
        let fraction = (spread(fingerprint ^ spread(self.seed)) >> 11) as f64 / (1_u64 << 53) as f64;
        fraction < self.split
    }
}

/// A row that became a record.
#[derive(Debug)]
pub(super) struct Kept {
    /// Which piece of its chunk this is.
    pub order: usize,
    /// How many line ends lie between the start of the chunk and the line.
    pub line: u64,
    /// Where the record ends, with its line end.
    pub end: usize,
    /// The record's fingerprint, without its line end.
    pub fingerprint: u64,
    /// Whether it is for the other side of the split.
    pub is_dev: bool,
    /// Where the row is in the chunk.
    pub raw: (usize, usize),
}

/// A chunk with what became of it; its memory is used again.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub chunk: Chunk,
    /// The records, one a line.
    pub records: Vec<u8>,
    pub kept: Vec<Kept>,
    pub refused: Vec<Refusal>,
    pub counts: Counts,
    /// How many line ends lie between the start of the chunk and the start of the next.
    pub line_ends: u64,
    tape: Tape,
    passages: Vec<Passage>,
    last_tools: LastTools,
    words: Vec<u64>,
}

impl Slot {
    /// Cleans the chunk.
    pub fn clean(&mut self, rules: &Rules) {
        self.records.clear();
        self.kept.clear();
        self.refused.clear();
        self.counts = Counts::default();
        let chunk = std::mem::take(&mut self.chunk);
        self.counts.tolerated.block_comments += chunk.long_comments();
        self.counts.lines = chunk.unseen_lines();
        // One check for the whole chunk; line ends are ASCII, so lines of a valid text are valid.
        let text = str::from_utf8(chunk.bytes()).ok();
        for (order, piece) in chunk.pieces().enumerate() {
            let (start, end) = (piece.start, piece.start + piece.bytes.len());
            self.counts.lines += u64::from(piece.begins_line);
            let notes = &mut self.counts.tolerated;
            let parsed = match text.and_then(|text| text.get(start..end)) {
                Some(line) => parse_line(line, &mut self.tape, notes).map(|kind| (kind, line)),
                None => parse_bytes(piece.bytes, &mut self.tape, notes),
            };
            match parsed {
                Ok((Line::Row, line)) => self.clean_row(line, order, piece, rules),
                Ok((Line::Blank, _)) => self.counts.blank_lines += u64::from(!piece.partial),
                Ok((Line::Comment, _)) => {}
                Err(fault) => self.refuse_fault(order, piece, &fault),
            }
        }
        if let Some(overlong) = &chunk.overlong {
            self.refuse_overlong(chunk.line_of_overlong(), overlong.length);
        }
        self.line_ends = chunk.line_ends();
        self.chunk = chunk;
    }

    fn clean_row(&mut self, line: &str, order: usize, piece: Piece<'_>, rules: &Rules) {
        let Some(root) = self.tape.root(line) else { return };
        let (start, mut problems) = (self.records.len(), Problems::default());
        self.passages.clear();
        let writer = RecordWriter::new(&mut self.records, &mut self.passages);
        let format = convert(root, writer, &mut problems, &mut self.last_tools);
        self.counts.ignored_fields += problems.ignored_fields;
        self.counts.open_schemas += problems.open_schemas;
        if let Some(format) = format {
            self.counts.row(format);
        }
        if !problems.list.is_empty() {
            self.records.truncate(start);
            return self.refuse_problems(order, piece, problems.list);
        }
        if let Some(held_out) = &rules.held_out
            && let Some(overlap) = held_out.find(&self.records, &self.passages, &mut self.words)
        {
            self.records.truncate(start);
            return self.refuse_overlap(order, piece, overlap);
        }
        let fingerprint = fingerprint(&self.records[start..]);
        self.records.push(b'\n');
        let is_dev = rules.split > 0.0 && rules.is_dev(fingerprint);
        let raw = (piece.start, piece.start + piece.bytes.len());
        self.kept.push(Kept { order, line: piece.line, end: self.records.len(), fingerprint, is_dev, raw });
    }

    fn refuse_fault(&mut self, order: usize, piece: Piece<'_>, fault: &Fault) {
        let (code, message) = (fault.kind.code(), fault.kind.to_string());
        self.refuse_problems(order, piece, vec![Problem { offset: fault.offset, code, path: String::new(), message }]);
    }

    fn refuse_problems(&mut self, order: usize, piece: Piece<'_>, problems: Vec<Problem>) {
        let place = Place { line: piece.line, column_before: piece.column_before, bytes: piece.bytes };
        let reason = |problem: Problem| {
            let Problem { offset, code, path, message } = problem;
            Reason { code, column: place.column(offset), path, message, offset }
        };
        let reasons: Vec<Reason> = problems.into_iter().map(reason).collect();
        for reason in &reasons {
            self.counts.reason(reason.code);
        }
        self.counts.rejected += 1;
        self.refused.push(Refusal { reasons, ..refusal(order, piece) });
    }

    fn refuse_overlap(&mut self, order: usize, piece: Piece<'_>, overlap: Overlap) {
        let what =
            if overlap.is_query { "asks what is held out" } else { "shares a run of words with what is held out" };
        let Overlap { origin, shared, .. } = overlap;
        let message = format!(
            "row {what}, file {} line {}: `{}`; expected rows that give nothing of it away",
            origin.source,
            origin.line,
            crate::text::jsonl::cut(&shared, 400)
        );
        let code = "data::overlap";
        let reasons =
            vec![Reason { code, column: piece.column_before + 1, path: Path::Root.to_string(), message, offset: 0 }];
        self.counts.overlaps += 1;
        self.refused.push(Refusal { reasons, held_out: Some(origin), ..refusal(order, piece) });
    }

    fn refuse_overlong(&mut self, line: u64, length: u64) {
        let kind = FaultKind::LineTooLong(length);
        let reasons =
            vec![Reason { code: kind.code(), column: 1, path: String::new(), message: kind.to_string(), offset: 0 }];
        self.counts.reason(kind.code());
        self.counts.rejected += 1;
        let (order, column_before, raw, held_out) = (usize::MAX, 0, None, None);
        self.refused.push(Refusal { order, line, column_before, raw, length, reasons, held_out });
    }
}

/// A refusal without reasons.
fn refusal(order: usize, piece: Piece<'_>) -> Refusal {
    let raw = Some((piece.start, piece.start + piece.bytes.len()));
    let (length, column_before) = (piece.bytes.len() as u64, piece.column_before);
    Refusal { order, line: piece.line, column_before, raw, length, reasons: Vec::new(), held_out: None }
}
