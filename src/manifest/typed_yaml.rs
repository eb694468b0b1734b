//! Documents of this program's own, such as locks: YAML straight into a type, and back. What people write is read with
//! spans instead, by `yaml`.

use std::io;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_saphyr::{DuplicateKeyPolicy, Options, SerializerOptions};

use super::yaml::{syntax_span, without_position};
use crate::diagnostic::{Diagnostic, SourceText};

const LARGEST_TEXT: usize = 64 << 20;
const MOST_NODES: usize = 4_000_000;
const DEEPEST: usize = 32;

/// A text read as a type; unknown and duplicate keys are whatever the type makes of them.
///
/// # Errors
/// A diagnostic with the given code at the place that doesn't fit, or that the text is too large or no UTF-8.
pub fn read<T: DeserializeOwned>(code: &'static str, name: &str, bytes: &[u8]) -> Result<T, Box<Diagnostic>> {
    let refused = |message: String| Box::new(Diagnostic::error(code, message));
    if bytes.len() > LARGEST_TEXT {
        return Err(refused(format!("`{name}` has {} bytes; expected at most {LARGEST_TEXT}", bytes.len())));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        refused(format!("`{name}` is no text: byte `0x{:02x}` at {at} is not UTF-8", bytes[at]))
    })?;
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let source = SourceText { name: Arc::from(name), text: Arc::from(text) };
        let span = syntax_span(&source, &error);
        let message = format!("`{name}` is not valid: {}", without_position(&error.without_snippet().to_string()));
        Box::new(Diagnostic::error(code, message).at(&source, span, ""))
    })
}

/// A value as text in block style: one scalar a line, maps in their own order.
///
/// # Errors
/// The value is of a shape that YAML has not.
pub fn write<T: Serialize>(value: &T) -> io::Result<String> {
    serde_saphyr::to_string_with_options(value, layout()).map_err(io::Error::other)
}

fn layout() -> SerializerOptions {
    // Long sources and classes of machines stay on their line.
    serde_saphyr::ser_options! { prefer_block_scalars: false }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 3 * MOST_NODES,
            max_nodes: MOST_NODES,
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
    }
}
