//! Real chat templates against what transformers rendered. The templates are third-party texts and not part of this
//! repository: the test reads them where they are, and says so when they are absent.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pipe::text::chat_template::{ChatTemplate, SpecialTokens, TemplateOptions};
use pipe::text::messages::Message;
use pipe::text::record::ToolSpec;
use serde_json::{Map, Value};

const FOLDER: &str = "/work/shared/fixtures/chat_templates";

fn compile(source: &str, inputs: &Value, flags: &Map<String, Value>) -> ChatTemplate {
    let token = |role: &str| inputs[role].as_str().expect("token").to_owned();
    let (bos, eos, unk, pad) = (token("bos"), token("eos"), token("unk"), token("pad"));
    let tokens =
        SpecialTokens::new([("bos_token", &*bos), ("eos_token", &eos), ("unk_token", &unk), ("pad_token", &pad)]);
    let mut arguments = flags.clone();
    arguments.shift_remove("add_generation_prompt");
    let clock = inputs["now"].as_str().expect("now").parse().expect("a time");
    ChatTemplate::with_options(source, &tokens, &TemplateOptions { clock, arguments }).expect("template compiles")
}

fn tools(conversation: &Value) -> Vec<ToolSpec> {
    let tools = conversation.get("tools").and_then(Value::as_array).cloned().unwrap_or_default();
    tools.iter().map(|tool| serde_json::from_value(tool["function"].clone()).expect("tool")).collect()
}

/// The first place where two renderings differ.
fn difference(found: &str, expected: Option<&str>) -> String {
    let Some(expected) = expected else { return format!("rendered `{found}`") };
    let same = found.chars().zip(expected.chars()).take_while(|(left, right)| left == right).count();
    let around = |text: &str| text.chars().skip(same.saturating_sub(30)).take(80).collect::<String>();
    format!("found {:?}, expected {:?}", around(found), around(expected))
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn real_templates_render_as_in_python() {
    let folder = Path::new(FOLDER);
    let Ok(inputs) = fs::read_to_string(folder.join("inputs.json")) else {
        eprintln!("skipped: {FOLDER} is absent");
        return;
    };
    let inputs: Value = serde_json::from_str(&inputs).expect("inputs");
    let rows = fs::read_to_string(folder.join("renderings.jsonl")).expect("renderings");
    let (mut passed, mut failed) = (0, BTreeMap::<String, Vec<String>>::new());
    let mut compiled = BTreeMap::new();
    for line in rows.lines() {
        let row: Value = serde_json::from_str(line).expect("row");
        let (name, conversation, flags) = (&row["template"], &row["conv"], &row["flags"]);
        let [name, conversation, flags] = [name, conversation, flags].map(|field| field.as_str().expect("a name"));
        let path = folder.join("templates").join(format!("{name}.jinja"));
        let settings = inputs["flags"][flags].as_object().expect("flags");
        let template = compiled
            .entry((name.to_owned(), flags.to_owned()))
            .or_insert_with(|| compile(&fs::read_to_string(path).expect("template"), &inputs, settings));
        let input = &inputs["conversations"][conversation];
        let messages = input["messages"].as_array().expect("messages").iter().cloned();
        let messages: Vec<Message> = messages.map(|message| Message::from_json(message).expect("message")).collect();
        let generation = settings["add_generation_prompt"].as_bool().expect("flag");
        let rendered = template.render(&messages, &tools(input), generation);
        let expected = row["text"].as_str();
        if rendered.as_ref().ok().map(String::as_str) == expected {
            passed += 1;
        } else {
            let found = rendered.as_ref().map_or_else(ToString::to_string, |text| difference(text, expected));
            let case = format!("{conversation}/{flags}: {found}; python: {}", row["error"]);
            failed.entry(name.to_owned()).or_default().push(case);
        }
    }
    assert!(failed.is_empty(), "{passed} are right; wrong: {failed:#?}");
    assert_eq!(passed, 2160);
}
