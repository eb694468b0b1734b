//! Text: JSONL and records, messages and chat templates, tokens and loss masks, tool calls, metrics and statistics.
//!
//! Knows no weights and no store. What is here works on strings, token ids and numbers.

pub mod baselines;
pub mod chat_template;
pub(crate) mod clean;
pub mod corpus;
pub(crate) mod dedupe;
pub mod eval_report;
pub mod eval_rows;
pub mod folder_spec;
pub(crate) mod formats;
pub mod guard;
pub mod inline_tools;
pub(crate) mod jsonl;
pub mod loss_mask;
pub mod messages;
pub mod metrics;
pub(crate) mod overlap;
pub mod prompts;
pub mod record;
pub mod record_lines;
pub mod row_changes;
pub(crate) mod spec_files;
pub mod statistics;
pub mod tokenize;
pub mod tokenizer_folder;
pub mod tool_calls;
pub mod train_bpe;
pub(crate) mod words;
