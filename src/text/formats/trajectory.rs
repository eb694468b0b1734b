//! `{instruction, tools, trajectory, final_answer, system?, tags?, accept?}`: the format of the source pipeline.
//!
//! A step is `{thought?, action: {tool, args}, observation}`, and its tool must be among the row's tools. `accept` (more
//! right answers) serves evaluation only: its type is checked, and training ignores it.

use crate::text::jsonl::{Kind, Value};

use super::fields::Fields;
use super::problem::Path;
use super::tools::{ToolNames, write_tools};
use super::writer::{Arguments, Content, RecordWriter};

pub(super) fn convert(row: Value<'_>, mut writer: RecordWriter<'_>, fields: &mut Fields<'_>) {
    let names = ["instruction", "tools", "trajectory", "final_answer", "tags", "accept", "system"];
    let [instruction, tools, trajectory, answer, tags, accept, system] = fields.pick(row, &names);
    let root = Path::Root;
    writer.begin();
    let system = fields.optional_text(system, &root.field("system"));
    if let Some(system) = system.filter(|system| !system.is_blank()) {
        writer.system(&Content::Text(system));
    }
    let instruction = fields.filled(row, instruction, &root.field("instruction"));
    let tools = fields.kind(row, tools, &root.field("tools"), Kind::Array);
    let tool_names =
        tools.map(|tools| write_tools(tools, &root.field("tools"), &mut writer, fields)).unwrap_or_default();
    if let Some(instruction) = instruction {
        writer.begin_turn(&Content::Text(instruction));
    }
    let path = root.field("trajectory");
    if let Some(trajectory) = fields.kind(row, trajectory, &path, Kind::Array) {
        for (index, step) in trajectory.items().enumerate() {
            write_step(step, &path.item(index), &tool_names, &mut writer, fields);
        }
    }
    let answer = fields.filled(row, answer, &root.field("final_answer"));
    writer.end_turn(answer.map(Content::Text).as_ref());
    let tags = fields.texts(tags, &root.field("tags"));
    fields.texts(accept, &root.field("accept"));
    writer.finish(tags);
}

fn write_step(
    step: Value<'_>,
    path: &Path<'_>,
    tools: &ToolNames,
    writer: &mut RecordWriter<'_>,
    fields: &mut Fields<'_>,
) {
    let Some(step) = fields.kind(step, Some(step), path, Kind::Object) else { return };
    let [thought, action, observation] = fields.pick(step, &["thought", "action", "observation"]);
    let thought = fields.optional_text(thought, &path.field("thought"));
    let action_path = path.field("action");
    let action = fields.kind(step, action, &action_path, Kind::Object);
    let observation = fields.text(step, observation, &path.field("observation"));
    let Some(action) = action else { return };
    let [tool, arguments] = fields.pick(action, &["tool", "args"]);
    let name = fields.filled(action, tool, &action_path.field("tool"));
    let arguments = fields.kind(action, arguments, &action_path.field("args"), Kind::Object);
    if let (Some(name), Some(tool)) = (name, tool) {
        tools.check(&name.unescape(), tool.offset(), &action_path.field("tool"), fields);
    }
    if let (Some(name), Some(arguments), Some(observation)) = (name, arguments, observation) {
        writer.begin_step(thought.map(Content::Text).as_ref());
        writer.call(&Content::Text(name), &Arguments::Object(arguments), Some(&Content::Text(observation)));
        writer.end_step();
    }
}
