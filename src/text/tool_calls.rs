//! Reads the tool calls out of what a model wrote.
//!
//! Three spellings: `<tool_call>{"name": …, "arguments": {…}}</tool_call>` (inline mode, Hermes, Qwen, SmolLM),
//! `[TOOL_CALLS][{…}, …]` (Mistral) and a text that is one bare JSON call with `parameters` or `arguments`, possibly
//! after `<|python_tag|>` (Llama). A text that looks like a call and is none is [`Malformed`], never an answer without
//! calls. Give the text without its stop token, decoded with special tokens kept, since some models mark calls by them.

use serde_json::{Deserializer, Map, Value};

use super::inline_tools::{CALL_CLOSE, CALL_OPEN};
use super::record::Call;

/// What an assistant's turn says.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// An answer; nothing in it looks like a call.
    Answer(String),
    /// One call or several, in order, without observations.
    Calls {
        /// The text before the first call.
        thought: String,
        /// The calls; at least one.
        calls: Vec<Call>,
    },
}

/// The text looks like a tool call and isn't a valid one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed tool call at byte {position}: {reason}")]
pub struct Malformed {
    /// Where in the text.
    pub position: usize,
    /// What is wrong there.
    pub reason: String,
}

const MISTRAL: &str = "[TOOL_CALLS]";
const PYTHON_TAG: &str = "<|python_tag|>";

/// Marks of calls in spellings that aren't read, or of calls that lost their opening.
const SUSPICIOUS: [&str; 9] = [
    "tool_call>",
    "<tool_call",
    "tool_calls]",
    "<toolcall",
    "<function",
    "<|tool_call",
    "<|python_tag|>",
    "\u{ff5c}tool\u{2581}call",
    "<|channel|>commentary to=",
];

/// Reads an assistant's turn.
///
/// # Errors
/// [`Malformed`].
pub fn parse(text: &str) -> Result<Parsed, Malformed> {
    if let Some(start) = text.find(CALL_OPEN) {
        return tagged(text, start);
    }
    if let Some(start) = text.find(MISTRAL) {
        let calls = listed(text, start + MISTRAL.len())?;
        return with_calls(text, start, calls);
    }
    let body = text.trim_start();
    let bare = body.strip_prefix(PYTHON_TAG).unwrap_or(body);
    if bare.trim_start().starts_with(['{', '[']) && names_a_call(bare) {
        let calls = listed(text, text.len() - bare.len())?;
        return with_calls(text, 0, calls);
    }
    let lower = text.to_ascii_lowercase();
    match SUSPICIOUS.iter().filter_map(|mark| Some((lower.find(mark)?, mark))).min() {
        Some((position, mark)) => Err(malformed(position, format!("`{mark}` without a call that can be read"))),
        None => Ok(Parsed::Answer(text.trim().to_owned())),
    }
}

/// Whether a text of JSON, perhaps broken, is meant as a call.
fn names_a_call(text: &str) -> bool {
    text.contains("\"name\"") && (text.contains("\"arguments\"") || text.contains("\"parameters\""))
}

fn with_calls(text: &str, thought_end: usize, calls: Vec<Call>) -> Result<Parsed, Malformed> {
    if calls.is_empty() {
        return Err(malformed(thought_end, "an empty list of calls".to_owned()));
    }
    let thought = text[..thought_end].trim();
    let lower = thought.to_ascii_lowercase();
    match SUSPICIOUS.iter().find_map(|mark| lower.find(mark)) {
        Some(position) => Err(malformed(position, "a mark of a call before the first call".to_owned())),
        None => Ok(Parsed::Calls { thought: thought.to_owned(), calls }),
    }
}

fn tagged(text: &str, start: usize) -> Result<Parsed, Malformed> {
    let mut calls = Vec::new();
    let mut at = start;
    while at < text.len() {
        let Some(body) = text[at..].strip_prefix(CALL_OPEN) else {
            return Err(malformed(at, "text after a call".to_owned()));
        };
        let body_start = text.len() - body.len();
        let (value, used) = json_value(text, body_start)?;
        calls.push(call(value, body_start)?);
        let end = skip_space(text, body_start + used);
        if !text[end..].starts_with(CALL_CLOSE) {
            return Err(malformed(end, format!("expected `{CALL_CLOSE}`")));
        }
        at = skip_space(text, end + CALL_CLOSE.len());
    }
    with_calls(text, start, calls)
}

/// A list of calls, a single call, or calls separated by `;`, up to the end of the text.
fn listed(text: &str, start: usize) -> Result<Vec<Call>, Malformed> {
    let mut calls = Vec::new();
    let mut at = start;
    loop {
        let (value, used) = json_value(text, at)?;
        match value {
            Value::Array(items) => {
                for item in items {
                    calls.push(call(item, at)?);
                }
            }
            value => calls.push(call(value, at)?),
        }
        at = skip_space(text, at + used);
        match text[at..].strip_prefix(';') {
            Some(_) => at += 1,
            None if at == text.len() => return Ok(calls),
            None => return Err(malformed(at, "text after the calls".to_owned())),
        }
    }
}

fn json_value(text: &str, at: usize) -> Result<(Value, usize), Malformed> {
    let mut values = Deserializer::from_str(&text[at..]).into_iter::<Value>();
    match values.next() {
        Some(Ok(value)) => Ok((value, values.byte_offset())),
        Some(Err(error)) => Err(malformed(at + values.byte_offset(), format!("not JSON: {error}"))),
        None => Err(malformed(at, "a call without JSON".to_owned())),
    }
}

fn call(value: Value, position: usize) -> Result<Call, Malformed> {
    let Value::Object(mut fields) = value else {
        return Err(malformed(position, format!("the call is `{}`; expected an object", kind(&value))));
    };
    // `{"type": "function", "function": {…}}` and an id are what OpenAI wraps around a call.
    if let Some(Value::Object(function)) = fields.shift_remove("function") {
        fields.extend(function);
    }
    let Some(Value::String(name)) = fields.shift_remove("name") else {
        return Err(malformed(position, "the call has no `name`".to_owned()));
    };
    if name.is_empty() {
        return Err(malformed(position, "the call's `name` is empty".to_owned()));
    }
    let arguments = arguments(&mut fields, position)?;
    match fields.keys().find(|key| !matches!(key.as_str(), "id" | "type")) {
        Some(key) => Err(malformed(position, format!("the call has an unexpected key `{key}`"))),
        None => Ok(Call { name, arguments, observation: None }),
    }
}

fn arguments(fields: &mut Map<String, Value>, position: usize) -> Result<Value, Malformed> {
    let value = match (fields.shift_remove("arguments"), fields.shift_remove("parameters")) {
        (Some(value), None) | (None, Some(value)) => value,
        (None, None) => return Err(malformed(position, "the call has no `arguments`".to_owned())),
        (Some(_), Some(_)) => {
            return Err(malformed(position, "the call has both `arguments` and `parameters`".to_owned()));
        }
    };
    let value = match value {
        // OpenAI's own API spells arguments as JSON inside a string.
        Value::String(text) => serde_json::from_str(&text)
            .map_err(|error| malformed(position, format!("`arguments` is a string that is not JSON: {error}")))?,
        value => value,
    };
    match value {
        Value::Object(_) => Ok(value),
        other => Err(malformed(position, format!("`arguments` is `{}`; expected an object", kind(&other)))),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn skip_space(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

fn malformed(position: usize, reason: String) -> Malformed {
    Malformed { position, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn calls(text: &str) -> (String, Vec<(String, Value)>) {
        match parse(text).expect(text) {
            Parsed::Calls { thought, calls } => {
                (thought, calls.into_iter().map(|call| (call.name, call.arguments)).collect())
            }
            Parsed::Answer(answer) => panic!("an answer: {answer}"),
        }
    }

    #[test]
    fn three_spellings_give_the_same_call() {
        let expected = vec![("f".to_owned(), json!({"a": [1, "</tool_call>"]}))];
        let arguments = r#"{"a": [1, "</tool_call>"]}"#;
        let texts = [
            format!("<tool_call>\n{{\"name\": \"f\", \"arguments\": {arguments}}}\n</tool_call>"),
            format!("<tool_call>{{\"arguments\": {arguments}, \"name\": \"f\"}}</tool_call>\n"),
            format!("[TOOL_CALLS] [{{\"name\": \"f\", \"arguments\": {arguments}, \"id\": \"call00001\"}}]"),
            format!("<|python_tag|>{{\"name\": \"f\", \"parameters\": {arguments}}}"),
            format!(" {{\"type\": \"function\", \"function\": {{\"name\": \"f\", \"arguments\": {arguments}}}}}"),
        ];
        for text in texts {
            assert_eq!(calls(&text), (String::new(), expected.clone()), "{text}");
        }
    }

    #[test]
    fn a_thought_and_parallel_calls_are_kept_in_order() {
        let text = "think\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n\
                    <tool_call>{\"name\":\"g\",\"arguments\":\"{\\\"x\\\":1}\"}</tool_call>";
        let (thought, calls) = calls(text);
        assert_eq!(thought, "think");
        assert_eq!(calls, [("f".to_owned(), json!({})), ("g".to_owned(), json!({"x": 1}))]);
    }

    #[test]
    fn an_answer_is_an_answer() {
        for text in ["x = 5", "", "{\"grade\": 5}", "use a tool", "[1, 2]", "a < b", "{\"name\": \"Ann\"}"] {
            assert_eq!(parse(text), Ok(Parsed::Answer(text.to_owned())));
        }
    }

    #[test]
    fn what_looks_like_a_call_and_is_none_is_malformed() {
        let texts = [
            "<tool_call>",
            "<tool_call>{\"name\":\"f\",\"arguments\":{}}",
            "<tool_call>{\"name\":\"f\",\"argum",
            "<tool_call>{\"name\":\"f\"}</tool_call>",
            "<tool_call>{\"name\":\"\",\"arguments\":{}}</tool_call>",
            "<tool_call>{\"name\":\"f\",\"arguments\":[]}</tool_call>",
            "<tool_call>{\"name\":\"f\",\"arguments\":\"x\"}</tool_call>",
            "<tool_call>{\"name\":\"f\",\"arguments\":{},\"observation\":\"made up\"}</tool_call>",
            "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call> and more",
            "<tool_call>[]</tool_call>",
            "{\"name\":\"f\",\"arguments\":{}}</tool_call>",
            "<TOOL_CALL>{\"name\":\"f\",\"arguments\":{}}</TOOL_CALL>",
            "</tool_call>",
            "</tool_call><tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>",
            "<tool_call\n{\"name\":\"f\",\"arguments\":{}}",
            "[TOOL_CALLS]",
            "[TOOL_CALLS] []",
            "[TOOL_CALLS] [{\"name\":\"f\",\"arguments\":{}}] x",
            "<function=f>{}</function>",
            "<|python_tag|>f.call()",
            "{\"name\":\"f\",\"parameters\":{\"a\":",
            "{\"name\":\"f\",\"arguments\":{}} {\"name\":\"g\",\"arguments\":{}}",
        ];
        for text in texts {
            assert!(parse(text).is_err(), "{text}: {:?}", parse(text));
        }
    }

    #[test]
    fn a_call_nested_without_end_is_refused_and_does_not_overflow() {
        let deep = format!("<tool_call>{}", "{\"a\":".repeat(200_000));
        assert!(parse(&deep).is_err());
        let many = "<tool_call>".repeat(200_000);
        assert!(parse(&many).is_err());
    }
}
