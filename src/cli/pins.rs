//! What the lock beside a manifest pins, handed to planning and fetching.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cli::Failure;
use crate::diagnostic::Diagnostic;
use crate::engine::EngineError;
use crate::lock::{self, Lock, LockError, Pin};
use crate::manifest::Manifest;
use crate::plan::{Pinned, Plan, PlannedInput};
use crate::source::Source;
use crate::sources::Sources;

/// The lock at a path, if there is one.
///
/// # Errors
/// It can't be read, or is no lock.
pub fn read(path: &Path) -> Result<Option<Lock>, Failure> {
    lock::read(path).map_err(|error| match error {
        LockError::Invalid(found) => Failure::Diagnostics(vec![*found]),
        error @ LockError::Io { .. } => Failure::Engine(EngineError::Lock(error)),
    })
}

/// The commits that branches are pinned to, by source.
pub fn commits(lock: Option<&Lock>) -> BTreeMap<String, String> {
    let pins = lock.into_iter().flat_map(|lock| &lock.inputs);
    pins.filter_map(|(source, pin)| Some((source.clone(), pin.commit.clone()?))).collect()
}

/// The commits that the branches of a plan are here, by source.
pub fn found(plan: &Plan, sources: &Sources) -> BTreeMap<String, String> {
    let found = plan.inputs().filter_map(|input| Some((input.source.to_string(), sources.commit_of(&input.source)?)));
    found.collect()
}

/// The pinned bytes of an input: of one from outside, or of any when the project's own files need not be here either.
pub fn content(lock: &Lock, source: &Source, of_project: bool) -> Option<Pinned> {
    if matches!(source, Source::File(_)) && !of_project {
        return None;
    }
    lock.inputs.get(&source.to_string()).map(|pin| Pinned { content: pin.content, kind: None })
}

/// Whether the models that are here are those that the lock pins. Their sources never change, so other bytes are an alarm and
/// no edit: somebody replaced a package, or a hub gave something else.
///
/// # Errors
/// A diagnostic for each that is not.
pub fn check(lock: Option<&Lock>, plan: &Plan, manifest: &Manifest) -> Result<(), Failure> {
    let Some(lock) = lock else { return Ok(()) };
    let pin = |input: &PlannedInput| -> Option<&Pin> {
        if matches!(input.source, Source::File(_) | Source::Experiment(_)) {
            return None;
        }
        lock.inputs.get(&input.source.to_string()).filter(|pin| pin.content != input.content)
    };
    let wrong = plan.inputs().filter_map(|input| Some((input, pin(input)?)));
    let found: Vec<Diagnostic> = wrong.map(|(input, pin)| other_bytes(input, pin, manifest)).collect();
    if found.is_empty() { Ok(()) } else { Err(Failure::Diagnostics(found)) }
}

fn other_bytes(input: &PlannedInput, pin: &Pin, manifest: &Manifest) -> Diagnostic {
    let (now, locked) = (input.content.digest().short(), pin.content.digest().short());
    let message = format!("`{}` holds {now}, but the lock pins {locked}", input.source);
    let entry = manifest.inputs.iter().find(|entry| entry.name.value == input.name);
    let span = entry.and_then(|entry| Some(entry.source.as_ref()?.span)).unwrap_or_default();
    let help = "find out why it changed; `pipe models pull --upgrade MANIFEST` takes over what is there now";
    Diagnostic::error("lock::other_bytes", message).at(&manifest.source, span, "").help(help)
}
