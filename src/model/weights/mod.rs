//! Weights: how files store their numbers, safetensors in and out, and where a model being built gets its tensors from.

mod blocks;
mod format;
mod matrix;
mod reader;
mod source;
mod stored_format;
mod writer;

pub use format::FloatFormat;
pub(crate) use matrix::WeightMatrix;
pub(crate) use reader::{Entry, Twist, WeightFiles, WeightView, map, refuse_pickle};
pub(crate) use source::{FileSource, RandomSource, WeightSource};
pub(crate) use stored_format::StoredFormat;
pub(crate) use writer::{WeightEntry, write_safetensors};
