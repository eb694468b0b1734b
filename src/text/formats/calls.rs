//! Tool calls in chats: an object, or JSON text that holds one.

use std::borrow::Cow;

use crate::text::jsonl::{Kind, Tape, Text, Value, parse_strict};

use super::fields::Fields;
use super::problem::Path;
use super::writer::{Arguments, Content};

/// A call before its observation is known.
#[derive(Debug, Clone)]
pub(super) struct CallDraft<'a> {
    /// What tool messages refer to.
    pub id: Option<Cow<'a, str>>,
    /// The tool.
    pub name: Cow<'a, str>,
    /// What it is called with.
    pub arguments: Arguments<'a>,
    /// Where the call is in the line.
    pub offset: usize,
}

impl CallDraft<'_> {
    /// The same call, apart from the text it was read from; `offset` is where that text is in the line.
    fn detach(self, offset: usize) -> CallDraft<'static> {
        let arguments = match self.arguments {
            Arguments::Object(value) => {
                let mut bytes = Vec::new();
                value.push_canonical(&mut bytes);
                Arguments::Parsed(bytes)
            }
            Arguments::Parsed(bytes) => Arguments::Parsed(bytes),
        };
        let id = self.id.map(|id| Cow::Owned(id.into_owned()));
        CallDraft { id, name: Cow::Owned(self.name.into_owned()), arguments, offset }
    }

    /// The name, to be written.
    pub fn content(&self) -> Content<'_> {
        Content::Owned(Cow::Borrowed(&self.name))
    }
}

/// Reads `{name, arguments}`, where the arguments are an object or JSON text of one.
pub(super) fn read_call<'a>(call: Value<'a>, path: &Path<'_>, fields: &mut Fields<'_>) -> Option<CallDraft<'a>> {
    let call = fields.kind(call, Some(call), path, Kind::Object)?;
    let [name, arguments] = fields.pick(call, &["name", "arguments"]);
    let name = fields.filled(call, name, &path.field("name"));
    let path = path.field("arguments");
    let arguments = match arguments.and_then(|value| Some((value, value.text()?))) {
        Some((value, text)) => read_arguments(text, value.offset(), &path, fields),
        None => fields.kind(call, arguments, &path, Kind::Object).map(Arguments::Object),
    };
    Some(CallDraft { id: None, name: name?.unescape(), arguments: arguments?, offset: call.offset() })
}

/// Reads arguments given as JSON text. Nothing at all means no arguments: models write that for tools without any.
fn read_arguments(
    text: Text<'_>,
    offset: usize,
    path: &Path<'_>,
    fields: &mut Fields<'_>,
) -> Option<Arguments<'static>> {
    if text.is_blank() {
        return Some(Arguments::Parsed(b"{}".to_vec()));
    }
    let (text, mut tape) = (text.unescape(), Tape::default());
    let value = parse_inside(&text, offset, path, &mut tape, fields)?;
    if value.kind() != Kind::Object {
        let message = format!("the text holds `{}`; expected an object", value.type_name());
        fields.problems.push(offset, "data::bad_arguments", path, message);
        return None;
    }
    let mut bytes = Vec::new();
    value.push_canonical(&mut bytes);
    Some(Arguments::Parsed(bytes))
}

/// Reads one call or a list of calls given as JSON text.
pub(super) fn read_calls_text(
    text: Text<'_>,
    offset: usize,
    path: &Path<'_>,
    fields: &mut Fields<'_>,
) -> Vec<CallDraft<'static>> {
    let (text, mut tape) = (text.unescape(), Tape::default());
    let Some(value) = parse_inside(&text, offset, path, &mut tape, fields) else { return Vec::new() };
    let known = fields.problems.list.len();
    let calls = if value.kind() == Kind::Array {
        let calls = value.items().enumerate().filter_map(|(index, call)| read_call(call, &path.item(index), fields));
        calls.map(|call| call.detach(offset)).collect()
    } else {
        read_call(value, path, fields).map(|call| call.detach(offset)).into_iter().collect()
    };
    relocate(known, offset, fields);
    calls
}

/// Parses JSON text inside a string of the line.
pub(super) fn parse_inside<'t>(
    text: &'t str,
    offset: usize,
    path: &Path<'_>,
    tape: &'t mut Tape,
    fields: &mut Fields<'_>,
) -> Option<Value<'t>> {
    match parse_strict(text, tape) {
        Ok(()) => tape.root(text),
        Err(fault) => {
            let character = text[..fault.offset.min(text.len())].chars().count() + 1;
            let message = format!("the text is not JSON: at character {character} of it {}", fault.kind);
            fields.problems.push(offset, "data::bad_arguments", path, message);
            None
        }
    }
}

/// Makes the problems noted since `known` point at the string in the line rather than into its text.
pub(super) fn relocate(known: usize, offset: usize, fields: &mut Fields<'_>) {
    for problem in &mut fields.problems.list[known..] {
        problem.offset = offset;
    }
}
