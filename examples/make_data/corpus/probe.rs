//! The test a base model has to pass before any fine-tuning: codes it has never seen, looked up by key among five.

use super::lookup::keys;
use super::words::letters;
use crate::json::Json;
use crate::random::Random;

const ENTRIES: usize = 5;

/// One row of an evaluation file: the note and the question as the query, the code as the answer.
pub fn row(random: &mut Random) -> Json {
    let keys = keys(random, ENTRIES);
    let mut codes: Vec<String> = Vec::new();
    while codes.len() < ENTRIES {
        let (count, number) = (random.between(2, 3), random.between(100, 999));
        let code = format!("{}-{number}", letters(random, count));
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let note: Vec<String> = keys.iter().zip(&codes).map(|(key, code)| format!("{key}: {code}")).collect();
    let asked = random.index(ENTRIES);
    let query = format!("{}\nWhat is {}?", note.join("\n"), keys[asked]);
    Json::map([("query", Json::text(query)), ("expected", Json::text(&codes[asked]))])
}
