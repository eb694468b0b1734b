//! An adapter worked into its base: W += s B A in f32, rounded once to the number format of the base.
//!
//! Works on the files, tensor by tensor: no model is built, and memory holds one tensor at a time.

use std::path::Path;

use super::decoder::is_redundant;
use super::error::ModelError;
use super::folder::{self, copy_all_but_weights};
use super::fused::matrix::{Into, Matrix, Threads, multiply};
use super::lora::{AdapterFiles, Pair};
use super::weights::{WeightEntry, WeightView, write_safetensors};

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeSummary {
    /// Projections that changed.
    pub merged_modules: usize,
    /// Tensors written.
    pub tensors: usize,
}

/// Writes the model folder that computes without an adapter what `base` with `adapter` computes.
///
/// The folder has HF names, one `model.safetensors`, the other files of the base, and no `lm_head` when it is tied.
///
/// # Errors
/// The adapter is not supported or does not fit the base, or a file cannot be read or written.
pub fn merge(base: &Path, adapter: &Path, output: &Path) -> Result<MergeSummary, ModelError> {
    let (config, weights) = folder::open(base)?;
    folder::check(&config, &weights)?;
    let adapter = AdapterFiles::open(adapter)?;
    let matrices = weights.iter().filter(|view| view.shape.len() == 2 && !is_redundant(&config, view.name));
    adapter.refuse_stray(matrices.filter_map(|view| view.name.strip_suffix(".weight")))?;
    copy_all_but_weights(base, &config, config.dtype, output)?;
    let kept = weights.iter().filter(|view| !is_redundant(&config, view.name));
    // A tensor that is stored in blocks is written as the plain numbers it stands for.
    let format = |view: WeightView| view.kept().unwrap_or(config.dtype);
    let entries: Vec<WeightEntry> = kept
        .map(|view| WeightEntry { name: view.name.to_owned(), format: format(view), shape: view.shape.to_vec() })
        .collect();
    let mut summary = MergeSummary { merged_modules: 0, tensors: entries.len() };
    write_safetensors(&output.join("model.safetensors"), entries, |entry| {
        let view = weights.expect(&entry.name, &entry.shape)?;
        match merged(view, &adapter)? {
            None if view.plain().is_some() => Ok(view.bytes.to_vec()),
            None => Ok(entry.format.encode(&view.to_f32())),
            Some(numbers) => {
                summary.merged_modules += 1;
                Ok(entry.format.encode(&numbers))
            }
        }
    })?;
    Ok(summary)
}

/// W + s B A, if the adapter has a pair for this weight.
fn merged(view: WeightView, adapter: &AdapterFiles) -> Result<Option<Vec<f32>>, ModelError> {
    let (Ok([width_out, width_in]), Some(module)) =
        (<[usize; 2]>::try_from(view.shape), view.name.strip_suffix(".weight"))
    else {
        return Ok(None);
    };
    if !adapter.has(module) {
        return Ok(None);
    }
    let Pair { a, b, rank, scale } = adapter.pair(module, [width_out, width_in])?;
    let (a, b) = (Matrix::new(&a, rank, width_in), Matrix::new(&b, width_out, rank));
    #[expect(clippy::cast_possible_truncation, reason = "the scale is applied in f32")]
    let scale = scale as f32;
    let mut numbers = view.to_f32();
    multiply(&mut numbers, b, a, scale, Into::Add, Threads::All);
    Ok(Some(numbers))
}
