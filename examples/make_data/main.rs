//! Writes the data this repository ships: `task` the training and held-out rows, `corpus` the text the base model learns from.
//! Standard library only; the same seed writes the same bytes. Run it from the repository's root:
//! `cargo run --example make_data -- task` and `cargo run --release --example make_data -- corpus`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example program talks to its user")]

mod corpus;
mod json;
mod random;
mod task;

use std::path::Path;
use std::process::ExitCode;

const SEED: u64 = 17;

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let written = match command.as_str() {
        "task" => task::write(Path::new("data"), SEED),
        "corpus" => corpus::write(Path::new("data/base"), SEED),
        _ => Err(format!("found command `{command}`; expected `task` or `corpus`")),
    };
    match written {
        Ok(summary) => {
            print!("{summary}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}
