//! The hidden verbs by which this program supervises commands and becomes them; see [`crate::command`].

use std::io::stdin;
use std::path::PathBuf;

use crate::cli::exit::Exit;
use crate::command::{self, ENTER, SUPERVISE};

/// Does what this program was started for by itself, if it was.
pub fn hidden_verb() -> Option<Exit> {
    match std::env::args_os().nth(1)?.to_str()? {
        SUPERVISE => Some(supervise()),
        ENTER => Some(enter()),
        _ => None,
    }
}

/// Supervises the command of the order on stdin. Whoever started it reads the status file, so a failure only needs to be
/// one.
fn supervise() -> Exit {
    match command::supervise(stdin(), &program()) {
        Ok(()) => Exit::Ok,
        Err(_) => Exit::Failed,
    }
}

/// The file of this very program: the one that runs, also when an update has replaced the one of its name meanwhile.
pub fn program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { own } else { std::env::current_exe().unwrap_or(own) }
}

/// Becomes the command of the order on stdin; comes back only when that failed, which the status file tells.
fn enter() -> Exit {
    match command::enter(stdin()) {
        Ok(never) => match never {},
        Err(_) => Exit::Failed,
    }
}
