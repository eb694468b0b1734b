//! The process between runner and command. Its stdin carries the order and then stays open for as long as the runner
//! wants the command: its end, by whatever cause, is the word to stop.
//!
//! It is the reaper of the command's descendants, so what a command leaves running, or what left its process group, is
//! found and ended too.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

use super::{CommandError, ENTER, Ended, Order, kernel};

/// How long a command has between the word to stop and its end.
const GRACE: Duration = Duration::from_secs(5);
/// How long descendants are hunted; only a process stuck in the kernel takes longer than an instant.
const HUNT: Duration = Duration::from_secs(5);

enum News {
    Stop,
    Exited(io::Result<ExitStatus>),
}

/// Does what the order on `input` says, until its command ended or `input` does; leaves no process behind. `program` is
/// this very program.
///
/// # Errors
/// When the order can't be read or its status not be written.
pub fn supervise(input: impl Read + Send + 'static, program: &Path) -> Result<(), CommandError> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line).map_err(CommandError::supervisor("got no order"))?;
    let order: Order = serde_json::from_slice(&line)?;
    kernel::adopt_orphans().map_err(CommandError::supervisor("can't look after its descendants"))?;
    // The command dies with the thread that started it, so that has to be this one.
    let child = start(program, &line).map_err(CommandError::supervisor("can't start"))?;
    let group = Pid::from_child(&child);
    let (news, received) = channel();
    watch_input(input, news.clone());
    watch_child(child, news);
    let ended = match received.recv() {
        Ok(News::Exited(status)) => ended(status),
        Ok(News::Stop) | Err(_) => {
            let _ = kill_process_group(group, Signal::TERM);
            // Only the exit can come now: there is one stop.
            if matches!(received.recv_timeout(GRACE), Err(RecvTimeoutError::Timeout)) {
                let _ = kill_process_group(group, Signal::KILL);
                let _ = received.recv_timeout(HUNT);
            }
            Ended::Stopped
        }
    };
    let _ = kill_process_group(group, Signal::KILL);
    end_descendants();
    // A command that never began has said why.
    if order.status.exists() {
        return Ok(());
    }
    let told = serde_json::to_vec(&ended)?;
    fs::write(&order.status, told).map_err(CommandError::supervisor("can't say how the command ended"))
}

fn start(program: &Path, order: &[u8]) -> io::Result<Child> {
    let mut child = Command::new(program).arg(ENTER).stdin(Stdio::piped()).process_group(0).spawn()?;
    let mut stdin = child.stdin.take();
    if let Some(stdin) = &mut stdin {
        stdin.write_all(order)?;
    }
    drop(stdin);
    Ok(child)
}

fn watch_input(mut input: impl Read + Send + 'static, news: Sender<News>) {
    std::thread::spawn(move || {
        let mut nothing = [0];
        while matches!(input.read(&mut nothing), Ok(1..)) {}
        let _ = news.send(News::Stop);
    });
}

fn watch_child(mut child: Child, news: Sender<News>) {
    std::thread::spawn(move || {
        let _ = news.send(News::Exited(child.wait()));
    });
}

fn ended(status: io::Result<ExitStatus>) -> Ended {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, signal) => Ended::Signal(signal.unwrap_or_default()),
        },
        Err(error) => Ended::Refused(format!("its end can't be seen: {error}")),
    }
}

/// Ends all children until there are none: those of a killed one become ours.
fn end_descendants() {
    let deadline = Instant::now() + HUNT;
    while Instant::now() < deadline {
        match wait(WaitOptions::NOHANG) {
            // There is none left: the usual case, found without a look at every process of the machine.
            Err(_) => return,
            Ok(Some(_)) => {}
            Ok(None) => {
                for child in kernel::children() {
                    let _ = kill_process(child, Signal::KILL);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
