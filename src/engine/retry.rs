//! A stage tried again after a failure that may be a passing one, as often as its manifest says.

use std::time::{Duration, Instant};

use crate::engine::EngineError;
use crate::engine::event::{Event, Sink};
use crate::engine::execute::{Job, JobEnd};
use crate::stage::{Cancel, StageError};

/// The pause after the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How often somebody who waits looks whether to stop.
const LOOK: Duration = Duration::from_millis(20);

/// Runs attempts until one succeeds, fails for good, or was the last.
pub fn attempts(
    job: &Job<'_>,
    sink: &dyn Sink,
    cancel: &Cancel,
    run_once: impl Fn() -> Result<JobEnd, EngineError>,
) -> Result<JobEnd, EngineError> {
    let attempts = job.stage.policy.retries.saturating_add(1);
    let mut pause = FIRST_PAUSE;
    for attempt in 1..attempts {
        let error = match run_once() {
            Err(error) if error.is_transient() && !cancel.is_requested() => error,
            end => return end,
        };
        let (stage, message) = (job.stage.name.to_string(), error.with_causes());
        let wait_seconds = pause.as_secs_f64();
        sink.emit(&Event::StageRetry { stage: stage.clone(), attempt, attempts, wait_seconds, message });
        if !wait(pause, cancel) {
            return Err(EngineError::Stage { stage, error: StageError::Cancelled });
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    run_once()
}

/// Waits, unless somebody asks to stop.
fn wait(pause: Duration, cancel: &Cancel) -> bool {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        if cancel.is_requested() {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}
