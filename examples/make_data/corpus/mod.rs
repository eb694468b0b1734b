//! The base model's corpus, in six files that make a curriculum: copy, look up, talk, a blend of all, many questions to a
//! note, and the question before the note; and the probe it has to pass.
//! It names neither the task's tools nor anything of a school or an office, so that what fine-tuning adds can be seen.

mod chat;
mod common;
mod copying;
mod dense;
mod lookup;
mod probe;
mod words;
mod world;

use crate::json::Json;
use crate::random::Random;
use std::fmt::Write as _;
use std::path::Path;

/// A maker of rows and its share in a file, in percent.
type Share = (fn(&mut Random) -> Json, usize);

const BLEND: [Share; 6] = [
    (copying::words, 4),
    (copying::codes, 12),
    (few_entries, 18),
    (many_entries, 32),
    (world::facts, 24),
    (world::owners, 10),
];
const FACTS: [Share; 5] =
    [(copying::codes, 8), (many_entries, 14), (dense::facts, 36), (dense::owners, 20), (dense::loose, 22)];
const TOOLS: [Share; 6] = [
    (copying::codes, 4),
    (many_entries, 8),
    (dense::facts, 10),
    (dense::owners, 8),
    (dense::loose, 8),
    (dense::question_first, 62),
];
const PROBE: [Share; 1] = [(probe::row, 100)];
const COPY: [Share; 1] = [(copying::words, 100)];
const LOOKUP: [Share; 4] = [(copying::words, 15), (copying::codes, 20), (few_entries, 35), (many_entries, 30)];
const TALK: [Share; 7] = [
    (copying::codes, 8),
    (many_entries, 27),
    (world::facts, 38),
    (world::owners, 15),
    (world::village, 4),
    (world::story, 4),
    (copying::words, 4),
];

fn few_entries(random: &mut Random) -> Json {
    lookup::entries(random, 4)
}

fn many_entries(random: &mut Random) -> Json {
    lookup::entries(random, 8)
}

/// Writes the corpus into `folder`.
pub fn write(folder: &Path, seed: u64) -> Result<String, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot make `{}`: {error}", folder.display()))?;
    let files: [(&str, usize, &[Share]); 7] = [
        ("corpus-1-copy.jsonl", 44_000, &COPY),
        ("corpus-2-lookup.jsonl", 36_000, &LOOKUP),
        ("corpus-3-talk.jsonl", 48_000, &TALK),
        ("corpus-4-blend.jsonl", 110_000, &BLEND),
        ("corpus-5-facts.jsonl", 240_000, &FACTS),
        ("corpus-6-tools.jsonl", 230_000, &TOOLS),
        ("probe.jsonl", 200, &PROBE),
    ];
    let mut summary = String::new();
    for (name, rows, shares) in files {
        let mut random = Random::new(seed, name);
        let mut content = String::new();
        for _ in 0..rows {
            content.push_str(&row(&mut random, shares).to_string());
            content.push('\n');
        }
        std::fs::write(folder.join(name), &content).map_err(|error| format!("cannot write `{name}`: {error}"))?;
        let _ = writeln!(summary, "{name}: {rows} rows, {} bytes", content.len());
    }
    Ok(summary)
}

fn row(random: &mut Random, shares: &[Share]) -> Json {
    let mut draw = random.index(100);
    for (make, percent) in shares {
        if draw < *percent {
            return make(random);
        }
        draw -= percent;
    }
    shares[0].0(random)
}
