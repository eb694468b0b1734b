//! `{conversations: [{from, value}], system?, tools?}` as ShareGPT dumps and LLaMA-Factory's sets have it.
//!
//! `function_call` holds JSON text of one call or a list of calls, `observation` what came back, `tools` JSON text or a
//! list. Source: LLaMA-Factory, `data/README.md`, «Sharegpt format».

use std::borrow::Cow;

use crate::text::jsonl::{Kind, Tape, Value};

use super::calls::{parse_inside, read_calls_text, relocate};
use super::dialogue::{Message, Role, leading_system, write_turns};
use super::fields::Fields;
use super::problem::Path;
use super::tools::{ToolNames, write_tools};
use super::writer::{Content, RecordWriter};

pub(super) fn convert(row: Value<'_>, mut writer: RecordWriter<'_>, fields: &mut Fields<'_>) {
    let names = ["conversations", "system", "tools", "tags", "accept"];
    let [messages, system, tools, tags, accept] = fields.pick(row, &names);
    let path = Path::Root.field("conversations");
    let Some(list) = fields.kind(row, messages, &path, Kind::Array) else { return };
    let messages: Vec<Message<'_>> =
        list.items().enumerate().filter_map(|(index, item)| read_message(item, &path.item(index), fields)).collect();
    writer.begin();
    let (inner, count) = leading_system(&messages);
    let outer = fields.optional_text(system, &Path::Root.field("system")).filter(|system| !system.is_blank());
    let system: Vec<String> = outer.map(|outer| outer.unescape().into_owned()).into_iter().chain(inner).collect();
    if !system.is_empty() {
        writer.system(&Content::Owned(system.join("\n\n").into()));
    }
    let tools = read_tools(tools.filter(|tools| !tools.is_null()), &mut writer, fields);
    // Messages that could not be read are missing here, so their neighbours may seem out of order.
    if fields.problems.list.is_empty() {
        write_turns(&messages, count, &path, &tools, &mut writer, fields);
    }
    let tags = fields.texts(tags, &Path::Root.field("tags"));
    fields.texts(accept, &Path::Root.field("accept"));
    writer.finish(tags);
}

fn read_message<'a>(message: Value<'a>, path: &Path<'_>, fields: &mut Fields<'_>) -> Option<Message<'a>> {
    let message = fields.kind(message, Some(message), path, Kind::Object)?;
    let [from, value, role, content] = fields.pick(message, &["from", "value", "role", "content"]);
    let (from_key, from) = if from.is_some() || role.is_none() { ("from", from) } else { ("role", role) };
    let (value_key, value) = if value.is_some() || content.is_none() { ("value", value) } else { ("content", content) };
    let from_path = path.field(from_key);
    let name = fields.filled(message, from, &from_path)?.unescape();
    let (role, is_call) = match &*name {
        "system" => (Role::System, false),
        "human" | "user" => (Role::User, false),
        "gpt" | "assistant" | "model" | "chatgpt" | "bard" | "bing" => (Role::Assistant, false),
        "function_call" | "tool_call" => (Role::Assistant, true),
        "observation" | "tool" | "tool_response" | "function_response" => (Role::Tool, false),
        _ => {
            let expected = "expected `system`, `human`, `gpt`, `function_call` or `observation`";
            let offset = from.unwrap_or(message).offset();
            fields.problems.push(offset, "data::unknown_role", &from_path, format!("role is `{name}`; {expected}"));
            return None;
        }
    };
    let value_path = path.field(value_key);
    let offset = message.offset();
    let mut said = Message {
        role,
        content: Content::Owned(Cow::Borrowed("")),
        calls: Vec::new(),
        call_id: None,
        tool: None,
        offset,
    };
    if is_call {
        let text = fields.filled(message, value, &value_path)?;
        said.calls = read_calls_text(text, value.unwrap_or(message).offset(), &value_path, fields);
        if said.calls.is_empty() && fields.problems.list.is_empty() {
            let text = "the text holds no call; expected at least one";
            fields.problems.push(offset, "data::bad_arguments", &value_path, text);
        }
    } else {
        // A tool may say nothing; people and assistants may not.
        let text = if matches!(role, Role::Tool | Role::System) {
            fields.text(message, value, &value_path)
        } else {
            fields.filled(message, value, &value_path)
        };
        said.content = Content::Text(text?);
    }
    Some(said)
}

/// Reads and writes the tools: a list, or JSON text of one.
fn read_tools(tools: Option<Value<'_>>, writer: &mut RecordWriter<'_>, fields: &mut Fields<'_>) -> ToolNames {
    let path = Path::Root.field("tools");
    let Some(tools) = tools else { return ToolNames::default() };
    let Some(text) = tools.text() else {
        let list = fields.kind(tools, Some(tools), &path, Kind::Array);
        return list.map(|list| write_tools(list, &path, writer, fields)).unwrap_or_default();
    };
    if text.is_blank() {
        return ToolNames::default();
    }
    let (text, mut tape, offset) = (text.unescape(), Tape::default(), tools.offset());
    let Some(value) = parse_inside(&text, offset, &path, &mut tape, fields) else { return ToolNames::default() };
    let known = fields.problems.list.len();
    let list = fields.kind(value, Some(value), &path, Kind::Array);
    let names = list.map(|list| write_tools(list, &path, writer, fields)).unwrap_or_default();
    relocate(known, offset, fields);
    names
}
