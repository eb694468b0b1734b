//! The texts a record holds, for training a tokenizer on them.

use std::borrow::Cow;

use serde_json::json;

use super::chat_template::{TemplateError, json_text};
use super::messages::tool_schema;
use super::record::Record;

/// Every text of a record: plain text, or a conversation's texts, calls and tools in the JSON a model sees.
///
/// # Errors
/// [`TemplateError::Render`] when arguments or a schema nest too deep.
pub fn record_texts(record: &Record) -> Result<Vec<Cow<'_, str>>, TemplateError> {
    let conversation = match record {
        Record::Text(text) => return Ok(vec![Cow::Borrowed(text)]),
        Record::Conversation(conversation) => conversation,
    };
    let mut texts: Vec<Cow<'_, str>> = Vec::new();
    texts.extend(conversation.system.as_deref().map(Cow::Borrowed));
    for tool in &conversation.tools {
        texts.push(json_text(&tool_schema(tool))?.into());
    }
    for turn in &conversation.turns {
        texts.push(Cow::Borrowed(&turn.user));
        for step in &turn.steps {
            texts.push(Cow::Borrowed(&step.thought));
            for call in &step.calls {
                texts.push(json_text(&json!({"name": call.name, "arguments": call.arguments}))?.into());
                texts.extend(call.observation.as_deref().map(Cow::Borrowed));
            }
        }
        texts.extend(turn.answer.as_deref().map(Cow::Borrowed));
    }
    Ok(texts)
}
