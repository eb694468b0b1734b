//! Rows that can only be answered by copying: lists of words and of random codes.

use super::chat::Talk;
use super::words::{ANIMALS, LOOKS, PLACES, THINGS};
use super::words::{invented, invented_name, known, value};
use crate::json::Json;
use crate::random::Random;

/// A list of different common words, said again: from this a small model learns to copy within a million tokens.
pub fn words(random: &mut Random) -> Json {
    let all: Vec<&str> = [&THINGS[..], &ANIMALS[..], &PLACES[..], &LOOKS[..]].concat();
    let count = random.between(3, 20);
    let list = random.sample(&all, count).into_iter().copied().collect::<Vec<_>>().join(" ");
    Talk::default().user(list.clone()).assistant(list).json()
}

/// A short list of codes, names and numbers, said again on request.
pub fn codes(random: &mut Random) -> Json {
    let count = random.between(1, 6);
    let list: Vec<String> = (0..count)
        .map(|_| match random.index(4) {
            0 => invented(random),
            1 => format!("{} {}", invented_name(random), invented_name(random)),
            2 => known(random).to_owned(),
            _ => value(random),
        })
        .collect();
    let list = list.join(random.word(&[" ", ", ", "; ", "\n"]));
    let ask = random.word(&["Repeat: ", "Say: ", "Copy this: ", "Echo: "]);
    Talk::default().user(format!("{ask}{list}")).assistant(list).json()
}
