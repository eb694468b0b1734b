//! `pipe doctor`: what this machine offers and what is in the way, each problem with what to do about it.
//!
//! Contacts nobody, changes nothing and never shows a token. The exit code is 1 only if something is broken without
//! which no manifest runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::machine::Machine;
use crate::cli::{Session, models, project};
use crate::command::{self, Walls};
use crate::device::{Backend, DeviceSpec};
use crate::diagnostic::nearest;
use crate::model;
use crate::report::units;
use crate::sources::{Pip, installed_pip};
use crate::store::Store;

/// With less free space than this a model's run may not end.
const LITTLE_SPACE_BYTES: u64 = 1 << 30;

/// All that was looked at; with `--json`, the document.
#[derive(Debug, Serialize)]
struct Checkup {
    version: u32,
    pipe: &'static str,
    cargo_features: Vec<&'static str>,
    backends: Vec<BackendState>,
    machine: Machine,
    /// What the kernel keeps commands of `run:` stages from.
    walls: Walls,
    cache: CacheState,
    hub: HubState,
    pip: Option<Pip>,
    /// Name to value; names that mean nothing here have none.
    variables: BTreeMap<String, Option<String>>,
    problems: Vec<Problem>,
}

#[derive(Debug, Serialize)]
struct BackendState {
    name: &'static str,
    built_in: bool,
    /// Whether a device opens and multiplies rightly; unknown of what is not built in.
    works: Option<bool>,
    /// How to build it, or why it does not work.
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct CacheState {
    path: PathBuf,
    exists: bool,
    writable: bool,
    size_bytes: u64,
    free_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct HubState {
    home: PathBuf,
    cache: PathBuf,
    endpoint: String,
    token_present: bool,
    offline: bool,
}

#[derive(Debug, Serialize)]
struct Problem {
    /// Whether nothing runs before it is mended.
    broken: bool,
    what: String,
    help: String,
}

pub fn doctor(session: &Session) -> Exit {
    let mut problems = Vec::new();
    let folder = project::cache_folder(session.global.cache.as_deref(), &project::current_root());
    let checkup = Checkup {
        version: 1,
        pipe: env!("CARGO_PKG_VERSION"),
        // Every feature of the package is a backend.
        cargo_features: features(),
        backends: Backend::ALL.into_iter().map(|backend| backend_state(backend, &mut problems)).collect(),
        machine: Machine::look(),
        walls: wall_state(&mut problems),
        cache: cache_state(&folder, &mut problems),
        hub: hub_state(),
        pip: pip(&mut problems),
        variables: variables(&mut problems),
        problems,
    };
    if session.console.json {
        say(&serde_json::to_string(&checkup).unwrap_or_default());
    } else {
        say(&page(&checkup));
    }
    if checkup.problems.iter().any(|problem| problem.broken) { Exit::Failed } else { Exit::Ok }
}

fn features() -> Vec<&'static str> {
    let optional = [Backend::NdArray, Backend::Wgpu];
    optional.into_iter().filter(|backend| backend.is_built_in()).map(Backend::name).collect()
}

fn backend_state(backend: Backend, problems: &mut Vec<Problem>) -> BackendState {
    let name = backend.name();
    if !backend.is_built_in() {
        let reason = Some(format!("cargo build --release --features {name}"));
        return BackendState { name, built_in: false, works: None, reason };
    }
    let reason = quietly(|| model::probe_device(DeviceSpec { backend })).err().map(|error| error.to_string());
    if let Some(reason) = &reason {
        let (broken, help) = match backend {
            Backend::Flex => (true, "build pipe on this machine, with `cargo build --release`"),
            Backend::Wgpu => (false, "install the driver of a GPU, or use `--backend flex`"),
            Backend::NdArray => (false, "use `--backend flex`"),
        };
        problems.push(Problem { broken, what: reason.clone(), help: help.to_owned() });
    }
    BackendState { name, built_in: true, works: Some(reason.is_none()), reason }
}

/// Does something that may panic and be survived, without the panic's own message on stderr: the problem is told in ours.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = work();
    std::panic::set_hook(hook);
    result
}

fn cache_state(folder: &Path, problems: &mut Vec<Problem>) -> CacheState {
    let there = folder.ancestors().find(|part| part.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
    // A file without a name, gone with its handle.
    let written = tempfile::tempfile_in(there);
    let opened = Store::open(folder);
    let elsewhere = "move the cache with `--cache FOLDER` or PIPE_CACHE, or mend the folder's permissions";
    if let Err(error) = &written {
        let what = format!("the cache `{}` can't be written: {error}", folder.display());
        problems.push(Problem { broken: true, what, help: elsewhere.to_owned() });
    } else if let Err(error) = &opened {
        problems.push(Problem { broken: true, what: error.to_string(), help: elsewhere.to_owned() });
    }
    let free_bytes = rustix::fs::statvfs(there).ok().map(|space| space.f_bavail.saturating_mul(space.f_frsize));
    if let Some(free) = free_bytes.filter(|free| *free < LITTLE_SPACE_BYTES) {
        let what = format!("only {} are free where the cache is", units::bytes(free));
        let help = "make room, or move the cache with `--cache FOLDER` or PIPE_CACHE".to_owned();
        problems.push(Problem { broken: false, what, help });
    }
    CacheState {
        path: folder.to_owned(),
        exists: folder.is_dir(),
        writable: written.is_ok(),
        size_bytes: models::size_bytes(folder, models::Links::Themselves),
        free_bytes,
    }
}

fn wall_state(problems: &mut Vec<Problem>) -> Walls {
    let walls = command::walls();
    let missing = walls.missing();
    if !missing.is_empty() {
        let what = format!("this kernel has no walls for commands of `run:` stages against {}", missing.join(", "));
        let help = "run Linux 6.12 or newer with Landlock, or declare with care what such stages read".to_owned();
        problems.push(Problem { broken: false, what, help });
    }
    walls
}

fn hub_state() -> HubState {
    let settings = project::hub();
    HubState {
        home: project::hub_home(),
        endpoint: without_credentials(&settings.endpoint),
        token_present: settings.token.is_some(),
        offline: settings.offline,
        cache: settings.cache,
    }
}

/// An address without the name and password that may stand before its host.
fn without_credentials(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}{path}")
}

fn pip(problems: &mut Vec<Problem>) -> Option<Pip> {
    let pip = installed_pip();
    if pip.is_none() {
        problems.push(Problem {
            broken: false,
            what: "there is no pip, so `pypi:` sources can't be fetched".to_owned(),
            help: "install Python's pip, or use other sources".to_owned(),
        });
    }
    pip
}

fn variables(problems: &mut Vec<Problem>) -> BTreeMap<String, Option<String>> {
    let found = project::own_variables();
    for name in found.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name) {
        let meant = nearest(name, project::VARIABLES).map(|near| format!("did you mean `{near}`?"));
        let help = meant.unwrap_or_else(|| format!("the variables are {}", project::VARIABLES.join(", ")));
        problems.push(Problem { broken: false, what: format!("the variable `{name}` means nothing here"), help });
    }
    found
}

fn page(checkup: &Checkup) -> String {
    let mut lines = Vec::new();
    let mut line = |label: &str, text: String| lines.push(format!("{label:<10} {text}").trim_end().to_owned());
    line("pipe", checkup.pipe.to_owned());
    line("features", if checkup.cargo_features.is_empty() { "none".into() } else { checkup.cargo_features.join(", ") });
    for backend in &checkup.backends {
        let state = match backend.works {
            Some(true) => "works".to_owned(),
            Some(false) => "DOES NOT WORK".to_owned(),
            None => format!("not built in; `{}` adds it", backend.reason.as_deref().unwrap_or_default()),
        };
        line("backend", format!("{}: {state}", backend.name));
    }
    let machine = &checkup.machine;
    let sets = machine.instruction_sets.iter().map(|set| match set.present {
        Some(true) => set.name.to_owned(),
        Some(false) => format!("no {}", set.name),
        None => format!("{} unknown", set.name),
    });
    let threads = machine.threads.map(|threads| units::count(threads, "thread"));
    line("cpu", [machine.platform.clone()].into_iter().chain(sets).chain(threads).collect::<Vec<_>>().join(", "));
    let size = |bytes: Option<u64>| bytes.map_or_else(|| "unknown".to_owned(), units::bytes);
    line("memory", format!("{}, {} available", size(machine.memory_bytes), size(machine.available_bytes)));
    let Walls { files, tcp, signals } = checkup.walls;
    let walls = [(files, "files"), (tcp, "TCP"), (signals, "signals")];
    let walls: Vec<&str> = walls.iter().filter(|(there, _)| *there).map(|(_, what)| *what).collect();
    line(
        "walls",
        if walls.is_empty() { "NONE for commands".into() } else { format!("{} (Landlock)", walls.join(", ")) },
    );
    let cache = &checkup.cache;
    line("cache", cache.path.display().to_string());
    let state = match (cache.writable, cache.exists) {
        (false, _) => "NOT WRITABLE",
        (true, true) => "writable",
        (true, false) => "not there yet, can be made",
    };
    line("", format!("{state}, {} used, {} free", units::bytes(cache.size_bytes), size(cache.free_bytes)));
    let hub = &checkup.hub;
    line("hub", format!("{}{}", hub.endpoint, if hub.offline { ", offline (HF_HUB_OFFLINE)" } else { "" }));
    line("", format!("home {}, cache {}", hub.home.display(), hub.cache.display()));
    line("", format!("token: {}", if hub.token_present { "present" } else { "none" }));
    let pip = checkup.pip.as_ref().map(|pip| format!("{} ({})", pip.version, pip.command));
    line("pip", pip.unwrap_or_else(|| "NOT FOUND".to_owned()));
    for (name, value) in &checkup.variables {
        line("variable", value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}")));
    }
    lines.push(String::new());
    for Problem { broken, what, help } in &checkup.problems {
        lines.push(format!("{}: {what}\n  help: {help}", if *broken { "error" } else { "warning" }));
    }
    if checkup.problems.is_empty() {
        lines.push("nothing is in the way".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_name_and_password() {
        for (address, shown) in [
            ("http://127.0.0.1:8080/hub", "http://127.0.0.1:8080/hub"),
            ("https://user:secret@mirror.test", "https://mirror.test"),
            ("https://user:se@cret@mirror.test/a@b", "https://mirror.test/a@b"),
            ("user:secret@mirror.test/x", "mirror.test/x"),
        ] {
            assert_eq!(without_credentials(address), shown);
        }
    }
}
