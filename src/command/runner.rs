//! The runner's side: starts the supervisor, takes the lines, and stops the command when somebody asks for it.

use std::convert::Infallible;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::{CommandError, Ended, Order, SUPERVISE, Stream, lines};

/// How often the runner looks whether to stop.
const LOOK: Duration = Duration::from_millis(20);

/// Runs an order's command to its end, or stops it as soon as `stop` says so. `program` is this very program. Lines come
/// from two threads.
///
/// # Errors
/// [`CommandError`]: not for a command that fails, which is an [`Ended`].
pub fn run(
    order: &Order,
    program: &Path,
    line: &(dyn Fn(Stream, &str) + Sync),
    stop: &dyn Fn() -> bool,
) -> Result<Ended, CommandError> {
    let mut text = serde_json::to_vec(order)?;
    text.push(b'\n');
    let mut supervisor = Command::new(program)
        .arg(SUPERVISE)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What a terminal sends at Ctrl-C reaches the runner alone, which passes on the word.
        .process_group(0)
        .spawn()
        .map_err(CommandError::supervisor("can't be started"))?;
    let (stdin, out, error) = (supervisor.stdin.take(), supervisor.stdout.take(), supervisor.stderr.take());
    let (silent, ends) = channel::<Infallible>();
    std::thread::scope(|scope| {
        let other_silent = silent.clone();
        scope.spawn(move || {
            if let Some(out) = out {
                lines::read(out, |text| line(Stream::Out, text));
            }
            drop(silent);
        });
        scope.spawn(move || {
            if let Some(error) = error {
                lines::read(error, |text| line(Stream::Error, text));
            }
            drop(other_silent);
        });
        let told = stdin.map_or(Ok(None), |mut stdin| stdin.write_all(&text).map(|()| Some(stdin)));
        // One that is gone already says so by how it ended.
        wait_for_silence(&ends, told.unwrap_or_default(), stop);
        supervisor.wait()
    })
    .map_err(CommandError::supervisor("was lost"))?;
    let told = fs::read(&order.status).map_err(CommandError::supervisor("did not say how the command ended"))?;
    Ok(serde_json::from_slice(&told)?)
}

/// Waits until both streams have ended. The supervisor holds them open itself, so that is its end. To drop its stdin is to tell
/// it to stop.
fn wait_for_silence(ends: &Receiver<Infallible>, mut stdin: Option<ChildStdin>, stop: &dyn Fn() -> bool) {
    while matches!(ends.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)) {
        if stop() {
            drop(stdin.take());
        }
    }
}
