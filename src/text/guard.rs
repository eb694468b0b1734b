//! Keeps special tokens that stand in user data from becoming control tokens.
//!
//! A record's `<|end|>` is text; only the template's own text may produce the control token. Where a string of a record
//! contains a control token, a mark is put after the token's first character before the template sees it. The
//! rendered text then holds the broken token, which the tokenizer's search for special tokens doesn't find; after that
//! search, and before the text is cut into words, the mark is taken out (`Tokenizer::encode_guarded`). So the ids are
//! those of the plain text, and a record without control tokens is encoded exactly as transformers encodes it.
//!
//! Also marked, at the end: a string that ends in the beginning of a control token, or is a part of one (an argument
//! called `s` in a template that writes `<{{ name }}>`), since the template's text could complete it.
//!
//! The mark is a character that is rare, no letter with cases, left alone by normalisation, and printed as it is by
//! Python's `repr`; the first of a row of such characters that neither the record nor the template contains.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value};

use super::record::{Call, Conversation, Step, ToolSpec, Turn};
use super::tokenize::{AddedToken, Tokenizer};

/// Yi radicals.
const MARKS: std::ops::RangeInclusive<char> = '\u{a490}'..='\u{a4c6}';

/// Which strings are control tokens.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// Special tokens: control tokens wherever they stand.
    special: Controls,
    /// The same and the other added tokens that the template writes, such as `<tool_call>`: control tokens in what
    /// users and tools say. The assistant may write them.
    all: Controls,
    ids: HashSet<u32>,
    marks: Vec<char>,
}

/// A conversation whose control tokens are broken by a mark.
#[derive(Debug, Clone)]
pub(crate) struct Guarded<T> {
    /// The marked data.
    pub value: T,
    /// The mark; `None` when there was nothing to mark.
    pub mark: Option<char>,
}

impl Guard {
    /// A guard for a tokenizer and the texts that write control tokens.
    pub(crate) fn new(tokenizer: &Tokenizer, template: &str) -> Self {
        let added = tokenizer.added_tokens();
        let is_control = |token: &AddedToken| token.special || template.contains(token.content.trim());
        let tokens = |control: &dyn Fn(&AddedToken) -> bool| {
            Controls::new(
                added.iter().map(|(_, token)| token).filter(|token| control(token)).map(|token| &*token.content),
            )
        };
        Self {
            special: tokens(&|token| token.special),
            all: tokens(&is_control),
            ids: added.iter().filter(|(_, token)| is_control(token)).map(|(id, _)| *id).collect(),
            marks: MARKS.filter(|mark| !template.contains(*mark) && tokenizer.keeps(*mark)).collect(),
        }
    }

    /// Whether an id is that of a control token.
    pub(crate) fn is_control(&self, id: u32) -> bool {
        self.ids.contains(&id)
    }

    /// Marks a plain text.
    pub(crate) fn text(&self, text: &str) -> Result<Guarded<String>, NoMark> {
        self.guard(|marker| marker.marked(&self.special, text))
    }

    /// Marks a conversation.
    pub(crate) fn conversation(&self, conversation: &Conversation) -> Result<Guarded<Conversation>, NoMark> {
        self.guard(|marker| self.marked_conversation(marker, conversation))
    }

    /// Tries one mark after the other until one doesn't occur in the data.
    fn guard<T>(&self, apply: impl Fn(&mut Marker) -> T) -> Result<Guarded<T>, NoMark> {
        for mark in &self.marks {
            let mut marker = Marker { mark: *mark, count: 0, present: false };
            let value = apply(&mut marker);
            if marker.count == 0 {
                return Ok(Guarded { value, mark: None });
            }
            if !marker.present {
                return Ok(Guarded { value, mark: Some(*mark) });
            }
        }
        Err(NoMark)
    }

    fn marked_conversation(&self, marker: &mut Marker, conversation: &Conversation) -> Conversation {
        let tools = &conversation.tools;
        Conversation {
            system: conversation.system.as_ref().map(|system| marker.marked(&self.all, system)),
            tools: tools.iter().map(|tool| self.tool(marker, tool)).collect(),
            turns: conversation.turns.iter().map(|turn| self.turn(marker, turn)).collect(),
            tags: conversation.tags.clone(),
        }
    }

    fn tool(&self, marker: &mut Marker, tool: &ToolSpec) -> ToolSpec {
        ToolSpec {
            name: marker.marked(&self.all, &tool.name),
            description: marker.marked(&self.all, &tool.description),
            parameters: marker.marked_json(&self.all, &tool.parameters),
        }
    }

    fn turn(&self, marker: &mut Marker, turn: &Turn) -> Turn {
        Turn {
            user: marker.marked(&self.all, &turn.user),
            steps: turn.steps.iter().map(|step| self.step(marker, step)).collect(),
            answer: turn.answer.as_ref().map(|answer| marker.marked(&self.special, answer)),
        }
    }

    fn step(&self, marker: &mut Marker, step: &Step) -> Step {
        let call = |marker: &mut Marker, call: &Call| Call {
            name: marker.marked(&self.all, &call.name),
            arguments: marker.marked_json(&self.all, &call.arguments),
            observation: call.observation.as_ref().map(|observation| marker.marked(&self.all, observation)),
        };
        Step {
            thought: marker.marked(&self.special, &step.thought),
            calls: step.calls.iter().map(|one| call(marker, one)).collect(),
        }
    }
}

/// Every character that could serve as a mark occurs in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record holds special tokens and all of the characters `U+A490` to `U+A4C6`; none is left to mark them")]
pub struct NoMark;

/// Puts in marks and counts them.
struct Marker {
    mark: char,
    count: usize,
    present: bool,
}

impl Marker {
    fn marked(&mut self, controls: &Controls, text: &str) -> String {
        self.present |= text.contains(self.mark);
        match controls.marked(text, self.mark) {
            Cow::Borrowed(text) => text.to_owned(),
            Cow::Owned(text) => {
                self.count += 1;
                text
            }
        }
    }

    fn marked_json(&mut self, controls: &Controls, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.marked(controls, text)),
            Value::Array(items) => items.iter().map(|item| self.marked_json(controls, item)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter();
                Value::Object(
                    fields
                        .map(|(name, value)| (self.marked(controls, name), self.marked_json(controls, value)))
                        .collect::<Map<_, _>>(),
                )
            }
            other => other.clone(),
        }
    }
}

/// A set of control tokens, searched without regard to case because a tokenizer may fold it.
#[derive(Debug, Clone)]
struct Controls {
    /// Lower-case tokens, longest first.
    tokens: Vec<String>,
    /// The bytes that begin one.
    first: [bool; 256],
    /// All of them, separated by NUL.
    joined: String,
    longest: usize,
}

impl Controls {
    fn new<'a>(tokens: impl Iterator<Item = &'a str>) -> Self {
        let mut tokens: Vec<String> = tokens.map(|token| token.trim().to_ascii_lowercase()).collect();
        tokens.retain(|token| !token.is_empty());
        tokens.sort_by(|left, right| right.len().cmp(&left.len()).then_with(|| left.cmp(right)));
        tokens.dedup();
        let mut first = [false; 256];
        for token in &tokens {
            first[usize::from(token.as_bytes()[0])] = true;
        }
        let longest = tokens.first().map_or(0, String::len);
        Self { first, joined: tokens.join("\0"), longest, tokens }
    }

    /// The text with a mark in every control token, and at its end when a control token could begin there.
    fn marked<'a>(&self, text: &'a str, mark: char) -> Cow<'a, str> {
        let begins = |byte: u8| self.first[usize::from(byte.to_ascii_lowercase())];
        let short = text.len() < self.longest && !text.is_empty();
        if !short && !text.bytes().any(begins) {
            return Cow::Borrowed(text);
        }
        let lower = text.to_ascii_lowercase();
        let mut out = String::new();
        let mut copied = 0;
        for (at, letter) in text.char_indices() {
            if begins(text.as_bytes()[at]) && self.tokens.iter().any(|token| lower[at..].starts_with(&**token)) {
                let end = at + letter.len_utf8();
                out.push_str(&text[copied..end]);
                out.push(mark);
                copied = end;
            }
        }
        if copied == 0 && !self.may_be_completed(&lower, short) {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[copied..]);
        if self.may_be_completed(&lower, short) {
            out.push(mark);
        }
        Cow::Owned(out)
    }

    fn may_be_completed(&self, lower: &str, short: bool) -> bool {
        if short && !lower.contains('\0') && self.joined.contains(lower) {
            return true;
        }
        let tail_start = lower.len().saturating_sub(self.longest);
        lower.char_indices().filter(|(at, _)| *at >= tail_start).any(|(at, _)| {
            let tail = &lower[at..];
            self.first[usize::from(tail.as_bytes()[0])]
                && self.tokens.iter().any(|token| token.len() > tail.len() && token.starts_with(tail))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> String {
        Controls::new(["<s>", "</s>", "<|end|>", "<|END_OF|>", "[INST]"].into_iter()).marked(text, '!').into_owned()
    }

    #[test]
    fn control_tokens_are_broken_and_other_texts_left_alone() {
        let cases = [
            ("plain text with < and [ in it", "plain text with < and [ in it"),
            ("a <|end|> b </s>", "a <!|end|> b <!/s>"),
            ("<|END|>", "<!|END|>!"),
            ("<s><s>", "<!s><!s>"),
            ("[INST] é", "[!INST] é"),
            ("é <|en", "é <|en!"),
            ("a<", "a<!"),
            ("end", "end!"),
            ("<<s>", "<<!s>"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(marked(text), expected, "{text}");
        }
    }
}
