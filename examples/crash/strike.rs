//! One strike: a run broken off at one call, what is left looked at, and the run done again.

use super::bed::{Bed, Reference};
use super::tracer::{self, Fault, Traced};

/// What a strike came to.
pub struct Struck {
    /// The call that was struck.
    pub call: &'static str,
    /// Whether the run got to its end all the same.
    pub went_on: bool,
    /// What does not hold.
    pub problem: Option<String>,
}

/// Strikes at a call, counted from 1, of a run in a fresh project; none when a run makes fewer.
///
/// # Errors
/// A process may not be traced here, or the project can't be written.
pub fn strike(bed: &Bed, reference: &Reference, at: usize, fault: Fault) -> Result<Option<Struck>, String> {
    let text = |error: std::io::Error| error.to_string();
    bed.reset().map_err(text)?;
    let traced = tracer::run(&bed.run_command(), bed.folder(), &bed.cache(), Some((at, fault))).map_err(text)?;
    let struck = |call: &&'static str| Struck {
        call,
        went_on: traced.code == Some(0),
        problem: judge(bed, reference, &traced).err(),
    };
    Ok(traced.calls.get(at - 1).map(struck))
}

fn judge(bed: &Bed, reference: &Reference, traced: &Traced) -> Result<(), String> {
    if traced.stderr.contains("panicked") || !matches!(traced.code, None | Some(0 | 1)) {
        return Err(format!("ended with {:?}: {}", traced.code, traced.stderr));
    }
    bed.check_now(reference)?;
    bed.check_after_rerun(reference)
}
