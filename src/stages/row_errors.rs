//! Collects what is wrong with rows, so that one run names them all.

use crate::diagnostic::Diagnostic;
use crate::stage::StageError;

/// How many rows are named; the others are counted.
const MAX_NAMED: usize = 1000;

/// Errors of rows, in order.
#[derive(Debug, Default)]
pub(super) struct RowErrors {
    named: Vec<Diagnostic>,
    unnamed: usize,
}

impl RowErrors {
    /// Adds the error of a line.
    pub(super) fn push(&mut self, code: &'static str, label: &str, line: usize, error: impl std::fmt::Display) {
        if self.named.len() < MAX_NAMED {
            self.named.push(Diagnostic::error(code, format!("`{label}` line {line}: {error}")));
        } else {
            self.unnamed += 1;
        }
    }

    /// Fails when there was an error.
    ///
    /// # Errors
    /// [`StageError::Data`] with all of them.
    pub(super) fn finish(mut self) -> Result<(), StageError> {
        if self.unnamed > 0 {
            let message = format!("`{}` more rows have errors", self.unnamed);
            self.named.push(Diagnostic::error("data::more_errors", message));
        }
        if self.named.is_empty() { Ok(()) } else { Err(StageError::Data(self.named)) }
    }
}
