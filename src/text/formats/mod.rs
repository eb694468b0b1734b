//! The row formats people have, each read into the one record that training uses.
//!
//! The format is found per row, by its keys: `messages` (OpenAI), `conversations` (ShareGPT), `instruction` with
//! `tools`, `trajectory` or `final_answer` (trajectory), `instruction` (Alpaca), `text` (plain). Every problem of a row
//! is collected. Fields nobody knows are ignored and counted; nothing is repaired.

mod alpaca;
mod calls;
mod dialogue;
mod fields;
mod openai;
mod plain;
mod problem;
mod schema;
mod sharegpt;
mod tools;
mod trajectory;
mod writer;

use super::jsonl::{Text, Value};

use fields::Fields;
pub(crate) use problem::{Path, Problem, Problems};
pub(crate) use tools::LastTools;
pub(crate) use writer::{Passage, RecordWriter, Speaker};

/// How a row is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    /// `{instruction, tools, trajectory, final_answer}`.
    Trajectory,
    /// `{messages, tools?}`.
    OpenAi,
    /// `{conversations, system?, tools?}`.
    ShareGpt,
    /// `{instruction, input?, output}`.
    Alpaca,
    /// `{text}`.
    Plain,
}

impl Format {
    /// The name in statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trajectory => "trajectory",
            Self::OpenAi => "openai",
            Self::ShareGpt => "sharegpt",
            Self::Alpaca => "alpaca",
            Self::Plain => "text",
        }
    }

    /// The format that a row's keys tell.
    pub fn of(row: Value<'_>) -> Option<Self> {
        let mut found = Keys::default();
        for (key, _) in row.entries() {
            found.note(key);
            if found.messages || found.conversations {
                break;
            }
        }
        match found {
            Keys { messages: true, .. } => Some(Self::OpenAi),
            Keys { conversations: true, .. } => Some(Self::ShareGpt),
            Keys { trajectory: true, .. } => Some(Self::Trajectory),
            Keys { output: true, instruction: true, .. } => Some(Self::Alpaca),
            Keys { instruction: true, .. } => Some(Self::Trajectory),
            Keys { text: true, .. } => Some(Self::Plain),
            _ => None,
        }
    }
}

/// Which telling keys a row has.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "a set of keys that are looked for")]
struct Keys {
    messages: bool,
    conversations: bool,
    trajectory: bool,
    instruction: bool,
    output: bool,
    text: bool,
}

impl Keys {
    fn note(&mut self, key: Text<'_>) {
        match &*key.unescape() {
            "messages" => self.messages = true,
            "conversations" => self.conversations = true,
            "trajectory" | "tools" | "final_answer" => self.trajectory = true,
            "instruction" => self.instruction = true,
            "output" => self.output = true,
            "text" => self.text = true,
            _ => {}
        }
    }
}

/// Writes a row as a record, without a line end. What was written is of no use when there were problems.
pub(crate) fn convert(
    row: Value<'_>,
    writer: RecordWriter<'_>,
    problems: &mut Problems,
    last_tools: &mut LastTools,
) -> Option<Format> {
    let Some(format) = Format::of(row) else {
        let keys: Vec<String> = row.entries().take(8).map(|(key, _)| format!("`{}`", key.unescape())).collect();
        let found = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
        let expected = "expected `instruction`, `messages`, `conversations` or `text` among them";
        problems.push(
            row.offset(),
            "data::unknown_format",
            &Path::Root,
            format!("the row's keys are {found}; {expected}"),
        );
        return None;
    };
    let mut fields = Fields { problems, last_tools };
    match format {
        Format::Trajectory => trajectory::convert(row, writer, &mut fields),
        Format::OpenAi => openai::convert(row, writer, &mut fields),
        Format::ShareGpt => sharegpt::convert(row, writer, &mut fields),
        Format::Alpaca => alpaca::convert(row, writer, &mut fields),
        Format::Plain => plain::convert(row, writer, &mut fields),
    }
    Some(format)
}

/// Writes the query and the context of an evaluation row, `{query, context?, …}`, as passages.
pub(crate) fn eval_passages(row: Value<'_>, out: &mut Vec<u8>, passages: &mut Vec<Passage>, problems: &mut Problems) {
    let mut fields = Fields { problems, last_tools: &mut LastTools::default() };
    let query = fields.filled(row, row.get("query"), &Path::Root.field("query"));
    let context = fields.optional_text(row.get("context"), &Path::Root.field("context"));
    for (speaker, text) in [(Speaker::User, query), (Speaker::Source, context)] {
        let start = out.len();
        if let Some(text) = text {
            text.push_canonical(out);
            passages.push(Passage { speaker, start, end: out.len() });
        }
    }
}
