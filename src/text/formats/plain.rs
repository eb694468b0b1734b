//! `{text}`: every token is a target.

use crate::text::jsonl::Value;

use super::fields::Fields;
use super::problem::Path;
use super::writer::RecordWriter;

pub(super) fn convert(row: Value<'_>, writer: RecordWriter<'_>, fields: &mut Fields<'_>) {
    let [text] = fields.pick(row, &["text"]);
    if let Some(text) = fields.filled(row, text, &Path::Root.field("text")) {
        writer.plain(text);
    }
}
