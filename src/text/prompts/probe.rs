//! Finds out what a chat template loses, before any record is rendered.
//!
//! Templates drop what they don't know without a word: TinyLlama's shows neither tools nor calls nor observations. So a
//! made-up conversation with a unique word in every field is rendered, and every word must come out; what the assistant
//! says must lie in the mask, and each of its turns must end with a stop token. The first style that loses nothing is
//! taken: native before inline, a system message of its own before one merged into the user's text.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Chat, RenderError, RenderOptions, Style, Thoughts, ToolMode};
use crate::text::record::{Call, Conversation, Step, ToolSpec, Turn};
use crate::text::tokenize::Tokenizer;

/// No style shows everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the chat template can't show a conversation with tools: {}", .0.join("; "))]
pub struct Unusable(pub Vec<String>);

/// A field of the made-up conversation.
struct Field {
    name: &'static str,
    word: &'static str,
    /// Whether the assistant says it, so that it has to be in the loss mask too.
    spoken: bool,
}

const fn heard(name: &'static str, word: &'static str) -> Field {
    Field { name, word, spoken: false }
}

const fn spoken(name: &'static str, word: &'static str) -> Field {
    Field { name, word, spoken: true }
}

/// The fields and their words. The name of the tool that is called is the assistant's as well as the system's, so another
/// tool, which nobody calls, shows whether the list of tools has names. Of a schema the names of parameters count: templates
/// that leave out a parameter's description, such as the embedded model's, are in use.
const FIELDS: [Field; 15] = [
    heard("system text", "qzsystem"),
    spoken("tool name", "qztool"),
    heard("name of a tool that is not called", "qzspare"),
    heard("tool description", "qzdescription"),
    heard("tool parameter", "qzoptional"),
    spoken("argument name", "qzkey"),
    heard("user text", "qzuserone"),
    heard("user text of a later turn", "qzusertwo"),
    spoken("argument value", "qzvalueone"),
    spoken("argument value of a later turn", "qzvaluetwo"),
    heard("observation", "qzobservationone"),
    heard("observation of a later turn", "qzobservationtwo"),
    spoken("answer", "qzanswerone"),
    spoken("answer of a later turn", "qzanswertwo"),
    spoken("thought", "qzthought"),
];

/// Chooses the style that loses nothing, and learns the stop tokens and what the styles before it lose.
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
                chat.avoided = problems;
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
    let expected = || FIELDS.iter().filter(|field| field.name != "thought" || thoughts == Thoughts::Train);
    if let Some(field) = expected().find(|field| !text.contains(field.word)) {
        return Err(format!("the {}", field.name));
    }
    let (row, mask) = chat.row(tokenizer, &conversation).map_err(|error| match error {
        RenderError::Mask(error) => format!("the loss mask ({error})"),
        other => named(other),
    })?;
    let trained: Vec<u32> =
        row.input_ids.iter().zip(&row.loss_mask).filter(|pair| *pair.1).map(|pair| *pair.0).collect();
    let words = tokenizer.decode(&trained, false).map_err(|error| error.to_string())?;
    if let Some(field) = expected().find(|field| field.spoken && !words.contains(field.word)) {
        return Err(format!("the {} in the loss mask", field.name));
    }
    // Each turn has its stop token; one that straddles the turn's end is not trained.
    let stops: BTreeSet<u32> = mask.stops.iter().copied().collect();
    if trained.iter().filter(|id| stops.contains(id)).count() < mask.stops.len() {
        return Err("the stop token in the loss mask".to_owned());
    }
    Ok(stops)
}

fn conversation(thoughts: Thoughts) -> Conversation {
    let parameters = json!({
        "type": "object",
        "properties": {"qzkey": {"type": "string"}, "qzoptional": {"type": "string"}},
        "required": ["qzkey"],
    });
    let tool = |name: &str, description: &str, parameters: &Value| ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: parameters.clone(),
    };
    let nothing = json!({"type": "object", "properties": {}});
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
        tools: vec![tool("qztool", "qzdescription", &parameters), tool("qzspare", "unused", &nothing)],
        turns: vec![
            turn("qzuserone", "qzvalueone", "qzobservationone", "qzanswerone"),
            turn("qzusertwo", "qzvaluetwo", "qzobservationtwo", "qzanswertwo"),
        ],
        tags: Vec::new(),
    }
}
