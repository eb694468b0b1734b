//! `pipe completions`: the script that makes a shell ask this program what could come next, and the answers.
//!
//! Verbs and flags are answered from the command line's own description; stages, manifests, experiments and runs from
//! what is there. Whatever can't be read gives no candidates: nobody wants an error in the middle of a line.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::Shells;

use crate::cli::arguments::{Arguments, CompletionsArguments};
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::project::{self, COMPLETE_VARIABLE};
use crate::cli::{Failure, load};
use crate::store::Store;

/// How many experiments or runs are offered, the latest first.
const MOST_IDS: usize = 50;

pub fn completions(arguments: &CompletionsArguments) -> Result<Exit, Failure> {
    let shells = Shells::builtins();
    let name = &arguments.shell;
    let Some(shell) = shells.completer(name) else {
        let known: Vec<&str> = shells.names().collect();
        return Err(Failure::Usage(format!("shell is `{name}`; expected one of {}", known.join(", "))));
    };
    let mut script = Vec::new();
    shell
        .write_registration(COMPLETE_VARIABLE, "pipe", "pipe", "pipe", &mut script)
        .map_err(|error| Failure::Usage(format!("cannot write the script for `{name}`: {error}")))?;
    say(&String::from_utf8_lossy(&script));
    Ok(Exit::Ok)
}

/// Answers a shell that asks what could come next; says whether one did.
pub fn answered() -> bool {
    let here = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(Arguments::command).var(COMPLETE_VARIABLE);
    // A question that can't be understood has no answer either.
    asked.try_complete(std::env::args_os(), here.as_deref()).unwrap_or(true)
}

/// Manifests, and folders on the way to them.
pub fn manifests() -> impl ValueCompleter {
    PathCompleter::file().filter(|path| path.is_dir() || is_manifest(path))
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// The stages of the manifest that stands before on the command line.
pub fn stages(current: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<_> = std::env::args_os().collect();
    let manifest = words.iter().map(Path::new).find(|word| is_manifest(word) && word.is_file());
    let read = manifest.and_then(|path| {
        let bytes = fs::read(path).ok()?;
        crate::manifest::read(&path.display().to_string(), &bytes, &[]).ok()
    });
    let stages = read.into_iter().flat_map(|manifest| manifest.stages);
    let candidates = stages.map(|stage| {
        let kind = stage.uses.map(|uses| uses.value.to_string().into());
        CompletionCandidate::new(stage.name.value.to_string()).help(kind)
    });
    beginning(candidates, current)
}

/// Baselines and experiments.
pub fn experiments(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(store) = store() else { return Vec::new() };
    let baselines = store.baselines().unwrap_or_default().into_iter().map(|baseline| {
        CompletionCandidate::new(baseline.name).help(Some(format!("baseline {}", baseline.experiment.short()).into()))
    });
    let ids = store.experiments().unwrap_or_default();
    let ids = ids.into_iter().take(MOST_IDS).map(|id| {
        let name = load::experiment(&store, &id.to_string()).map(|record| record.name).ok();
        CompletionCandidate::new(id.short()).help(name.map(Into::into))
    });
    beginning(baselines.chain(ids), current)
}

/// Runs, the latest first, then experiments.
pub fn runs(current: &OsStr) -> Vec<CompletionCandidate> {
    let runs = store().and_then(|store| store.runs().ok()).unwrap_or_default();
    let runs = beginning(runs.into_iter().rev().take(MOST_IDS).map(CompletionCandidate::new), current);
    runs.into_iter().chain(experiments(current)).collect()
}

/// Names of baselines.
pub fn baselines(current: &OsStr) -> Vec<CompletionCandidate> {
    let known = store().and_then(|store| store.baselines().ok()).unwrap_or_default();
    beginning(known.into_iter().map(|baseline| CompletionCandidate::new(baseline.name)), current)
}

/// The cache of the current project; a `--cache` on the line being written is not heeded.
fn store() -> Option<Store> {
    Store::open(&project::cache_folder(None, &project::current_root())).ok()
}

fn beginning(candidates: impl Iterator<Item = CompletionCandidate>, current: &OsStr) -> Vec<CompletionCandidate> {
    let start = current.to_string_lossy();
    candidates.filter(|candidate| candidate.get_value().to_string_lossy().starts_with(&*start)).collect()
}
