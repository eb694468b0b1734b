//! The header of a GGUF file: versions 2 and 3, little-endian, as ggml's `docs/gguf.md` specifies them.
//!
//! The bytes are foreign: every length is checked against what is left of the file before anything is allocated, every
//! tensor must lie inside the file, aligned, and apart from the others. Tensor data is not read here.

use std::collections::BTreeMap;
use std::path::Path;

use super::metadata::{Metadata, Value};
use crate::model::error::ModelError;
use crate::model::weights::StoredFormat;

/// The most dimensions a tensor may have (`GGML_MAX_DIMS`).
const MAX_DIMENSIONS: u32 = 4;
/// Where tensors begin, unless `general.alignment` says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// What a GGUF file says about itself.
#[derive(Debug)]
pub(crate) struct Header {
    /// Key to value.
    pub(crate) metadata: Metadata,
    /// Tensors by the names of the file.
    pub(crate) tensors: BTreeMap<String, TensorInfo>,
}

/// Where a tensor lies and how it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorInfo {
    /// How its numbers are stored.
    pub(crate) format: StoredFormat,
    /// Its shape, the fastest dimension last (the file has it first).
    pub(crate) shape: Vec<usize>,
    /// Its first byte in the file.
    pub(crate) start: usize,
    /// The byte after its last.
    pub(crate) end: usize,
}

/// The header before it is known whether every tensor of it can be read.
#[derive(Debug)]
pub(crate) struct Outline {
    /// Key to value.
    pub(crate) metadata: Metadata,
    infos: Vec<RawInfo>,
    data: u64,
    alignment: u64,
}

impl Outline {
    /// Reads what the header says; tensors may be of types that are not known, or lie outside of the file.
    ///
    /// # Errors
    /// As [`Header::parse`].
    pub(crate) fn parse(file: &[u8], path: &Path) -> Result<Self, ModelError> {
        let mut cursor = Cursor { file, at: 0 };
        outline(&mut cursor).map_err(|fault| malformed(path, &fault, cursor.at))
    }

    /// Shape and code of the type of each tensor.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&[u64], u32)> {
        self.infos.iter().map(|(_, shape, code, _)| (shape.as_slice(), *code))
    }

    /// Whether there is a tensor with a name.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.infos.iter().any(|(found, ..)| found == name)
    }
}

fn malformed(path: &Path, fault: &str, at: usize) -> ModelError {
    ModelError::MalformedWeights { path: path.to_path_buf(), reason: format!("{fault}, at byte {at}") }
}

impl Header {
    /// Reads the header of a mapped file; `path` is for messages.
    ///
    /// # Errors
    /// [`ModelError::MalformedWeights`] with the byte at which the file stops making sense.
    pub(crate) fn parse(file: &[u8], path: &Path) -> Result<Self, ModelError> {
        let mut cursor = Cursor { file, at: 0 };
        header(&mut cursor).map_err(|fault| malformed(path, &fault, cursor.at))
    }
}

fn header(cursor: &mut Cursor) -> Result<Header, String> {
    let Outline { metadata, infos, data, alignment } = outline(cursor)?;
    Ok(Header { tensors: place(infos, data, alignment, cursor.file.len())?, metadata })
}

fn outline(cursor: &mut Cursor) -> Result<Outline, String> {
    if cursor.take(4)? != b"GGUF" {
        return Err("it does not begin with `GGUF`".into());
    }
    match cursor.u32()? {
        2 | 3 => {}
        1 => return Err("GGUF version is `1`; expected 2 or 3".into()),
        version if version.swap_bytes() <= 3 => {
            return Err("it is a big-endian GGUF; expected a little-endian one".into());
        }
        version => return Err(format!("GGUF version is `{version}`; expected 2 or 3")),
    }
    let tensors = cursor.count("tensors", 24)?;
    let entries = cursor.count("metadata entries", 13)?;
    let mut metadata = Metadata::default();
    for _ in 0..entries {
        let key = cursor.text("metadata key")?;
        let kind = cursor.u32()?;
        let value = value(cursor, kind).map_err(|fault| format!("`{key}`: {fault}"))?;
        if metadata.insert(key.clone(), value) {
            return Err(format!("the key `{key}` is there twice"));
        }
    }
    let infos = (0..tensors).map(|_| raw_info(cursor)).collect::<Result<Vec<_>, _>>()?;
    let alignment = match metadata.get("general.alignment") {
        None => DEFAULT_ALIGNMENT,
        Some(Value::Integer(alignment)) if u64::try_from(*alignment).is_ok_and(u64::is_power_of_two) => {
            alignment.unsigned_abs()
        }
        Some(other) => return Err(format!("general.alignment is `{other:?}`; expected a power of two")),
    };
    let data = (cursor.at as u64).checked_next_multiple_of(alignment).ok_or("general.alignment is too large")?;
    Ok(Outline { metadata, infos, data, alignment })
}

/// A tensor as the file describes it: name, dimensions, type, offset into the data.
type RawInfo = (String, Vec<u64>, u32, u64);

fn raw_info(cursor: &mut Cursor) -> Result<RawInfo, String> {
    let name = cursor.text("tensor name")?;
    let dimensions = cursor.u32()?;
    if dimensions == 0 || dimensions > MAX_DIMENSIONS {
        return Err(format!("tensor `{name}` has `{dimensions}` dimensions; expected 1 to {MAX_DIMENSIONS}"));
    }
    let mut shape = (0..dimensions).map(|_| cursor.u64()).collect::<Result<Vec<_>, _>>()?;
    shape.reverse();
    Ok((name, shape, cursor.u32()?, cursor.u64()?))
}

/// Checks types, sizes, alignment and that no two tensors share a byte.
fn place(
    infos: Vec<RawInfo>,
    data: u64,
    alignment: u64,
    file_bytes: usize,
) -> Result<BTreeMap<String, TensorInfo>, String> {
    let mut tensors = BTreeMap::new();
    for (name, shape, code, offset) in infos {
        let format = StoredFormat::from_code(code).ok_or_else(|| {
            format!(
                "tensor `{name}` has the type `{}`; expected one of {}",
                StoredFormat::describe(code),
                StoredFormat::names()
            )
        })?;
        let widths: Option<Vec<usize>> =
            shape.iter().map(|width| usize::try_from(*width).ok().filter(|width| *width > 0)).collect();
        let Some(shape) = widths else {
            return Err(format!("tensor `{name}` has the shape `{shape:?}`, which nothing can hold"));
        };
        let bytes = format.size_bytes(&shape).ok_or_else(|| {
            format!("tensor `{name}` has the shape `{shape:?}`, which `{}` can't hold", format.name())
        })?;
        let start = data.checked_add(offset).and_then(|start| usize::try_from(start).ok());
        let end = start.and_then(|start| start.checked_add(bytes)).filter(|end| *end <= file_bytes);
        let (Some(start), Some(end)) = (start, end) else {
            return Err(format!("tensor `{name}` ends after the file, which has `{file_bytes}` bytes"));
        };
        if !offset.is_multiple_of(alignment) {
            return Err(format!("tensor `{name}` has the offset `{offset}`; expected a multiple of {alignment}"));
        }
        if tensors.insert(name.clone(), TensorInfo { format, shape, start, end }).is_some() {
            return Err(format!("tensor `{name}` is there twice"));
        }
    }
    let mut ranges: Vec<_> = tensors.iter().map(|(name, info)| (info.start, info.end, name)).collect();
    ranges.sort_unstable();
    match ranges.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        None => Ok(tensors),
        Some(pair) => Err(format!("tensors `{}` and `{}` overlap", pair[0].2, pair[1].2)),
    }
}

/// A value of one of the types 0 to 12. Arrays hold scalars only: no known key nests them.
fn value(cursor: &mut Cursor, kind: u32) -> Result<Value, String> {
    const ARRAY: u32 = 9;
    if kind != ARRAY {
        return scalar(cursor, kind);
    }
    let kind = cursor.u32()?;
    let width = match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        other => return Err(format!("an array of values of type `{other}`; expected scalars or texts")),
    };
    let count = cursor.count("values", width)?;
    if kind == 8 {
        return (0..count).map(|_| cursor.text("text")).collect::<Result<_, _>>().map(Value::Texts);
    }
    if kind == 6 || kind == 12 {
        let numbers = (0..count).map(|_| match scalar(cursor, kind)? {
            Value::Float(number) => Ok(number),
            other => Err(format!("`{other:?}` among floats")),
        });
        return numbers.collect::<Result<_, _>>().map(Value::Floats);
    }
    let numbers = (0..count).map(|_| match scalar(cursor, kind)? {
        Value::Integer(number) => Ok(number),
        Value::Flag(flag) => Ok(i64::from(flag)),
        other => Err(format!("`{other:?}` among integers")),
    });
    numbers.collect::<Result<_, _>>().map(Value::Integers)
}

fn scalar(cursor: &mut Cursor, kind: u32) -> Result<Value, String> {
    Ok(match kind {
        0 => Value::Integer(i64::from(u8::from_le_bytes(cursor.array()?))),
        1 => Value::Integer(i64::from(i8::from_le_bytes(cursor.array()?))),
        2 => Value::Integer(i64::from(u16::from_le_bytes(cursor.array()?))),
        3 => Value::Integer(i64::from(i16::from_le_bytes(cursor.array()?))),
        4 => Value::Integer(i64::from(cursor.u32()?)),
        5 => Value::Integer(i64::from(i32::from_le_bytes(cursor.array()?))),
        6 => Value::Float(shortest(f32::from_le_bytes(cursor.array()?))),
        7 => match cursor.array::<1>()? {
            [0] => Value::Flag(false),
            [1] => Value::Flag(true),
            [other] => return Err(format!("a flag is `{other}`; expected 0 or 1")),
        },
        8 => Value::Text(cursor.text("text")?),
        10 => {
            let number = cursor.u64()?;
            Value::Integer(i64::try_from(number).map_err(|_| format!("`{number}` is too large"))?)
        }
        11 => Value::Integer(i64::from_le_bytes(cursor.array()?)),
        12 => Value::Float(f64::from_le_bytes(cursor.array()?)),
        other => return Err(format!("a value of type `{other}`; expected 0 to 12")),
    })
}

/// The shortest decimal that is this single: `1e-5`, not `9.999999747378752e-6`.
fn shortest(single: f32) -> f64 {
    single.to_string().parse().unwrap_or_else(|_| f64::from(single))
}

/// A place in the file that only moves forward and never past the end.
struct Cursor<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn left(&self) -> usize {
        self.file.len() - self.at
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        if bytes > self.left() {
            return Err(format!("`{bytes}` bytes are needed and `{}` are left", self.left()));
        }
        let taken = &self.file[self.at..self.at + bytes];
        self.at += bytes;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of things that take at least `width` bytes each.
    fn count(&mut self, what: &str, width: usize) -> Result<usize, String> {
        let count = self.u64()?;
        match usize::try_from(count).ok().filter(|count| *count <= self.left() / width) {
            Some(count) => Ok(count),
            None => Err(format!("`{count}` {what} don't fit into the `{}` bytes that are left", self.left())),
        }
    }

    fn text(&mut self, what: &str) -> Result<String, String> {
        let bytes = self.count(what, 1)?;
        let bytes = self.take(bytes)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| format!("a {what} is not UTF-8"))
    }
}
