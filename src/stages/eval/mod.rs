//! `eval`: lets a model answer every row of a data set and scores the answers.
//!
//! Decoding is greedy; only new tokens are read, without the stop token. The report holds no timings: how fast it went
//! is an event of the run.

mod judge;
mod question;
mod scoring;
mod sentence_encoder;
mod settings;

use std::borrow::Cow;
use std::time::Instant;

use serde_json::json;

use crate::artifact::{Arity, ArtifactKind, InputPort, OutputPort, Projection};
use crate::diagnostic::Diagnostic;
use crate::model::{self, CausalLm, GenerateOptions, GenerateProgress, Generation, ModelError, Precision};
use crate::stage::{
    ConfigIssue, LocalInputs, Numerics, Outcome, Preflight, Progress, StageContext, StageError, StageKind,
};
use crate::text::eval_report::{EvalReport, StopReason};
use crate::text::eval_rows::{EvalRow, read_eval_rows};
use crate::text::prompts::{LoadError, RenderError, Renderer};

use super::renderer_of::{self, read_template};
use super::tokenizer_of::tokenizer_of;
use judge::Judge;
use scoring::Answer;
pub use settings::EvalSettings;

/// The `eval` stage kind.
pub struct Eval;

impl StageKind for Eval {
    type Config = EvalSettings;
    const NAME: &'static str = "eval";
    const ABOUT: &'static str = "Lets a model answer the rows of a data set, greedily, and scores the answers.";
    const EPOCH: u32 = 2;
    const INPUTS: &'static [InputPort] = &[
        InputPort {
            name: Cow::Borrowed("model"),
            accepts: &[ArtifactKind::Model],
            arity: Arity::One,
            projection: Projection::Whole,
            about: "The model that answers.",
        },
        InputPort {
            name: Cow::Borrowed("adapter"),
            accepts: &[ArtifactKind::Adapter],
            arity: Arity::Optional,
            projection: Projection::Whole,
            about: "An adapter trained on that model.",
        },
        InputPort {
            name: Cow::Borrowed("data"),
            accepts: &[ArtifactKind::File],
            arity: Arity::One,
            projection: Projection::Whole,
            about: "JSON Lines of `{query, context?, expected, accept?, tags?}`.",
        },
        InputPort {
            name: Cow::Borrowed("template"),
            accepts: &[ArtifactKind::File],
            arity: Arity::Optional,
            projection: Projection::Whole,
            about: "A chat template instead of the model's own.",
        },
        InputPort {
            name: Cow::Borrowed("encoder"),
            accepts: &[ArtifactKind::Model],
            arity: Arity::Optional,
            projection: Projection::Whole,
            about: "A BERT-type encoder of sentences, for `semantic@τ`.",
        },
    ];
    const OUTPUTS: &'static [OutputPort] = &[OutputPort {
        name: Cow::Borrowed("report"),
        kind: ArtifactKind::Report,
        about: "Scores with intervals, over all rows and by slice, and each answer.",
    }];
    const NUMERICS: Numerics = Numerics::Float;
    const UNKEYED: &'static [&'static str] = &["print_outputs"];
    const FOREIGN: &'static [(&'static str, &'static str)] = &[
        ("eval_file", "`data`, an input"),
        ("eval_batch_size", "per_device_eval_batch_size"),
        ("batch_size", "per_device_eval_batch_size"),
        ("max_tokens", "max_new_tokens"),
        ("limit", "max_examples"),
        ("normalise", "normalize"),
        ("chat_template", "the input `template`"),
        ("chat_template_kwargs", "template_arguments"),
        ("enable_thinking", "template_arguments"),
    ];

    fn check(config: &EvalSettings) -> Vec<ConfigIssue> {
        settings::check(config)
    }

    fn preflight(config: &EvalSettings, inputs: &LocalInputs<'_>) -> Preflight {
        renderer_of::preflight(inputs, config.rendering())
    }

    fn run(config: &EvalSettings, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let data = context.input("data");
        let mut rows = read_eval_rows(&data.path, &data.label).map_err(StageError::Data)?;
        rows.truncate(config.max_examples.unwrap_or(usize::MAX));
        let encoder = context.optional_input("encoder").map(|input| input.path.as_path());
        let judge = Judge::new(&config.metrics, &config.normalize, encoder)?;
        let renderer = load_renderer(config, context)?;
        let prompts = prompts(config, context, &renderer, &rows)?;
        let generations = generate(config, context, &renderer, &prompts)?;
        let answers = generations.iter().map(|one| answer(&renderer, one)).collect::<Result<_, _>>()?;
        let style = renderer.style().map(|style| style.to_string()).unwrap_or_default();
        let report = scoring::report(config, &judge, style, &rows, answers)?;
        if config.print_outputs {
            print(&report, context);
        }
        let path = context.output("report");
        let json = report.to_json().map_err(StageError::failed)?;
        std::fs::write(&path, json).map_err(|error| StageError::io(&path, &error))?;
        Ok(outcome(&report))
    }
}

fn load_renderer(config: &EvalSettings, context: &StageContext<'_>) -> Result<Renderer, StageError> {
    let template = match context.optional_input("template") {
        Some(input) => Some(read_template(&input.path)?),
        None => None,
    };
    Renderer::load(&tokenizer_of(&context.input("model").path)?, template.as_deref(), config.rendering()).map_err(
        |error| match error {
            LoadError::Unusable(_) => {
                let diagnostic = Diagnostic::error("eval::template", error.to_string());
                StageError::Data(vec![diagnostic.help("wire a chat template that shows everything into `template`")])
            }
            other => StageError::failed(other),
        },
    )
}

fn prompts(
    config: &EvalSettings,
    context: &StageContext<'_>,
    renderer: &Renderer,
    rows: &[EvalRow],
) -> Result<Vec<Vec<u32>>, StageError> {
    let mut prompts = Vec::with_capacity(rows.len());
    let mut problems = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        context.check_cancel()?;
        match renderer.generation(&question::conversation(config, row)) {
            Ok(prompt) => prompts.push(prompt),
            // The same for every row, so it is said once.
            Err(error @ RenderError::NoTemplate) => {
                let diagnostic = Diagnostic::error("eval::no_template", error.to_string());
                return Err(StageError::Data(vec![diagnostic.help("wire a chat template into `template`")]));
            }
            Err(error) => {
                let message = format!("row {} ({:?}): {error}", index + 1, row.query);
                problems.push(Diagnostic::error("eval::render", message));
            }
        }
    }
    if problems.is_empty() { Ok(prompts) } else { Err(StageError::Data(problems)) }
}

fn generate(
    config: &EvalSettings,
    context: &StageContext<'_>,
    renderer: &Renderer,
    prompts: &[Vec<u32>],
) -> Result<Vec<Generation>, StageError> {
    let stop_token_ids = renderer.stop_ids();
    if stop_token_ids.is_empty() {
        let message = "neither tokenizer nor chat template name a stop token; each answer is `max_new_tokens` long";
        context.observer.warning(Diagnostic::warning("eval::no_stop_token", message));
    }
    let options = GenerateOptions {
        max_new_tokens: config.max_new_tokens,
        stop_token_ids,
        batch_size: config.per_device_eval_batch_size,
    };
    let failed = |error: ModelError| match error {
        ModelError::Cancelled => StageError::Cancelled,
        ModelError::Row { row, reason } => {
            let message = format!("row {}: its prompt {reason}", row + 1);
            StageError::Data(vec![Diagnostic::error("eval::prompt", message)])
        }
        other => StageError::failed(other),
    };
    let adapter = context.optional_input("adapter").map(|input| input.path.as_path());
    let precision = config.loading().precision(Precision::AsStored);
    let model = CausalLm::load_as(&context.input("model").path, adapter, precision, context.device).map_err(failed)?;
    let started = Instant::now();
    let mut observe = |progress: GenerateProgress| {
        let seconds = started.elapsed().as_secs_f64().max(1e-9);
        context.observer.progress(Progress {
            done: progress.finished as u64,
            total: Some(progress.total as u64),
            unit: "examples",
            fields: vec![("tokens_per_s", progress.new_tokens as f64 / seconds)],
        });
        context.flow()
    };
    model.generate(prompts, &options, &mut observe).map_err(failed)
}

fn answer(renderer: &Renderer, generation: &Generation) -> Result<Answer, StageError> {
    let text = renderer.tokenizer().decode(&generation.ids, true).map_err(StageError::failed)?;
    let stop_reason = match generation.stop_reason {
        model::StopReason::StopToken(_) => StopReason::StopToken,
        model::StopReason::MaxNewTokens => StopReason::MaxNewTokens,
        model::StopReason::ContextFull => StopReason::ContextFull,
    };
    Ok(Answer { text, new_tokens: generation.ids.len(), stop_reason })
}

fn print(report: &EvalReport, context: &StageContext<'_>) {
    let total = report.examples.len();
    for (index, example) in report.examples.iter().enumerate() {
        let scores: Vec<String> = example.scores.iter().map(|(metric, score)| format!("{metric}={score}")).collect();
        context.observer.line(&format!(
            "{}/{total} {} {} {:?}: expected {:?}, got {:?}",
            index + 1,
            example.id,
            scores.join(" "),
            example.query,
            example.expected,
            example.output,
        ));
    }
}

fn outcome(report: &EvalReport) -> Outcome {
    let mut outcome = Outcome::default();
    for metric in &report.settings.metrics {
        outcome.metrics.insert(metric.clone(), json!(report.metrics[metric].value));
    }
    outcome.metrics.insert("examples".into(), json!(report.examples.len()));
    let unfinished = report.examples.iter().filter(|example| example.stop_reason != StopReason::StopToken).count();
    outcome.metrics.insert("unfinished".into(), json!(unfinished));
    outcome
}
