//! Weight files: safetensors in, safetensors out, and where a model being built gets its tensors from.

mod format;
mod reader;
mod source;
mod writer;

pub use format::FloatFormat;
pub(crate) use reader::{WeightFiles, WeightView};
pub(crate) use source::{FileSource, RandomSource, WeightSource};
pub(crate) use writer::{WeightEntry, write_safetensors};
