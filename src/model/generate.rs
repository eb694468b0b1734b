//! Greedy generation with a key-value cache, for many prompts at once.
//!
//! Prompts of a batch need not have equal lengths: there is no padding, and a row that has finished leaves the batch.

use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};

use super::batch::{Batch, Rows};
use super::cache::KeyValueCache;
use super::decoder::Decoder;
use super::error::ModelError;
use super::fused::buffer::numbers;

/// How far to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerateOptions {
    /// The most tokens added to a prompt.
    pub max_new_tokens: usize,
    /// Ids that end a row; they are not part of its output.
    pub stop_token_ids: Vec<u32>,
    /// Prompts that are continued side by side; memory grows with it, see `cache.rs`.
    pub batch_size: usize,
}

/// Why a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The model chose this stop token.
    StopToken(u32),
    /// `max_new_tokens` were added.
    MaxNewTokens,
    /// The row reached the model's `max_position_embeddings`.
    ContextFull,
}

/// The continuation of one prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The new token ids, without the stop token.
    pub ids: Vec<u32>,
    /// Why there are no more.
    pub stop_reason: StopReason,
}

/// How far generation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerateProgress {
    /// Prompts whose continuation is complete.
    pub finished: usize,
    /// Prompts in all.
    pub total: usize,
    /// Tokens generated so far, over all prompts.
    pub new_tokens: usize,
}

/// Continues every prompt; see [`super::CausalLm::generate`].
pub(crate) fn generate(
    model: &Decoder,
    prompts: &[Vec<u32>],
    options: &GenerateOptions,
    observe: &mut dyn FnMut(GenerateProgress) -> ControlFlow<()>,
) -> Result<Vec<Generation>, ModelError> {
    if options.batch_size == 0 {
        return Err(ModelError::field("batch_size", 0, "at least 1"));
    }
    check(model, prompts)?;
    let mut progress = GenerateProgress { finished: 0, total: prompts.len(), new_tokens: 0 };
    let mut generations = Vec::with_capacity(prompts.len());
    for prompts in prompts.chunks(options.batch_size) {
        generations.extend(generate_batch(model, prompts, options, &mut progress, observe)?);
    }
    Ok(generations)
}

fn check(model: &Decoder, prompts: &[Vec<u32>]) -> Result<(), ModelError> {
    let limit = model.config().max_position_embeddings;
    for (row, prompt) in prompts.iter().enumerate() {
        super::batch::check_row(row, prompt, model.config().vocab_size)?;
        if prompt.len() >= limit {
            let reason =
                format!("has `{}` tokens; expected fewer than max_position_embeddings `{limit}`", prompt.len());
            return Err(ModelError::Row { row, reason });
        }
    }
    Ok(())
}

/// A prompt being continued.
struct Active {
    index: usize,
    ids: Vec<u32>,
    room: usize,
}

fn generate_batch(
    model: &Decoder,
    prompts: &[Vec<u32>],
    options: &GenerateOptions,
    progress: &mut GenerateProgress,
    observe: &mut dyn FnMut(GenerateProgress) -> ControlFlow<()>,
) -> Result<Vec<Generation>, ModelError> {
    let limit = model.config().max_position_embeddings;
    let start = |(index, prompt): (usize, &Vec<u32>)| Active { index, ids: Vec::new(), room: limit - prompt.len() };
    let mut active: Vec<Active> = prompts.iter().enumerate().map(start).collect();
    let mut finished: Vec<Option<Generation>> = vec![None; prompts.len()];
    let mut cache = KeyValueCache::new(model.config(), prompts.len());
    let mut batch = Batch::new(prompts.iter().map(Vec::as_slice), model.config().vocab_size)?;
    while !active.is_empty() {
        let chosen = if options.max_new_tokens == 0 {
            vec![0; active.len()]
        } else {
            rayon::scope(|_| next_tokens(model, &batch, &mut cache))
        };
        let mut keep = Vec::with_capacity(active.len());
        for (row, token) in active.iter_mut().zip(&chosen) {
            let stop_reason = advance(row, *token, options);
            keep.push(stop_reason.is_none());
            if let Some(stop_reason) = stop_reason {
                progress.finished += 1;
                finished[row.index] = Some(Generation { ids: std::mem::take(&mut row.ids), stop_reason });
            }
        }
        progress.new_tokens += keep.iter().filter(|keep| **keep).count();
        let mut kept = keep.iter();
        active.retain(|_| *kept.next().expect("there is one decision a row"));
        cache.retain(&keep);
        let input_ids: Vec<u32> = active.iter().filter_map(|row| row.ids.last().copied()).collect();
        batch = Batch { rows: Arc::new(Rows::new(input_ids.iter().map(|_| 1))), input_ids };
        if observe(*progress).is_break() {
            return Err(ModelError::Cancelled);
        }
    }
    Ok(finished.into_iter().flatten().collect())
}

/// Adds a token to a row, or says why the row ends.
fn advance(row: &mut Active, token: u32, options: &GenerateOptions) -> Option<StopReason> {
    if options.max_new_tokens == 0 {
        return Some(StopReason::MaxNewTokens);
    }
    if options.stop_token_ids.contains(&token) {
        return Some(StopReason::StopToken(token));
    }
    row.ids.push(token);
    if row.ids.len() == options.max_new_tokens {
        Some(StopReason::MaxNewTokens)
    } else if row.ids.len() == row.room {
        Some(StopReason::ContextFull)
    } else {
        None
    }
}

/// The likeliest next token of each row; the first of equals.
fn next_tokens(model: &Decoder, batch: &Batch, cache: &mut KeyValueCache) -> Vec<u32> {
    let hidden = model.hidden_states_cached(&batch.input_ids, &batch.rows, cache);
    let last: Vec<i64> =
        batch.rows.iter().map(|row| i64::try_from(row.end - 1).expect("a batch fits in memory")).collect();
    let count = last.len();
    let last = Tensor::<1, Int>::from_data(TensorData::new(last, [count]), &model.device());
    let logits = numbers(model.logits(hidden.select(0, last))); // [rows, vocab]
    logits.chunks_exact(model.config().vocab_size).map(argmax).collect()
}

fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    u32::try_from(best).expect("a vocabulary has fewer than 2^32 ids")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceSpec;
    use crate::model::quantised::Precision;
    use crate::model::{backend, folder};

    #[test]
    fn the_logits_of_cached_decoding_are_those_of_a_whole_pass() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/model/llama");
        let model = folder::load(&golden, Precision::Full, &backend::open(DeviceSpec::default()).unwrap()).unwrap();
        let (vocab, length) = (model.config().vocab_size, 33);
        let row = |seed: usize| (0..length).map(|at| u32::try_from((seed + at * 37) % vocab).unwrap()).collect();
        let rows: [Vec<u32>; 3] = [row(5), row(80), row(211)];
        let whole = |row: &[u32]| {
            let batch = Batch::new(std::iter::once(row), vocab).unwrap();
            numbers(model.logits(model.hidden_states(&batch.input_ids, &batch.rows, None)))
        };
        let whole: Vec<Vec<f32>> = rows.iter().map(|row| whole(row)).collect();
        // Prompts of different lengths at once, then all rows a token at a time.
        let prompts = [3, 17, 9];
        let mut cache = KeyValueCache::new(model.config(), rows.len());
        let mut largest = 0.0_f32;
        for step in 0..length - 17 {
            let part = |(row, prompt): (usize, usize)| match step {
                0 => &rows[row][..prompt],
                _ => &rows[row][prompt + step - 1..prompt + step],
            };
            let batch = Batch::new(prompts.into_iter().enumerate().map(part), vocab).unwrap();
            let logits = numbers(model.logits(model.hidden_states_cached(&batch.input_ids, &batch.rows, &mut cache)));
            for (row, range) in batch.rows.iter().enumerate() {
                let found = &logits[range.start * vocab..range.end * vocab];
                let first = prompts[row] + step - range.len();
                let expected = &whole[row][first * vocab..(first + range.len()) * vocab];
                largest = found.iter().zip(expected).fold(largest, |most, (a, b)| most.max((a - b).abs()));
            }
        }
        assert!(largest < 1e-4, "logits differ by {largest}");
    }
}
