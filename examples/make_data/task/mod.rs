//! The task's data: training trajectories of a school and office assistant, and the held-out questions that judge it.
//! It refuses to write anything when a held-out row leaks into training (see `check`).

mod algebra;
mod check;
mod facts;
mod helpdesk;
mod people;
mod raw;
mod record;
mod scene;
mod values;

use crate::random::Random;
use record::{Question, Trajectory};
use scene::Scene;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use values::Split;

/// A maker of scenes, its tag, and how many rows it gives to training and to the held-out file.
type Family = (&'static str, fn(&mut Random, Split, usize) -> Scene, usize, usize);

const FAMILIES: [Family; 8] = [
    ("policy", facts::policy, 220, 70),
    ("policy-compare", facts::compare, 80, 26),
    ("value", facts::value, 110, 38),
    ("attendance", people::attendance, 100, 26),
    ("gradebook", people::gradebook, 100, 26),
    ("ticket", helpdesk::ticket, 90, 22),
    ("routing", helpdesk::routing, 210, 36),
    ("algebra", algebra::worked, 40, 12),
];
const ALGEBRA_STEPS: usize = 32;

/// Writes the training files and the held-out file into `folder`.
pub fn write(folder: &Path, seed: u64) -> Result<String, String> {
    let (trajectories, algebra) = training_rows(seed);
    let mut index = check::Index::default();
    for row in trajectories.iter().chain(&algebra) {
        index.add(row);
    }
    let (questions, baselines) = held_out_rows(seed, &index)?;
    check::verify(&index, &questions)?;
    let stolen: Vec<Trajectory> =
        questions.iter().filter(|row| row.context.is_some()).take(2).map(Question::leaked).collect();
    let mut random = Random::new(seed, "dirt");
    let files = [
        ("sft_samples.jsonl", raw::school(&trajectories, &stolen, &mut random)),
        ("Algebra SFT Dataset.jsonl", raw::algebra(&algebra, &mut random)),
        ("eval_samples.jsonl", raw::clean(&questions)),
    ];
    let mut summary = String::new();
    for (name, content) in files {
        std::fs::write(folder.join(name), &content).map_err(|error| format!("cannot write `{name}`: {error}"))?;
        let _ = writeln!(summary, "{name}: {} lines, {} bytes", content.lines().count(), content.len());
    }
    let _ = write!(
        summary,
        "{} good trajectories, {} held-out questions\n{baselines}",
        trajectories.len() + algebra.len(),
        questions.len()
    );
    Ok(summary)
}

fn training_rows(seed: u64) -> (Vec<Trajectory>, Vec<Trajectory>) {
    let mut school = Vec::new();
    let mut algebra = Vec::new();
    for (name, make, count, _) in FAMILIES {
        let mut random = Random::new(seed, name);
        let rows = if name == "algebra" { &mut algebra } else { &mut school };
        let mut known = BTreeSet::new();
        while known.len() < count {
            let scene = make(&mut random, Split::Train, known.len());
            if scene.is_short() && known.insert(scene.query.clone()) {
                rows.push(scene.into_trajectory(&mut random));
            }
        }
    }
    let mut random = Random::new(seed, "algebra steps");
    let mut known = BTreeSet::new();
    while known.len() < ALGEBRA_STEPS {
        let row = algebra::steps(&mut random);
        if known.insert(row.instruction.clone()) {
            algebra.push(row);
        }
    }
    random.shuffle(&mut school);
    random.shuffle(&mut algebra);
    (school, algebra)
}

/// Draws held-out rows until each family has its number of rows that share nothing with training or each other.
fn held_out_rows(seed: u64, index: &check::Index) -> Result<(Vec<Question>, String), String> {
    let mut rows = Vec::new();
    let mut baselines = check::Baselines::default();
    let mut known = BTreeSet::new();
    for (name, make, _, count) in FAMILIES {
        let mut random = Random::new(seed, &format!("held-out {name}"));
        let mut kept = 0;
        for attempt in 0..count * 200 {
            if kept == count {
                break;
            }
            let scene = make(&mut random, Split::HeldOut, attempt);
            let question = scene.question(name);
            if scene.is_short() && index.leak(&question).is_none() && known.insert(check::words(&question.query)) {
                baselines.count(&scene);
                rows.push(question);
                kept += 1;
            }
        }
        if kept < count {
            return Err(format!("family `{name}` gave `{kept}` clean held-out rows; expected `{count}`"));
        }
    }
    Random::new(seed, "held-out order").shuffle(&mut rows);
    Ok((rows, baselines.summary()?))
}
