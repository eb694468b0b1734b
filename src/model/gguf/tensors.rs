//! The tensors of a GGUF file under their names in transformers.

use std::collections::BTreeMap;
use std::path::Path;

use super::architecture::Architecture;
use super::reader::{Header, TensorInfo};
use super::rope_freqs::ROPE_FREQS;
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::weights::{Entry, Twist};

/// Every weight of the file.
///
/// # Errors
/// A name is not known, or a tensor can't be put back into transformers' order.
pub(super) fn entries(
    header: &Header,
    config: &ModelConfig,
    path: &Path,
) -> Result<BTreeMap<String, Entry>, ModelError> {
    let architecture = Architecture::of(&config.model_type)?;
    let entry = |(name, info): (&String, &TensorInfo)| {
        let Some(new_name) = architecture.transformers_name(name) else {
            let (tensor, found, path) = (name.clone(), info.shape.clone(), path.to_path_buf());
            return Err(ModelError::UnexpectedTensor { tensor, found, path });
        };
        let twist = architecture.twist(&new_name, config);
        check_rows(&new_name, info, twist, config)?;
        let TensorInfo { format, shape, start, end } = info.clone();
        Ok((new_name, Entry { file: 0, format, twist, shape, start, end }))
    };
    // The configuration has made a rule of these factors.
    let weights = header.tensors.iter().filter(|(name, _)| !(architecture.rope_freqs && *name == ROPE_FREQS));
    weights.map(entry).collect()
}

/// Rows in another order are whole heads.
fn check_rows(name: &str, info: &TensorInfo, twist: Twist, config: &ModelConfig) -> Result<(), ModelError> {
    let Twist::Interleaved { heads } = twist else { return Ok(()) };
    let rows = heads * config.head_dim;
    if info.shape[0] == rows {
        return Ok(());
    }
    let expected = [&[rows], &info.shape[1..]].concat();
    Err(ModelError::Shape { tensor: name.to_owned(), found: info.shape.clone(), expected })
}
