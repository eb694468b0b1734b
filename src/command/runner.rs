//! The runner's side: starts the supervisor, takes the lines, and stops the command when somebody asks for it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::{CommandError, Ended, Order, SUPERVISE, Stream, lines};

/// How often the runner looks whether to stop; a command that is over sooner is noticed sooner.
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
    std::thread::scope(|scope| {
        scope.spawn(|| out.map(|out| lines::read(out, |text| line(Stream::Out, text))));
        scope.spawn(|| error.map(|error| lines::read(error, |text| line(Stream::Error, text))));
        let told = stdin.map_or(Ok(None), |mut stdin| stdin.write_all(&text).map(|()| Some(stdin)));
        // One that is gone already says so by how it ended.
        wait(&mut supervisor, told.unwrap_or_default(), stop)
    })
    .map_err(CommandError::supervisor("was lost"))?;
    let told = fs::read(&order.status).map_err(CommandError::supervisor("did not say how the command ended"))?;
    Ok(serde_json::from_slice(&told)?)
}

/// Waits for the supervisor's end; to drop its stdin is to tell it to stop.
fn wait(supervisor: &mut Child, mut stdin: Option<ChildStdin>, stop: &dyn Fn() -> bool) -> io::Result<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = supervisor.try_wait()? {
            return Ok(status);
        }
        if stop() {
            drop(stdin.take());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LOOK);
    }
}
