//! Rows to learn from, and what in them is a target.

use crate::model::batch::{Batch, check_row};
use crate::model::config::ModelConfig;
use crate::model::error::ModelError;
use crate::model::fused::cross_entropy::Target;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainExample {
    /// The token ids.
    pub input_ids: Vec<u32>,
    /// Whether each token is to be predicted from those before it; as long as `input_ids`. The first token never is,
    /// because nothing is before it.
    pub loss_mask: Vec<bool>,
}

/// Refuses rows the model cannot be trained on.
pub(super) fn check(examples: &[TrainExample], config: &ModelConfig) -> Result<(), ModelError> {
    if examples.is_empty() {
        return Err(ModelError::field("examples", "[]", "at least one row"));
    }
    let limit = config.max_position_embeddings;
    for (row, example) in examples.iter().enumerate() {
        check_row(row, &example.input_ids, config.vocab_size)?;
        check_mask(row, example)?;
        if example.input_ids.len() > limit {
            let length = example.input_ids.len();
            let reason = format!("has `{length}` tokens; expected at most max_position_embeddings `{limit}`");
            return Err(ModelError::Row { row, reason });
        }
    }
    Ok(())
}

fn check_mask(row: usize, example: &TrainExample) -> Result<(), ModelError> {
    let (tokens, mask) = (example.input_ids.len(), example.loss_mask.len());
    if tokens == mask {
        return Ok(());
    }
    Err(ModelError::Row { row, reason: format!("loss_mask has `{mask}` entries; expected one a token, `{tokens}`") })
}

/// The targets of a batch made of these examples: a token's label is the token after it in its row.
///
/// # Errors
/// A mask is not as long as its row.
pub(crate) fn targets<'a>(
    examples: impl Iterator<Item = &'a TrainExample>,
    batch: &Batch,
) -> Result<Vec<Target>, ModelError> {
    let mut targets = Vec::new();
    for (index, (example, row)) in examples.zip(batch.rows.iter()).enumerate() {
        check_mask(index, example)?;
        let labels = example.input_ids.iter().zip(&example.loss_mask).enumerate().skip(1);
        targets.extend(labels.filter(|(_, (_, is_target))| **is_target).map(|(position, (id, _))| Target {
            token: row.start + position - 1,
            label: usize::try_from(*id).expect("ids below vocab_size fit in usize"),
        }));
    }
    Ok(targets)
}
