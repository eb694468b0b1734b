//! `render-prompts`: records become token ids and loss masks, in the words of the model that will read them.
//!
//! Reads a model's tokenizer, template and config, never its weights: swapping weights does not render again. Rows keep
//! their order. A row that can't be rendered is an error with its line number; all such rows are named in one go.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{BufWriter, Write};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::prompt_statistics::PromptStatistics;
use super::renderer_of::{self, read_template};
use super::row_errors::RowErrors;
use super::tokenizer_of::tokenizer_of;
use crate::artifact::{Arity, ArtifactKind, InputPort, OutputPort, Projection};
use crate::stage::{
    ConfigIssue, LocalInputs, Numerics, Outcome, Preflight, Progress, StageContext, StageError, StageKind,
};
use crate::text::chat_template::{Clock, TemplateOptions};
use crate::text::prompts::{Overlong, RenderError, RenderOptions, Rendered, Renderer, Thoughts, ToolMode};
use crate::text::record_lines::{BadRecord, RecordChunks, RecordLine};

/// Variables of a template that conversations set.
const RESERVED: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// The `render-prompts` stage kind.
pub struct RenderPrompts;

/// What happens to a row without a token to train on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnEmpty {
    /// It is an error.
    #[default]
    Error,
    /// It is left out and counted.
    Drop,
}

/// Settings of `render-prompts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RenderSettings {
    /// The most tokens of a row.
    pub max_seq_len: usize,
    /// Whether the assistant's thoughts are in the text and trained on, or left out.
    pub thoughts: Thoughts,
    /// What happens to a row with more tokens than `max_seq_len`.
    pub overlong: Overlong,
    /// How tools are shown: by the chat template, as plain text, or whichever loses nothing.
    pub tool_mode: ToolMode,
    /// What happens to a row without a token to train on.
    pub on_empty: OnEmpty,
    /// The date and time for templates that print it, `YYYY-MM-DD` or `YYYY-MM-DDThh:mm:ss`.
    pub now: String,
    /// Further variables of the chat template, such as `enable_thinking: false`.
    pub template_arguments: Map<String, Value>,
}

impl Default for RenderSettings {
    fn default() -> Self {
        let options = RenderOptions::default();
        Self {
            max_seq_len: options.max_seq_len,
            thoughts: options.thoughts,
            overlong: options.overlong,
            tool_mode: options.tool_mode,
            on_empty: OnEmpty::default(),
            now: options.template.clock.iso(),
            template_arguments: Map::new(),
        }
    }
}

impl RenderSettings {
    fn options(&self) -> RenderOptions {
        let clock = self.now.parse::<Clock>().unwrap_or_default();
        RenderOptions {
            max_seq_len: self.max_seq_len,
            thoughts: self.thoughts,
            overlong: self.overlong,
            tool_mode: self.tool_mode,
            template: TemplateOptions { clock, arguments: self.template_arguments.clone() },
        }
    }
}

impl StageKind for RenderPrompts {
    type Config = RenderSettings;
    const NAME: &'static str = "render-prompts";
    const ABOUT: &'static str = "Renders records with a model's chat template into token ids and loss masks.";
    const EPOCH: u32 = 2;
    const INPUTS: &'static [InputPort] = &[
        InputPort {
            name: Cow::Borrowed("records"),
            accepts: &[ArtifactKind::Records],
            arity: Arity::Many,
            projection: Projection::Whole,
            about: "Validated records, from `clean`.",
        },
        InputPort {
            name: Cow::Borrowed("model"),
            accepts: &[ArtifactKind::Model, ArtifactKind::Tokenizer],
            arity: Arity::One,
            projection: Projection::Files(&[
                "tokenizer.json",
                "tokenizer_config.json",
                "special_tokens_map.json",
                "chat_template.jinja",
                "config.json",
                "generation_config.json",
                "*.gguf",
            ]),
            about: "The model whose tokenizer and chat template are used.",
        },
        InputPort {
            name: Cow::Borrowed("template"),
            accepts: &[ArtifactKind::File],
            arity: Arity::Optional,
            projection: Projection::Whole,
            about: "A chat template in place of the model's own.",
        },
    ];
    const OUTPUTS: &'static [OutputPort] = &[
        OutputPort {
            name: Cow::Borrowed("prompts"),
            kind: ArtifactKind::Prompts,
            about: "Token ids and targets, one row a line.",
        },
        OutputPort {
            name: Cow::Borrowed("statistics"),
            kind: ArtifactKind::Statistics,
            about: "Counts, lengths, the share of trained tokens, how tools are shown.",
        },
    ];
    const NUMERICS: Numerics = Numerics::Exact;
    const FOREIGN: &'static [(&'static str, &'static str)] = &[
        ("cutoff_len", "max_seq_len"),
        ("max_length", "max_seq_len"),
        ("max_seq_length", "max_seq_len"),
        ("sequence_len", "max_seq_len"),
        ("chat_template", "the input `template`"),
        ("chat_template_kwargs", "template_arguments"),
        ("enable_thinking", "template_arguments"),
    ];

    fn check(config: &RenderSettings) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        if config.max_seq_len < 2 {
            let message = format!("max_seq_len is `{}`; expected at least 2", config.max_seq_len);
            issues.push(ConfigIssue::invalid("max_seq_len", message));
        }
        if let Err(error) = config.now.parse::<Clock>() {
            issues.push(ConfigIssue::invalid("now", error.to_string()));
        }
        for name in RESERVED.iter().filter(|name| config.template_arguments.contains_key(**name)) {
            let message = format!("template_arguments has `{name}`, which the conversation sets");
            issues.push(ConfigIssue::invalid("template_arguments", message));
        }
        issues
    }

    fn preflight(config: &RenderSettings, inputs: &LocalInputs<'_>) -> Preflight {
        renderer_of::preflight(inputs, config.options())
    }

    fn run(config: &RenderSettings, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let template = context.optional_input("template").map(|input| read_template(&input.path)).transpose()?;
        let renderer =
            Renderer::load(&tokenizer_of(&context.input("model").path)?, template.as_deref(), config.options())
                .map_err(StageError::failed)?;
        let path = context.output("prompts");
        let mut output = BufWriter::new(File::create(&path).map_err(|error| StageError::io(&path, &error))?);
        let mut run =
            Run { config, renderer: &renderer, statistics: PromptStatistics::default(), errors: RowErrors::default() };
        for input in context.inputs("records") {
            let mut chunks = RecordChunks::open(&input.path).map_err(|error| StageError::io(&input.path, &error))?;
            loop {
                context.check_cancel()?;
                let chunk = chunks.next_chunk().map_err(|error| StageError::io(&input.path, &error))?;
                if chunk.is_empty() {
                    break;
                }
                let lines = run.chunk(&input.label, &chunk);
                output.write_all(lines.as_bytes()).map_err(|error| StageError::io(&path, &error))?;
                let done = run.statistics.seen();
                context.observer.progress(Progress { done, total: None, unit: "rows", fields: Vec::new() });
            }
        }
        output.flush().map_err(|error| StageError::io(&path, &error))?;
        run.errors.finish()?;
        if run.statistics.rows() == 0 {
            return Err(StageError::failed("no row is left to train on"));
        }
        let statistics = run.statistics.report(&renderer);
        let path = context.output("statistics");
        fs::write(&path, format!("{statistics:#}\n")).map_err(|error| StageError::io(&path, &error))?;
        Ok(Outcome { verdict: None, metrics: run.statistics.metrics() })
    }
}

/// What a run of the stage gathers.
struct Run<'a> {
    config: &'a RenderSettings,
    renderer: &'a Renderer,
    statistics: PromptStatistics,
    errors: RowErrors,
}

/// Why a line gives no row.
#[derive(Debug, thiserror::Error)]
enum RowError {
    #[error(transparent)]
    Record(#[from] BadRecord),
    #[error(transparent)]
    Render(#[from] RenderError),
}

impl Run<'_> {
    /// Renders lines in parallel and takes the results in order.
    fn chunk(&mut self, label: &str, lines: &[RecordLine]) -> String {
        let model = self.renderer;
        let render = |line: &RecordLine| -> Result<(Rendered, String), RowError> {
            let rendered = model.rendered(&line.record()?)?;
            let text = rendered.row.to_line();
            Ok((rendered, text))
        };
        let results: Vec<_> = lines.par_iter().map(render).collect();
        let mut output = String::new();
        for (line, result) in lines.iter().zip(results) {
            match result {
                Ok((rendered, _)) if rendered.row.targets() == 0 => match self.config.on_empty {
                    OnEmpty::Drop => self.statistics.empty += 1,
                    OnEmpty::Error => {
                        let error = "the row has no token to train on; set `on_empty: drop` to leave such rows out";
                        self.errors.push("render::empty_row", label, line.number, error);
                    }
                },
                Ok((rendered, text)) => {
                    self.statistics.push(&rendered);
                    output.push_str(&text);
                }
                Err(RowError::Render(RenderError::TooLong { .. })) if self.config.overlong == Overlong::Drop => {
                    self.statistics.overlong += 1;
                }
                Err(error) => self.errors.push("render::bad_row", label, line.number, error),
            }
        }
        output
    }
}
