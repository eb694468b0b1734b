//! The kernel's walls around a command: Landlock, as far as this kernel has it.
//!
//! Files: only the order's and the system's own (libraries, a few harmless files of `/etc`, `/proc`, `/sys`). Network: no
//! TCP; Landlock knows no rule for UDP. Signals and abstract sockets: none to processes outside. Source: the kernel's
//! `Documentation/userspace-api/landlock.rst`.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    Scope, path_beneath_rules,
};

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

/// Which walls this kernel can put up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Walls {
    /// Around files: only what is declared can be opened.
    pub files: bool,
    /// Against TCP connections, in and out.
    pub tcp: bool,
    /// Against signals to processes outside.
    pub signals: bool,
}

impl Walls {
    /// What a command is not kept from.
    #[must_use]
    pub fn missing(self) -> Vec<&'static str> {
        let all = [(self.files, "undeclared files"), (self.tcp, "TCP connections"), (self.signals, "signals")];
        all.into_iter().filter(|(there, _)| !there).map(|(_, what)| what).collect()
    }
}

/// Asks the kernel; changes nothing.
#[must_use]
pub fn walls() -> Walls {
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let has = |ruleset: Result<Ruleset, RulesetError>| ruleset.and_then(Ruleset::create).is_ok();
    Walls {
        files: has(strict().handle_access(AccessFs::from_all(ABI::V1))),
        tcp: has(strict().handle_access(AccessNet::from_all(ABI::V4))),
        signals: has(strict().scope(Scope::Signal)),
    }
}

/// Puts up all walls there are around this process and its children to come; there is no way back.
pub(super) fn put_up(reads: &[PathBuf], writes: &[PathBuf]) -> Result<(), RulesetError> {
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
