//! What the tests of rendering share: a small tokenizer trained on the spot, and records.

use std::fs;

use pipe::text::prompts::{RenderOptions, Renderer, TokenRow};
use pipe::text::record::Record;
use pipe::text::train_bpe::{BpeOptions, DigitStyle, WordCounts, train_bpe};
use tempfile::TempDir;

/// A template of the sort that knows no tools, as TinyLlama's.
pub const TOOLLESS: &str = "{% for message in messages %}\n\
    {% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + message['content'] + eos_token }}\n\
    {% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' + message['content'] + eos_token }}\n\
    {% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n{% endif %}\n\
    {% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";

/// Our own template.
pub const CHATML: &str = include_str!("../../templates/chatml-tools.jinja");

/// What the small tokenizer is trained on.
pub const CORPUS: [&str; 4] = [
    "You may call these tools: retrieve, attendance, grade. A call is written as JSON with name and arguments.",
    "What is the attendance of student S12345 in CS101? The attendance is 74.5 percent, so the rule is met.",
    "Search the notes for the revenue. Revenue grew 18% YoY to $1.2B. The answer is 18%.",
    "{\"type\": \"function\", \"function\": {\"name\": \"retrieve\", \"description\": \"search\", \"parameters\": {}}}",
];

pub fn options() -> BpeOptions {
    let tokens = |tokens: &[&str]| tokens.iter().map(|token| (*token).to_owned()).collect();
    BpeOptions {
        vocab_size: 400,
        min_frequency: 2,
        digits: DigitStyle::Single,
        special_tokens: tokens(&["<|pad|>", "<|im_start|>", "<|im_end|>", "</s>"]),
        added_tokens: tokens(&["<tool_call>", "</tool_call>"]),
        eos_token: "<|im_end|>".to_owned(),
        pad_token: "<|pad|>".to_owned(),
    }
}

/// Writes a tokenizer folder with a chat template.
pub fn tokenizer_folder(template: &str) -> TempDir {
    tokenizer_folder_of(&options(), template)
}

/// The same with other tokens.
pub fn tokenizer_folder_of(options: &BpeOptions, template: &str) -> TempDir {
    let mut counts = WordCounts::new(DigitStyle::Single);
    for text in CORPUS.iter().cycle().take(40) {
        counts.add(text).expect("words");
    }
    let folder = tempfile::tempdir().expect("folder");
    for (name, text) in train_bpe(options, counts, template).expect("a tokenizer").files {
        fs::write(folder.path().join(name), text).expect("write");
    }
    folder
}

pub fn renderer(template: &str, options: RenderOptions) -> Renderer {
    let folder = tokenizer_folder(template);
    Renderer::load(&folder.path().into(), None, options).expect("a renderer")
}

pub fn record(json: &str) -> Record {
    serde_json::from_str(json).expect("a record")
}

/// The pieces that are trained on and those that aren't, each run decoded.
pub fn runs(renderer: &Renderer, row: &TokenRow) -> Vec<(bool, String)> {
    let mut runs: Vec<(bool, Vec<u32>)> = Vec::new();
    for (id, target) in row.input_ids.iter().zip(&row.loss_mask) {
        match runs.last_mut() {
            Some((last, ids)) if last == target => ids.push(*id),
            _ => runs.push((*target, vec![*id])),
        }
    }
    let decode = |ids: &[u32]| renderer.tokenizer().decode(ids, false).expect("text");
    runs.into_iter().map(|(target, ids)| (target, decode(&ids))).collect()
}
