//! The machine as stages see it that ask for variables and programs.

use std::env;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::artifact::Content;
use crate::cli::command;
use crate::store::Store;
use crate::surroundings::{Machine, Tool, Value};

/// This machine; digests come through the store, which remembers them.
pub struct Host<'a> {
    /// The store.
    pub store: &'a Store,
}

impl Machine for Host<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        env::var(name).ok().map(Value::new)
    }

    fn tool(&self, name: &str) -> io::Result<Option<Tool>> {
        let Some(path) = on_search_path(name) else { return Ok(None) };
        let real = path.canonicalize()?;
        let Content::File(digest) = self.store.digest_of(&real).map_err(io::Error::other)? else { return Ok(None) };
        let mut folders: Vec<PathBuf> = [&path, &real].into_iter().filter_map(|path| prefix(path)).collect();
        folders.dedup();
        Ok(Some(Tool { path, folders, digest }))
    }

    fn program(&self) -> PathBuf {
        command::program()
    }
}

/// The first executable file of a name on `PATH`.
fn on_search_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    let files = env::split_paths(&folders).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
    let executable = |path: &PathBuf| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    files.into_iter().find(executable)
}

/// The folder above `bin`, where a program of its own installation keeps its libraries. A home with a `bin` is none, nor
/// is a folder that holds the current one: they hold what a command has no business with.
fn prefix(program: &Path) -> Option<PathBuf> {
    let folder = program.parent().filter(|folder| folder.ends_with("bin"))?.parent()?;
    let holds = |inner: Option<PathBuf>| inner.is_some_and(|inner| inner.starts_with(folder));
    let home = env::var_os("HOME").map(PathBuf::from);
    if holds(home) || holds(env::current_dir().ok()) { None } else { Some(folder.to_owned()) }
}
