//! `train`: fine-tunes a model on prompts, by LoRA or in full.
//!
//! Settings keep the field's names (TRL, PEFT, transformers); what they mean is in the model room. The outputs hold no
//! timings: tokens/s and ETA are events of the run.

mod settings;

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::time::Instant;

use serde_json::json;

use super::tokenizer_of::tokenizer_of;
use crate::artifact::{Arity, ArtifactKind, InputPort, OutputPort, Projection};
use crate::model::{self, ModelError, TrainExample, TrainStep};
use crate::stage::{ConfigIssue, Numerics, Outcome, Progress, StageContext, StageError, StageKind};
use crate::text::prompts::read_prompts;

pub use settings::{Method, SaveType, SchedulerType, TrainSettings};

/// The `train` stage kind.
pub struct Train;

impl StageKind for Train {
    type Config = TrainSettings;
    const NAME: &'static str = "train";
    const ABOUT: &'static str =
        "Fine-tunes a model on prompts, by LoRA (writes `adapter`) or in full (writes `model`).";
    const EPOCH: u32 = 1;
    const INPUTS: &'static [InputPort] = &[
        InputPort {
            name: Cow::Borrowed("model"),
            accepts: &[ArtifactKind::Model],
            arity: Arity::One,
            projection: Projection::Whole,
            about: "The model to start from.",
        },
        InputPort {
            name: Cow::Borrowed("prompts"),
            accepts: &[ArtifactKind::Prompts],
            arity: Arity::Many,
            projection: Projection::Whole,
            about: "Token ids and loss masks, from `render-prompts` with the same model's tokenizer.",
        },
    ];
    const OUTPUTS: &'static [OutputPort] = &[
        OutputPort {
            name: Cow::Borrowed("adapter"),
            kind: ArtifactKind::Adapter,
            about: "The adapter, in PEFT's format (method lora).",
        },
        OutputPort {
            name: Cow::Borrowed("model"),
            kind: ArtifactKind::Model,
            about: "The trained model folder (method full).",
        },
        OutputPort {
            name: Cow::Borrowed("curve"),
            kind: ArtifactKind::Curve,
            about: "Loss, gradient norm and learning rate of each step.",
        },
    ];
    const NUMERICS: Numerics = Numerics::Float;
    const UNKEYED: &'static [&'static str] = &["logging_steps"];
    const FOREIGN: &'static [(&'static str, &'static str)] = &[
        ("micro_batch_size", "per_device_train_batch_size"),
        ("batch_size", "per_device_train_batch_size"),
        ("cutoff_len", "max_seq_len, a setting of `render-prompts`"),
        ("max_seq_len", "max_seq_len, a setting of `render-prompts`"),
        ("lora_rank", "lora_r"),
        ("r", "lora_r"),
        ("rank", "lora_r"),
        ("alpha", "lora_alpha"),
        ("lora_target_modules", "target_modules"),
        ("num_epochs", "num_train_epochs"),
        ("epochs", "num_train_epochs"),
        ("lr", "learning_rate"),
        ("lr_scheduler", "lr_scheduler_type"),
    ];

    fn check(config: &TrainSettings) -> Vec<ConfigIssue> {
        settings::check(config)
    }

    fn writes(config: &TrainSettings, slot: &str) -> bool {
        match slot {
            "adapter" => config.method == Method::Lora,
            "model" => config.method == Method::Full,
            _ => true,
        }
    }

    fn run(config: &TrainSettings, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let mut examples = Vec::new();
        for prompts in context.inputs("prompts") {
            let rows = read_prompts(&prompts.path).map_err(StageError::failed)?;
            examples.extend(
                rows.into_iter().map(|row| TrainExample { input_ids: row.input_ids, loss_mask: row.loss_mask }),
            );
        }
        let curve_path = context.output("curve");
        let io = |error: &std::io::Error| StageError::io(&curve_path, error);
        let mut curve = BufWriter::new(File::create(&curve_path).map_err(|error| io(&error))?);
        let output = context.output(match config.method {
            Method::Lora => "adapter",
            Method::Full => "model",
        });
        let mut meter = Meter::new(config.logging_steps);
        let mut written = Ok(());
        let summary = model::train(
            &context.input("model").path,
            &examples,
            &settings::method(config),
            &settings::train_config(config),
            context.device,
            &output,
            &mut |step| {
                written = writeln!(curve, "{}", curve_row(step));
                meter.observe(step, context);
                if written.is_err() { ControlFlow::Break(()) } else { context.flow() }
            },
        );
        written.and_then(|()| curve.flush()).map_err(|error| io(&error))?;
        let summary = summary.map_err(|error| match error {
            ModelError::Cancelled => StageError::Cancelled,
            other => StageError::failed(other),
        })?;
        if config.method == Method::Full {
            let files = tokenizer_of(&context.input("model").path)?;
            files.write_missing(&output).map_err(|error| StageError::io(&output, &error))?;
        }
        let mut outcome = Outcome::default();
        outcome.metrics.insert("final_loss".into(), json!(summary.final_loss_nats));
        outcome.metrics.insert("steps".into(), json!(summary.steps));
        outcome.metrics.insert("trained_parameters".into(), json!(summary.trainable_parameters));
        outcome.metrics.insert("targets".into(), json!(summary.targets));
        Ok(outcome)
    }
}

fn curve_row(step: &TrainStep) -> serde_json::Value {
    json!({
        "step": step.step,
        "epoch": step.epoch,
        "loss": step.loss_nats,
        "grad_norm": step.grad_norm,
        "learning_rate": step.learning_rate,
        "targets": step.targets,
    })
}

/// Turns steps into progress with tokens/s and the time left.
struct Meter {
    every: u64,
    started: Instant,
    tokens: u64,
}

impl Meter {
    fn new(every: u64) -> Self {
        Self { every, started: Instant::now(), tokens: 0 }
    }

    fn observe(&mut self, step: &TrainStep, context: &StageContext<'_>) {
        self.tokens += step.tokens as u64;
        let done = step.step + 1;
        if !done.is_multiple_of(self.every) && done != step.total_steps {
            return;
        }
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        let left = step.total_steps.saturating_sub(done) as f64 * seconds / done as f64;
        let fields = vec![
            ("loss", step.loss_nats),
            ("grad_norm", step.grad_norm),
            ("learning_rate", step.learning_rate),
            ("tokens_per_s", self.tokens as f64 / seconds),
            ("eta_s", left),
        ];
        context.observer.progress(Progress { done, total: Some(step.total_steps), unit: "steps", fields });
    }
}
