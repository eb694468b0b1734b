//! `tokenizer`: trains a byte-level BPE tokenizer on records.
//!
//! Texts are trained on as they are, conversations as the texts and JSON their messages hold. The same records in any
//! order give the same bytes.

use std::borrow::Cow;
use std::fs;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::row_errors::RowErrors;
use crate::artifact::{Arity, ArtifactKind, InputPort, OutputPort, Projection};
use crate::stage::{ConfigIssue, Numerics, Outcome, Progress, StageContext, StageError, StageKind};
use crate::text::chat_template::{ChatTemplate, SpecialTokens, TemplateError};
use crate::text::corpus::record_texts;
use crate::text::record_lines::{BadRecord, RecordChunks, RecordLine};
use crate::text::train_bpe::{BpeOptions, DigitStyle, TrainBpeError, WordCounts, check_options, train_bpe};

/// The chat template of a new tokenizer unless another is given.
const TEMPLATE: &str = include_str!("../../templates/chatml-tools.jinja");

/// The `tokenizer` stage kind.
pub struct Tokenizer;

/// Settings of `tokenizer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenizerSettings {
    /// The most tokens, special and added ones included.
    pub vocab_size: usize,
    /// How often a pair of tokens must occur to become one.
    pub min_frequency: u64,
    /// Whether each digit is a token of its own, or frequent numbers become tokens.
    pub digits: DigitStyle,
    /// Control tokens, in the order of their ids.
    pub special_tokens: Vec<String>,
    /// Further single tokens that stay part of decoded text, such as `<tool_call>`.
    pub added_tokens: Vec<String>,
    /// The token that ends a text or turn; one of `special_tokens`.
    pub eos_token: String,
    /// The token that fills up batches; one of `special_tokens`.
    pub pad_token: String,
    /// Train on the first so many rows only.
    pub max_rows: Option<usize>,
}

impl Default for TokenizerSettings {
    fn default() -> Self {
        let tokens = |tokens: &[&str]| tokens.iter().map(|token| (*token).to_owned()).collect();
        Self {
            vocab_size: 4096,
            min_frequency: 2,
            digits: DigitStyle::default(),
            special_tokens: tokens(&["<|pad|>", "<|im_start|>", "<|im_end|>"]),
            added_tokens: tokens(&["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]),
            eos_token: "<|im_end|>".to_owned(),
            pad_token: "<|pad|>".to_owned(),
            max_rows: None,
        }
    }
}

impl TokenizerSettings {
    fn options(&self) -> BpeOptions {
        BpeOptions {
            vocab_size: self.vocab_size,
            min_frequency: self.min_frequency,
            digits: self.digits,
            special_tokens: self.special_tokens.clone(),
            added_tokens: self.added_tokens.clone(),
            eos_token: self.eos_token.clone(),
            pad_token: self.pad_token.clone(),
        }
    }
}

impl StageKind for Tokenizer {
    type Config = TokenizerSettings;
    const NAME: &'static str = "tokenizer";
    const ABOUT: &'static str = "Trains a byte-level BPE tokenizer on records.";
    const EPOCH: u32 = 1;
    const INPUTS: &'static [InputPort] = &[
        InputPort {
            name: Cow::Borrowed("records"),
            accepts: &[ArtifactKind::Records],
            arity: Arity::Many,
            projection: Projection::Whole,
            about: "Validated records, from `clean`.",
        },
        InputPort {
            name: Cow::Borrowed("template"),
            accepts: &[ArtifactKind::File],
            arity: Arity::Optional,
            projection: Projection::Whole,
            about: "The chat template that goes with the tokenizer; ChatML with tools unless given.",
        },
    ];
    const OUTPUTS: &'static [OutputPort] = &[OutputPort {
        name: Cow::Borrowed("tokenizer"),
        kind: ArtifactKind::Tokenizer,
        about: "The tokenizer in the format of Hugging Face.",
    }];
    const NUMERICS: Numerics = Numerics::Exact;
    const FOREIGN: &'static [(&'static str, &'static str)] =
        &[("vocabulary_size", "vocab_size"), ("additional_special_tokens", "special_tokens")];

    fn check(config: &TokenizerSettings) -> Vec<ConfigIssue> {
        let mut issues = Vec::new();
        if let Err(error) = check_options(&config.options()) {
            let field = match &error {
                TrainBpeError::VocabTooSmall { .. } | TrainBpeError::Failed(_) => "vocab_size",
                TrainBpeError::BadToken(_) => "special_tokens",
                TrainBpeError::NotSpecial { role, .. } => role,
            };
            issues.push(ConfigIssue::invalid(field, error.to_string()));
        }
        if config.max_rows == Some(0) {
            issues.push(ConfigIssue::invalid("max_rows", "max_rows is `0`; expected at least 1"));
        }
        issues
    }

    fn run(config: &TokenizerSettings, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let template = match context.optional_input("template") {
            Some(input) => fs::read_to_string(&input.path).map_err(|error| StageError::io(&input.path, &error))?,
            None => TEMPLATE.to_owned(),
        };
        ChatTemplate::from_source(&template, &SpecialTokens::default()).map_err(StageError::failed)?;
        let counts = count_words(config, context)?;
        context.check_cancel()?;
        let files = train_bpe(&config.options(), counts, &template).map_err(StageError::failed)?;
        let folder = context.output("tokenizer");
        fs::create_dir_all(&folder).map_err(|error| StageError::io(&folder, &error))?;
        for (name, text) in &files.files {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| StageError::io(&path, &error))?;
        }
        let mut outcome = Outcome::default();
        outcome.metrics.insert("vocab_size".into(), files.vocab_size.into());
        outcome.metrics.insert("merges".into(), files.merges.into());
        Ok(outcome)
    }
}

fn count_words(config: &TokenizerSettings, context: &StageContext<'_>) -> Result<WordCounts, StageError> {
    let mut counts = WordCounts::new(config.digits);
    let mut errors = RowErrors::default();
    let mut left = config.max_rows.unwrap_or(usize::MAX);
    let mut done = 0;
    for input in context.inputs("records") {
        let mut chunks = RecordChunks::open(&input.path).map_err(|error| StageError::io(&input.path, &error))?;
        while left > 0 {
            context.check_cancel()?;
            let mut chunk = chunks.next_chunk().map_err(|error| StageError::io(&input.path, &error))?;
            if chunk.is_empty() {
                break;
            }
            chunk.truncate(left);
            left -= chunk.len();
            done += chunk.len() as u64;
            let (counted, bad) = count_chunk(config.digits, &chunk)?;
            counts = counts.merge(counted);
            for (line, error) in bad {
                errors.push("tokenizer::bad_row", &input.label, line, error);
            }
            context.observer.progress(Progress { done, total: None, unit: "rows", fields: Vec::new() });
        }
    }
    errors.finish()?;
    Ok(counts)
}

type BadLines = Vec<(usize, String)>;

fn count_chunk(digits: DigitStyle, chunk: &[RecordLine]) -> Result<(WordCounts, BadLines), StageError> {
    let count = |part: &[RecordLine]| -> Result<(WordCounts, BadLines), TrainBpeError> {
        let mut counts = WordCounts::new(digits);
        let mut bad = Vec::new();
        for line in part {
            if let Err(error) = count_line(&mut counts, line) {
                match error {
                    LineError::Training(error) => return Err(error),
                    other => bad.push((line.number, other.to_string())),
                }
            }
        }
        Ok((counts, bad))
    };
    let parts: Result<Vec<_>, _> = chunk.par_chunks(128).map(count).collect();
    let mut merged = WordCounts::new(digits);
    let mut all_bad = Vec::new();
    for (counts, bad) in parts.map_err(StageError::failed)? {
        merged = merged.merge(counts);
        all_bad.extend(bad);
    }
    Ok((merged, all_bad))
}

/// Why a line can't be counted.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error(transparent)]
    Record(#[from] BadRecord),
    #[error(transparent)]
    Texts(#[from] TemplateError),
    #[error(transparent)]
    Training(#[from] TrainBpeError),
}

fn count_line(counts: &mut WordCounts, line: &RecordLine) -> Result<(), LineError> {
    let record = line.record()?;
    for text in record_texts(&record)? {
        counts.add(&text)?;
    }
    Ok(())
}
