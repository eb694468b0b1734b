//! Runs a program and strikes at the n-th of its system calls that change the file system: kills it there, or has the call
//! fail. Calls are counted over all threads, so every one of a run can be hit in turn. Source: ptrace(2), with
//! `PTRACE_O_TRACESYSGOOD`; what `strace --inject` does, which counts each thread for itself.

use std::collections::HashMap;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use libc::{c_int, c_long, pid_t};

use super::ptrace::{self, Status};

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` before it does anything.
    Kill,
    /// It fails with this number of errno.h, once.
    Fails(c_int),
    /// It and every later one of its sort fails so: a full disk stays full.
    FailsFromThenOn(c_int),
}

/// How a traced program ended.
#[derive(Debug, Clone)]
pub struct Traced {
    /// The calls that change the file system, in order.
    pub calls: Vec<&'static str>,
    /// The exit code; none when it was killed.
    pub code: Option<i32>,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Runs a command, with standard error going to a file, and strikes at a call, counted from 1.
///
/// # Errors
/// The system does not let one process trace another, or the command can't be started.
pub fn run(command: &[String], folder: &Path, cache: &Path, strike: Option<(usize, Fault)>) -> io::Result<Traced> {
    let log = tempfile::NamedTempFile::new()?;
    // The shell stops itself, so that nothing of the program is missed before the tracer is there.
    let mut child = Command::new("sh")
        .args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""])
        .args(command)
        .current_dir(folder)
        .env("PIPE_CACHE", cache)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.reopen()?)
        .process_group(0)
        .spawn()?;
    let leader = pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let followed = follow(leader, strike);
    if followed.is_err() {
        // Nothing has waited for it yet.
        let _ = child.kill();
        let _ = child.wait();
    }
    let (calls, code) = followed?;
    Ok(Traced { calls, code, stderr: std::fs::read_to_string(log.path())? })
}

fn follow(leader: pid_t, strike: Option<(usize, Fault)>) -> io::Result<(Vec<&'static str>, Option<i32>)> {
    while !matches!(ptrace::wait(leader, libc::WUNTRACED)?, (_, Status::Stopped(_))) {}
    ptrace::seize(leader, ptrace::OPTIONS)?;
    ptrace::kill(leader, libc::SIGCONT)?;
    let mut tracer = Tracer { leader, strike, calls: Vec::new(), threads: HashMap::new(), has_begun: false };
    loop {
        // Only this program's threads: others of this process have children too.
        match ptrace::wait(-leader, libc::__WALL)? {
            (pid, Status::Exited(code)) if pid == leader => return Ok((tracer.calls, Some(code))),
            (pid, Status::Signalled) if pid == leader => return Ok((tracer.calls, None)),
            (thread, Status::AtCall) => tracer.at_call(thread)?,
            (thread, Status::Stopped(signal)) => ptrace::resume(thread, signal)?,
            (thread, Status::Event(event)) => {
                tracer.has_begun |= event == libc::PTRACE_EVENT_EXEC;
                ptrace::resume(thread, 0)?;
            }
            (_, Status::Exited(_) | Status::Signalled) => {}
        }
    }
}

struct Tracer {
    leader: pid_t,
    strike: Option<(usize, Fault)>,
    calls: Vec<&'static str>,
    /// Threads inside a call, with the error it is to give.
    threads: HashMap<pid_t, Option<c_int>>,
    /// Whether the shell has become the program.
    has_begun: bool,
}

impl Tracer {
    fn at_call(&mut self, thread: pid_t) -> io::Result<()> {
        if let Some(failing) = self.threads.remove(&thread) {
            if let (Some(errno), Some(mut registers)) = (failing, ptrace::registers(thread)?) {
                registers.rax = i64::from(-errno).cast_unsigned();
                ptrace::set_registers(thread, &registers)?;
            }
            return ptrace::resume(thread, 0);
        }
        let mut failing = None;
        match self.fault_here(thread)? {
            Some(Fault::Kill) => return ptrace::kill(self.leader, libc::SIGKILL),
            Some(Fault::Fails(errno) | Fault::FailsFromThenOn(errno)) => {
                if let Some(mut registers) = ptrace::registers(thread)? {
                    // No call has this number, so the kernel does nothing.
                    registers.orig_rax = u64::MAX;
                    ptrace::set_registers(thread, &registers)?;
                }
                failing = Some(errno);
            }
            None => {}
        }
        self.threads.insert(thread, failing);
        ptrace::resume(thread, 0)
    }

    /// Counts the call that a thread is about to make.
    fn fault_here(&mut self, thread: pid_t) -> io::Result<Option<Fault>> {
        let Some(registers) = ptrace::registers(thread)? else { return Ok(None) };
        let number = registers.orig_rax.cast_signed();
        let arguments = [registers.rdi, registers.rsi, registers.rdx];
        let Some(name) = self.has_begun.then(|| changing(number, arguments)).flatten() else { return Ok(None) };
        self.calls.push(name);
        let Some((at, fault)) = self.strike else { return Ok(None) };
        let strikes = match fault {
            Fault::Kill | Fault::Fails(_) => self.calls.len() == at,
            Fault::FailsFromThenOn(_) => self.calls.len() >= at && takes_space(name),
        };
        Ok(strikes.then_some(fault))
    }
}

/// The flags of `open` that make or empty a file.
const MAKES: u64 = (libc::O_CREAT | libc::O_TRUNC).cast_unsigned() as u64;

/// The name of a call that changes the file system, by its number on x86-64.
fn changing(number: c_long, [first, second, third]: [u64; 3]) -> Option<&'static str> {
    let makes = |flags: u64| flags & MAKES != 0;
    // Standard output and error are not the file system.
    let is_file = first > 2;
    Some(match number {
        libc::SYS_open if makes(second) => "open",
        libc::SYS_openat if makes(third) => "openat",
        libc::SYS_write if is_file => "write",
        libc::SYS_writev if is_file => "writev",
        libc::SYS_pwrite64 => "pwrite64",
        libc::SYS_copy_file_range => "copy_file_range",
        libc::SYS_sendfile => "sendfile",
        libc::SYS_ftruncate | libc::SYS_truncate => "truncate",
        libc::SYS_fallocate => "fallocate",
        libc::SYS_fsync | libc::SYS_fdatasync => "fsync",
        libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => "rename",
        libc::SYS_link | libc::SYS_linkat => "link",
        libc::SYS_symlink | libc::SYS_symlinkat => "symlink",
        libc::SYS_unlink | libc::SYS_unlinkat | libc::SYS_rmdir => "unlink",
        libc::SYS_mkdir | libc::SYS_mkdirat => "mkdir",
        libc::SYS_chmod | libc::SYS_fchmod | libc::SYS_fchmodat => "chmod",
        libc::SYS_utimensat => "utimensat",
        _ => return None,
    })
}

/// Whether a full disk refuses a call.
fn takes_space(name: &str) -> bool {
    !matches!(name, "unlink" | "chmod" | "utimensat" | "truncate" | "rename")
}
