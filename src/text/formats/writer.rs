//! Writes a record straight into a buffer, in the bytes that `serde_json` gives for [`Record`](crate::text::record::Record).

use std::borrow::Cow;

use crate::text::jsonl::{Text, Value, push_escaped};

/// A text to be written: a slice of the line, or one made of several.
#[derive(Debug, Clone)]
pub(crate) enum Content<'a> {
    /// A string of the line.
    Text(Text<'a>),
    /// A text of its own.
    Owned(Cow<'a, str>),
}

impl Content<'_> {
    pub fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => text.push_canonical(out),
            Self::Owned(text) => push_escaped(text, out),
        }
    }

    /// Whether there is nothing but white space.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Text(text) => text.is_blank(),
            Self::Owned(text) => text.trim().is_empty(),
        }
    }
}

/// Whose words a passage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// The user's.
    User,
    /// A tool's, or a plain text.
    Source,
    /// The assistant's.
    Assistant,
}

/// Where in the buffer somebody's words lie, in canonical spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Whose words.
    pub speaker: Speaker,
    /// The first byte.
    pub start: usize,
    /// The byte behind the last.
    pub end: usize,
}

/// Writes one record. The caller opens and closes in order: `begin`, `system`, tools, turns, `finish`.
pub(crate) struct RecordWriter<'o> {
    out: &'o mut Vec<u8>,
    passages: &'o mut Vec<Passage>,
    tools: usize,
    turns: usize,
    steps: usize,
    calls: usize,
}

impl<'o> RecordWriter<'o> {
    /// Writes to the end of a buffer and notes where the words are.
    pub fn new(out: &'o mut Vec<u8>, passages: &'o mut Vec<Passage>) -> Self {
        Self { out, passages, tools: 0, turns: 0, steps: 0, calls: 0 }
    }

    /// A plain text: the whole record.
    pub fn plain(self, text: Text<'_>) {
        let mut writer = self;
        writer.put(b"{\"text\":\"");
        writer.passage(Speaker::Source, &Content::Text(text));
        writer.put(b"\"}");
    }

    /// Opens a conversation.
    pub fn begin(&mut self) {
        self.put(b"{\"conversation\":{");
    }

    /// The system text.
    pub fn system(&mut self, text: &Content<'_>) {
        self.put(b"\"system\":\"");
        text.push(self.out);
        self.put(b"\",");
    }

    /// A tool; `parameters` writes its schema.
    pub fn tool(&mut self, name: Text<'_>, description: Option<Text<'_>>, parameters: impl FnOnce(&mut Vec<u8>)) {
        self.put(if self.tools == 0 { b"\"tools\":[{\"name\":\"" } else { b",{\"name\":\"" });
        self.tools += 1;
        name.push_canonical(self.out);
        self.put(b"\",\"description\":\"");
        if let Some(description) = description {
            description.push_canonical(self.out);
        }
        self.put(b"\",\"parameters\":");
        parameters(self.out);
        self.put(b"}");
    }

    /// Tools that were written before, closed.
    pub fn same_tools(&mut self, written: &[u8]) {
        self.put(written);
    }

    /// How much is in the buffer.
    pub fn written(&self) -> usize {
        self.out.len()
    }

    /// What was written since there was so much in the buffer.
    pub fn since(&self, start: usize) -> &[u8] {
        &self.out[start..]
    }

    /// Closes the tools, if there were any.
    pub fn end_tools(&mut self) {
        if self.tools > 0 {
            self.put(b"],");
        }
    }

    /// Opens a turn.
    pub fn begin_turn(&mut self, user: &Content<'_>) {
        self.put(if self.turns == 0 { b"\"turns\":[{\"user\":\"" } else { b",{\"user\":\"" });
        (self.turns, self.steps) = (self.turns + 1, 0);
        self.passage(Speaker::User, user);
        self.put(b"\"");
    }

    /// Opens a step.
    pub fn begin_step(&mut self, thought: Option<&Content<'_>>) {
        self.put(if self.steps == 0 { b",\"steps\":[{" } else { b",{" });
        (self.steps, self.calls) = (self.steps + 1, 0);
        if let Some(thought) = thought {
            let start = self.out.len();
            self.put(b"\"thought\":\"");
            let inside = self.out.len();
            self.passage(Speaker::Assistant, thought);
            if self.out.len() == inside {
                self.passages.pop();
                self.out.truncate(start);
            } else {
                self.put(b"\",");
            }
        }
        self.put(b"\"calls\":[");
    }

    /// A call and what came back.
    pub fn call(&mut self, name: &Content<'_>, arguments: &Arguments<'_>, observation: Option<&Content<'_>>) {
        self.put(if self.calls == 0 { b"{\"name\":\"" } else { b",{\"name\":\"" });
        self.calls += 1;
        name.push(self.out);
        self.put(b"\",\"arguments\":");
        arguments.push(self.out);
        if let Some(observation) = observation {
            self.put(b",\"observation\":\"");
            self.passage(Speaker::Source, observation);
            self.put(b"\"");
        }
        self.put(b"}");
    }

    /// Closes a step.
    pub fn end_step(&mut self) {
        self.put(b"]}");
    }

    /// Closes a turn, with its answer if it has one.
    pub fn end_turn(&mut self, answer: Option<&Content<'_>>) {
        if self.steps > 0 {
            self.put(b"]");
        }
        if let Some(answer) = answer {
            self.put(b",\"answer\":\"");
            self.passage(Speaker::Assistant, answer);
            self.put(b"\"");
        }
        self.put(b"}");
    }

    /// Closes the conversation, with its tags.
    pub fn finish(&mut self, tags: Option<Value<'_>>) {
        self.put(b"]");
        if let Some(tags) = tags.filter(|tags| tags.items().next().is_some()) {
            self.put(b",\"tags\":");
            tags.push_canonical(self.out);
        }
        self.put(b"}}");
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn passage(&mut self, speaker: Speaker, text: &Content<'_>) {
        let start = self.out.len();
        text.push(self.out);
        self.passages.push(Passage { speaker, start, end: self.out.len() });
    }
}

/// The arguments of a call: an object.
#[derive(Debug, Clone)]
pub(crate) enum Arguments<'a> {
    /// An object of the line.
    Object(Value<'a>),
    /// An object that was inside a string, in canonical spelling.
    Parsed(Vec<u8>),
}

impl Arguments<'_> {
    fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Object(value) => value.push_canonical(out),
            Self::Parsed(bytes) => out.extend_from_slice(bytes),
        }
    }
}
