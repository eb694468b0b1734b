//! A lock as text, and back. Nothing of a text is believed: sizes, nesting and the number of values are bounded by the
//! reader of YAML, and what is no lock is an error at its line.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Deserialize;

use super::{LOCK_VERSION, Lock};
use crate::diagnostic::Diagnostic;
use crate::manifest::typed_yaml;

const HEAD: &str = "\
# Written by `pipe run`; commit it beside its manifest. `pipe check --frozen` compares the two without data or models.
";

/// Why a lock can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is no lock, or one of another version.
    #[error("{}", .0.message)]
    Invalid(Box<Diagnostic>),
    /// The system refused.
    #[error("cannot {verb} the lock `{path}`: {source}")]
    Io {
        /// `read` or `write`.
        verb: &'static str,
        /// Where it is.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The lock at a path; none when no file is there.
///
/// # Errors
/// [`LockError`].
pub fn read(path: &Path) -> Result<Option<Lock>, LockError> {
    match fs::read(path) {
        Ok(bytes) => parse(&path.display().to_string(), &bytes).map(Some).map_err(LockError::Invalid),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LockError::Io { verb: "read", path: path.display().to_string(), source }),
    }
}

fn parse(name: &str, bytes: &[u8]) -> Result<Lock, Box<Diagnostic>> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let help = |diagnostic: Box<Diagnostic>| {
        let has_conflict = bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"<<<<<<<"));
        let help = if has_conflict {
            "a merge left its marks here: take either side, and `pipe run` brings it up to date"
        } else {
            "take the committed one, or remove it: the next complete `pipe run` writes it anew"
        };
        Box::new(diagnostic.help(help))
    };
    let Versioned { version } = typed_yaml::read("lock::invalid", name, bytes).map_err(help)?;
    if version != LOCK_VERSION {
        let message = format!("`{name}` is a lock of version {version}; this version of pipe reads {LOCK_VERSION}");
        return Err(Box::new(Diagnostic::error("lock::version", message)));
    }
    let lock: Lock = typed_yaml::read("lock::invalid", name, bytes).map_err(help)?;
    if lock.is_consistent() {
        return Ok(lock);
    }
    let message = format!("`{name}` contradicts itself: plan, results and verdict are not those of one run");
    let help = "was it merged or edited by hand? Take either side whole, or remove it; `pipe run` brings it up to date";
    Err(Box::new(Diagnostic::error("lock::inconsistent", message).help(help)))
}

/// Writes a lock whole or not at all, and only if it says something else than the file that is there. Says whether it did.
/// The draft is made in a folder where somebody sweeps away what killed programs leave; only where that is on another disk is it
/// made beside the lock, under a hidden name.
///
/// # Errors
/// [`LockError::Io`].
pub fn write(path: &Path, lock: &Lock, drafts: &Path) -> Result<bool, LockError> {
    let failed = |source: io::Error| LockError::Io { verb: "write", path: path.display().to_string(), source };
    let text = format!("{HEAD}{}", typed_yaml::write(lock).map_err(failed)?);
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(false);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let drafted = |folder: &Path| {
        let mut draft = tempfile::Builder::new().prefix(".lock-").permissions(mode()).tempfile_in(folder)?;
        draft.write_all(text.as_bytes()).and_then(|()| draft.as_file().sync_all())?;
        draft.persist(path).map_err(|error| error.error)
    };
    let written = match drafted(drafts) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => drafted(folder),
        written => written,
    };
    written.map_err(failed)?;
    // A rename is kept by the folder it happened in.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(true)
}

/// As any new file of the project's: readable by all, less the umask.
fn mode() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{experiment_id, plan_id};

    fn text() -> String {
        let plan = plan_id([]);
        let experiment = experiment_id(plan, [], None);
        format!("version: 1\nplan: {plan}\nexperiment: {experiment}\nbackend: flex\n")
    }

    fn message(text: &str) -> String {
        parse("x.lock", text.as_bytes()).unwrap_err().message
    }

    #[test]
    fn what_is_no_lock_is_said_with_the_reason() {
        parse("x.lock", text().as_bytes()).unwrap();
        assert!(message("").contains("x.lock"), "{}", message(""));
        assert!(message("version: 2\nnew: 1\n").contains("version 2"));
        assert!(message(&format!("{}surprise: 1\n", text())).contains("surprise"));
        assert!(message(&format!("{}inputs: {{a: {{content: 'file:ab'}}}}\n", text())).contains("ab"));
        let twice = format!("{}inputs: {{}}\ninputs: {{}}\n", text());
        assert!(message(&twice).contains("inputs"), "{}", message(&twice));
        let conflict = format!("<<<<<<< ours\n{}", text());
        let help = parse("x.lock", conflict.as_bytes()).unwrap_err().help.unwrap();
        assert!(help.contains("merge"), "{help}");
        assert!(parse("x.lock", b"\xff\xfe").is_err());
        assert!(parse("x.lock", "[".repeat(100_000).as_bytes()).is_err());
    }
}
