//! Students: attendance by course and the grade book's JSON, one entry asked for.

use super::scene::{Scene, Source};
use super::values::{Kind, Split, courses, distinct, fill, person};
use crate::json::Json;
use crate::random::Random;

const ATTENDED: [&str; 5] = [
    "What is {p}'s attendance in {c}?",
    "Look up the {c} attendance of {p}.",
    "How often does {p} attend {c}?",
    "{c} attendance for {p}?",
    "Find {p}'s {c} attendance.",
];
const ATTENDED_UNSEEN: [&str; 4] = [
    "I want to see how regularly {p} comes to {c}.",
    "Please report the share of {c} classes {p} was in.",
    "Is there a figure for {p} in {c}?",
    "In {c}, how present was {p}?",
];

/// The attendance register of a student.
pub fn attendance(random: &mut Random, split: Split, _: usize) -> Scene {
    let student = person(random, split);
    let count = random.between(3, 4);
    let names = courses(random, split, count);
    let values = distinct(random, split, &vec![Kind::Percent; count]);
    let asked = random.index(count);
    let unseen = split == Split::HeldOut && random.chance(50);
    let (line, joint) = *random.pick(&[
        ("{c} {v}", ", "),
        ("{c}: {v}", "; "),
        ("{c}: {v}", ", "),
        ("{v} in {c}", ", "),
        ("{c} = {v}", "; "),
    ]);
    let list: Vec<String> =
        names.iter().zip(&values).map(|(course, value)| fill(line, &[("c", course), ("v", value)])).collect();
    let ask = *random.pick(if unseen { &ATTENDED_UNSEEN[..] } else { &ATTENDED[..] });
    Scene {
        query: fill(ask, &[("p", &student), ("c", &names[asked])]),
        context: format!("{student}: {}.", list.join(joint)),
        answer: values[asked].clone(),
        values,
        unseen,
        source: Source::Register(student),
    }
}

const ITEMS: [(&str, Kind); 9] = [
    ("quiz", Kind::Score),
    ("midterm", Kind::Score),
    ("final", Kind::Score),
    ("project", Kind::Score),
    ("lab", Kind::Score),
    ("essay", Kind::Score),
    ("homework", Kind::Score),
    ("gpa", Kind::Grade),
    ("thesis", Kind::Score),
];
const SCORED: [&str; 5] = [
    "What is the {i} score of {p}?",
    "Find {p}'s {i} score.",
    "Check the {i} of {p}.",
    "{p}: what is the {i}?",
    "{p}, {i} score?",
];
const SCORED_UNSEEN: [&str; 4] = [
    "How did {p} do on the {i}?",
    "Tell {p}'s parents the {i} result.",
    "Which number stands under {i} for {p}?",
    "For the {i}, what did {p} receive?",
];

/// The grade book's record of a student.
pub fn gradebook(random: &mut Random, split: Split, _: usize) -> Scene {
    let student = person(random, split);
    let count = random.between(3, 4);
    let items = random.sample(&ITEMS, count);
    let kinds: Vec<Kind> = items.iter().map(|item| item.1).collect();
    let values = distinct(random, split, &kinds);
    let asked = random.index(count);
    let unseen = split == Split::HeldOut && random.chance(50);
    let mut pairs = vec![("student".to_owned(), Json::text(&student))];
    pairs.extend(items.iter().zip(&values).map(|(item, value)| (item.0.to_owned(), Json::Number(value.clone()))));
    let ask = *random.pick(if unseen { &SCORED_UNSEEN[..] } else { &SCORED[..] });
    Scene {
        query: fill(ask, &[("p", &student), ("i", items[asked].0)]),
        context: Json::Map(pairs).to_string(),
        answer: values[asked].clone(),
        values,
        unseen,
        source: Source::Grades(student),
    }
}
