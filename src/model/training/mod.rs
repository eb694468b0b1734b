//! Finetuning: rows of token ids in, an adapter or a model folder out.
//!
//! There is no trainer object: [`train`] reads top to bottom. One optimiser step takes a window of
//! gradient_accumulation_steps micro-batches; the loss of a window is the sum of the cross-entropies of all its targets
//! divided by their number, whatever the split into micro-batches. Everything random is a function of the seed, and
//! nothing depends on the number of threads.

mod adamw;
mod config;
mod example;
mod gradients;
mod order;
mod schedule;
mod shards;
mod step;

use std::ops::ControlFlow;
use std::path::Path;

pub use config::{Method, Schedule, TrainConfig, Warmup};
pub use example::TrainExample;
pub(crate) use example::targets;

use self::adamw::AdamW;
use self::order::Order;
use self::shards::Workers;
use self::step::Window;
use super::decoder::Decoder;
use super::error::ModelError;
use super::lora::{self, AdapterConfig, LoraConfig};
use super::quantised::Precision;
use super::{backend, folder};
use crate::device::DeviceSpec;

/// What one optimiser step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainStep {
    /// The step, counted from 0.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Passes over the rows, including this step.
    pub epoch: f64,
    /// Mean cross-entropy of the window's targets, in nats, before the update.
    pub loss_nats: f64,
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: f64,
    /// The learning rate of this update.
    pub learning_rate: f64,
    /// Tokens in the window.
    pub tokens: usize,
    /// Tokens in the window that were targets.
    pub targets: usize,
}

/// What a whole run did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainSummary {
    /// Optimiser steps taken.
    pub steps: u64,
    /// Numbers that were trained.
    pub trainable_parameters: usize,
    /// Tokens seen, over all steps.
    pub tokens: usize,
    /// Targets seen, over all steps.
    pub targets: usize,
    /// The loss of the last step, in nats.
    pub final_loss_nats: f64,
}

/// Trains on `examples` and writes the result to the folder `output`.
///
/// [`Method::Lora`] leaves a PEFT adapter, [`Method::Full`] a model folder with the base's other files. `observe` is
/// called after each step; `Break` cancels, and then nothing has been written. Neither times nor paths are written.
///
/// Peak memory: the model, its frozen matrices as `config.precision` says and the rest in f32; for each trained number 12 bytes more (gradient and two moments); and the activations
/// of the micro-batches in flight, about 9 * d_model + 3 * d_ff numbers for each token and layer. Parts of a window run
/// side by side only while their activations stay below 4 GiB.
///
/// # Errors
/// The base, the configuration or a row is not usable, the loss stops being finite, a file cannot be written, or the
/// observer cancelled.
pub fn train(
    base: &Path,
    examples: &[TrainExample],
    method: &Method,
    config: &TrainConfig,
    device: DeviceSpec,
    output: &Path,
    observe: &mut dyn FnMut(&TrainStep) -> ControlFlow<()>,
) -> Result<TrainSummary, ModelError> {
    config.check()?;
    let device = backend::open(device)?.autodiff();
    if *method == Method::Full && config.precision != Precision::Full {
        return Err(ModelError::field("precision", config.precision, "f32 where the weights are trained"));
    }
    let mut model = folder::load(base, config.precision, &device)?;
    example::check(examples, model.config())?;
    let adapter = match method {
        Method::Full => None,
        Method::Lora(lora) => Some((lora, lora::adapt(&mut model, lora, config.seed)?)),
    };
    let trained = if adapter.is_some() { gradients::Trained::Adapter } else { gradients::Trained::Everything };
    gradients::require(&mut model, trained);
    let mut order = Order::new(examples, config);
    let mut optimizer = AdamW::new(config);
    let mut summary = TrainSummary {
        steps: order.total_steps(),
        trainable_parameters: gradients::trainable_parameters(&mut model),
        tokens: 0,
        targets: 0,
        final_loss_nats: f64::NAN,
    };
    let workers = Workers::new(model.config(), summary.trainable_parameters);
    for step in 0..order.total_steps() {
        let window = Window { step, micro_batches: order.window(step), examples, workers: &workers, seed: config.seed };
        let learning_rate = schedule::learning_rate(config, step, order.total_steps());
        let outcome = window.run(&mut model, &mut optimizer, config, learning_rate)?;
        let report = TrainStep { total_steps: order.total_steps(), epoch: order.epoch_after(step), ..outcome };
        summary.tokens += report.tokens;
        summary.targets += report.targets;
        summary.final_loss_nats = report.loss_nats;
        if observe(&report).is_break() {
            return Err(ModelError::Cancelled);
        }
    }
    save(base, &mut model, adapter.as_ref(), config, output)?;
    Ok(summary)
}

fn save(
    base: &Path,
    model: &mut Decoder,
    adapter: Option<&(&LoraConfig, AdapterConfig)>,
    config: &TrainConfig,
    output: &Path,
) -> Result<(), ModelError> {
    std::fs::create_dir_all(output).map_err(ModelError::write(output))?;
    if let Some((lora, adapter)) = adapter {
        return lora::save(model, lora, adapter, output);
    }
    let dtype = config.dtype.unwrap_or(model.config().dtype);
    folder::copy_all_but_weights(base, model.config(), dtype, output)?;
    folder::save_weights(model, dtype, output)
}
