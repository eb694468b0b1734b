//! Tickets and routing: open a ticket in the right queue, or name the queue without any tool.

use super::scene::{Scene, Source};
use super::values::{Split, capital, fill, number};
use crate::random::Random;

/// A queue, the letters of its ticket numbers, and the troubles it handles.
struct Queue(&'static str, &'static str, [&'static str; 6]);

const QUEUES: [Queue; 7] = [
    Queue("IT Helpdesk", "IT", ["password", "laptop", "email account", "wifi", "printer", "login"]),
    Queue("Payroll", "PAY", ["payslip", "salary", "overtime pay", "bonus", "tax form", "bank details"]),
    Queue("Facilities", "FAC", ["heating", "broken window", "light bulb", "leaking tap", "door lock", "desk"]),
    Queue(
        "Registrar",
        "REG",
        ["transcript", "enrollment", "course change", "diploma", "name change", "credit transfer"],
    ),
    Queue(
        "Library",
        "LIB",
        ["overdue book", "library card", "journal access", "study room", "book request", "loan renewal"],
    ),
    Queue(
        "Finance",
        "FIN",
        ["invoice", "refund", "tuition bill", "purchase order", "expense claim", "scholarship payment"],
    ),
    Queue(
        "Human Resources",
        "HR",
        ["sick leave", "vacation days", "job contract", "parental leave", "new hire", "reference letter"],
    ),
];

const ROUTE: [&str; 6] = [
    "Who handles a {t} problem?",
    "Route this: {t} issue.",
    "Which team helps with my {t}?",
    "I have a question about my {t}. Which queue?",
    "Where do I send a {t} request?",
    "{T} trouble. Which queue?",
];
const ROUTE_UNSEEN: [&str; 6] = [
    "My {t} needs attention, who takes care of it?",
    "Something is wrong with the {t}. Where should it go?",
    "Help, it is about the {t}! Which desk?",
    "Name the right team for {t} matters.",
    "Our {t} case is still open, who owns it?",
    "Please forward: {t}.",
];
const PLACES: [&str; 9] = [
    "Room 12",
    "the annex",
    "Building C",
    "the gym",
    "the main hall",
    "Lab 4",
    "the west wing",
    "the lobby",
    "Block D",
];

/// A trouble whose queue must be known; training walks through all of them.
pub fn routing(random: &mut Random, split: Split, ordinal: usize) -> Scene {
    let queue = &QUEUES[ordinal % QUEUES.len()];
    let trouble = queue.2[ordinal / QUEUES.len() % queue.2.len()];
    let unseen = split == Split::HeldOut && random.chance(67);
    let ask = *random.pick(if unseen { &ROUTE_UNSEEN } else { &ROUTE });
    let mut query = fill(ask, &[("t", trouble), ("T", &capital(trouble))]);
    if (split == Split::HeldOut && !unseen) || random.chance(40) {
        query = format!("{query} {}", from(random, split));
    }
    Scene {
        query,
        context: String::new(),
        answer: queue.0.to_owned(),
        values: Vec::new(),
        unseen,
        source: Source::Memory,
    }
}

fn from(random: &mut Random, split: Split) -> String {
    let place = *random.pick(split.part(&PLACES));
    fill(random.word(&["I am in {p}.", "It concerns {p}.", "({p})", "Asked from {p}."]), &[("p", place)])
}

const OPEN: [&str; 4] = [
    "Open a ticket for my {t} and give the number.",
    "Please file a {t} ticket.",
    "Create a ticket: {t}.",
    "I need a ticket about the {t}.",
];
const OPEN_UNSEEN: [&str; 3] = [
    "Which ticket number did the {t} get?",
    "Give me the reference for the {t}.",
    "Under what number is the {t} filed?",
];

/// A ticket just opened among others; the answer is its number.
pub fn ticket(random: &mut Random, split: Split, _: usize) -> Scene {
    let count = random.between(2, 3);
    let chosen = random.sample(&QUEUES, count);
    let asked = random.index(count);
    let troubles: Vec<&str> = chosen.iter().map(|queue| *random.pick(&queue.2)).collect();
    let values: Vec<String> =
        chosen.iter().map(|queue| format!("{}-{}", queue.1, number(random, split, 101, 998))).collect();
    let unseen = split == Split::HeldOut && random.chance(60);
    let line = *random.pick(&["{n} {t}", "{n}: {t}", "{n} ({t})", "{t} is {n}", "{t}: {n}"]);
    let list: Vec<String> =
        troubles.iter().zip(&values).map(|(trouble, value)| fill(line, &[("t", trouble), ("n", value)])).collect();
    let ask = *random.pick(if unseen { &OPEN_UNSEEN[..] } else { &OPEN[..] });
    let heading = *random.pick(&["Open tickets: ", "Queue: ", "Tickets: ", ""]);
    let query = fill(ask, &[("t", troubles[asked])]);
    Scene {
        query: if split == Split::HeldOut && !unseen { format!("{query} {}", from(random, split)) } else { query },
        context: format!("{heading}{}.", list.join(", ")),
        answer: values[asked].clone(),
        values,
        unseen,
        source: Source::Desk(chosen[asked].0.to_owned(), troubles[asked].to_owned()),
    }
}
