//! The one shape that every training row takes after `clean`, whatever format it came in.
//!
//! One JSON object a line. A conversation is a system text, tools, and turns; a turn is what the user says, the steps
//! (thought, tool calls and their observations) and the answer. The source format's
//! `{instruction, tools, trajectory, final_answer}` is a conversation of one turn. Key order, nulls and numbers of
//! arguments and schemas are kept as they were.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One training row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// Plain text: every token is a target.
    Text(String),
    /// A chat: the assistant's tokens are targets.
    Conversation(Conversation),
}

/// A chat of one or more turns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// The system text, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The tools the assistant sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
    /// At least one turn; only the last may lack its answer.
    pub turns: Vec<Turn>,
    /// Labels for slices; no part of the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// A tool as the model is told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSpec {
    /// The name a call uses.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of the arguments: always an object schema.
    pub parameters: Value,
}

/// What the user says, and all that the assistant does about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// The user's message.
    pub user: String,
    /// The steps before the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// The final answer; absent where the model is to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// One assistant message that calls tools, with what came back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The thought before the calls; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub thought: String,
    /// One call, or several at once.
    pub calls: Vec<Call>,
}

/// A tool call and its observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool's name.
    pub name: String,
    /// The arguments, an object.
    pub arguments: Value,
    /// What the tool said; absent where it has not been called yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<String>,
}
