//! Reads files of [`Record`] lines in chunks, so that rows can be worked on in parallel and in order while memory stays
//! bounded.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::record::Record;

/// How many rows a chunk holds at most.
const CHUNK_ROWS: usize = 2048;
/// How many bytes of lines a chunk holds at most, but for its last line.
const CHUNK_BYTES: usize = 16 << 20;
/// The longest line that is read, in bytes.
const MAX_LINE_BYTES: u64 = 256 << 20;

/// A line and its 1-based number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordLine {
    /// The number.
    pub number: usize,
    /// The text without its line feed.
    pub text: String,
}

impl RecordLine {
    /// Reads the record.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn record(&self) -> Result<Record, BadRecord> {
        let record: Record = serde_json::from_str(&self.text).map_err(|error| BadRecord::Shape(error.to_string()))?;
        if let Record::Conversation(conversation) = &record {
            let open = conversation.turns.iter().rev().skip(1).any(|turn| turn.answer.is_none());
            if conversation.turns.is_empty() {
                return Err(BadRecord::NoTurns);
            }
            if open {
                return Err(BadRecord::OpenTurn);
            }
        }
        Ok(record)
    }
}

/// What is wrong with a line of records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// It isn't the JSON it should be.
    #[error("not a record: {0}")]
    Shape(String),
    /// A conversation without turns.
    #[error("the conversation has no turn; expected at least one")]
    NoTurns,
    /// A turn before the last has no answer.
    #[error("a turn before the last has no answer; only the last may lack one")]
    OpenTurn,
}

/// The chunks of a file.
pub struct RecordChunks {
    reader: BufReader<File>,
    number: usize,
}

impl RecordChunks {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { reader: BufReader::with_capacity(1 << 18, File::open(path)?), number: 0 })
    }

    /// The next lines; empty at the end of the file.
    ///
    /// # Errors
    /// What the system says, a line that is not UTF-8, a line that is too long.
    pub fn next_chunk(&mut self) -> io::Result<Vec<RecordLine>> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        while lines.len() < CHUNK_ROWS && bytes < CHUNK_BYTES {
            let mut text = String::new();
            let read = (&mut self.reader).take(MAX_LINE_BYTES).read_line(&mut text)?;
            if read == 0 {
                break;
            }
            if read as u64 == MAX_LINE_BYTES {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.number += 1;
            bytes += read;
            text.truncate(text.trim_end_matches(['\n', '\r']).len());
            lines.push(RecordLine { number: self.number, text });
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_every_line_once_with_its_number() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("records");
        let rows: Vec<String> = (0..5000).map(|row| format!("{{\"text\":\"{row}\"}}")).collect();
        std::fs::write(&path, rows.join("\n")).expect("write");
        let mut chunks = RecordChunks::open(&path).expect("open");
        let mut numbers = Vec::new();
        loop {
            let chunk = chunks.next_chunk().expect("chunk");
            if chunk.is_empty() {
                break;
            }
            for line in chunk {
                assert_eq!(line.record(), Ok(Record::Text((line.number - 1).to_string())));
                numbers.push(line.number);
            }
        }
        assert_eq!(numbers, (1..=5000).collect::<Vec<_>>());
    }

    #[test]
    fn wrong_lines_are_refused() {
        let lines = [
            "",
            "{}",
            "null",
            r#"{"text":1}"#,
            r#"{"conversation":{"turns":[]}}"#,
            r#"{"conversation":{"turns":[{"user":"a"},{"user":"b","answer":"c"}]}}"#,
            r#"{"conversation":{"turns":[{"user":"a","extra":1}]}}"#,
            r#"{"text":"a"} b"#,
        ];
        for text in lines {
            assert!(RecordLine { number: 1, text: text.into() }.record().is_err(), "{text}");
        }
        let deep = format!(r#"{{"conversation":{{"turns":[{}"#, "[".repeat(100_000));
        assert!(RecordLine { number: 1, text: deep }.record().is_err());
    }
}
