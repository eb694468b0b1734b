//! The file format of rendered prompts: one JSON object a line, `{"input_ids":[…],"targets":[[start,end),…]}`.
//!
//! `targets` are the ranges of tokens that are trained on, ascending and apart. The reader believes nothing: a line that
//! isn't exactly that is an error with its number.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The longest line that is read, in bytes.
const MAX_LINE_BYTES: u64 = 256 << 20;

/// A row of tokens ready for training.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRow {
    /// The token ids.
    pub input_ids: Vec<u32>,
    /// For each token whether it is a target; as long as `input_ids`.
    pub loss_mask: Vec<bool>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    input_ids: Vec<u32>,
    targets: Vec<(usize, usize)>,
}

impl TokenRow {
    /// How many tokens are targets.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.loss_mask.iter().filter(|target| **target).count()
    }

    /// The row as a line of a prompts file, with its line feed.
    ///
    /// # Panics
    /// Never: numbers in lists are always JSON.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut targets: Vec<(usize, usize)> = Vec::new();
        for at in (0..self.loss_mask.len()).filter(|at| self.loss_mask[*at]) {
            match targets.last_mut() {
                Some((_, end)) if *end == at => *end = at + 1,
                _ => targets.push((at, at + 1)),
            }
        }
        let line = Line { input_ids: self.input_ids.clone(), targets };
        serde_json::to_string(&line).expect("numbers in lists are always JSON") + "\n"
    }

    /// Reads a line of a prompts file.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn from_line(line: &str) -> Result<Self, BadRow> {
        let line: Line = serde_json::from_str(line).map_err(|error| BadRow::Shape(error.to_string()))?;
        if line.input_ids.is_empty() {
            return Err(BadRow::Empty);
        }
        let mut loss_mask = vec![false; line.input_ids.len()];
        let mut last_end = None;
        for (start, end) in line.targets {
            if start >= end || end > loss_mask.len() || last_end.is_some_and(|last| start <= last) {
                return Err(BadRow::Target { start, end, tokens: loss_mask.len() });
            }
            loss_mask[start..end].fill(true);
            last_end = Some(end);
        }
        Ok(Self { input_ids: line.input_ids, loss_mask })
    }
}

/// What is wrong with a line of a prompts file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// It isn't the JSON it should be.
    #[error("not a row of prompts: {0}")]
    Shape(String),
    /// There is no token.
    #[error("`input_ids` is empty; expected at least one token")]
    Empty,
    /// A range of targets is empty, out of the row, or not after the one before it.
    #[error(
        "target range is `[{start}, {end}]` in a row of `{tokens}` tokens; expected ascending, separate, non-empty \
         ranges"
    )]
    Target {
        /// The first token.
        start: usize,
        /// The token after the last.
        end: usize,
        /// The row's length.
        tokens: usize,
    },
}

/// Why a prompts file can't be read.
#[derive(Debug, thiserror::Error)]
pub enum PromptsError {
    /// The file can't be read.
    #[error("prompts: {0}")]
    Io(#[from] std::io::Error),
    /// A line has too many bytes.
    #[error("prompts line {0}: more than `{MAX_LINE_BYTES}` bytes")]
    LineTooLong(usize),
    /// A line is wrong.
    #[error("prompts line {line}: {problem}")]
    Row {
        /// The 1-based line.
        line: usize,
        /// What is wrong with it.
        problem: BadRow,
    },
}

/// Reads a prompts file whole.
///
/// # Errors
/// [`PromptsError`] for the first line that is wrong.
pub fn read_prompts(path: &Path) -> Result<Vec<TokenRow>, PromptsError> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut rows = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        let read = (&mut reader).take(MAX_LINE_BYTES).read_line(&mut line)?;
        match read {
            0 => return Ok(rows),
            _ if read as u64 == MAX_LINE_BYTES => return Err(PromptsError::LineTooLong(rows.len() + 1)),
            _ => {}
        }
        let row = TokenRow::from_line(line.trim_end_matches('\n'));
        rows.push(row.map_err(|problem| PromptsError::Row { line: rows.len() + 1, problem })?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_is_one_compact_line() {
        let row = TokenRow { input_ids: vec![1, 2, 3, 4, 5], loss_mask: vec![false, true, true, false, true] };
        assert_eq!(row.to_line(), "{\"input_ids\":[1,2,3,4,5],\"targets\":[[1,3],[4,5]]}\n");
        assert_eq!(TokenRow::from_line(row.to_line().trim()), Ok(row));
    }

    #[test]
    fn wrong_lines_are_refused() {
        let lines = [
            "",
            "null",
            "[]",
            "{}",
            r#"{"input_ids":[],"targets":[]}"#,
            r#"{"input_ids":[1]}"#,
            r#"{"input_ids":[-1],"targets":[]}"#,
            r#"{"input_ids":[4294967296],"targets":[]}"#,
            r#"{"input_ids":[1.5],"targets":[]}"#,
            r#"{"input_ids":[1],"targets":[[0,2]]}"#,
            r#"{"input_ids":[1],"targets":[[1,1]]}"#,
            r#"{"input_ids":[1,2],"targets":[[1,0]]}"#,
            r#"{"input_ids":[1,2,3],"targets":[[1,2],[0,1]]}"#,
            r#"{"input_ids":[1,2,3],"targets":[[0,1],[1,2]]}"#,
            r#"{"input_ids":[1],"targets":[[0,18446744073709551615]]}"#,
            r#"{"input_ids":[1],"targets":[],"text":"x"}"#,
            r#"{"input_ids":[1],"targets":[]} x"#,
            r#"{"input_ids":[1],"targ"#,
        ];
        for line in lines {
            assert!(TokenRow::from_line(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_wrong_line_is_named_and_a_missing_line_feed_is_no_loss() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("prompts");
        let row = r#"{"input_ids":[1],"targets":[]}"#;
        std::fs::write(&path, format!("{row}\n{row}")).expect("write");
        assert_eq!(read_prompts(&path).expect("rows").len(), 2);
        std::fs::write(&path, format!("{row}\n\n{row}")).expect("write");
        assert!(matches!(read_prompts(&path), Err(PromptsError::Row { line: 2, .. })));
        std::fs::write(&path, b"{\"input_ids\":[\xff").expect("write");
        assert!(matches!(read_prompts(&path), Err(PromptsError::Io(_))));
    }

    proptest! {
        #[test]
        fn every_row_survives_the_file(row in prop::collection::vec((any::<u32>(), any::<bool>()), 1..60)) {
            let (input_ids, loss_mask) = row.into_iter().unzip();
            let row = TokenRow { input_ids, loss_mask };
            prop_assert_eq!(TokenRow::from_line(row.to_line().trim()), Ok(row));
        }
    }
}
