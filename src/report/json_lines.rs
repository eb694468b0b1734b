//! Events as JSON lines, for `--json` and for the run folder.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use crate::engine::event::{Event, Sink, to_json_line};

/// Writes one line an event and flushes it. A closed pipe ends the writing, not the run.
pub struct JsonLines<W: Write + Send> {
    writer: Mutex<Option<W>>,
}

impl<W: Write + Send> JsonLines<W> {
    /// A sink that writes there.
    pub fn new(writer: W) -> Self {
        Self { writer: Mutex::new(Some(writer)) }
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn emit(&self, event: &Event) {
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = slot.as_mut() else { return };
        if writeln!(writer, "{}", to_json_line(event)).and_then(|()| writer.flush()).is_err() {
            *slot = None;
        }
    }
}
