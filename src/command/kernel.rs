//! What Linux does for a command's runner: walls around it, its orphans handed to the supervisor, its end with ours.
//!
//! The walls are Landlock, as far as this kernel has it. Files: only the order's and the system's own (libraries, a few
//! harmless files of `/etc`, `/proc`, `/sys`). Network: no TCP; Landlock knows no rule for UDP. Signals and abstract
//! sockets: none to processes outside. Source: the kernel's `Documentation/userspace-api/landlock.rst`.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    Scope, path_beneath_rules,
};
use rustix::process::{Pid, Signal, getpid, getppid, set_child_subreaper, set_parent_process_death_signal};

use super::Walls;

/// The newest interface that is made use of; older kernels give what they have.
const NEWEST: ABI = ABI::V6;

/// What every program needs that is linked against the system's libraries, or that asks for the time zone, a
/// certificate or a user's name. No file with secrets, no home.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/proc",
    "/sys",
    "/etc/alternatives",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/ssl/certs",
];

/// Devices without a memory.
const DEVICES: &[&str] = &["/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero"];

/// Asks the kernel; changes nothing.
pub(super) fn walls() -> Walls {
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let has = |ruleset: Result<Ruleset, RulesetError>| ruleset.and_then(Ruleset::create).is_ok();
    Walls {
        files: has(strict().handle_access(AccessFs::from_all(ABI::V1))),
        tcp: has(strict().handle_access(AccessNet::from_all(ABI::V4))),
        signals: has(strict().scope(Scope::Signal)),
    }
}

/// Puts up all walls there are around this process and its children to come; there is no way back.
pub(super) fn put_up(reads: &[PathBuf], writes: &[PathBuf]) -> Result<(), String> {
    landlock(reads, writes).map_err(|error| error.to_string())
}

fn landlock(reads: &[PathBuf], writes: &[PathBuf]) -> Result<(), RulesetError> {
    let read = AccessFs::from_read(NEWEST);
    let all = AccessFs::from_all(NEWEST);
    let device = AccessFs::ReadFile | AccessFs::WriteFile;
    let system = SYSTEM.iter().map(Path::new);
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        // Paths that are not there are left out.
        .add_rules(path_beneath_rules(system, read))?
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(path_beneath_rules(reads, read))?
        .add_rules(path_beneath_rules(writes, all))?
        .restrict_self()?;
    Ok(())
}

/// Ties this process and what it becomes to `parent`, the process that started it: when that ends, this does.
pub(super) fn end_with(parent: Option<Pid>) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    if getppid() == parent { Ok(()) } else { Err("it is gone".to_owned()) }
}

/// Makes orphans among this process's descendants its children.
pub(super) fn adopt_orphans() -> std::io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// The processes whose parent is this one. Source: proc_pid_stat(5).
pub(super) fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().get();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(own)).filter_map(Pid::from_raw).collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, brackets too; after it come the state and the parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
