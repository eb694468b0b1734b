//! How records become token rows: the settings of the `render-prompts` stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::chat_template::TemplateOptions;

/// Whether the assistant's thoughts are in the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Thoughts {
    /// They are, and are trained on.
    #[default]
    Train,
    /// They are left out: a thought that is present and masked would leave the first free-running token untrained.
    Omit,
}

/// What happens to a row with more than `max_seq_len` tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlong {
    /// It is an error.
    #[default]
    Error,
    /// It is left out and counted.
    Drop,
    /// Its observations are shortened until it fits; calls, answers and stop tokens are never cut.
    TruncateObservation,
}

/// How tools are shown to the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolMode {
    /// Natively when nothing is lost that way, else inline.
    #[default]
    Auto,
    /// As the chat template shows them.
    Native,
    /// As text in system, user and assistant messages.
    Inline,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct RenderOptions {
    /// The most tokens of a training row.
    pub max_seq_len: usize,
    /// Whether thoughts are in the text.
    pub thoughts: Thoughts,
    /// What happens to longer rows.
    pub overlong: Overlong,
    /// How tools are shown.
    pub tool_mode: ToolMode,
    /// What else the template sees.
    pub template: TemplateOptions,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            max_seq_len: 512,
            thoughts: Thoughts::default(),
            overlong: Overlong::default(),
            tool_mode: ToolMode::default(),
            template: TemplateOptions::default(),
        }
    }
}
