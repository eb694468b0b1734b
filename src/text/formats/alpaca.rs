//! `{instruction, input?, output, system?, history?}`. Sources: Stanford Alpaca; LLaMA-Factory's `data/README.md`, whose
//! rule for `input` (a line feed between instruction and input) is followed.

use crate::text::jsonl::{Kind, Value};

use super::fields::Fields;
use super::problem::Path;
use super::writer::{Content, RecordWriter};

pub(super) fn convert(row: Value<'_>, mut writer: RecordWriter<'_>, fields: &mut Fields<'_>) {
    let names = ["instruction", "input", "output", "system", "history", "tags", "accept"];
    let [instruction, input, output, system, history, tags, accept] = fields.pick(row, &names);
    writer.begin();
    let system = fields.optional_text(system, &Path::Root.field("system"));
    if let Some(system) = system.filter(|system| !system.is_blank()) {
        writer.system(&Content::Text(system));
    }
    if let Some(history) = history.filter(|history| !history.is_null()) {
        earlier_turns(history, &mut writer, fields);
    }
    let instruction = fields.filled(row, instruction, &Path::Root.field("instruction"));
    let input = fields.optional_text(input, &Path::Root.field("input")).filter(|input| !input.is_blank());
    if let Some(instruction) = instruction {
        writer.begin_turn(&match input {
            None => Content::Text(instruction),
            Some(input) => Content::Owned(format!("{}\n{}", instruction.unescape(), input.unescape()).into()),
        });
    }
    let output = fields.filled(row, output, &Path::Root.field("output"));
    writer.end_turn(output.map(Content::Text).as_ref());
    let tags = fields.texts(tags, &Path::Root.field("tags"));
    fields.texts(accept, &Path::Root.field("accept"));
    writer.finish(tags);
}

/// The turns before: a list of `[user, assistant]`.
fn earlier_turns(history: Value<'_>, writer: &mut RecordWriter<'_>, fields: &mut Fields<'_>) {
    let path = Path::Root.field("history");
    let Some(history) = fields.kind(history, Some(history), &path, Kind::Array) else { return };
    for (index, pair) in history.items().enumerate() {
        let path = path.item(index);
        let mut texts = pair.items();
        let (user, assistant) = (texts.next(), texts.next());
        if texts.next().is_some() || assistant.is_none() {
            fields.wrong_type(pair, &path, "a list of two strings");
            continue;
        }
        let user = fields.filled(pair, user, &path.item(0));
        let assistant = fields.filled(pair, assistant, &path.item(1));
        if let (Some(user), Some(assistant)) = (user, assistant) {
            writer.begin_turn(&Content::Text(user));
            writer.end_turn(Some(&Content::Text(assistant)));
        }
    }
}
