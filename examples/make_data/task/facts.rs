//! Policies of schools and figures of companies: a note holds several facts and the question asks for one of them.

use super::scene::{Scene, Source};
use super::values::{Kind, Split, capital, companies, distinct, fill, schools};
use crate::random::Random;

/// A fact: the words that name it, how its value looks, a sentence of its own, and a question of its own.
struct Fact(&'static str, Kind, &'static str, &'static str);

const POLICIES: [Fact; 24] = [
    Fact("late penalty", Kind::Part, "Late work loses {v} per day.", "What does late work lose at {e}?"),
    Fact(
        "extension notice",
        Kind::Days,
        "Ask for an extension {v} ahead.",
        "How early must I ask for an extension at {e}?",
    ),
    Fact("retake fee", Kind::Dollars, "Retaking an exam costs {v}.", "What does retaking an exam cost at {e}?"),
    Fact("library fine", Kind::Dollars, "A lost library book costs {v}.", "What does a lost library book cost at {e}?"),
    Fact("parking permit", Kind::Dollars, "Parking costs {v} a term.", "What does parking cost at {e}?"),
    Fact(
        "minimum attendance",
        Kind::Percent,
        "Students must attend {v} of classes.",
        "How many classes must {e} students attend?",
    ),
    Fact("credit limit", Kind::Credits, "Students may take {v}.", "How many credits may {e} students take?"),
    Fact("pass mark", Kind::Percent, "You pass with {v}.", "With what mark do you pass at {e}?"),
    Fact("refund window", Kind::Days, "Refunds are paid within {v}.", "When are refunds paid at {e}?"),
    Fact("appeal deadline", Kind::Days, "Appeals close after {v}.", "When do appeals close at {e}?"),
    Fact("annual leave", Kind::Days, "Staff get {v} of leave.", "How much leave do {e} staff get?"),
    Fact("travel cap", Kind::Dollars, "Trips are paid up to {v}.", "Up to what sum are trips paid at {e}?"),
    Fact("meal allowance", Kind::Dollars, "Meals are paid up to {v}.", "Up to what sum are meals paid at {e}?"),
    Fact(
        "probation period",
        Kind::Weeks,
        "New staff are on probation for {v}.",
        "How long is probation for {e} staff?",
    ),
    Fact("room deposit", Kind::Dollars, "A room deposit is {v}.", "How big is a room deposit at {e}?"),
    Fact("quiz weight", Kind::Part, "Quizzes count {v}.", "How much do quizzes count at {e}?"),
    Fact("project weight", Kind::Part, "Projects count {v}.", "How much do projects count at {e}?"),
    Fact("exam room", Kind::Room, "Exams are held in {v}.", "Where are exams held at {e}?"),
    Fact("opening time", Kind::Clock, "The office opens at {v}.", "When does the office open at {e}?"),
    Fact("scholarship GPA", Kind::Grade, "Scholarships need a GPA of {v}.", "Which GPA do scholarships need at {e}?"),
    Fact("loan period", Kind::Weeks, "Books are lent for {v}.", "How long are books lent at {e}?"),
    Fact("tuition", Kind::Dollars, "A course costs {v}.", "What does a course cost at {e}?"),
    Fact(
        "sick note limit",
        Kind::Days,
        "Hand in a sick note within {v}.",
        "How fast must I hand in a sick note at {e}?",
    ),
    Fact("internship length", Kind::Weeks, "An internship lasts {v}.", "How long does an internship last at {e}?"),
];

const FIGURES: [Fact; 16] = [
    Fact("revenue growth", Kind::Part, "Revenue grew {v} YoY.", "What was {e}'s YoY revenue growth?"),
    Fact("revenue", Kind::Millions, "Revenue reached {v}.", "What did revenue reach at {e}?"),
    Fact("churn", Kind::Part, "Churn fell to {v}.", "To what level did churn fall at {e}?"),
    Fact("headcount", Kind::Count, "Headcount rose to {v}.", "To what did headcount rise at {e}?"),
    Fact("gross margin", Kind::Percent, "Gross margin was {v}.", "What was the gross margin of {e}?"),
    Fact("backlog", Kind::Count, "The backlog holds {v} orders.", "How many orders does the backlog of {e} hold?"),
    Fact("travel spend", Kind::Millions, "Travel spend was {v}.", "What was the travel spend of {e}?"),
    Fact("payroll", Kind::Millions, "Payroll cost {v}.", "What did payroll cost {e}?"),
    Fact("tax rate", Kind::Part, "The tax rate is {v}.", "Which tax rate does {e} pay?"),
    Fact("payment term", Kind::Days, "Invoices are due in {v}.", "When are invoices due at {e}?"),
    Fact("discount", Kind::Part, "Large orders get {v} off.", "How much off do large orders get at {e}?"),
    Fact("average GPA", Kind::Grade, "Interns have an average GPA of {v}.", "Which average GPA do {e} interns have?"),
    Fact("overtime", Kind::Part, "Overtime pays {v} extra.", "What extra does overtime pay at {e}?"),
    Fact("inventory", Kind::Millions, "Inventory stands at {v}.", "Where does inventory stand at {e}?"),
    Fact("net profit", Kind::Millions, "Net profit came to {v}.", "What did net profit come to at {e}?"),
    Fact("training budget", Kind::Millions, "The training budget is {v}.", "How big is the training budget of {e}?"),
];

/// Wordings in which `{k}` is the fact's name, `{e}` the owner and `{v}` the value. The second list of each pair is held out.
const ASK: [&str; 6] = [
    "What is the {k} at {e}?",
    "Find the {k} for {e}.",
    "{e}: what is the {k}?",
    "Look up the {k} of {e}.",
    "Which {k} does {e} have?",
    "Find {e}'s {k} and answer with a value.",
];
const ASK_UNSEEN: [&str; 6] = [
    "I need to know the {k} over at {e}.",
    "Can you tell me {e}'s {k}?",
    "Please check which {k} applies to {e}.",
    "Remind me, {k} for {e}?",
    "I work for {e}, what is my {k}?",
    "Someone from {e} asks about the {k}.",
];
const TELL: [&str; 5] =
    ["The {k} is {v}.", "{K}: {v}.", "The {k} was set to {v}.", "{K} is now {v}.", "{K} stands at {v}."];
const TELL_UNSEEN: [&str; 4] =
    ["Expect {v} for the {k}.", "From May the {k} will be {v}.", "Note the {k}, {v}.", "We keep the {k} at {v}."];

/// A school's rules, one of them asked for.
pub fn policy(random: &mut Random, split: Split, _: usize) -> Scene {
    let owner = schools(random, split, 1).remove(0);
    one_of(random, split, &POLICIES, &owner)
}

/// A company's figures, one of them asked for.
pub fn value(random: &mut Random, split: Split, _: usize) -> Scene {
    let owner = companies(random, split, 1).remove(0);
    one_of(random, split, &FIGURES, &owner)
}

fn one_of(random: &mut Random, split: Split, pool: &[Fact], owner: &str) -> Scene {
    let count = if random.chance(25) { 4 } else { 3 };
    let mut facts = random.sample(pool, count);
    let asked = random.index(count);
    if random.chance(40) {
        make_rival(random, pool, &mut facts, asked);
    }
    let unseen = split == Split::HeldOut && random.chance(50);
    let kinds: Vec<Kind> = facts.iter().map(|fact| fact.1).collect();
    let values = distinct(random, split, &kinds);
    let natural = random.chance(40) && !unseen;
    let mut note = Vec::new();
    for (position, (fact, value)) in facts.iter().zip(&values).enumerate() {
        let tell = if if position == asked { natural } else { random.chance(50) } {
            fact.2
        } else if unseen && random.chance(60) {
            *random.pick(&TELL_UNSEEN)
        } else {
            *random.pick(&TELL)
        };
        note.push(fill(tell, &[("k", fact.0), ("K", &capital(fact.0)), ("v", value)]));
    }
    let ask = if natural {
        facts[asked].3
    } else if unseen {
        *random.pick(&ASK_UNSEEN)
    } else {
        *random.pick(&ASK)
    };
    let heading = if random.chance(50) { format!("{owner}. ") } else { String::new() };
    Scene {
        query: capital(&fill(ask, &[("k", facts[asked].0), ("e", owner)])),
        context: format!("{heading}{}", note.join(" ")),
        answer: values[asked].clone(),
        values,
        unseen,
        source: Source::Notes,
    }
}

/// Puts another fact with the same kind of value beside the asked one, so that the kind alone does not give it away.
fn make_rival<'a>(random: &mut Random, pool: &'a [Fact], facts: &mut [&'a Fact], asked: usize) {
    let wanted = facts[asked].1;
    let rivals: Vec<&Fact> =
        pool.iter().filter(|fact| fact.1 == wanted && facts.iter().all(|other| other.0 != fact.0)).collect();
    if !rivals.is_empty() {
        let place = (asked + 1 + random.index(facts.len() - 1)) % facts.len();
        facts[place] = rivals[random.index(rivals.len())];
    }
}

/// The same rule or figure of several owners, one owner asked for.
pub fn compare(random: &mut Random, split: Split, _: usize) -> Scene {
    let (pool, owners): (&[Fact], Vec<String>) = if random.chance(60) {
        (&POLICIES, schools(random, split, 3))
    } else {
        (&FIGURES, companies(random, split, 3))
    };
    let fact = random.pick(pool);
    let unseen = split == Split::HeldOut && random.chance(50);
    let values = distinct(random, split, &[fact.1; 3]);
    let asked = random.index(3);
    let (line, joint) = if unseen {
        *random.pick(&[("at {e} it is {v}", ", "), ("{v} for {e}", ", ")])
    } else {
        *random.pick(&[("{e} {v}", ", "), ("{e}: {v}", "; "), ("{e} has {v}", ", "), ("{e} = {v}", "; ")])
    };
    let list: Vec<String> =
        owners.iter().zip(&values).map(|(owner, value)| fill(line, &[("e", owner), ("v", value)])).collect();
    let ask = *random.pick(if unseen { &ASK_UNSEEN } else { &ASK });
    Scene {
        query: capital(&fill(ask, &[("k", fact.0), ("e", &owners[asked])])),
        context: format!("{}: {}.", capital(fact.0), list.join(joint)),
        answer: values[asked].clone(),
        values,
        unseen,
        source: Source::Notes,
    }
}
