//! Rows of different lengths laid one after another, without padding.
//!
//! A batch is a flat list of tokens and where each row begins. Linear layers and norms see tokens only; attention sees
//! rows. So padding cannot matter, and a batch costs what its tokens cost.

use std::ops::Range;
use std::sync::Arc;

use super::error::ModelError;

/// Where each row lies among the tokens of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    starts: Vec<usize>,
}

impl Rows {
    /// Rows of these lengths, in order.
    pub(crate) fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut starts = vec![0];
        let mut end = 0;
        for length in lengths {
            end += length;
            starts.push(end);
        }
        Self { starts }
    }

    /// Number of rows.
    pub(crate) const fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of tokens of all rows together.
    pub(crate) fn tokens(&self) -> usize {
        self.starts[self.count()]
    }

    /// The tokens of each row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The length of the longest row.
    pub(crate) fn longest(&self) -> usize {
        self.iter().map(|row| row.len()).max().unwrap_or(0)
    }
}

/// Token ids and their rows.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// The ids of all rows, one row after another.
    pub(crate) input_ids: Vec<u32>,
    /// Where the rows are.
    pub(crate) rows: Arc<Rows>,
}

impl Batch {
    /// Lays rows one after another.
    ///
    /// # Errors
    /// A row is empty, or holds an id outside the vocabulary.
    pub(crate) fn new<'a>(rows: impl IntoIterator<Item = &'a [u32]>, vocab_size: usize) -> Result<Self, ModelError> {
        let rows: Vec<&[u32]> = rows.into_iter().collect();
        for (row, ids) in rows.iter().enumerate() {
            check_row(row, ids, vocab_size)?;
        }
        Ok(Self { input_ids: rows.concat(), rows: Arc::new(Rows::new(rows.iter().map(|row| row.len()))) })
    }
}

/// Refuses a row that is empty or holds an id outside the vocabulary; `row` is its number, for the message.
pub(crate) fn check_row(row: usize, ids: &[u32], vocab_size: usize) -> Result<(), ModelError> {
    if ids.is_empty() {
        return Err(ModelError::Row { row, reason: "has no tokens".to_owned() });
    }
    match ids.iter().find(|id| usize::try_from(**id).is_ok_and(|id| id >= vocab_size)) {
        None => Ok(()),
        Some(id) => {
            let reason = format!(
                "token id is `{id}`; expected below vocab_size `{vocab_size}`, so the row was made by another tokenizer"
            );
            Err(ModelError::Row { row, reason })
        }
    }
}
