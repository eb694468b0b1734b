//! One optimiser step: the micro-batches of a window forward and backward, then one update.

use std::sync::Arc;

use super::TrainStep;
use super::adamw::AdamW;
use super::config::TrainConfig;
use super::example::{TrainExample, targets};
use super::gradients::{GradientSum, collect, fork};
use super::shards::{Workers, inside};
use crate::model::batch::Batch;
use crate::model::decoder::Decoder;
use crate::model::error::ModelError;
use crate::model::random::{Purpose, Stream};

/// Random streams set aside for each step: one for each shard of its window.
const STREAMS_PER_STEP: u64 = 1 << 12;

/// The rows of one step.
pub(super) struct Window<'a> {
    pub(super) step: u64,
    pub(super) micro_batches: Vec<Vec<usize>>,
    pub(super) examples: &'a [TrainExample],
    pub(super) workers: &'a Workers,
    pub(super) seed: u64,
}

/// Some rows of one micro-batch.
struct Shard<'a> {
    rows: &'a [usize],
    dropout: Stream,
}

/// What a shard adds to its window.
struct Part {
    loss_nats: f64,
    tokens: usize,
    targets: usize,
    /// Empty when the shard has no target.
    gradients: Vec<Vec<f32>>,
}

impl Window<'_> {
    /// Runs the window and updates the model. `total_steps` and `epoch` of the result are left 0.
    ///
    /// # Errors
    /// The window has no target, or the loss or the gradient is not finite; then the model is not updated.
    pub(super) fn run(
        self,
        model: &mut Decoder,
        optimizer: &mut AdamW,
        config: &TrainConfig,
        learning_rate: f64,
    ) -> Result<TrainStep, ModelError> {
        let mut gradients = GradientSum::default();
        let mut outcome = TrainStep {
            step: self.step,
            total_steps: 0,
            epoch: 0.0,
            loss_nats: 0.0,
            grad_norm: 0.0,
            learning_rate,
            tokens: 0,
            targets: 0,
        };
        let shards = self.shards();
        let mut failure = None;
        let largest = shards.iter().map(|shard| self.tokens(shard)).max().unwrap_or(0);
        let work = |index: usize| self.forward_and_backward(model, &shards[index]);
        self.workers.run(shards.len(), largest, work, |part| match part {
            Ok(part) => {
                outcome.loss_nats += part.loss_nats;
                outcome.tokens += part.tokens;
                outcome.targets += part.targets;
                if part.targets > 0 {
                    gradients.add(part.gradients);
                }
            }
            Err(error) => failure = Some(error),
        });
        if let Some(error) = failure {
            return Err(error);
        }
        if outcome.targets == 0 {
            return Err(ModelError::NoTargets { step: self.step });
        }
        outcome.loss_nats /= outcome.targets as f64;
        outcome.grad_norm = inside(|| gradients.average_and_clip(outcome.targets, config.max_grad_norm));
        for (quantity, found) in [("loss", outcome.loss_nats), ("grad_norm", outcome.grad_norm)] {
            if !found.is_finite() {
                return Err(ModelError::Diverged { step: self.step, quantity, found });
            }
        }
        inside(|| optimizer.update(model, &gradients, learning_rate));
        Ok(outcome)
    }

    /// The micro-batches, cut; each shard has a random stream of its own.
    #[expect(clippy::cast_possible_truncation, reason = "the counter may wrap after 2^32 shards")]
    fn shards(&self) -> Vec<Shard<'_>> {
        let cut = self.micro_batches.iter().flat_map(|rows| self.workers.cut(rows, self.examples));
        let cut: Vec<&[usize]> = cut.collect();
        let first = self.step * STREAMS_PER_STEP;
        let stream = |index: u64| Stream::new(self.seed, Purpose::Dropout, (first + index) as u32);
        (0..).zip(cut).map(|(index, rows)| Shard { rows, dropout: stream(index) }).collect()
    }

    fn tokens(&self, shard: &Shard) -> usize {
        shard.rows.iter().map(|row| self.examples[*row].input_ids.len()).sum()
    }

    /// The sum of a shard's losses and its gradient.
    fn forward_and_backward(&self, model: &Decoder, shard: &Shard) -> Result<Part, ModelError> {
        let examples = shard.rows.iter().map(|row| &self.examples[*row]);
        let ids = examples.clone().map(|example| example.input_ids.as_slice());
        let batch = Batch::new(ids, model.config().vocab_size)?;
        let targets = targets(examples, &batch)?;
        let mut part =
            Part { loss_nats: 0.0, tokens: batch.input_ids.len(), targets: targets.len(), gradients: Vec::new() };
        if targets.is_empty() {
            return Ok(part);
        }
        let mut model = fork(model);
        let hidden = model.hidden_states(&batch.input_ids, &batch.rows, Some(shard.dropout));
        let loss = model.loss(hidden, Arc::from(targets));
        part.gradients = collect(&mut model, loss.backward());
        part.loss_nats = f64::from(loss.into_scalar::<f32>());
        Ok(part)
    }
}
