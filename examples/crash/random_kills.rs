//! Several runs and a garbage collection on one cache at once, killed at random moments.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::bed::{Bed, PIPELINE};

const RUNS: usize = 4;
/// Longer than an undisturbed run, so that some get to their end.
const LONGEST_MS: u64 = 400;

/// What the rounds came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many processes were killed before their end.
    pub killed: usize,
    /// What did not hold, and when.
    pub problems: Vec<String>,
}

/// Does so many rounds.
///
/// # Errors
/// The program can't be run at all.
pub fn rounds(program: &Path, rounds: usize) -> Result<Found, String> {
    let text = |error: std::io::Error| error.to_string();
    let bed = Bed::new(program).map_err(text)?;
    let reference = bed.reference()?;
    let (mut random, mut found) = (17, Found::default());
    for round in 0..rounds {
        // Every other round goes on with what the last one left.
        if round % 2 == 0 {
            bed.reset().map_err(text)?;
        }
        let start = |arguments: &[&str]| bed.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut children: Vec<Child> =
            (0..RUNS).map(|_| start(&["run", "--json", PIPELINE])).collect::<Result<_, _>>().map_err(text)?;
        children.push(start(&["cache", "gc", "--yes", "--grace", "0s"]).map_err(text)?);
        for child in &mut children {
            std::thread::sleep(Duration::from_millis(next(&mut random) % LONGEST_MS / RUNS as u64));
            found.killed += usize::from(child.try_wait().map_err(text)?.is_none());
            child.kill().and_then(|()| child.wait().map(drop)).map_err(text)?;
        }
        if let Err(problem) = bed.check_now(&reference).and_then(|()| bed.check_after_rerun(&reference)) {
            found.problems.push(format!("round {round}: {problem}"));
        }
    }
    Ok(found)
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
