//! A foreign command: started with what it was promised and nothing else, watched line by line, and gone with the
//! runner, however that ends.
//!
//! ```text
//! pipe run ──(order on stdin, held open)──▶ pipe __supervise ──▶ pipe __enter ──exec──▶ the command
//! ```
//! The supervisor outlives neither: its stdin ends when the runner stops it or dies, also by `kill -9`, and then it ends
//! the command's process group and whatever escaped from it. The last step before the command puts up the kernel's walls
//! (`kernel`). All of it is done by this very program starting itself, so no step runs between a fork and an exec.
//!
//! The only room that knows Landlock and process groups. It reads no environment: the order says all.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod enter;
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
mod kernel;
mod lines;
mod runner;
mod supervisor;
mod walls;

pub use enter::enter;
pub use runner::run;
pub use supervisor::supervise;
pub use walls::Walls;

/// Asks the kernel what it can keep a command from; changes nothing.
#[must_use]
pub fn walls() -> Walls {
    kernel::walls()
}

/// The hidden verb of the supervisor.
pub const SUPERVISE: &str = "__supervise";
/// The hidden verb that becomes the command.
pub const ENTER: &str = "__enter";

/// What to start, and what it may touch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<String>,
    /// All of its environment.
    pub environment: BTreeMap<String, String>,
    /// The folder it starts in.
    pub folder: PathBuf,
    /// Files and folders it may read and execute, besides the system's own.
    pub reads: Vec<PathBuf>,
    /// Folders it may write in.
    pub writes: Vec<PathBuf>,
    /// Where the supervisor says how it ended; the command can't write there.
    pub status: PathBuf,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It never began, and why.
    Refused(String),
    /// It was told to stop.
    Stopped,
}

/// Which of the two outputs a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// Why a command could not be watched to its end.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program could not start itself as the supervisor, or lost it.
    #[error("the supervisor of the command {what}")]
    Supervisor {
        /// What happened.
        what: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The order can't be told or understood.
    #[error("the order for the command can't be passed on")]
    Order(#[from] serde_json::Error),
}

impl CommandError {
    const fn supervisor(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Supervisor { what, source }
    }
}
