//! A parsed line as a flat list of nodes that point back into the line, and the view that walks it.
//!
//! One list is reused for all lines of a worker, so that parsing a row allocates nothing.

use super::string::{Spelling, Text};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `{…}`: its children are keys, each before its value.
    Object,
    /// `[…]`.
    Array,
    /// A string; the span is its inside.
    Text(Spelling),
    /// An integer in its canonical spelling.
    Integer,
    /// Any other number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
}

/// One value or key: what it is, where it lies in the line, and which node follows all that is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
    pub next: u32,
}

/// The nodes of one line, the root first.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    pub(super) nodes: Vec<Node>,
}

impl Tape {
    /// The root of the line that was parsed last, which must be this text.
    pub fn root<'a>(&'a self, text: &'a str) -> Option<Value<'a>> {
        (!self.nodes.is_empty()).then_some(Value { text, nodes: &self.nodes, at: 0 })
    }
}

/// One value of a parsed line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a> {
    text: &'a str,
    nodes: &'a [Node],
    at: usize,
}

impl<'a> Value<'a> {
    fn node(self) -> Node {
        self.nodes[self.at]
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// The byte of the line where it begins.
    pub fn offset(self) -> usize {
        let start = self.node().start as usize;
        if matches!(self.kind(), Kind::Text(_)) { start - 1 } else { start }
    }

    /// The name of its type in messages.
    pub fn type_name(self) -> &'static str {
        match self.kind() {
            Kind::Object => "object",
            Kind::Array => "list",
            Kind::Text(_) => "string",
            Kind::Integer | Kind::Float => "number",
            Kind::Boolean => "boolean",
            Kind::Null => "null",
        }
    }

    /// The string, if it is one.
    #[inline]
    pub fn text(self) -> Option<Text<'a>> {
        let node = self.node();
        match node.kind {
            Kind::Text(spelling) => Some(Text::new(&self.text[node.start as usize..node.end as usize], spelling)),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The keys and values of an object; of anything else, none.
    #[inline]
    pub fn entries(self) -> impl Iterator<Item = (Text<'a>, Value<'a>)> {
        let end = if self.kind() == Kind::Object { self.node().next as usize } else { 0 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let key = Value { at, ..self }.text()?;
            let value = Value { at: at + 1, ..self };
            at = value.node().next as usize;
            Some((key, value))
        })
    }

    /// The values of a list; of anything else, none.
    #[inline]
    pub fn items(self) -> impl Iterator<Item = Value<'a>> {
        let end = if self.kind() == Kind::Array { self.node().next as usize } else { 0 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let value = (at < end).then_some(Value { at, ..self })?;
            at = value.node().next as usize;
            Some(value)
        })
    }

    /// The value of a key of an object.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.entries().find_map(|(key, value)| key.is(name).then_some(value))
    }

    /// Writes the value as compact JSON in its canonical spelling; the order of keys is kept.
    pub fn push_canonical(self, out: &mut Vec<u8>) {
        let node = self.node();
        match node.kind {
            Kind::Object => {
                out.push(b'{');
                for (index, (key, value)) in self.entries().enumerate() {
                    out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
                    key.push_canonical(out);
                    out.extend_from_slice(b"\":");
                    value.push_canonical(out);
                }
                out.push(b'}');
            }
            Kind::Array => {
                out.push(b'[');
                for (index, value) in self.items().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    value.push_canonical(out);
                }
                out.push(b']');
            }
            Kind::Text(spelling) => {
                out.push(b'"');
                Text::new(self.slice(), spelling).push_canonical(out);
                out.push(b'"');
            }
            Kind::Float => push_float(self.slice(), out),
            Kind::Integer | Kind::Boolean | Kind::Null => out.extend_from_slice(self.slice().as_bytes()),
        }
    }

    /// The value's own text.
    pub fn slice(self) -> &'a str {
        let node = self.node();
        &self.text[node.start as usize..node.end as usize]
    }
}

/// A float as `serde_json` prints it: the shortest digits that read back as the same number.
fn push_float(text: &str, out: &mut Vec<u8>) {
    let number = text.parse().ok().and_then(serde_json::Number::from_f64);
    match number {
        Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
        None => out.extend_from_slice(text.as_bytes()),
    }
}
