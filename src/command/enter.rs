//! The last step before the command: this process ties itself to the supervisor, puts up the walls, and becomes it.

use std::convert::Infallible;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::getppid;

use super::{Ended, Order, kernel};

/// Reads an order and becomes its command.
///
/// # Errors
/// When that fails, which is the only way to come back; the order's status file says why.
pub fn enter(mut input: impl Read) -> Result<Infallible, String> {
    let parent = getppid();
    let mut text = String::new();
    input.read_to_string(&mut text).map_err(|error| error.to_string())?;
    let order: Order = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let error = become_command(&order, parent);
    let told = serde_json::to_vec(&Ended::Refused(error.clone())).unwrap_or_default();
    fs::write(&order.status, told).map_err(|unwritable| format!("{error}; and {unwritable}"))?;
    Err(error)
}

/// Gives the reason if it comes back at all.
fn become_command(order: &Order, parent: Option<rustix::process::Pid>) -> String {
    // Were the supervisor itself killed, the command would be too.
    if let Err(error) = kernel::end_with(parent) {
        return format!("the command can't be tied to its supervisor: {error}");
    }
    if let Err(error) = kernel::put_up(&order.reads, &order.writes) {
        return format!("the kernel refuses the walls around the command: {error}");
    }
    let error = Command::new(&order.program)
        .args(&order.arguments)
        .env_clear()
        .envs(&order.environment)
        .current_dir(&order.folder)
        .stdin(Stdio::null())
        .exec();
    format!("`{}` can't be started: {error}", order.program.display())
}
