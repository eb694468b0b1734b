//! `{messages, tools?}` as OpenAI's chat completions and fine-tuning files have it, also with the older `functions`,
//! `function_call` and role `function`. Source: OpenAI API reference, «Create chat completion».

use std::borrow::Cow;

use crate::text::jsonl::{Kind, Text, Value};

use super::calls::{CallDraft, read_call};
use super::dialogue::{Message, Role, leading_system, write_turns};
use super::fields::Fields;
use super::problem::Path;
use super::tools::write_tools;
use super::writer::{Content, RecordWriter};

pub(super) fn convert(row: Value<'_>, mut writer: RecordWriter<'_>, fields: &mut Fields<'_>) {
    let names = ["messages", "tools", "functions", "tags", "accept"];
    let [messages, tools, functions, tags, accept] = fields.pick(row, &names);
    let path = Path::Root.field("messages");
    let Some(list) = fields.kind(row, messages, &path, Kind::Array) else { return };
    let messages: Vec<Message<'_>> =
        list.items().enumerate().filter_map(|(index, item)| read_message(item, &path.item(index), fields)).collect();
    writer.begin();
    let (system, count) = leading_system(&messages);
    if let Some(system) = system {
        writer.system(&Content::Owned(system.into()));
    }
    let (key, tools) = if tools.is_some() { ("tools", tools) } else { ("functions", functions) };
    let tools = tools.filter(|tools| !tools.is_null());
    let tools = tools.and_then(|tools| fields.kind(row, Some(tools), &Path::Root.field(key), Kind::Array));
    let tools = tools.map(|tools| write_tools(tools, &Path::Root.field(key), &mut writer, fields)).unwrap_or_default();
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
    let names = ["role", "content", "tool_calls", "tool_call_id", "name", "function_call", "weight"];
    let [role, content, tool_calls, call_id, name, function_call, weight] = fields.pick(message, &names);
    let role = read_role(message, role, &path.field("role"), fields)?;
    if weight.is_some_and(|weight| weight.slice() == "0") {
        let text = "weight is `0`; expected `1`, since all answers of a row are learned";
        fields.problems.push(message.offset(), "data::unsupported", &path.field("weight"), text);
    }
    let calls = if role == Role::Assistant { read_calls(tool_calls, function_call, path, fields) } else { Vec::new() };
    let content_path = path.field("content");
    let content = match content.filter(|content| !content.is_null()) {
        Some(content) => read_content(content, &content_path, fields)?,
        None if role == Role::Assistant && (tool_calls.is_some() || function_call.is_some()) => {
            Content::Owned(Cow::Borrowed(""))
        }
        None => Content::Text(fields.text(message, content, &content_path)?),
    };
    if role == Role::User && content.is_blank() {
        let text = "text is empty; expected at least one letter";
        fields.problems.push(message.offset(), "data::empty_field", &content_path, text);
    }
    let call_id = fields.optional_text(call_id, &path.field("tool_call_id")).map(Text::unescape);
    let tool = fields.optional_text(name, &path.field("name")).map(Text::unescape);
    let tool = tool.filter(|_| role == Role::Tool);
    Some(Message { role, content, calls, call_id, tool, offset: message.offset() })
}

fn read_role(message: Value<'_>, role: Option<Value<'_>>, path: &Path<'_>, fields: &mut Fields<'_>) -> Option<Role> {
    let text = fields.filled(message, role, path)?.unescape();
    match &*text {
        "system" | "developer" => Some(Role::System),
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        "tool" | "function" => Some(Role::Tool),
        _ => {
            let expected = "expected `system`, `developer`, `user`, `assistant` or `tool`";
            let offset = role.unwrap_or(message).offset();
            fields.problems.push(offset, "data::unknown_role", path, format!("role is `{text}`; {expected}"));
            None
        }
    }
}

/// The text of a message: a string, or parts of which all are text.
fn read_content<'a>(content: Value<'a>, path: &Path<'_>, fields: &mut Fields<'_>) -> Option<Content<'a>> {
    if let Some(text) = content.text() {
        return Some(Content::Text(text));
    }
    if content.kind() != Kind::Array {
        fields.wrong_type(content, path, "a string or a list of text parts");
        return None;
    }
    let mut joined = String::new();
    for (index, part) in content.items().enumerate() {
        let path = path.item(index);
        let Some(part) = fields.kind(part, Some(part), &path, Kind::Object) else { continue };
        let [kind, text] = fields.pick(part, &["type", "text"]);
        let kind = fields.filled(part, kind, &path.field("type"))?.unescape();
        if kind != "text" {
            let message = format!("part is `{kind}`; expected `text`, the only kind that can be learned");
            fields.problems.push(part.offset(), "data::unsupported", &path.field("type"), message);
            continue;
        }
        joined.push_str(&fields.text(part, text, &path.field("text"))?.unescape());
    }
    Some(Content::Owned(joined.into()))
}

fn read_calls<'a>(
    calls: Option<Value<'a>>,
    function_call: Option<Value<'a>>,
    path: &Path<'_>,
    fields: &mut Fields<'_>,
) -> Vec<CallDraft<'a>> {
    if let Some(call) = function_call.filter(|call| !call.is_null()) {
        return read_call(call, &path.field("function_call"), fields).into_iter().collect();
    }
    let path = path.field("tool_calls");
    let Some(calls) = calls.filter(|calls| !calls.is_null()) else { return Vec::new() };
    let Some(calls) = fields.kind(calls, Some(calls), &path, Kind::Array) else { return Vec::new() };
    calls.items().enumerate().filter_map(|(index, call)| read_tool_call(call, &path.item(index), fields)).collect()
}

fn read_tool_call<'a>(call: Value<'a>, path: &Path<'_>, fields: &mut Fields<'_>) -> Option<CallDraft<'a>> {
    let call = fields.kind(call, Some(call), path, Kind::Object)?;
    let Some(function) = call.get("function") else {
        // Some tools write the call without its envelope.
        return read_call(call, path, fields);
    };
    let [id, _, _, _] = fields.pick(call, &["id", "type", "function", "index"]);
    let id = fields.optional_text(id, &path.field("id")).map(Text::unescape);
    let draft = read_call(function, &path.field("function"), fields)?;
    Some(CallDraft { id, offset: call.offset(), ..draft })
}
