//! Writes GGUF version 3, aligned to 32 bytes: metadata in the order given, tensors in the order of llama.cpp's converter.
//!
//! One tensor is in memory at a time.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::metadata::Value;
use crate::model::error::ModelError;
use crate::model::weights::StoredFormat;

/// Where tensors begin.
const ALIGNMENT: usize = 32;

/// The header entry of one tensor to be written.
#[derive(Debug, Clone)]
pub(super) struct TensorEntry {
    /// Its name in llama.cpp.
    pub(super) name: String,
    /// Its shape, the fastest dimension last (the file has it first).
    pub(super) shape: Vec<usize>,
    /// How its numbers are stored.
    pub(super) format: StoredFormat,
}

/// Writes a file, asking `bytes_of` for the stored bytes of each entry by its index.
///
/// # Errors
/// The file can't be written, or `bytes_of` fails.
///
/// # Panics
/// When `bytes_of` gives another number of bytes than shape and format say.
pub(super) fn write(
    path: &Path,
    metadata: &[(String, Value)],
    entries: &[TensorEntry],
    mut bytes_of: impl FnMut(usize) -> Result<Vec<u8>, ModelError>,
) -> Result<(), ModelError> {
    let mut header = Vec::new();
    header.extend(b"GGUF");
    header.extend(3_u32.to_le_bytes());
    header.extend((entries.len() as u64).to_le_bytes());
    header.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut header, key);
        put(&mut header, value);
    }
    let size = |entry: &TensorEntry| {
        entry.format.size_bytes(&entry.shape).expect("the exporter chooses a format that the shape allows")
    };
    let mut offset = 0_usize;
    for entry in entries {
        text(&mut header, &entry.name);
        header.extend(u32::try_from(entry.shape.len()).expect("a tensor has few dimensions").to_le_bytes());
        entry.shape.iter().rev().for_each(|width| header.extend((*width as u64).to_le_bytes()));
        header.extend(entry.format.code().to_le_bytes());
        header.extend((offset as u64).to_le_bytes());
        offset += size(entry).next_multiple_of(ALIGNMENT);
    }
    header.resize(header.len().next_multiple_of(ALIGNMENT), 0);
    let mut file = BufWriter::new(File::create(path).map_err(ModelError::write(path))?);
    file.write_all(&header).map_err(ModelError::write(path))?;
    for (index, entry) in entries.iter().enumerate() {
        let mut bytes = bytes_of(index)?;
        assert_eq!(bytes.len(), size(entry), "tensor `{}`: its bytes match its shape", entry.name);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        file.write_all(&bytes).map_err(ModelError::write(path))?;
    }
    file.into_inner()
        .map_err(std::io::IntoInnerError::into_error)
        .and_then(|file| file.sync_all())
        .map_err(ModelError::write(path))
}

fn text(header: &mut Vec<u8>, text: &str) {
    header.extend((text.len() as u64).to_le_bytes());
    header.extend(text.as_bytes());
}

/// A value with its type: whole numbers as u32 (in lists i32), numbers as f32, as llama.cpp's converter writes them.
fn put(header: &mut Vec<u8>, value: &Value) {
    let code = |header: &mut Vec<u8>, code: u32| header.extend(code.to_le_bytes());
    let list = |header: &mut Vec<u8>, kind: u32, length: usize| {
        code(header, 9);
        code(header, kind);
        header.extend((length as u64).to_le_bytes());
    };
    match value {
        Value::Integer(number) => {
            code(header, 4);
            header.extend(u32::try_from(*number).expect("sizes and ids fit").to_le_bytes());
        }
        Value::Float(number) => {
            code(header, 6);
            header.extend(single(*number).to_le_bytes());
        }
        Value::Flag(flag) => {
            code(header, 7);
            header.push(u8::from(*flag));
        }
        Value::Text(value) => {
            code(header, 8);
            text(header, value);
        }
        Value::Integers(numbers) => {
            list(header, 5, numbers.len());
            for number in numbers {
                header.extend(i32::try_from(*number).expect("codes fit").to_le_bytes());
            }
        }
        Value::Floats(numbers) => {
            list(header, 6, numbers.len());
            for number in numbers {
                header.extend(single(*number).to_le_bytes());
            }
        }
        Value::Texts(texts) => {
            list(header, 8, texts.len());
            for value in texts {
                text(header, value);
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the format has singles")]
fn single(number: f64) -> f32 {
    number as f32
}
