//! Messages in order, whatever format they came from, made into turns.
//!
//! A user's message opens a turn; an assistant's message with calls is a step, one without is the answer. What does not
//! fit this (two users in a row, an answer before any question, a tool message that no call asked for) is a problem:
//! joining or dropping messages would train on something nobody said.

use std::borrow::Cow;

use super::calls::CallDraft;
use super::fields::Fields;
use super::problem::Path;
use super::tools::ToolNames;
use super::writer::{Content, RecordWriter};

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    pub role: Role,
    /// The text; empty where there is none.
    pub content: Content<'a>,
    /// Calls of an assistant.
    pub calls: Vec<CallDraft<'a>>,
    /// The call that a tool's message answers.
    pub call_id: Option<Cow<'a, str>>,
    /// The tool that a tool's message says it is from.
    pub tool: Option<Cow<'a, str>>,
    /// Where the message is in the line.
    pub offset: usize,
}

/// The leading system messages as one text, and how many they are.
pub(super) fn leading_system(messages: &[Message<'_>]) -> (Option<String>, usize) {
    let count = messages.iter().take_while(|message| message.role == Role::System).count();
    let texts: Vec<String> = messages[..count].iter().map(|message| said(&message.content)).collect();
    let text = texts.join("\n\n");
    ((!text.trim().is_empty()).then_some(text), count)
}

/// What a content says.
pub(super) fn said(content: &Content<'_>) -> String {
    match content {
        Content::Text(text) => text.unescape().into_owned(),
        Content::Owned(text) => text.clone().into_owned(),
    }
}

/// Checks the order of messages and writes them as turns; `skip` leading ones were system messages.
pub(super) fn write_turns<'w>(
    messages: &[Message<'_>],
    skip: usize,
    path: &Path<'_>,
    tools: &ToolNames,
    writer: &'w mut RecordWriter<'_>,
    fields: &'w mut Fields<'_>,
) {
    let mut turns = Turns { path, tools, writer, fields, state: State::Start, learns: false };
    let mut index = skip;
    while let Some(message) = messages.get(index) {
        index += match message.role {
            Role::System => turns.out_of_order(index, message, "before the first user message"),
            Role::User => turns.user(index, message),
            Role::Assistant if message.calls.is_empty() => turns.answer(index, message),
            Role::Assistant => turns.step(index, &messages[index..]),
            Role::Tool => turns.out_of_order(index, message, "right behind the assistant message that calls it"),
        };
    }
    if turns.state == State::Open {
        turns.writer.end_turn(None);
    }
    if !turns.learns {
        let offset = messages.first().map_or(0, |message| message.offset);
        let text = "no message is from the assistant; expected at least one to learn from";
        turns.fields.problems.push(offset, "data::nothing_to_learn", path, text);
    }
}

/// Where in a turn the messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first user message.
    Start,
    /// Behind a user message or a step.
    Open,
    /// Behind an answer.
    Answered,
}

struct Turns<'t, 'w, 'o, 'f> {
    path: &'t Path<'t>,
    tools: &'t ToolNames,
    writer: &'w mut RecordWriter<'o>,
    fields: &'w mut Fields<'f>,
    state: State,
    learns: bool,
}

impl Turns<'_, '_, '_, '_> {
    fn user(&mut self, index: usize, message: &Message<'_>) -> usize {
        if self.state == State::Open {
            self.out_of_order(index, message, "behind an answer of the assistant");
            self.writer.end_turn(None);
        }
        self.writer.begin_turn(&message.content);
        self.state = State::Open;
        1
    }

    fn answer(&mut self, index: usize, message: &Message<'_>) -> usize {
        self.learns = true;
        if self.state != State::Open {
            return self.out_of_order(index, message, "behind a user message or its tools");
        }
        if message.content.is_blank() {
            let path = self.path.item(index);
            let text = "the assistant's message is empty; expected a text or calls";
            self.fields.problems.push(message.offset, "data::empty_field", &path, text);
        }
        self.writer.end_turn(Some(&message.content));
        self.state = State::Answered;
        1
    }

    /// Writes a message with calls and the tool messages behind it; gives how many messages that are.
    fn step(&mut self, index: usize, messages: &[Message<'_>]) -> usize {
        self.learns = true;
        let [message, rest @ ..] = messages else { return 1 };
        if self.state != State::Open {
            self.out_of_order(index, message, "behind a user message or its tools");
        }
        let replies = rest.iter().take_while(|reply| reply.role == Role::Tool).count();
        let observations = self.observations(index, message, &rest[..replies]);
        let is_last = replies == rest.len();
        if self.state == State::Open {
            self.writer.begin_step(Some(&message.content));
        }
        for (call, observation) in message.calls.iter().zip(&observations) {
            let path = self.path.item(index);
            self.tools.check(&call.name, call.offset, &path, self.fields);
            if observation.is_none() && !is_last {
                let text = format!("call of `{}` has no tool message; expected one before the next message", call.name);
                self.fields.problems.push(call.offset, "data::unanswered_call", &path, text);
            }
            if self.state == State::Open {
                self.writer.call(&call.content(), &call.arguments, *observation);
            }
        }
        if self.state == State::Open {
            self.writer.end_step();
        }
        1 + replies
    }

    /// What came back for each call: by id where the tool message has one, else in order.
    fn observations<'m>(
        &mut self,
        index: usize,
        message: &Message<'_>,
        replies: &'m [Message<'_>],
    ) -> Vec<Option<&'m Content<'m>>> {
        let mut observations = vec![None; message.calls.len()];
        for (position, call) in message.calls.iter().enumerate() {
            if call.id.is_some() && message.calls[..position].iter().any(|earlier| earlier.id == call.id) {
                let text = format!("call id `{}` occurs twice; expected each once", call.id.as_deref().unwrap_or(""));
                self.fields.problems.push(call.offset, "data::duplicate_call_id", &self.path.item(index), text);
            }
        }
        for (position, reply) in replies.iter().enumerate() {
            let path = self.path.item(index + 1 + position);
            let wanted = |(slot, call): &(usize, &CallDraft<'_>)| match (&reply.call_id, &call.id) {
                (Some(id), Some(known)) => id == known,
                _ => observations[*slot].is_none(),
            };
            let found = message.calls.iter().enumerate().find(wanted);
            match (found, &reply.call_id) {
                (Some((slot, call)), _) if observations[slot].is_none() => {
                    observations[slot] = Some(&reply.content);
                    self.check_tool_name(call, reply, &path);
                }
                (Some(_), _) => {
                    let text = "the call has a tool message already; expected one for each call";
                    self.fields.problems.push(reply.offset, "data::unknown_call", &path, text);
                }
                (None, Some(id)) => {
                    let text = format!("tool_call_id is `{id}`; expected the id of a call of the message before");
                    self.fields.problems.push(reply.offset, "data::unknown_call", &path, text);
                }
                (None, None) => {
                    let text = "there are more tool messages than calls; expected one for each call";
                    self.fields.problems.push(reply.offset, "data::unknown_call", &path, text);
                }
            }
        }
        observations
    }

    fn check_tool_name(&mut self, call: &CallDraft<'_>, reply: &Message<'_>, path: &Path<'_>) {
        if let Some(tool) = reply.tool.as_ref().filter(|tool| **tool != call.name) {
            let text = format!("tool message is from `{tool}`; expected `{}`, which was called", call.name);
            self.fields.problems.push(reply.offset, "data::unknown_call", path, text);
        }
    }

    fn out_of_order(&mut self, index: usize, message: &Message<'_>, expected: &str) -> usize {
        let text = format!("a message of role `{}` stands here; expected it {expected}", message.role.name());
        self.fields.problems.push(message.offset, "data::bad_order", &self.path.item(index), text);
        1
    }
}
