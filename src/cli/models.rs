//! `pipe models`: fetches the models that manifests name, and lists what was fetched.

use std::path::Path;

use serde_json::json;

use crate::cli::arguments::{ModelsArguments, ModelsVerb};
use crate::cli::console::{Console, note, say};
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session, load, models_show, pins, project};
use crate::engine::EngineError;
use crate::lock::{self, Lock, Pin};
use crate::manifest::Manifest;
use crate::report::table::{self, Align};
use crate::report::units;
use crate::source::Source;
use crate::sources::{Fetching, Sources};

pub fn models(arguments: &ModelsArguments, session: &Session) -> Result<Exit, Failure> {
    match &arguments.verb {
        ModelsVerb::Pull { targets, upgrade } => pull(targets, *upgrade, session),
        ModelsVerb::List => list(session),
        ModelsVerb::Show { model } => models_show::show(model, session),
    }
}

/// The fetched sources of a project: they live in its cache.
pub fn sources_of(session: &Session, root: &Path) -> Sources {
    Sources::new(&project::cache_folder(session.global.cache.as_deref(), root).join("sources"), project::hub())
}

/// Fetches whatever a manifest reads from outside the project and is not here yet.
///
/// # Errors
/// A source can't be fetched.
pub fn fetch(manifest: &Manifest, sources: &Sources, console: Console) -> Result<(), Failure> {
    let named = manifest.inputs.iter().filter_map(|input| Some(&input.source.as_ref()?.value));
    for source in named.filter(|source| is_outside(source) && sources.locate(source).is_none()) {
        fetch_one(source, sources, console)?;
    }
    Ok(())
}

/// Whether a source is fetched: neither a file of the project nor what a stage gave.
const fn is_outside(source: &Source) -> bool {
    !matches!(source, Source::File(_) | Source::Experiment(_))
}

/// Files below this size get no line for each tenth.
const LARGE_FILE_BYTES: u64 = 16 << 20;

fn fetch_one(source: &Source, sources: &Sources, console: Console) -> Result<(), Failure> {
    let mut told = (String::new(), 0);
    let mut observe = |fetching: Fetching| {
        if console.quiet {
            return;
        }
        match fetching {
            Fetching::Downloading => note(&format!("fetching {source}")),
            Fetching::Unpacking => note(&format!("unpacking {source}")),
            // A line at the start, at each tenth of a large file, and at its end.
            Fetching::File { name, done, total } => {
                let tenth =
                    if total < LARGE_FILE_BYTES { 10 * (done / total.max(1)) } else { 10 * done / total.max(1) };
                if told != (name.clone(), tenth) {
                    let (has, all) = (units::bytes(done), units::bytes(total));
                    note(&format!("fetching {source} · {name} {:>3} % ({has} of {all})", 10 * tenth));
                    told = (name, tenth);
                }
            }
        }
    };
    sources.pull(source, &mut observe).map(|_| ()).map_err(Failure::Source)
}

fn pull(targets: &[String], upgrade: bool, session: &Session) -> Result<Exit, Failure> {
    for target in targets {
        let path = Path::new(target);
        if path.is_file() {
            pull_manifest(path, upgrade, session)?;
            continue;
        }
        let source = Source::parse(target).map_err(|error| Failure::Usage(error.to_string()))?;
        if let Source::File(path) = &source {
            return Err(Failure::Usage(format!(
                "there is no manifest `{path}`, and it is no `hf:` or `pypi:` source either"
            )));
        }
        let sources = sources_of(session, &project::current_root());
        if upgrade {
            sources.forget(&source).map_err(Failure::Source)?;
        }
        fetch_one(&source, &sources, session.console)?;
    }
    Ok(Exit::Ok)
}

/// Fetches what a manifest names, at the commits that its lock pins unless they are to be looked up anew.
fn pull_manifest(path: &Path, upgrade: bool, session: &Session) -> Result<(), Failure> {
    let manifest = load::read(path, &[])?;
    let root = project::root_of(path);
    let sources = sources_of(session, &root);
    if !upgrade {
        let lock = pins::read(&Lock::beside(path))?;
        return fetch(&manifest, &sources.with_commits(pins::commits(lock.as_ref())), session.console);
    }
    for source in manifest.inputs.iter().filter_map(|input| input.source.as_ref()) {
        sources.forget(&source.value).map_err(Failure::Source)?;
    }
    fetch(&manifest, &sources, session.console)?;
    let place = Lock::beside(path);
    let Some(mut lock) = pins::read(&place)? else { return Ok(()) };
    let store = load::open_store(&session.global, &root)?;
    for source in manifest.inputs.iter().filter_map(|input| input.source.as_ref()) {
        let (Some(fetched), Some(pin)) =
            (sources.locate(&source.value), lock.inputs.get_mut(&source.value.to_string()))
        else {
            continue;
        };
        *pin = Pin { commit: sources.commit_of(&source.value), content: store.digest_of(&fetched)? };
    }
    if lock::write(&place, &lock, store.sandbox()?.path()).map_err(EngineError::Lock)? && !session.console.quiet {
        note(&format!(
            "pinned what was found in {}; `pipe run {}` brings the rest of it up to date",
            place.display(),
            path.display()
        ));
    }
    Ok(())
}

fn list(session: &Session) -> Result<Exit, Failure> {
    let found = sources_of(session, &project::current_root()).list().map_err(Failure::Source)?;
    if session.console.json {
        let models: Vec<_> = found
            .iter()
            .map(|one| json!({ "source": one.source, "path": one.path, "size_bytes": size_bytes(&one.path, Links::Followed) }))
            .collect();
        say(&json!({ "version": 1, "models": models }).to_string());
        return Ok(Exit::Ok);
    }
    if found.is_empty() {
        note("nothing was fetched yet; `pipe models pull MANIFEST` fetches what a manifest names");
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|one| vec![one.source.clone(), units::bytes(size_bytes(&one.path, Links::Followed))])
        .collect();
    say(&table::render(&["source", "size"], &rows, &[Align::Left, Align::Right]));
    Ok(Exit::Ok)
}

/// What a symbolic link to a file counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// The file.
    Followed,
    /// The link alone.
    Themselves,
}

/// The bytes of a file, or of all files below a folder; what can't be read counts nothing. A link to a folder is not gone
/// into, since it may lead in a circle, unless it is the path itself.
pub fn size_bytes(path: &Path, links: Links) -> u64 {
    let metadata = match links {
        Links::Followed => path.metadata(),
        Links::Themselves => path.symlink_metadata(),
    };
    let Ok(metadata) = metadata else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let is_circle = |path: &Path| path.is_symlink() && path.is_dir();
    let entries = path.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| !is_circle(path)).map(|path| size_bytes(&path, links)).sum()
}
