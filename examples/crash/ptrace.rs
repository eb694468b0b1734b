//! ptrace(2), waitpid(2) and kill(2), as much of them as the tracer needs. All `unsafe` of this program is here.

#![expect(unsafe_code, reason = "the standard library has no ptrace; each call below says why it is sound")]

use std::io;

use libc::{c_int, c_void, pid_t, user_regs_struct};

/// What happened to a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It ended with this code.
    Exited(c_int),
    /// A signal ended it.
    Signalled,
    /// It is before or behind a system call.
    AtCall,
    /// An event such as `PTRACE_EVENT_EXEC`.
    Event(c_int),
    /// A signal is about to be delivered to it.
    Stopped(c_int),
}

/// Waits for a thread (`pid`), or for any of a process group (`-pid`).
pub fn wait(pid: pid_t, options: c_int) -> io::Result<(pid_t, Status)> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for an integer during the call.
        let found = unsafe { libc::waitpid(pid, &raw mut status, options) };
        match check(found.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok((found, meaning(status))),
        }
    }
}

fn meaning(status: c_int) -> Status {
    if libc::WIFEXITED(status) {
        return Status::Exited(libc::WEXITSTATUS(status));
    }
    if !libc::WIFSTOPPED(status) {
        return Status::Signalled;
    }
    match (libc::WSTOPSIG(status), status >> 16) {
        // `PTRACE_O_TRACESYSGOOD` sets the eighth bit.
        (signal, 0) if signal == libc::SIGTRAP | 0x80 => Status::AtCall,
        (signal, 0) => Status::Stopped(signal),
        (_, event) => Status::Event(event),
    }
}

/// Begins to trace a process that was started by this one.
pub fn seize(pid: pid_t, options: c_int) -> io::Result<()> {
    // SAFETY: the request takes numbers and touches no memory of this process.
    check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0_usize, i64::from(options)) })
}

/// Lets a stopped thread go on to its next system call, with a signal if not 0. One that was killed meanwhile is no error.
pub fn resume(thread: pid_t, signal: c_int) -> io::Result<()> {
    // SAFETY: as for `seize`.
    match check(unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, 0_usize, i64::from(signal)) }) {
        Err(error) if is_gone(&error) => Ok(()),
        done => done,
    }
}

/// The registers of a stopped thread; none if it was killed meanwhile.
pub fn registers(thread: pid_t) -> io::Result<Option<user_regs_struct>> {
    let mut registers = std::mem::MaybeUninit::<user_regs_struct>::zeroed();
    let place = registers.as_mut_ptr().cast::<c_void>();
    // SAFETY: `place` is large enough for the registers of this architecture, which is what the request writes.
    match check(unsafe { libc::ptrace(libc::PTRACE_GETREGS, thread, 0_usize, place) }) {
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
        // SAFETY: every pattern of bits is a valid value of a structure of integers.
        Ok(()) => Ok(Some(unsafe { registers.assume_init() })),
    }
}

/// Gives a stopped thread other registers.
pub fn set_registers(thread: pid_t, registers: &user_regs_struct) -> io::Result<()> {
    // SAFETY: the request only reads the structure that is borrowed here.
    check(unsafe { libc::ptrace(libc::PTRACE_SETREGS, thread, 0_usize, std::ptr::from_ref(registers)) })
}

/// Sends a signal.
pub fn kill(pid: pid_t, signal: c_int) -> io::Result<()> {
    // SAFETY: the call takes two numbers.
    check(unsafe { libc::kill(pid, signal) }.into())
}

fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Options of [`seize`]: every thread and child too, all of them killed with the tracer.
pub const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_EXITKILL;
