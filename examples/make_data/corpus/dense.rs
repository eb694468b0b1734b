//! Notes with a question for nearly every fact in them, answered shortly: looking up in sentences is learned from the
//! answers alone, so a row should hold many of them. Four kinds of note: facts of one owner, one fact of several owners,
//! loose sentences in which only a word shared by question and fact leads to the value, and plain entries.

use super::chat::{Talk, with_tool};
use super::common::COMMON;
use super::lookup::{self, fill, keys, values};
use super::words::{figure, invented_name};
use super::world::{ASK, BARE, TELL, THOUGHTS, TOOLS, capital, owner, topics};
use crate::json::Json;
use crate::random::Random;

/// A question and its value; the topic of the question for answers that name it.
struct Asked {
    question: String,
    topic: String,
    value: String,
}

/// A note and some questions about it.
type Noted = (String, Vec<Asked>);
/// How a note and its questions become a row.
type Deliver = fn(&mut Random, Noted) -> Json;

/// Facts of one owner; the note mostly stands before the question.
pub fn facts(random: &mut Random) -> Json {
    let noted = facts_note(random);
    plain(random, noted)
}

/// One fact of several owners; the note mostly stands before the question.
pub fn owners(random: &mut Random) -> Json {
    let noted = owners_note(random);
    plain(random, noted)
}

/// Loose sentences; the note mostly stands before the question.
pub fn loose(random: &mut Random) -> Json {
    let noted = loose_note(random);
    plain(random, noted)
}

/// Any kind of note, the question before it: from a tool, or in the same turn. The bare value only where it is asked for.
pub fn question_first(random: &mut Random) -> Json {
    let noted = match random.index(100) {
        0..36 => facts_note(random),
        36..58 => owners_note(random),
        58..80 => loose_note(random),
        _ => entries_note(random),
    };
    let deliver: Deliver = if random.chance(75) { through_tool } else { after_question };
    deliver(random, noted)
}

/// Facts of one owner in sentences.
fn facts_note(random: &mut Random) -> Noted {
    let count = random.between(2, 4);
    let topics = topics(random, count);
    let values = mixed_values(random, count);
    let owner = owner(random);
    let sentences: Vec<String> = topics
        .iter()
        .zip(&values)
        .map(|(topic, value)| {
            let sentence = random.word(&TELL).replace("{K}", &capital(topic));
            capital(&fill(&sentence, topic, value))
        })
        .collect();
    let heading = if random.chance(40) { format!("{}. ", capital(&owner)) } else { String::new() };
    let order = order(random, count);
    let pairs: Vec<Asked> = order
        .into_iter()
        .map(|place| Asked {
            question: capital(&fill(random.word(&ASK), &topics[place], "").replace("{o}", &owner)),
            topic: topics[place].clone(),
            value: values[place].clone(),
        })
        .collect();
    (format!("{heading}{}", sentences.join(" ")), pairs)
}

/// The same trait of several owners.
fn owners_note(random: &mut Random) -> Noted {
    let count = random.between(2, 4);
    let keys = keys(random, count);
    let values = mixed_values(random, count);
    let topic = topics(random, 1).remove(0);
    let line = random.word(&["{k} {v}", "{k}: {v}", "{k} has {v}", "{k} = {v}", "{v} for {k}", "at {k} it is {v}"]);
    let list: Vec<String> = keys.iter().zip(&values).map(|(key, value)| fill(line, key, value)).collect();
    let note = format!("{}: {}.", capital(&topic), list.join(random.word(&[", ", "; "])));
    let order = order(random, count);
    let pairs: Vec<Asked> = order
        .into_iter()
        .map(|place| Asked {
            question: capital(&fill(random.word(&ASK[..8]), &topic, "").replace("{o}", &keys[place])),
            topic: keys[place].clone(),
            value: values[place].clone(),
        })
        .collect();
    (note, pairs)
}

/// Sentences of common words; a question shares one or two words with the sentence that holds its value.
fn loose_note(random: &mut Random) -> Noted {
    let count = random.between(2, 4);
    let mut pool: Vec<&str> = random.sample(COMMON, 10 * count).into_iter().copied().collect();
    let mut take = |random: &mut Random, low: usize, high: usize| -> Vec<&str> {
        let left = pool.len() - random.between(low, high).min(pool.len());
        pool.split_off(left)
    };
    let mut sentences = Vec::new();
    let mut facts: Vec<(Vec<&str>, String)> = Vec::new();
    for value in distinct(random, count, figure) {
        let key = take(random, 1, 2);
        let mut sentence = take(random, 0, 1);
        sentence.extend(&key);
        sentence.extend(take(random, 0, 2));
        let place = if random.chance(80) { sentence.len() } else { 0 };
        sentence.insert(place, &value);
        if place > 0 {
            sentence.extend(take(random, 0, 2));
        }
        sentences.push(format!("{}.", capital(&sentence.join(" "))));
        facts.push((key, value));
    }
    let order = order(random, count);
    let pairs: Vec<Asked> = order
        .into_iter()
        .map(|place| {
            let (key, value) = &facts[place];
            let (before, after) = (random.between(1, 3), random.between(0, 3));
            let mut words: Vec<&str> = random.sample(&ASKING, before).into_iter().copied().collect();
            let whole = random.chance(70);
            words.extend(if whole { &key[..] } else { &key[key.len() - 1..] });
            words.extend(random.sample(&ASKING, after));
            let mark = random.word(&["?", ".", "?"]);
            let question = format!("{}{mark}", capital(&words.join(" ")));
            Asked { question, topic: key.join(" "), value: value.clone() }
        })
        .collect();
    (sentences.join(" "), pairs)
}

/// Entries of a list, a table or an object, perhaps under a name.
fn entries_note(random: &mut Random) -> Noted {
    let count = random.between(2, 5);
    let keys = keys(random, count);
    let values = mixed_values(random, count);
    let owner = format!("{} {}", invented_name(random), invented_name(random));
    let note = lookup::note(random, &keys, &values);
    let note = if random.chance(30) && !note.starts_with('{') { format!("{owner}: {note}") } else { note };
    let ask = random.word(&lookup::ASKS);
    let order = order(random, count);
    let pairs: Vec<Asked> = order
        .into_iter()
        .map(|place| {
            let question = match random.index(3) {
                0 => capital(&fill(ask, &keys[place], "")),
                1 => format!("{owner}, {}?", keys[place]),
                _ => capital(&fill(random.word(&ASK), &keys[place], "").replace("{o}", &owner)),
            };
            Asked { question, topic: keys[place].clone(), value: values[place].clone() }
        })
        .collect();
    (note, pairs)
}

/// Words that only ask; no note holds them as the key of a fact more often than any other word.
const ASKING: [&str; 24] = [
    "what", "which", "when", "how", "where", "long", "much", "many", "far", "is", "does", "are", "the", "a", "must",
    "I", "you", "we", "do", "for", "of", "at", "tell me", "please",
];

/// The order in which the facts are asked for: most of them, some twice.
fn order(random: &mut Random, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    random.shuffle(&mut order);
    order.truncate(random.between(1, count));
    if random.chance(30) {
        order.push(random.index(count));
    }
    order
}

/// Values of every kind, or only figures, or only figures of one kind.
fn mixed_values(random: &mut Random, count: usize) -> Vec<String> {
    if random.chance(40) { values(random, count) } else { distinct(random, count, figure) }
}

fn distinct(random: &mut Random, count: usize, make: fn(&mut Random, usize) -> String) -> Vec<String> {
    let kind = random.index(FIGURE_KINDS);
    let one_kind = random.chance(40);
    let mut values: Vec<String> = Vec::new();
    while values.len() < count {
        let kind = if one_kind { kind } else { random.index(FIGURE_KINDS) };
        let value = make(random, kind);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

const FIGURE_KINDS: usize = 12;

/// The row: the note in the first question, or from a tool; answers bare, or in a short sentence.
fn plain(random: &mut Random, (note, pairs): Noted) -> Json {
    let style = random.index(10);
    let say = |pair: &Asked| match style {
        0..=5 => pair.value.clone(),
        6..=8 => format!("It is {}.", pair.value),
        _ => format!("{}: {}.", capital(&pair.topic), pair.value),
    };
    let (first, rest) = pairs.split_first().expect("a row asks at least once");
    if random.chance(15) {
        let thought = random.word(&THOUGHTS);
        return with_tool(random.pick(&TOOLS), &first.question, thought, &first.question, &note, &say(first));
    }
    let mut row = Talk::default();
    if style < 3 {
        row = row.system(random.word(&BARE));
    }
    row = row.user(if random.chance(85) {
        format!("{note}\n{}", first.question)
    } else {
        format!("{}\n{note}", first.question)
    });
    row = row.assistant(say(first));
    for pair in rest {
        row = row.user(pair.question.clone()).assistant(say(pair));
    }
    row.json()
}

/// A short sentence, of two forms; the same one throughout a row.
fn sentence(form: usize, pair: &Asked) -> String {
    match form {
        0 => format!("{}: {}.", capital(&pair.topic), pair.value),
        _ => format!("It is {}.", pair.value),
    }
}

/// The question and then the note in one turn, and the other questions.
fn after_question(random: &mut Random, (note, pairs): Noted) -> Json {
    let (bare, form) = (random.chance(50), random.index(8));
    let say = |pair: &Asked| if bare { pair.value.clone() } else { sentence(form, pair) };
    let mut row = Talk::default();
    if bare {
        row = row.system(random.word(&BARE));
    }
    for (place, pair) in pairs.iter().enumerate() {
        let question = if place == 0 { format!("{}\n{note}", pair.question) } else { pair.question.clone() };
        row = row.user(question).assistant(say(pair));
    }
    row.json()
}

/// The first question, a call with it or with its topic, the note from the tool, and the other questions.
fn through_tool(random: &mut Random, (note, pairs): Noted) -> Json {
    let (tool, form) = (random.pick(&TOOLS), random.index(8));
    let mut row = Talk::default().tool(tool);
    for (place, pair) in pairs.iter().enumerate() {
        row = row.user(pair.question.clone());
        if place == 0 {
            let argument = if random.chance(60) { &pair.question } else { &pair.topic };
            row = row.call(tool, random.word(&THOUGHTS), argument).observe(note.clone());
        }
        row = row.assistant(sentence(form, pair));
    }
    row.json()
}
