//! Breaks runs off at every system call that changes a file, and checks what is left: `cargo run --release --example crash`.
//!
//! Each call of an undisturbed run is struck four times, in a fresh project each: the process is killed at it; it fails with
//! `EIO`; it fails with `ENOSPC`; and the disk is full from it on. After each strike the store has to be clean, the lock true, the
//! working tree untorn; and one more run has to end as if nothing had happened. Then, for some rounds, four runs and a garbage
//! collection work on one cache at once and are killed at random. `--every N` strikes each N-th call only, `--rounds N` sets the rounds.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example program talks to its user")]

mod bed;
mod ptrace;
mod random_kills;
mod strike;
mod tracer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use bed::Bed;
use strike::strike;
use tracer::Fault;

const FAULTS: [(&str, Fault); 4] = [
    ("kill -9", Fault::Kill),
    ("EIO", Fault::Fails(libc::EIO)),
    ("ENOSPC once", Fault::Fails(libc::ENOSPC)),
    ("disk full from then on", Fault::FailsFromThenOn(libc::ENOSPC)),
];

fn main() -> ExitCode {
    match all() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(broken) => {
            eprintln!("{broken} invariants were broken");
            ExitCode::FAILURE
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn all() -> Result<usize, String> {
    let every = argument("--every")?.unwrap_or(1);
    let rounds = argument("--rounds")?.unwrap_or(100);
    let program = program()?;
    let started = Instant::now();
    let mut broken = 0;
    for (name, fault) in FAULTS {
        broken += strike_everywhere(&program, name, fault, every)?;
    }
    let found = random_kills::rounds(&program, rounds)?;
    found.problems.iter().for_each(|problem| println!("  {problem}"));
    broken += found.problems.len();
    println!(
        "{rounds} rounds of four runs and a collection at once: {} processes killed, {} broken",
        found.killed,
        found.problems.len()
    );
    println!("{:.0} s in all", started.elapsed().as_secs_f64());
    Ok(broken)
}

/// Strikes one run at each of its calls in turn.
fn strike_everywhere(program: &Path, name: &str, fault: Fault, every: usize) -> Result<usize, String> {
    let bed = Bed::new(program).map_err(|error| error.to_string())?;
    let reference = bed.reference()?;
    let (mut strikes, mut survived, mut broken) = (0, 0, 0);
    let mut by_call: BTreeMap<&str, usize> = BTreeMap::new();
    for at in (1..).step_by(every.max(1)) {
        // None when the run was over before it made so many calls.
        let Some(struck) = strike(&bed, &reference, at, fault)? else { break };
        strikes += 1;
        survived += usize::from(struck.went_on);
        *by_call.entry(struck.call).or_default() += 1;
        if let Some(problem) = struck.problem {
            broken += 1;
            println!("  {name} at call {at}, `{}`: {problem}", struck.call);
        }
    }
    let calls: Vec<String> = by_call.iter().map(|(call, count)| format!("{call} {count}")).collect();
    println!(
        "{name}: {strikes} strikes ({}), {survived} of the runs went on to the end, {broken} broken",
        calls.join(", ")
    );
    Ok(broken)
}

/// The program, beside which cargo puts its examples.
fn program() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = own.parent().and_then(Path::parent).map(|folder| folder.join("pipe"));
    program.filter(|path| path.exists()).ok_or_else(|| "build the program first: cargo build --release".into())
}

/// The number after a flag.
fn argument(flag: &str) -> Result<Option<usize>, String> {
    let arguments: Vec<String> = std::env::args().collect();
    let Some(at) = arguments.iter().position(|argument| argument == flag) else { return Ok(None) };
    let number = arguments.get(at + 1).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| format!("{flag} takes a number"))
}
