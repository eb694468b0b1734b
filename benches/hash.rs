//! Hashing a warm file of 2 GiB against `b3sum`, in one run: the goal is at least 0.9 of its rate.
//!
//! `cargo bench --bench hash`; needs `b3sum` on the path (Debian: `b3sum`; else `cargo install b3sum`) and 2 GiB in
//! the temporary folder and in memory. Rounds alternate, and the best of each side counts.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench reports to whoever runs it")]

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use pipe::store::hash_file;

const SIZE: u64 = 2 << 30;
const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    if Command::new("b3sum").arg("--version").output().is_err() {
        eprintln!("skipped: `b3sum` is not installed");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("file");
    fill(&path)?;
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let digest = hash_file(&path)?.to_hex();
        ours = ours.min(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let output = Command::new("b3sum").arg("--no-names").arg(&path).output()?;
        theirs = theirs.min(began.elapsed().as_secs_f64());
        let expected = String::from_utf8(output.stdout)?;
        if digest != expected.trim() {
            return Err(format!("digest is `{digest}`; b3sum says `{}`", expected.trim()).into());
        }
    }
    let rate = |seconds: f64| SIZE as f64 / seconds / 1e9;
    println!("hash_file {:.2} GB/s, b3sum {:.2} GB/s, ratio {:.2}", rate(ours), rate(theirs), theirs / ours);
    Ok(())
}

/// Bytes that no file system stores as a hole, written once, so that they are in memory.
fn fill(path: &Path) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = Vec::with_capacity(1 << 20);
    for _ in 0..SIZE >> 20 {
        block.clear();
        while block.len() < 1 << 20 {
            // The xorshift generator of Marsaglia, "Xorshift RNGs", 2003.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block)?;
    }
    Ok(())
}
