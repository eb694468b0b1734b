//! Reads safetensors files, alone or as shards with an index, through a memory map: opening a model costs no memory.
//! The tensors of a GGUF file join them here under their names in transformers; `gguf/` reads that format.
//!
//! The files are foreign bytes. The header is checked by the `safetensors` crate (offsets without holes, sizes that
//! match the shapes, no overflow, an end that is the file's end), so a truncated or hostile file is an error before a
//! single tensor is allocated. A tensor is copied once, when it is widened to f32.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::SafeTensors;
use serde::Deserialize;

use super::{FloatFormat, StoredFormat};
use crate::model::error::ModelError;

/// One tensor of a mapped file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WeightView<'a> {
    /// Its name in the file.
    pub(crate) name: &'a str,
    /// Its number format.
    pub(crate) format: StoredFormat,
    /// How its numbers differ from those of transformers' file.
    pub(crate) twist: Twist,
    /// Its shape.
    pub(crate) shape: &'a [usize],
    /// Its little-endian bytes, row-major.
    pub(crate) bytes: &'a [u8],
}

/// What a converter did to a tensor, and has to be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Twist {
    /// Nothing.
    #[default]
    None,
    /// The two halves of each head's rows lie row by row in turn (`permute` of llama.cpp's `convert_hf_to_gguf.py`).
    Interleaved {
        /// Into how many heads the rows are divided.
        heads: usize,
    },
    /// One was added to every number, so that a gain is stored as it is applied (`norm_shift` of the same script).
    OneMore,
}

impl WeightView<'_> {
    /// The numbers, widened to f32, as transformers has them.
    pub(crate) fn to_f32(self) -> Vec<f32> {
        let mut numbers = self.format.decode(self.bytes);
        match self.twist {
            Twist::None => numbers,
            Twist::OneMore => {
                for number in &mut numbers {
                    *number -= 1.0;
                }
                numbers
            }
            twist @ Twist::Interleaved { .. } => {
                let rows = self.shape[0];
                reordered(&numbers, rows, |row| twist.source(row, rows))
            }
        }
    }

    /// The number format when the bytes are the tensor as it is, not to be decoded first.
    pub(crate) fn plain(self) -> Option<FloatFormat> {
        match (self.format, self.twist) {
            (StoredFormat::Float(format), Twist::None) => Some(format),
            _ => None,
        }
    }

    /// The number format in which a copy of the tensor loses nothing that the others of its model keep: its own, unless a
    /// matrix is stored in blocks or in another order.
    pub(crate) fn kept(self) -> Option<FloatFormat> {
        match (self.format, self.twist) {
            (StoredFormat::Float(format), Twist::None | Twist::OneMore) => Some(format),
            _ => None,
        }
    }
}

impl Twist {
    /// Which stored row is row `row` of a matrix of `rows`.
    pub(crate) const fn source(self, row: usize, rows: usize) -> usize {
        match self {
            Self::None | Self::OneMore => row,
            // Rows (head, pair, half) become rows (head, half, pair).
            Self::Interleaved { heads } => {
                let head_dim = rows / heads;
                let (head, within, half_dim) = (row / head_dim, row % head_dim, head_dim / 2);
                head * head_dim + 2 * (within % half_dim) + within / half_dim
            }
        }
    }

    /// The numbers of a tensor of transformers with `rows` rows as a converter writes them.
    pub(crate) fn apply(self, mut numbers: Vec<f32>, rows: usize) -> Vec<f32> {
        match self {
            Self::None => numbers,
            Self::OneMore => {
                for number in &mut numbers {
                    *number += 1.0;
                }
                numbers
            }
            // Rows (head, half, pair) become rows (head, pair, half).
            Self::Interleaved { heads } => {
                let head_dim = rows / heads;
                let source = |within: usize| within % 2 * (head_dim / 2) + within / 2;
                reordered(&numbers, rows, |row| row / head_dim * head_dim + source(row % head_dim))
            }
        }
    }
}

/// The rows in another order: row i of the result is row `source(i)`.
fn reordered(numbers: &[f32], rows: usize, source: impl Fn(usize) -> usize) -> Vec<f32> {
    let width = numbers.len() / rows;
    (0..rows).flat_map(|row| &numbers[source(row) * width..][..width]).copied().collect()
}

/// The weight files of one model or adapter.
#[derive(Debug)]
pub(crate) struct WeightFiles {
    path: PathBuf,
    files: Vec<Mmap>,
    tensors: BTreeMap<String, Entry>,
    /// Tensors of number formats that no model needs, such as the position ids of BERT, by name.
    unreadable: BTreeMap<String, Unreadable>,
}

/// A tensor of a number format that no model needs.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable {
    /// Its number format, as the file spells it.
    pub(crate) format: String,
    /// Its shape.
    pub(crate) shape: Vec<usize>,
    /// How many bytes it has.
    pub(crate) size_bytes: usize,
}

/// Where a tensor lies and how it is stored.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Which of the files.
    pub(crate) file: usize,
    /// Its number format.
    pub(crate) format: StoredFormat,
    /// What has to be undone.
    pub(crate) twist: Twist,
    /// Its shape.
    pub(crate) shape: Vec<usize>,
    /// Its first byte in the file.
    pub(crate) start: usize,
    /// The byte after its last.
    pub(crate) end: usize,
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl WeightFiles {
    /// Opens the weights of a model folder: `model.safetensors.index.json` with its shards, else `model.safetensors`.
    ///
    /// # Errors
    /// A file is missing or malformed, or the index and the shards disagree.
    pub(crate) fn open_folder(folder: &Path) -> Result<Self, ModelError> {
        let index_path = folder.join("model.safetensors.index.json");
        if !index_path.exists() {
            let weights = folder.join("model.safetensors");
            for pickle in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
                refuse_pickle(&weights, &folder.join(pickle))?;
            }
            if !weights.exists() {
                return Err(ModelError::NoWeights { folder: folder.to_path_buf() });
            }
            return Self::open_file(&weights);
        }
        let text = std::fs::read(&index_path).map_err(ModelError::read(&index_path))?;
        let index: ShardIndex =
            serde_json::from_slice(&text).map_err(|source| ModelError::Json { path: index_path.clone(), source })?;
        let mut shards: Vec<&String> = index.weight_map.values().collect();
        shards.sort_unstable();
        shards.dedup();
        let mut files = Self::empty(folder);
        for shard in shards {
            if Path::new(shard).file_name().is_none_or(|name| name != shard.as_str()) {
                let reason = format!("shard `{shard}` is not a plain file name");
                return Err(ModelError::MalformedWeights { path: index_path, reason });
            }
            files.map_file(&folder.join(shard))?;
        }
        if let Some(name) = index.weight_map.keys().find(|name| !files.holds(name)) {
            let reason = format!("tensor `{name}` of the index is in no shard");
            return Err(ModelError::MalformedWeights { path: index_path, reason });
        }
        Ok(files)
    }

    /// Opens one safetensors file.
    ///
    /// # Errors
    /// The file is missing or malformed.
    pub(crate) fn open_file(path: &Path) -> Result<Self, ModelError> {
        let mut files = Self::empty(path);
        files.map_file(path)?;
        Ok(files)
    }

    fn empty(path: &Path) -> Self {
        let (tensors, unreadable) = (BTreeMap::new(), BTreeMap::new());
        Self { path: path.to_path_buf(), files: Vec::new(), tensors, unreadable }
    }

    /// The tensors of one file that another reader has found; each must lie inside the file.
    pub(crate) fn from_map(path: &Path, map: Mmap, tensors: BTreeMap<String, Entry>) -> Self {
        Self { files: vec![map], tensors, ..Self::empty(path) }
    }

    fn map_file(&mut self, path: &Path) -> Result<(), ModelError> {
        let malformed = |reason: String| ModelError::MalformedWeights { path: path.to_path_buf(), reason };
        let map = map(path)?;
        let (header_bytes, metadata) =
            SafeTensors::read_metadata(&map).map_err(|error| malformed(error.to_string()))?;
        let data_start = size_of::<u64>() + header_bytes;
        for (name, info) in metadata.tensors() {
            let Some(format) = FloatFormat::from_safetensors(info.dtype) else {
                let (format, shape) = (info.dtype.to_string(), info.shape.clone());
                let size_bytes = info.data_offsets.1 - info.data_offsets.0;
                self.unreadable.insert(name.clone(), Unreadable { format, shape, size_bytes });
                continue;
            };
            let (start, end) = (data_start + info.data_offsets.0, data_start + info.data_offsets.1);
            let format = StoredFormat::Float(format);
            let (file, twist, shape) = (self.files.len(), Twist::None, info.shape.clone());
            let entry = Entry { file, format, twist, shape, start, end };
            if self.tensors.insert(name.clone(), entry).is_some() {
                return Err(malformed(format!("tensor `{name}` is in two shards")));
            }
        }
        self.files.push(map);
        Ok(())
    }

    /// Where the files are, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Every tensor, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = WeightView<'_>> {
        self.tensors.iter().map(|(name, entry)| self.view(name, entry))
    }

    /// Every tensor of a number format that can't be read.
    pub(crate) fn unreadable_ones(&self) -> impl Iterator<Item = &Unreadable> {
        self.unreadable.values()
    }

    /// The tensor called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<WeightView<'_>> {
        self.tensors.get_key_value(name).map(|(name, entry)| self.view(name, entry))
    }

    /// The tensor called `name`, which must have this shape.
    ///
    /// # Errors
    /// It is missing or has another shape.
    pub(crate) fn expect(&self, name: &str, shape: &[usize]) -> Result<WeightView<'_>, ModelError> {
        let view = self.get(name).ok_or_else(|| {
            self.unreadable(name).unwrap_or_else(|| ModelError::MissingTensor {
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                path: self.path.clone(),
            })
        })?;
        if view.shape == shape {
            return Ok(view);
        }
        Err(ModelError::Shape { tensor: name.to_owned(), found: view.shape.to_vec(), expected: shape.to_vec() })
    }

    /// Says that a tensor has been read: its pages leave the process's memory until they are asked for again.
    ///
    /// Without this, a model would be counted twice while it is loaded, as file and as tensors.
    pub(crate) fn release(&self, name: &str) {
        let Some(entry) = self.tensors.get(name) else { return };
        #[expect(unsafe_code, reason = "advice that drops pages is unsafe in general")]
        // SAFETY: the map is of a file and never written, so pages that are dropped come back with the same bytes.
        // That the advice may be refused does not matter.
        let _ = unsafe {
            let (map, size) = (&self.files[entry.file], entry.end - entry.start);
            map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, entry.start, size)
        };
    }

    fn holds(&self, name: &str) -> bool {
        self.tensors.contains_key(name) || self.unreadable.contains_key(name)
    }

    /// Why a tensor can't be read, if it is there.
    fn unreadable(&self, name: &str) -> Option<ModelError> {
        let Unreadable { format, shape, .. } = self.unreadable.get(name)?;
        Some(ModelError::TensorDtype { tensor: name.to_owned(), shape: shape.clone(), found: format.clone() })
    }

    /// Checks that every tensor that is not `ignored` is stored in a number format that can be read.
    ///
    /// # Errors
    /// [`ModelError::TensorDtype`].
    pub(crate) fn refuse_unreadable(&self, ignored: impl Fn(&str) -> bool) -> Result<(), ModelError> {
        let name = self.unreadable.keys().find(|name| !ignored(name));
        name.and_then(|name| self.unreadable(name)).map_or(Ok(()), Err)
    }

    fn view<'a>(&'a self, name: &'a str, entry: &'a Entry) -> WeightView<'a> {
        let bytes = &self.files[entry.file][entry.start..entry.end];
        WeightView { name, format: entry.format, twist: entry.twist, shape: &entry.shape, bytes }
    }
}

/// Says why a file of torch is not read where there is no safetensors file.
///
/// # Errors
/// [`ModelError::Pickle`], if `expected` is not there and `pickle` is.
pub(crate) fn refuse_pickle(expected: &Path, pickle: &Path) -> Result<(), ModelError> {
    if expected.exists() || !pickle.exists() {
        return Ok(());
    }
    let name = expected.file_name().map(|name| name.display().to_string()).unwrap_or_default();
    Err(ModelError::Pickle { path: pickle.to_path_buf(), expected: name })
}

/// Maps a file for reading.
///
/// # Errors
/// It can't be opened or mapped.
#[expect(unsafe_code, reason = "a memory map keeps a model from being held in memory twice")]
pub(crate) fn map(path: &Path) -> Result<Mmap, ModelError> {
    let file = File::open(path).map_err(ModelError::read(path))?;
    // SAFETY: the map is only read, as plain bytes, for which every value is valid. Somebody who truncates the file
    // while it is mapped makes the process end by a signal; the store keeps its blobs read-only for that reason.
    unsafe { Mmap::map(&file) }.map_err(ModelError::read(path))
}
