//! Finds out what a chat template loses, before any record is rendered.
//!
//! Templates drop what they don't know without a word: TinyLlama's shows neither tools nor calls nor observations. So a
//! made-up conversation with a unique word in every field is rendered, and every word must come out; what the assistant
//! says must lie in the mask, and each of its turns must end with a stop token. The first style that loses nothing is
//! taken: native before inline, a system message of its own before one merged into the user's text.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Chat, RenderError, RenderOptions, Style, Thoughts, ToolMode};
use crate::text::record::{Call, Conversation, Step, ToolSpec, Turn};
use crate::text::tokenize::Tokenizer;

/// No style shows everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the chat template can't show a conversation with tools: {}", .0.join("; "))]
pub struct Unusable(pub Vec<String>);

/// The words of the probe and the fields they stand in.
const WORDS: [(&str, &str); 14] = [
    ("system text", "qzsystem"),
    ("tool name", "qztool"),
    ("tool description", "qzdescription"),
    ("tool parameter", "qzoptional"),
    ("argument name", "qzkey"),
    ("user text", "qzuserone"),
    ("user text of a later turn", "qzusertwo"),
    ("argument value", "qzvalueone"),
    ("argument value of a later turn", "qzvaluetwo"),
    ("observation", "qzobservationone"),
    ("observation of a later turn", "qzobservationtwo"),
    ("answer", "qzanswerone"),
    ("answer of a later turn", "qzanswertwo"),
    ("thought", "qzthought"),
];

/// Chooses the style that loses nothing, and learns the stop tokens.
///
/// # Errors
/// [`Unusable`], with the field each style loses.
pub(super) fn probe(chat: &mut Chat, tokenizer: &Tokenizer, options: &RenderOptions) -> Result<(), Unusable> {
    let mut problems = Vec::new();
    for style in styles(options.tool_mode) {
        chat.style = style;
        chat.stops.clear();
        match attempt(chat, tokenizer, options.thoughts) {
            Ok(stops) => {
                chat.stops = stops;
                return Ok(());
            }
            Err(problem) => problems.push(format!("{style} loses or breaks {problem}")),
        }
    }
    Err(Unusable(problems))
}

fn styles(mode: ToolMode) -> Vec<Style> {
    let all = [(false, false), (false, true), (true, false), (true, true)];
    let styles = all.map(|(inline, merged_system)| Style { inline, merged_system });
    let wanted = |style: &Style| match mode {
        ToolMode::Auto => true,
        ToolMode::Native => !style.inline,
        ToolMode::Inline => style.inline,
    };
    styles.into_iter().filter(wanted).collect()
}

fn attempt(chat: &Chat, tokenizer: &Tokenizer, thoughts: Thoughts) -> Result<BTreeSet<u32>, String> {
    let named = |error: RenderError| format!("the conversation ({error})");
    let conversation = conversation(thoughts);
    let text = chat.text(&conversation).map_err(named)?;
    let shown = |word: &str| text.contains(word);
    let expected = WORDS.iter().filter(|(field, _)| *field != "thought" || thoughts == Thoughts::Train);
    if let Some((field, _)) = expected.clone().find(|(_, word)| !shown(word)) {
        return Err(format!("the {field}"));
    }
    let (row, mask) = chat.row(tokenizer, &conversation).map_err(|error| match error {
        RenderError::Mask(error) => format!("the loss mask ({error})"),
        other => named(other),
    })?;
    let trained: Vec<u32> =
        row.input_ids.iter().zip(&row.loss_mask).filter(|pair| *pair.1).map(|pair| *pair.0).collect();
    let trained = tokenizer.decode(&trained, false).map_err(|error| error.to_string())?;
    let spoken =
        expected.filter(|(field, _)| ["argument", "answer", "thought"].iter().any(|part| field.starts_with(part)));
    match spoken.into_iter().find(|(_, word)| !trained.contains(word)) {
        Some((field, _)) => Err(format!("the {field} in the loss mask")),
        None => Ok(mask.stops.into_iter().collect()),
    }
}

fn conversation(thoughts: Thoughts) -> Conversation {
    let parameters = json!({
        "type": "object",
        "properties": {"qzkey": {"type": "string"}, "qzoptional": {"type": "string"}},
        "required": ["qzkey"],
    });
    let turn = |user: &str, value: &str, observation: &str, answer: &str| {
        let call = Call {
            name: "qztool".to_owned(),
            arguments: json!({"qzkey": value}),
            observation: Some(observation.to_owned()),
        };
        let thought = if thoughts == Thoughts::Train { "qzthought" } else { "" };
        let steps = vec![Step { thought: thought.to_owned(), calls: vec![call] }];
        Turn { user: user.to_owned(), steps, answer: Some(answer.to_owned()) }
    };
    Conversation {
        system: Some("qzsystem".to_owned()),
        tools: vec![ToolSpec { name: "qztool".to_owned(), description: "qzdescription".to_owned(), parameters }],
        turns: vec![
            turn("qzuserone", "qzvalueone", "qzobservationone", "qzanswerone"),
            turn("qzusertwo", "qzvaluetwo", "qzobservationtwo", "qzanswertwo"),
        ],
        tags: Vec::new(),
    }
}
