//! A conversation as the list of messages that chat templates take, in OpenAI's shape.
//!
//! `user` → per step `assistant{content: thought, tool_calls}` and one `tool` message a call → `assistant(answer)`.
//! Ids of calls have nine characters, since some templates demand that, and count up through the conversation. Key
//! order, nulls and numbers of arguments are those of the record.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::record::{Conversation, Step, ToolSpec};

/// One message, an object with at least `role`.
#[derive(Debug, Clone, PartialEq)]
pub struct Message(Map<String, Value>);

impl Message {
    /// A message of a role with a text.
    #[must_use]
    pub fn new(role: &str, content: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("role".into(), role.into());
        fields.insert("content".into(), content.into());
        Self(fields)
    }

    /// A message from any JSON object; `None` for other values.
    #[must_use]
    pub fn from_json(value: Value) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self(fields)),
            _ => None,
        }
    }

    /// The role, empty when there is none.
    #[must_use]
    pub fn role(&self) -> &str {
        self.0.get("role").and_then(Value::as_str).unwrap_or_default()
    }

    /// The text, empty when there is none.
    #[must_use]
    pub fn content(&self) -> &str {
        self.0.get("content").and_then(Value::as_str).unwrap_or_default()
    }

    /// All fields, in order.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.0.insert(key.into(), value);
        self
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The messages of a conversation. It ends with an assistant's message unless its last turn is open.
#[must_use]
pub fn messages(conversation: &Conversation) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut calls = 0;
    messages.extend(conversation.system.iter().map(|system| Message::new("system", system)));
    for turn in &conversation.turns {
        messages.push(Message::new("user", &turn.user));
        turn.steps.iter().for_each(|step| push_step(&mut messages, step, &mut calls));
        messages.extend(turn.answer.iter().map(|answer| Message::new("assistant", answer)));
    }
    messages
}

fn push_step(messages: &mut Vec<Message>, step: &Step, calls: &mut usize) {
    let mut tool_calls = Vec::new();
    let mut observations = Vec::new();
    for call in &step.calls {
        *calls += 1;
        let id = format!("call{calls:05}");
        if let Some(observation) = &call.observation {
            let message = Message::new("tool", observation);
            observations.push(message.with("tool_call_id", id.as_str().into()).with("name", call.name.as_str().into()));
        }
        let function = json!({"name": call.name, "arguments": call.arguments});
        tool_calls.push(json!({"id": id, "type": "function", "function": function}));
    }
    let mut message = Message::new("assistant", &step.thought);
    if !tool_calls.is_empty() {
        message = message.with("tool_calls", Value::Array(tool_calls));
    }
    messages.push(message);
    messages.extend(observations);
}

/// A tool in OpenAI's shape.
#[must_use]
pub fn tool_schema(tool: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::record::Record;

    fn conversation(json: &str) -> Conversation {
        match serde_json::from_str(json).expect("a record") {
            Record::Conversation(conversation) => conversation,
            Record::Text(_) => panic!("a conversation"),
        }
    }

    #[test]
    fn calls_are_numbered_through_the_conversation_with_nine_characters() {
        let conversation = conversation(
            r#"{"conversation":{"system":"S","turns":[
                {"user":"a","steps":[{"thought":"t","calls":[
                    {"name":"f","arguments":{"b":1.0,"a":null},"observation":"o"},{"name":"g","arguments":{}}]}],"answer":"x"},
                {"user":"b","steps":[{"calls":[{"name":"f","arguments":{},"observation":""}]}]}]}}"#,
        );
        let json = serde_json::to_string(&messages(&conversation)).expect("json");
        assert_eq!(
            json,
            concat!(
                r#"[{"role":"system","content":"S"},{"role":"user","content":"a"},"#,
                r#"{"role":"assistant","content":"t","tool_calls":["#,
                r#"{"id":"call00001","type":"function","function":{"name":"f","arguments":{"b":1.0,"a":null}}},"#,
                r#"{"id":"call00002","type":"function","function":{"name":"g","arguments":{}}}]},"#,
                r#"{"role":"tool","content":"o","tool_call_id":"call00001","name":"f"},"#,
                r#"{"role":"assistant","content":"x"},{"role":"user","content":"b"},"#,
                r#"{"role":"assistant","content":"","tool_calls":["#,
                r#"{"id":"call00003","type":"function","function":{"name":"f","arguments":{}}}]},"#,
                r#"{"role":"tool","content":"","tool_call_id":"call00003","name":"f"}]"#,
            )
        );
    }
}
