//! The words of the made-up everyday world, and invented ones. None of them belongs to a school's or an office's software.

use super::common::COMMON;
use crate::random::Random;

/// Things one can hold, own or count.
pub const THINGS: [&str; 96] = [
    "apple", "basket", "bell", "bench", "boat", "bottle", "bowl", "box", "bread", "brush", "bucket", "button", "cake",
    "candle", "carpet", "cart", "chair", "clock", "coat", "comb", "cup", "curtain", "dish", "doll", "door", "drum",
    "egg", "fan", "feather", "fence", "flag", "flower", "flute", "fork", "gate", "glass", "glove", "guitar", "hammer",
    "hat", "horn", "jar", "jug", "kettle", "key", "kite", "knife", "ladder", "lamp", "leaf", "lemon", "map", "mask",
    "mat", "melon", "mirror", "nail", "nest", "nut", "onion", "oven", "paint", "pan", "pear", "pearl", "pen", "piano",
    "pie", "pillow", "plate", "plum", "pot", "puppet", "purse", "raft", "ring", "rope", "rug", "sack", "saddle",
    "salt", "scarf", "shell", "shoe", "sled", "soap", "sock", "spoon", "stone", "stool", "tent", "torch", "tower",
    "towel", "wagon", "wheel",
];
/// What things are like.
pub const LOOKS: [&str; 48] = [
    "big", "black", "blue", "bold", "brave", "brown", "calm", "clean", "clever", "cold", "crisp", "dark", "deep",
    "dry", "dusty", "early", "empty", "fast", "flat", "free", "fresh", "full", "gentle", "golden", "green", "happy",
    "heavy", "hot", "kind", "large", "late", "light", "little", "long", "loud", "new", "old", "open", "pink", "plain",
    "proud", "quiet", "red", "round", "sharp", "short", "silver", "small",
];
/// Living things.
pub const ANIMALS: [&str; 40] = [
    "ant", "bear", "bee", "bird", "cat", "cow", "crab", "crow", "deer", "dog", "donkey", "duck", "eagle", "fish",
    "fox", "frog", "goat", "goose", "hare", "hen", "horse", "lamb", "lion", "mole", "mouse", "mule", "otter", "owl",
    "panda", "parrot", "pig", "pony", "rabbit", "seal", "sheep", "snail", "swan", "tiger", "turtle", "wolf",
];
/// Places of the made-up world.
pub const PLACES: [&str; 40] = [
    "bakery", "barn", "bay", "beach", "bridge", "cabin", "camp", "castle", "cave", "cellar", "cliff", "corner", "dock",
    "farm", "field", "forest", "garden", "harbour", "hill", "inn", "island", "kitchen", "lake", "lane", "market",
    "meadow", "mill", "orchard", "park", "path", "pond", "port", "river", "road", "square", "stable", "street",
    "valley", "village", "yard",
];
/// What can be said of a thing.
pub const TRAITS: [&str; 48] = [
    "price",
    "age",
    "weight",
    "height",
    "width",
    "length",
    "colour",
    "speed",
    "size",
    "depth",
    "cost",
    "number",
    "code",
    "label",
    "name",
    "owner",
    "taste",
    "share",
    "rate",
    "score",
    "time",
    "start",
    "end",
    "level",
    "limit",
    "fee",
    "wait",
    "stay",
    "load",
    "heat",
    "total",
    "rent",
    "gain",
    "loss",
    "rise",
    "drop",
    "mark",
    "rank",
    "floor",
    "shelf",
    "seat",
    "season",
    "mood",
    "prize",
    "stock",
    "water level",
    "opening hour",
    "entry price",
];
/// First names that no row of the task uses.
pub const NAMES: [&str; 48] = [
    "Anna", "Ben", "Carl", "Dora", "Ed", "Fay", "Gil", "Hal", "Ida", "Jack", "Kit", "Lou", "Max", "Nell", "Otto",
    "Pam", "Quin", "Ray", "Sam", "Tess", "Una", "Vic", "Will", "Xena", "York", "Zack", "Amy", "Bob", "Cleo", "Dan",
    "Eva", "Finn", "Gwen", "Hans", "Iris", "Jo", "Ken", "Lily", "Milo", "Nora", "Olaf", "Pia", "Rosa", "Stan", "Tim",
    "Ulla", "Vera", "Wes",
];
/// Days of the week.
pub const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const ONSETS: [&str; 24] = [
    "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "br", "st", "tr", "sh", "ch",
    "gr", "pl",
];
const VOWELS: [&str; 10] = ["a", "e", "i", "o", "u", "a", "e", "ee", "ai", "ou"];
const CODAS: [&str; 12] = ["", "", "", "n", "r", "l", "s", "t", "m", "nd", "ck", "th"];
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A word that exists nowhere, of one to three syllables.
pub fn invented(random: &mut Random) -> String {
    let mut word = String::new();
    for _ in 0..random.between(1, 3) {
        for part in [&ONSETS[..], &VOWELS[..], &CODAS[..]] {
            word.push_str(random.word(part));
        }
    }
    word
}

/// The same with a capital, like a name.
pub fn invented_name(random: &mut Random) -> String {
    let word = invented(random);
    word[..1].to_uppercase() + &word[1..]
}

/// `count` random upper-case letters.
pub fn letters(random: &mut Random, count: usize) -> String {
    (0..count).map(|_| char::from(*random.pick(LETTERS))).collect()
}

/// A word of the world, any kind.
pub fn known(random: &mut Random) -> &'static str {
    match random.index(9) {
        0 | 1 => random.word(&THINGS),
        5.. => random.word(COMMON),
        2 => random.word(&ANIMALS),
        3 => random.word(&PLACES),
        _ => random.word(&LOOKS),
    }
}

/// A figure of one of twelve kinds.
pub fn figure(random: &mut Random, kind: usize) -> String {
    match kind {
        0 => random.between(1, 99).to_string(),
        1 => random.between(100, 9999).to_string(),
        2 => format!("{}%", random.between(1, 99)),
        3 => format!("{}.{}%", random.between(1, 40), random.index(10)),
        4 => format!("${}", random.between(1, 999)),
        5 => format!("{}.{:02}", random.between(1, 9), random.index(100)),
        6 => format!("{}:{:02}", random.between(1, 23), random.index(60)),
        7 => {
            format!("{} {}", random.between(2, 60), random.pick(&["days", "weeks", "hours", "coins", "miles", "steps"]))
        }
        8 => format!("{},{:03}", random.between(1, 9), random.index(1000)),
        9 => format!("${}.{}M", random.between(1, 99), random.index(10)),
        10 => {
            let number = random.between(10, 999);
            format!("{}{number}", letters(random, 1))
        }
        _ => {
            let (count, low) = (random.between(1, 3), random.between(1, 999));
            format!("{}-{low}", letters(random, count))
        }
    }
}

/// A random value: number, share, price, time, code, name, word. Never twice the same kind of length, so it must be copied.
pub fn value(random: &mut Random) -> String {
    match random.index(16) {
        0 | 1 => figure(random, 0),
        draw @ 2..=7 => figure(random, draw - 1),
        8 => figure(random, 11),
        9 => figure(random, 10),
        draw @ 10..=12 => figure(random, draw - 3),
        13 => invented(random),
        14 => format!("{} {}", invented_name(random), invented_name(random)),
        _ => known(random).to_owned(),
    }
}
