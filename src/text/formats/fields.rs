//! Looks fields up and checks their types; each problem is noted and the work goes on.

use crate::diagnostic::nearest;
use crate::text::jsonl::{Kind, Text, Value};

use super::problem::{Path, Problems};
use super::tools::LastTools;

/// Checks the fields of one row.
pub(super) struct Fields<'p> {
    pub problems: &'p mut Problems,
    pub last_tools: &'p mut LastTools,
}

impl Fields<'_> {
    /// The values of some keys; other keys are counted as ignored. Keys in the order of `names` are found at once.
    pub fn pick<'a, const N: usize>(&mut self, object: Value<'a>, names: &[&str; N]) -> [Option<Value<'a>>; N] {
        let mut found = [None; N];
        let mut likely = 0;
        for (key, value) in object.entries() {
            let index = if key.is(names[likely]) { Some(likely) } else { names.iter().position(|name| key.is(name)) };
            match index {
                Some(index) => (found[index], likely) = (Some(value), if index + 1 == N { 0 } else { index + 1 }),
                None => self.problems.ignored_fields += 1,
            }
        }
        found
    }

    /// A string with something in it.
    pub fn filled<'a>(&mut self, owner: Value<'a>, value: Option<Value<'a>>, path: &Path<'_>) -> Option<Text<'a>> {
        let text = self.text(owner, value, path)?;
        if text.is_blank() {
            let offset = value.unwrap_or(owner).offset();
            self.problems.push(offset, "data::empty_field", path, "text is empty; expected at least one letter");
        }
        Some(text)
    }

    /// A string, perhaps empty.
    pub fn text<'a>(&mut self, owner: Value<'a>, value: Option<Value<'a>>, path: &Path<'_>) -> Option<Text<'a>> {
        let value = self.required(owner, value, path, "a string")?;
        let text = value.text();
        if text.is_none() {
            self.wrong_type(value, path, "a string");
        }
        text
    }

    /// A string, unless it is absent or null.
    pub fn optional_text<'a>(&mut self, value: Option<Value<'a>>, path: &Path<'_>) -> Option<Text<'a>> {
        let value = value.filter(|value| !value.is_null())?;
        self.text(value, Some(value), path)
    }

    /// A value of one kind, which messages call `expected`.
    pub fn kind<'a>(
        &mut self,
        owner: Value<'a>,
        value: Option<Value<'a>>,
        path: &Path<'_>,
        kind: Kind,
    ) -> Option<Value<'a>> {
        let expected = if kind == Kind::Array { "a list" } else { "an object" };
        let value = self.required(owner, value, path, expected)?;
        if value.kind() != kind {
            self.wrong_type(value, path, expected);
            return None;
        }
        Some(value)
    }

    /// A list of strings, unless it is absent or null.
    pub fn texts<'a>(&mut self, value: Option<Value<'a>>, path: &Path<'_>) -> Option<Value<'a>> {
        let value = value.filter(|value| !value.is_null())?;
        let list = self.kind(value, Some(value), path, Kind::Array)?;
        for (index, item) in list.items().enumerate() {
            if item.text().is_none() {
                self.wrong_type(item, &path.item(index), "a string");
            }
        }
        Some(list)
    }

    /// Notes a value of the wrong type.
    #[cold]
    pub fn wrong_type(&mut self, value: Value<'_>, path: &Path<'_>, expected: &str) {
        let message = format!("found `{}`; expected {expected}", value.type_name());
        self.problems.push(value.offset(), "data::wrong_type", path, message);
    }

    fn required<'a>(
        &mut self,
        owner: Value<'a>,
        value: Option<Value<'a>>,
        path: &Path<'_>,
        expected: &str,
    ) -> Option<Value<'a>> {
        if value.is_none() {
            self.missing(owner, path, expected);
        }
        value
    }

    #[cold]
    fn missing(&mut self, owner: Value<'_>, path: &Path<'_>, expected: &str) {
        let mut message = format!("field is missing; expected {expected}");
        if let Path::Field(_, name) = path {
            let keys: Vec<_> = owner.entries().map(|(key, _)| key.unescape()).collect();
            if let Some(near) = nearest(name, keys.iter().map(|key| &**key)) {
                message = format!("{message}; is `{near}` meant to be it?");
            }
        }
        self.problems.push(owner.offset(), "data::missing_field", path, message);
    }
}
