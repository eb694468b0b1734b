//! The inline tool mode: conversations with tools, written with nothing but system, user and assistant messages.
//!
//! For templates that know no tools. The tools are listed in the system text; a call is
//! `<tool_call>\n{"name": …, "arguments": …}\n</tool_call>` in the assistant's text, which
//! [`super::tool_calls`] reads back; an observation is a user turn `<tool_response>\n…\n</tool_response>`. Calls made at
//! once share an assistant's turn, and their observations a user's, so that roles alternate.

use serde_json::json;

use super::chat_template::{TemplateError, json_text};
use super::messages::{Message, tool_schema};
use super::record::{Call, Conversation, ToolSpec};

/// Opens a call.
pub const CALL_OPEN: &str = "<tool_call>";
/// Closes a call.
pub const CALL_CLOSE: &str = "</tool_call>";
/// Opens an observation.
pub const RESPONSE_OPEN: &str = "<tool_response>";
/// Closes an observation.
pub const RESPONSE_CLOSE: &str = "</tool_response>";

/// The messages of a conversation in inline mode.
///
/// # Errors
/// [`TemplateError::Render`] when arguments or a schema nest too deep.
pub fn inline_messages(conversation: &Conversation) -> Result<Vec<Message>, TemplateError> {
    let mut messages = Vec::new();
    let system = conversation.system.as_deref().unwrap_or_default();
    let tools = tool_list(&conversation.tools)?;
    match (system.is_empty(), tools.is_empty()) {
        (true, true) => {}
        (false, false) => messages.push(Message::new("system", &format!("{system}\n\n{tools}"))),
        _ => messages.push(Message::new("system", &format!("{system}{tools}"))),
    }
    for turn in &conversation.turns {
        messages.push(Message::new("user", &turn.user));
        for step in &turn.steps {
            let calls = step.calls.iter().map(call_text).collect::<Result<Vec<_>, _>>()?.join("\n");
            let gap = if step.thought.is_empty() || calls.is_empty() { "" } else { "\n" };
            messages.push(Message::new("assistant", &format!("{}{gap}{calls}", step.thought)));
            let observed = step.calls.iter().filter_map(|call| call.observation.as_deref());
            let responses: Vec<String> =
                observed.map(|text| format!("{RESPONSE_OPEN}\n{text}\n{RESPONSE_CLOSE}")).collect();
            if !responses.is_empty() {
                messages.push(Message::new("user", &responses.join("\n")));
            }
        }
        messages.extend(turn.answer.iter().map(|answer| Message::new("assistant", answer)));
    }
    Ok(messages)
}

fn tool_list(tools: &[ToolSpec]) -> Result<String, TemplateError> {
    if tools.is_empty() {
        return Ok(String::new());
    }
    let mut text = String::from("You may call these tools:\n<tools>\n");
    for tool in tools {
        text.push_str(&json_text(&tool_schema(tool))?);
        text.push('\n');
    }
    text.push_str("</tools>\nA call is written as\n");
    text.push_str(CALL_OPEN);
    text.push_str("\n{\"name\": \"the tool's name\", \"arguments\": {}}\n");
    text.push_str(CALL_CLOSE);
    Ok(text)
}

/// A call as inline mode writes it.
///
/// # Errors
/// [`TemplateError::Render`] when the arguments nest too deep.
pub fn call_text(call: &Call) -> Result<String, TemplateError> {
    let json = json_text(&json!({"name": call.name, "arguments": call.arguments}))?;
    Ok(format!("{CALL_OPEN}\n{json}\n{CALL_CLOSE}"))
}

/// Puts a leading system message in front of the first user's text, for templates that know no system role.
#[must_use]
pub fn merge_system(messages: Vec<Message>) -> Vec<Message> {
    let mut rest = messages.into_iter().peekable();
    let Some(system) = rest.next_if(|first| first.role() == "system") else { return rest.collect() };
    let mut merged = Vec::with_capacity(rest.len());
    match rest.next_if(|next| next.role() == "user") {
        Some(user) => merged.push(Message::new("user", &format!("{}\n\n{}", system.content(), user.content()))),
        None => merged.push(Message::new("user", system.content())),
    }
    merged.extend(rest);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::record::{Step, Turn};
    use crate::text::tool_calls::{Parsed, parse};

    fn call(name: &str, observation: Option<&str>) -> Call {
        Call { name: name.into(), arguments: json!({"b": 1.0, "a": null}), observation: observation.map(Into::into) }
    }

    fn conversation() -> Conversation {
        let step = Step { thought: "t".into(), calls: vec![call("f", Some("1")), call("g", Some("2"))] };
        let turn = Turn { user: "u".into(), steps: vec![step], answer: Some("done".into()) };
        let tool = ToolSpec { name: "f".into(), description: "d".into(), parameters: json!({"type": "object"}) };
        Conversation { system: Some("S".into()), tools: vec![tool], turns: vec![turn], tags: vec![] }
    }

    #[test]
    fn roles_alternate_and_every_field_is_in_the_texts() {
        let messages = inline_messages(&conversation()).expect("messages");
        let roles: Vec<&str> = messages.iter().map(Message::role).collect();
        assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
        let tool =
            r#"{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}"#;
        assert!(messages[0].content().starts_with("S\n\nYou may call"), "{}", messages[0].content());
        assert!(messages[0].content().contains(tool));
        let arguments = r#""arguments": {"b": 1.0, "a": null}}"#;
        let expected = format!(
            "t\n<tool_call>\n{{\"name\": \"f\", {arguments}\n</tool_call>\n<tool_call>\n{{\"name\": \"g\", {arguments}\n</tool_call>"
        );
        assert_eq!(messages[2].content(), expected);
        assert_eq!(messages[3].content(), "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let messages = inline_messages(&conversation()).expect("messages");
        let Parsed::Calls { thought, calls } = parse(messages[2].content()).expect("well-formed") else {
            panic!("calls")
        };
        assert_eq!(thought, "t");
        assert_eq!(calls, [call("f", None), call("g", None)]);
    }

    #[test]
    fn a_system_text_moves_into_the_first_user_turn() {
        let merged = merge_system(inline_messages(&conversation()).expect("messages"));
        assert_eq!(merged.len(), 4);
        assert!(merged[0].content().starts_with("S\n\n") && merged[0].content().ends_with("\n\nu"));
        assert_eq!(merged[0].role(), "user");
    }
}
