//! Linear equations with small numbers: solved step by step with the tool, or read from worked notes.

use super::record::{ALGEBRA, Step, Trajectory};
use super::scene::{Scene, Source};
use super::values::{Split, fill, number};
use crate::json::Json;
use crate::random::Random;

const SOLVE: [&str; 4] = ["Solve for x: {e}", "Find x: {e}", "What is x if {e}?", "Solve {e}"];

/// A two-step solution: undo the sum, then undo the product.
pub fn steps(random: &mut Random) -> Trajectory {
    let factor = random.between(2, 9);
    let addend = random.between(1, 12);
    let root = random.between(2, 12);
    let product = factor * root;
    let (sign, total, undo, thought) = if random.chance(60) || product <= addend {
        ("+", product + addend, "subtract", format!("Subtract {addend} from both sides."))
    } else {
        ("-", product - addend, "add", format!("Add {addend} to both sides."))
    };
    let equation = format!("{factor}x {sign} {addend} = {total}");
    Trajectory {
        instruction: fill(random.word(&SOLVE), &[("e", &equation)]),
        tools: vec![&ALGEBRA],
        steps: vec![
            step(thought, undo, addend, format!("{factor}x = {product}")),
            step(format!("Divide by {factor}."), "divide", factor, format!("x = {root}")),
        ],
        final_answer: format!("x = {root}"),
    }
}

fn step(thought: String, operation: &str, value: usize, observation: String) -> Step {
    let arguments = Json::map([("operation", Json::text(operation)), ("value", Json::Number(value.to_string()))]);
    Step { thought, tool: ALGEBRA.name, arguments, observation }
}

/// A page of solved equations, one of them asked for.
pub fn worked(random: &mut Random, split: Split, _: usize) -> Scene {
    let letters = random.sample(&["x", "y", "z", "n", "m", "k"], 3);
    let asked = random.index(3);
    let mut lines = Vec::new();
    let mut values: Vec<String> = Vec::new();
    for letter in &letters {
        let factor = random.between(2, 9);
        let root = number(random, split, 2, 40);
        values.push(format!("{letter} = {root}"));
        lines.push(format!("{factor}{letter} = {} gives {letter} = {root}", factor * root));
    }
    let unseen = split == Split::HeldOut && random.chance(50);
    let ask = if unseen {
        *random.pick(&["Which value did {l} get in exercise {n}?", "I lost my result for {l}, page {n}."])
    } else {
        *random.pick(&[
            "Find {l} in the notes of lesson {n}.",
            "What is {l} in lesson {n}?",
            "Look up {l}, lesson {n}.",
        ])
    };
    Scene {
        query: fill(ask, &[("l", letters[asked]), ("n", &number(random, split, 1, 99).to_string())]),
        context: format!("{}.", lines.join("; ")),
        answer: values[asked].clone(),
        values,
        unseen,
        source: Source::Notes,
    }
}
