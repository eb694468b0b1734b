//! From the command line to a plan and a store; what most verbs begin with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::artifact::Content;
use crate::cli::arguments::{Global, ManifestArguments};
use crate::cli::host::Host;
use crate::cli::{Failure, Session, models, pins, project, recorded};
use crate::device::Backend;
use crate::diagnostic::{Diagnostic, Severity};
use crate::engine::record::ExperimentRecord;
use crate::engine::why::{Cause, Reason};
use crate::engine::{
    EngineError, LockTarget, ManifestCopy, PreviewedStage, StagePreview, check_machine, preview, typed,
};
use crate::lock::{Lock, PinnedMachine};
use crate::manifest::{self, Manifest, Override};
use crate::plan::{NOT_FETCHED, Note, Plan, Planner};
use crate::report::units;
use crate::source::Source;
use crate::stages::registry;
use crate::store::{Lookup, Store};

/// A manifest that was read and planned.
pub struct Loaded {
    /// The project's root.
    pub root: PathBuf,
    /// The store.
    pub store: Store,
    /// The plan.
    pub plan: Plan,
    /// The manifest as it was read.
    pub manifest: ManifestCopy,
    /// What is committed beside it.
    pub lock: Option<Lock>,
    /// Where that is, and the commits to write into it.
    pub lock_target: LockTarget,
    parsed: Manifest,
}

impl Loaded {
    /// What a run would do, with the places in the manifest of settings that changed.
    pub fn preview(&self, forced: &BTreeSet<String>) -> Result<Vec<PreviewedStage>, Failure> {
        let mut previews = preview(&self.plan, &self.store, forced)?;
        for stage in &mut previews {
            for Cause { stage, because } in &mut stage.causes {
                self.locate(stage, because);
            }
            if let StagePreview::Run(reasons) = &mut stage.preview {
                for reason in reasons {
                    self.locate(&stage.name, reason);
                }
            }
        }
        Ok(previews)
    }

    fn locate(&self, stage: &str, reason: &mut Reason) {
        if let Reason::ConfigChanged { path, place, .. } = reason {
            *place = self.parsed.place_of_setting(stage, path);
        }
    }

    /// Lets the stages that are to run look at what is here of their inputs. What is stored has succeeded already.
    pub fn preflight(&self, running: &BTreeSet<String>) -> Result<Vec<Note>, Failure> {
        Ok(self.plan.preflight(&self.parsed, |stage| running.contains(stage.name.as_str()))?)
    }
}

/// Whether models from outside that are not here yet are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// They are, before anything else.
    Missing,
    /// They are not: planning says which they are, with [`NOT_FETCHED`], unless the lock pins their bytes.
    Nothing,
    /// Nothing from outside is looked at, and any input that is not here is what the lock pins.
    Pinned,
}

/// Reads a manifest without planning it.
pub fn read(path: &Path, params: &[String]) -> Result<Manifest, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::Usage(unreadable(path, &error)))?;
    Ok(manifest::read(&path.display().to_string(), &bytes, &overrides(params)?)?)
}

/// Reads a manifest and plans the stages that were named with all they need; all that is wrong with it in one go.
pub fn load(arguments: &ManifestArguments, session: &Session, fetch: Fetch) -> Result<Loaded, Failure> {
    let mut loaded = whole(arguments, session, fetch)?;
    if !arguments.stages.is_empty() {
        loaded.plan = loaded.plan.select(&arguments.stages)?;
    }
    Ok(loaded)
}

/// Reads and plans all of a manifest.
pub fn whole(arguments: &ManifestArguments, session: &Session, fetch: Fetch) -> Result<Loaded, Failure> {
    let path = &arguments.manifest;
    let bytes = fs::read(path).map_err(|error| Failure::Usage(unreadable(path, &error)))?;
    let overrides = overrides(&arguments.param)?;
    let root = project::root_of(path);
    let store = open_store(&session.global, &root)?;
    let name = path.display().to_string();
    let mut manifest = manifest::read(&name, &bytes, &overrides)?;
    let lock = pins::read(&Lock::beside(path))?;
    let sources = models::sources_of(session, &root).with_commits(pins::commits(lock.as_ref()));
    // A manifest with mistakes fetches nothing.
    if fetch == Fetch::Missing && manifest.problems().is_empty() {
        models::fetch(&manifest, &sources, session.console)?;
    }
    manifest.backend = arguments.backend.unwrap_or(manifest.backend);
    check_backend(manifest.backend)?;
    let digest = |input: &Path| store.digest_of(&root.join(input)).map_err(std::io::Error::other);
    let fetched = |source: &Source| if fetch == Fetch::Pinned { None } else { sources.locate(source) };
    let locked = |source: &Source| pins::content(lock.as_ref()?, source, fetch == Fetch::Pinned);
    let recorded = match fetch {
        Fetch::Pinned => BTreeMap::new(),
        Fetch::Missing | Fetch::Nothing => recorded::resolve(&manifest, &store, |source| locked(source).is_some())?,
    };
    let pinned = |source: &Source| recorded.get(source).copied().or_else(|| locked(source));
    let host = Host { store: &store };
    let planner = Planner {
        kinds: registry(),
        project: &root,
        fetched: &fetched,
        pinned: &pinned,
        digest: &digest,
        machine: &PinnedMachine { lock: lock.as_ref().filter(|_| fetch == Fetch::Pinned), machine: &host },
    };
    let plan = planner.plan(&manifest)?;
    pins::check(lock.as_ref(), &plan, &manifest)?;
    let lock_target = LockTarget {
        path: Lock::beside(&std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        shown: Lock::beside(path).display().to_string(),
        commits: pins::found(&plan, &sources),
    };
    let copy = ManifestCopy {
        path: project::shown(&std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        text: String::from_utf8_lossy(&bytes).into_owned(),
        overrides: overrides.iter().map(|one| (one.name.clone(), one.text.clone())).collect(),
        backend: arguments.backend,
    };
    Ok(Loaded { root, store, plan, manifest: copy, lock, lock_target, parsed: manifest })
}

fn check_backend(backend: Backend) -> Result<(), Failure> {
    if backend.is_built_in() {
        return Ok(());
    }
    let build = format!("build one that has it with `cargo build --release --features {backend}`");
    Err(Failure::Usage(format!("backend is `{backend}`, which this binary was built without; {build}")))
}

fn overrides(params: &[String]) -> Result<Vec<Override>, Failure> {
    params.iter().map(|text| text.parse::<Override>().map_err(|error| Failure::Usage(error.to_string()))).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    let help = if error.kind() == std::io::ErrorKind::NotFound {
        let here = fs::read_dir("pipelines").into_iter().flatten().flatten().map(|entry| entry.path());
        let found: Vec<String> = here.map(|path| path.display().to_string()).collect();
        if found.is_empty() { String::new() } else { format!("; here are {}", found.join(", ")) }
    } else {
        String::new()
    };
    format!("cannot read `{}`: {error}{help}", path.display())
}

/// Opens the cache of a project.
pub fn open_store(global: &Global, root: &Path) -> Result<Store, Failure> {
    Ok(Store::open(&project::cache_folder(global.cache.as_deref(), root))?)
}

/// The experiment that a baseline of this name is, or with this id or unique prefix of one.
pub fn experiment(store: &Store, name: &str) -> Result<ExperimentRecord, Failure> {
    let id = match store.baseline(name)? {
        Some(baseline) => baseline.experiment,
        None => store.find_experiment(name)?,
    };
    let unusable = |reason: String| Failure::Engine(EngineError::Record { what: id.to_string(), reason });
    match store.experiment(&id)? {
        Lookup::Found(value) => Ok(typed("experiment", value)?),
        Lookup::Absent => Err(unusable("it vanished meanwhile".into())),
        Lookup::Damaged(damage) => {
            let (what, damage) = (id.to_string(), damage.to_string());
            Err(EngineError::DamagedRecord { what, damage }.into())
        }
    }
}

/// The plan of an experiment, from the store's copy of its manifest and inputs; no file of the project is read.
pub fn plan_of(record: &ExperimentRecord, store: &Store) -> Result<Plan, Failure> {
    let bytes = store.read(&record.manifest)?;
    let params: Vec<String> = record.overrides.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut manifest = manifest::read(&record.manifest_path, &bytes, &overrides(&params)?)?;
    manifest.backend = record.backend.unwrap_or(manifest.backend);
    check_backend(manifest.backend)?;
    let recorded: Vec<(&str, Content)> =
        record.inputs.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    let plan = Planner::plan_recorded(registry(), &manifest, &recorded, &Host { store })?;
    check_machine(record, &plan, store)?;
    if plan.id() == record.plan {
        Ok(plan)
    } else {
        let reason = format!("this version plans it as {}, not as {}", plan.id().short(), record.plan.short());
        Err(Failure::Engine(EngineError::Record { what: record.id.short(), reason }))
    }
}

/// Whether nothing is wrong but that models were not fetched yet.
pub fn only_unfetched(found: &[Diagnostic]) -> bool {
    !found.is_empty() && found.iter().all(|diagnostic| diagnostic.code == NOT_FETCHED)
}

/// `3 errors, 1 warning`.
pub fn count(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    match found.len() - errors {
        0 => units::count(errors, "error"),
        warnings => format!("{}, {}", units::count(errors, "error"), units::count(warnings, "warning")),
    }
}
