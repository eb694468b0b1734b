//! Runs broken off at some of the calls at which `cargo run --release --example crash` breaks them off at all.

use std::path::Path;

#[path = "../../examples/crash/bed.rs"]
mod bed;
#[path = "../../examples/crash/ptrace.rs"]
mod ptrace;
#[path = "../../examples/crash/random_kills.rs"]
mod random_kills;
#[path = "../../examples/crash/strike.rs"]
mod strike;
#[path = "../../examples/crash/tracer.rs"]
mod tracer;

use bed::Bed;
use strike::strike;
use tracer::Fault;

/// One run has about 800 calls.
const EVERY: usize = 97;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pipe"))
}

#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn struck_everywhere(fault: Fault) {
    let bed = Bed::new(program()).unwrap();
    let reference = bed.reference().unwrap();
    if let Err(error) = tracer::run(&bed.run_command(), bed.folder(), &bed.cache(), None) {
        eprintln!("skipped: this machine lets no process trace another: {error}");
        return;
    }
    let mut strikes = 0;
    for at in (1..).step_by(EVERY) {
        let Some(struck) = strike(&bed, &reference, at, fault).unwrap() else { break };
        assert_eq!(struck.problem, None, "{fault:?} at call {at}, `{}`", struck.call);
        assert!(fault != Fault::Kill || !struck.went_on, "a killed run did not get to its end");
        strikes += 1;
    }
    assert!(strikes >= 5, "only {strikes} strikes: does the tracer still see the calls?");
}

#[test]
fn a_run_killed_at_any_call_leaves_nothing_torn_and_is_finished_by_the_next() {
    struck_everywhere(Fault::Kill);
}

#[test]
fn a_disk_that_fails_once_or_fills_up_leaves_nothing_torn() {
    struck_everywhere(Fault::Fails(libc::EIO));
    struck_everywhere(Fault::FailsFromThenOn(libc::ENOSPC));
}

#[test]
fn four_runs_and_a_collection_killed_at_random_leave_a_whole_cache() {
    let found = random_kills::rounds(program(), 4).unwrap();
    assert_eq!(found.problems, Vec::<String>::new());
    assert!(found.killed > 0, "nothing was killed before its end");
}
