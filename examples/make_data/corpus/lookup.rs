//! Notes of several entries and questions about them, all answered by finding the right entry and copying from it.

use super::chat::Talk;
use super::common::COMMON;
use super::words::{DAYS, LOOKS, NAMES, THINGS, TRAITS, invented, invented_name, known, value};
use crate::json::Json;
use crate::random::Random;

const LINES: [&str; 12] = [
    "{k}: {v}",
    "{k}: {v}",
    "{k} = {v}",
    "the {k} is {v}",
    "{k} has {v}",
    "{k} -> {v}",
    "{k} ({v})",
    "{k} {v}",
    "{v} for {k}",
    "{v} {k}",
    "{v} in {k}",
    "| {k} | {v} |",
];
/// Questions for a key.
pub const ASKS: [&str; 8] = [
    "{k}?",
    "What is {k}?",
    "Find {k}.",
    "Look up {k}.",
    "Which value has {k}?",
    "And {k}?",
    "Tell me about {k}.",
    "{k}, please.",
];

/// A key: one common word, two, an invented word, a name, a day.
fn key(random: &mut Random, style: usize) -> String {
    match style {
        0 => known(random).to_owned(),
        1 => format!("{} {}", random.word(&LOOKS), random.word(&THINGS)),
        2 => format!("{} {}", random.word(&THINGS), random.word(&TRAITS)),
        3 => invented(random),
        4 => format!("{} {}", invented_name(random), invented_name(random)),
        5 => random.word(&NAMES).to_owned(),
        6 => random.word(&DAYS).to_owned(),
        9 => format!("{} {}", random.word(COMMON), random.word(COMMON)),
        7 => format!("{} {}", invented(random), invented(random)),
        _ => invented_name(random),
    }
}

/// `count` keys of one style, all different.
pub fn keys(random: &mut Random, count: usize) -> Vec<String> {
    let style = match random.index(10) {
        6 if count > DAYS.len() => 8,
        style => style,
    };
    let mut keys: Vec<String> = Vec::new();
    while keys.len() < count {
        let key = key(random, style);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// `count` different values; half of the notes hold values of few kinds only.
pub fn values(random: &mut Random, count: usize) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    while values.len() < count {
        let value = value(random);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

/// Entries and several bare questions, answered with the bare value: most of what teaches the look-up.
pub fn entries(random: &mut Random, most: usize) -> Json {
    let count = random.between(2, most);
    let keys = keys(random, count);
    let values = values(random, count);
    let note = note(random, &keys, &values);
    let ask = random.word(&ASKS);
    let mut talk = Talk::default();
    for turn in 0..random.between(1, count) {
        let asked = random.index(count);
        let question = fill(ask, &keys[asked], "");
        talk = talk
            .user(if turn == 0 { format!("{note}\n{question}") } else { question })
            .assistant(values[asked].clone());
    }
    talk.json()
}

/// A note of entries: an object, or lines of one form.
pub fn note(random: &mut Random, keys: &[String], values: &[String]) -> String {
    if random.chance(17) {
        return object(keys, values);
    }
    let line = random.word(&LINES);
    let joint = random.word(&["\n", ", ", "; ", ". "]);
    let all: Vec<String> = keys.iter().zip(values).map(|(key, value)| fill(line, key, value)).collect();
    all.join(joint)
}

/// Key and value pairs as JSON, numbers bare where they are numbers.
fn object(keys: &[String], values: &[String]) -> String {
    let pairs = keys.iter().zip(values).map(|(key, value)| {
        let bare = value.parse::<f64>().is_ok() && !value.starts_with('0');
        (key.clone(), if bare { Json::Number(value.clone()) } else { Json::text(value) })
    });
    Json::Map(pairs.collect()).to_string()
}

/// Fills `{k}` and `{v}`.
pub fn fill(template: &str, key: &str, value: &str) -> String {
    template.replace("{k}", key).replace("{v}", value)
}
