//! Tool lists: `{name, desc, args_schema}` as in the source, or `{type: function, function: {name, description, parameters}}`.

use std::sync::Arc;

use crate::diagnostic::nearest;
use crate::text::jsonl::{Kind, Value};

use super::fields::Fields;
use super::problem::Path;
use super::schema::write_parameters;
use super::writer::RecordWriter;

/// The names a row's calls may use.
#[derive(Debug, Default, Clone)]
pub(super) struct ToolNames(Arc<Vec<String>>);

impl ToolNames {
    /// Notes a call of a tool that the row does not list.
    pub fn check(&self, name: &str, offset: usize, path: &Path<'_>, fields: &mut Fields<'_>) {
        if self.0.iter().any(|known| known == name) {
            return;
        }
        let list: Vec<String> = self.0.iter().take(8).map(|name| format!("`{name}`")).collect();
        let more = if self.0.len() > list.len() { ", …" } else { "" };
        let expected = match &*list {
            [] => "but the row lists no tools".to_owned(),
            _ => format!("expected one of the row's tools: {}{more}", list.join(", ")),
        };
        let hint = nearest(name, self.0.iter().map(|name| &**name));
        let hint = hint.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        fields.problems.push(offset, "data::unknown_tool", path, format!("tool is `{name}`; {expected}{hint}"));
    }
}

/// The tools of the row before: rows of a file often have the same, which need no second look.
#[derive(Debug, Default)]
pub(crate) struct LastTools {
    /// The list as it stands in the row; empty when there is none to compare with.
    raw: String,
    names: ToolNames,
    written: Vec<u8>,
    ignored_fields: u64,
    open_schemas: u64,
}

/// Checks and writes a list of tools.
pub(super) fn write_tools(
    list: Value<'_>,
    path: &Path<'_>,
    writer: &mut RecordWriter<'_>,
    fields: &mut Fields<'_>,
) -> ToolNames {
    if fields.last_tools.raw == list.slice() {
        fields.problems.ignored_fields += fields.last_tools.ignored_fields;
        fields.problems.open_schemas += fields.last_tools.open_schemas;
        writer.same_tools(&fields.last_tools.written);
        return fields.last_tools.names.clone();
    }
    let before = (fields.problems.list.len(), fields.problems.ignored_fields, fields.problems.open_schemas);
    let (mut names, start) = (Vec::new(), writer.written());
    for (index, tool) in list.items().enumerate() {
        write_tool(tool, &path.item(index), &mut names, writer, fields);
    }
    writer.end_tools();
    let names = ToolNames(Arc::new(names));
    if fields.problems.list.len() == before.0 {
        let memory = &mut *fields.last_tools;
        list.slice().clone_into(&mut memory.raw);
        names.clone_into(&mut memory.names);
        writer.since(start).clone_into(&mut memory.written);
        memory.ignored_fields = fields.problems.ignored_fields - before.1;
        memory.open_schemas = fields.problems.open_schemas - before.2;
    }
    names
}

fn write_tool(
    tool: Value<'_>,
    path: &Path<'_>,
    names: &mut Vec<String>,
    writer: &mut RecordWriter<'_>,
    fields: &mut Fields<'_>,
) {
    let Some(tool) = fields.kind(tool, Some(tool), path, Kind::Object) else { return };
    if let Some(function) = tool.get("function") {
        let path = path.field("function");
        let Some(function) = fields.kind(tool, Some(function), &path, Kind::Object) else { return };
        return write_function(function, &path, names, writer, fields);
    }
    write_function(tool, path, names, writer, fields);
}

fn write_function(
    tool: Value<'_>,
    path: &Path<'_>,
    names: &mut Vec<String>,
    writer: &mut RecordWriter<'_>,
    fields: &mut Fields<'_>,
) {
    let keys = ["name", "desc", "args_schema", "description", "parameters", "type"];
    let [name, desc, args_schema, description, parameters, _] = fields.pick(tool, &keys);
    let (text_key, text) = if desc.is_some() { ("desc", desc) } else { ("description", description) };
    let (schema_key, schema) =
        if args_schema.is_some() { ("args_schema", args_schema) } else { ("parameters", parameters) };
    let text = fields.optional_text(text, &path.field(text_key));
    let Some(known) = fields.filled(tool, name, &path.field("name")) else { return };
    let unescaped = known.unescape().into_owned();
    if names.contains(&unescaped) {
        let message = format!("tool `{unescaped}` is listed twice; expected each name once");
        fields.problems.push(tool.offset(), "data::duplicate_tool", &path.field("name"), message);
    }
    names.push(unescaped);
    let schema_path = path.field(schema_key);
    writer.tool(known, text, |out| write_parameters(schema, &schema_path, out, fields));
}
