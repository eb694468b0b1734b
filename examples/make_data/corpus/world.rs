//! Short talks about the made-up everyday world: a note of several sentences, a question, an answer in a short sentence,
//! or the bare value when the system text asks for it. A sixth of the notes come from a tool of that world.

use super::chat::{Talk, Tool, with_tool};
use super::common::COMMON;
use super::lookup::{fill, keys, values};
use super::words::{ANIMALS, LOOKS, NAMES, PLACES, THINGS, TRAITS, invented, invented_name, known};
use crate::json::Json;
use crate::random::Random;

/// Sentences that state a fact.
pub const TELL: [&str; 18] = [
    "The {k} is {v}.",
    "The {k} is {v}.",
    "{K}: {v}.",
    "The {k} was {v}.",
    "{K} is now {v}.",
    "It has a {k} of {v}.",
    "The {k} costs {v}.",
    "The {k} grew to {v}.",
    "You get {v} for the {k}.",
    "We keep the {k} at {v}.",
    "{v} is the {k}.",
    "The {k} went up {v}.",
    "There is a {k} of {v}.",
    "Expect {v} for the {k}.",
    "{K} = {v}.",
    "The {k} takes {v} a day.",
    "After a while the {k} will be {v}.",
    "With the {k} came {v}.",
];
/// Questions for a fact.
pub const ASK: [&str; 14] = [
    "What is the {k} of {o}?",
    "What is the {k} at {o}?",
    "{o}: what is the {k}?",
    "Tell me the {k} of {o}.",
    "Find the {k} for {o}.",
    "Which {k} does {o} have?",
    "How much is the {k} at {o}?",
    "I want to know the {k} of {o}.",
    "Can you say what the {k} is?",
    "Do you know {o}'s {k}?",
    "Please look for the {k}.",
    "And the {k} of {o}, please?",
    "Say the {k}.",
    "{o} asks about the {k}.",
];
const ANSWER: [&str; 3] = ["The {k} is {v}.", "It is {v}.", "The {k} of {o} is {v}."];
/// System texts that ask for the bare value.
pub const BARE: [&str; 3] = ["Answer with the value only.", "Only the value.", "Give just the value."];
/// What is thought before a tool is called.
pub const THOUGHTS: [&str; 4] = ["", "Look it up.", "Search.", "Check the notes."];
/// Tools of the made-up world.
pub const TOOLS: [Tool; 6] = [
    Tool("look_around", "see what is at a place", "query"),
    Tool("read_card", "search over the cards", "query"),
    Tool("ask_baker", "ask the baker", "query"),
    Tool("open_box", "look into a box", "label"),
    Tool("weather_of", "weather of a day", "day"),
    Tool("find_recipe", "find a recipe", "dish"),
];

/// The owner of a note: a person, an animal, a place.
pub fn owner(random: &mut Random) -> String {
    match random.index(5) {
        0 => random.word(&NAMES).to_owned(),
        1 => format!("the {} {}", random.word(&LOOKS), random.word(&ANIMALS)),
        2 => format!("{} {}", invented_name(random), capital(random.word(&PLACES))),
        3 if random.chance(50) => format!("{} {}", capital(random.word(COMMON)), capital(random.word(COMMON))),
        3 => format!("{} {}", invented_name(random), invented_name(random)),
        _ => format!("the {}", random.word(&PLACES)),
    }
}

/// What a fact is about: traits of the world, things, and invented phrases so that any words can be matched.
pub fn topics(random: &mut Random, count: usize) -> Vec<String> {
    if random.chance(25) {
        return random.sample(&TRAITS, count).into_iter().map(|topic| (*topic).to_owned()).collect();
    }
    let mut topics: Vec<String> = Vec::new();
    while topics.len() < count {
        let topic = match random.index(8) {
            4 => format!("{} {}", random.word(COMMON), random.word(&TRAITS)),
            5 | 6 => format!("{} {}", random.word(COMMON), random.word(COMMON)),
            7 => random.word(COMMON).to_owned(),
            0 => format!("{} {}", random.word(&THINGS), random.word(&TRAITS)),
            1 => format!("{} {}", invented(random), random.word(&TRAITS)),
            2 => format!("{} {}", invented(random), invented(random)),
            _ => format!("{} {}", random.word(&LOOKS), random.word(&THINGS)),
        };
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    topics
}

/// A note in sentences about one owner, and one or two questions.
pub fn facts(random: &mut Random) -> Json {
    let count = random.between(2, 4);
    let topics = topics(random, count);
    let values = values(random, count);
    let owner = owner(random);
    let mut sentences: Vec<String> = Vec::new();
    for (topic, value) in topics.iter().zip(&values) {
        let sentence = random.word(&TELL).replace("{K}", &capital(topic));
        sentences.push(fill(&sentence, topic, value));
    }
    let heading = if random.chance(40) { format!("{}. ", capital(&owner)) } else { String::new() };
    let note = format!("{heading}{}", sentences.join(" "));
    let questions = random.between(1, 2);
    let asked: Vec<usize> = (0..questions).map(|_| random.index(count)).collect();
    let pairs: Vec<(String, String, String)> = asked
        .into_iter()
        .map(|place| {
            let question = capital(&fill(random.word(&ASK), &topics[place], "").replace("{o}", &owner));
            let answer = fill(random.word(&ANSWER), &topics[place], &values[place]).replace("{o}", &owner);
            (question, answer, values[place].clone())
        })
        .collect();
    talk(random, &note, &pairs)
}

/// The same trait of several owners.
pub fn owners(random: &mut Random) -> Json {
    let count = random.between(2, 4);
    let keys = keys(random, count);
    let values = values(random, count);
    let topic = topics(random, 1).remove(0);
    let line = random.word(&["{k} {v}", "{k}: {v}", "{k} has {v}", "{k} = {v}", "{v} for {k}", "at {k} it is {v}"]);
    let list: Vec<String> = keys.iter().zip(&values).map(|(key, value)| fill(line, key, value)).collect();
    let joint = random.word(&[", ", "; "]);
    let note = format!("{}: {}.", capital(&topic), list.join(joint));
    let place = random.index(count);
    let ask = random.word(&ASK[..7]);
    let question = capital(&fill(ask, &topic, "").replace("{o}", &keys[place]));
    let answer = fill(random.word(&["{k} has {v}.", "It is {v}.", "{k}: {v}."]), &keys[place], &values[place]);
    talk(random, &note, &[(question, capital(&answer), values[place].clone())])
}

/// The row: note in the question, or from a tool.
fn talk(random: &mut Random, note: &str, pairs: &[(String, String, String)]) -> Json {
    let (question, answer, value) = &pairs[0];
    if random.chance(25) {
        let tool = random.pick(&TOOLS);
        let argument = if random.chance(60) { question.clone() } else { known(random).to_owned() };
        let thought = random.word(&THOUGHTS);
        return with_tool(tool, question, thought, &argument, note, answer);
    }
    let bare = random.chance(35);
    let mut row = if bare { Talk::default().system(random.word(&BARE)) } else { Talk::default() };
    let first = if random.chance(80) { format!("{note}\n{question}") } else { format!("{question}\n{note}") };
    row = row.user(first).assistant(if bare { value } else { answer }.clone());
    for (question, answer, value) in &pairs[1..] {
        row = row.user(question.clone()).assistant(if bare { value } else { answer }.clone());
    }
    row.json()
}

const SHOPS: [(&str, [&str; 6]); 8] = [
    ("the baker", ["bread", "cake", "pie", "bun", "roll", "tart"]),
    ("the smith", ["hammer", "nail", "knife", "horn", "bell", "key"]),
    ("the weaver", ["carpet", "coat", "scarf", "towel", "curtain", "sock"]),
    ("the potter", ["bowl", "cup", "jug", "dish", "plate", "pot"]),
    ("the gardener", ["apple", "flower", "lemon", "melon", "onion", "plum"]),
    ("the joiner", ["bench", "chair", "door", "ladder", "stool", "wagon"]),
    ("the fisher", ["boat", "raft", "net", "crab", "fish", "shell"]),
    ("the painter", ["paint", "brush", "mask", "mirror", "flag", "kite"]),
];

/// What everybody in the village knows: who makes what.
pub fn village(random: &mut Random) -> Json {
    let (maker, goods) = random.pick(&SHOPS);
    let ware = random.pick(goods);
    let ask = random.word(&[
        "Who makes a {k}?",
        "Where can I get a {k}?",
        "My {k} is broken. Who can help?",
        "I need a {k}.",
        "Who sells a {k}?",
    ]);
    let answer = random.word(&["Go to {v}.", "{v}."]);
    let look = if random.chance(50) { format!("{} {ware}", random.word(&LOOKS)) } else { (*ware).to_owned() };
    Talk::default().user(fill(ask, &look, "")).assistant(capital(&fill(answer, "", maker))).json()
}

/// A few lines of plain text: a story, a diary of the weather, a recipe.
pub fn story(random: &mut Random) -> Json {
    let hero = format!("{} {}", random.word(&LOOKS), random.word(&ANIMALS));
    let (place, thing, friend) = (random.word(&PLACES), random.word(&THINGS), random.word(&NAMES));
    let template = random.word(&[
        "The {h} went to the {p} and found a {t}. {f} asked for the {t}. The {h} said yes, and they shared it near the {p}.",
        "{f} put a {t} into the sack. On the way to the {p} a {h} took the {t}. {f} went home without it.",
        "In the {p} there is a {t}. Each morning {f} looks at the {t} and feeds the {h}.",
        "Take a {t}, add some water and stir. Wait until the {h} sleeps. Then carry the {t} to the {p} and call {f}.",
    ]);
    let text = template.replace("{h}", &hero).replace("{p}", place).replace("{t}", thing).replace("{f}", friend);
    Json::map([("text", Json::text(text))])
}

/// The text with a capital first letter.
pub fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
