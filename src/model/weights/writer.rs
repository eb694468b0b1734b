//! Writes a safetensors file whose bytes depend on nothing but the tensors: names sorted, no other metadata.
//!
//! One tensor is in memory at a time, so a merge of any size needs no more than its largest tensor.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;

use super::FloatFormat;
use crate::model::error::ModelError;

/// The header entry of one tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WeightEntry {
    /// Its name.
    pub(crate) name: String,
    /// Its number format in the file.
    pub(crate) format: FloatFormat,
    /// Its shape.
    pub(crate) shape: Vec<usize>,
}

impl WeightEntry {
    fn size_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.format.size_bytes()
    }
}

/// Writes `entries` to `path`, asking `bytes_of` for each tensor's little-endian bytes in the order of the names.
///
/// The metadata is `{"format":"pt"}`, without which transformers refuses the file; the header is padded to a multiple
/// of eight bytes, so the tensors are aligned.
///
/// # Errors
/// The file cannot be written, or `bytes_of` fails.
///
/// # Panics
/// When `bytes_of` gives another number of bytes than the entry says.
pub(crate) fn write_safetensors(
    path: &Path,
    mut entries: Vec<WeightEntry>,
    mut bytes_of: impl FnMut(&WeightEntry) -> Result<Vec<u8>, ModelError>,
) -> Result<(), ModelError> {
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    let mut file = BufWriter::new(File::create(path).map_err(ModelError::write(path))?);
    let header = header(&entries);
    let length = (header.len() as u64).to_le_bytes();
    file.write_all(&length).and_then(|()| file.write_all(header.as_bytes())).map_err(ModelError::write(path))?;
    for entry in &entries {
        let bytes = bytes_of(entry)?;
        assert_eq!(bytes.len(), entry.size_bytes(), "tensor `{}`: its bytes match its shape", entry.name);
        file.write_all(&bytes).map_err(ModelError::write(path))?;
    }
    file.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .map_err(ModelError::write(path))
}

fn header(entries: &[WeightEntry]) -> String {
    let mut fields = serde_json::Map::new();
    fields.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut start = 0;
    for entry in entries {
        let end = start + entry.size_bytes();
        let dtype = entry.format.safetensors_name();
        fields
            .insert(entry.name.clone(), json!({ "dtype": dtype, "shape": entry.shape, "data_offsets": [start, end] }));
        start = end;
    }
    let mut header = serde_json::Value::Object(fields).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    header
}
