//! What the `experiment:` inputs of a manifest stand for in this cache.

use std::collections::BTreeMap;

use crate::cli::Failure;
use crate::cli::load;
use crate::diagnostic::{Diagnostic, nearest};
use crate::engine::record::ExperimentRecord;
use crate::manifest::Manifest;
use crate::plan::Pinned;
use crate::source::{Recorded, Source};
use crate::store::{Store, StoreError};

/// The outputs that the manifest names, by source.
///
/// # Errors
/// A diagnostic for each that is not in this cache, unless `is_locked` says that the lock pins it; the store's.
pub fn resolve(
    manifest: &Manifest,
    store: &Store,
    is_locked: impl Fn(&Source) -> bool,
) -> Result<BTreeMap<Source, Pinned>, Failure> {
    let (mut found, mut wrong) = (BTreeMap::new(), Vec::new());
    for source in manifest.inputs.iter().filter_map(|input| input.source.as_ref()) {
        let Source::Experiment(recorded) = &source.value else { continue };
        match output(recorded, store)? {
            Ok(pinned) => drop(found.insert(source.value.clone(), pinned)),
            Err(_) if is_locked(&source.value) => {}
            Err(diagnostic) => wrong.push(diagnostic.at(&manifest.source, source.span, "")),
        }
    }
    if wrong.is_empty() { Ok(found) } else { Err(Failure::Diagnostics(wrong)) }
}

fn output(recorded: &Recorded, store: &Store) -> Result<Result<Pinned, Diagnostic>, Failure> {
    let record = match load::experiment(store, &recorded.experiment) {
        Ok(record) => record,
        Err(failure) => return Ok(Err(unknown_experiment(&recorded.experiment, store, failure)?)),
    };
    let pinned = match named(recorded, &record) {
        Ok(pinned) => pinned,
        Err(diagnostic) => return Ok(Err(diagnostic)),
    };
    if store.contains(pinned.content)? {
        return Ok(Ok(pinned));
    }
    let Recorded { stage, slot, .. } = recorded;
    let message =
        format!("the bytes of `{stage}.{slot}` of experiment {} are no longer in the cache", record.id.short());
    let help = format!(
        "`pipe reproduce {}` says whether they can be made again; run its manifest to have them",
        record.id.short()
    );
    Ok(Err(Diagnostic::error("source::lost_output", message).help(help)))
}

fn named(recorded: &Recorded, record: &ExperimentRecord) -> Result<Pinned, Diagnostic> {
    let Recorded { stage: wanted, slot, .. } = recorded;
    let id = record.id.short();
    let Some(stage) = record.stages.iter().find(|stage| stage.name == *wanted) else {
        let message = format!("experiment {id} has no stage `{wanted}`");
        let names = record.stages.iter().map(|stage| stage.name.as_str());
        return Err(did_you_mean(Diagnostic::error("source::unknown_output", message), wanted, names));
    };
    let Some(output) = stage.outputs.get(slot) else {
        let message = format!("stage `{wanted}` of experiment {id} has no output `{slot}`");
        let names = stage.outputs.keys().map(String::as_str);
        return Err(did_you_mean(Diagnostic::error("source::unknown_output", message), slot, names));
    };
    Ok(Pinned { content: output.content, kind: Some(output.kind) })
}

fn did_you_mean<'a>(diagnostic: Diagnostic, found: &str, names: impl Iterator<Item = &'a str> + Clone) -> Diagnostic {
    match nearest(found, names.clone()) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help(format!("there are {}", names.collect::<Vec<_>>().join(", "))),
    }
}

/// What to say of an experiment that is not found; any other failure stays one.
fn unknown_experiment(wanted: &str, store: &Store, failure: Failure) -> Result<Diagnostic, Failure> {
    let error = match failure {
        Failure::Engine(crate::engine::EngineError::Store(error)) => error,
        other => return Err(other),
    };
    match &error {
        StoreError::NotFound { .. } => {
            let message = format!("this cache has neither a baseline `{wanted}` nor an experiment whose id begins so");
            let diagnostic = Diagnostic::error("source::unknown_experiment", message);
            let known = store.baselines()?;
            Ok(match nearest(wanted, known.iter().map(|baseline| baseline.name.as_str())) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help("`pipe baseline list` and `pipe runs` list what there is"),
            })
        }
        StoreError::Ambiguous { .. } => Ok(Diagnostic::error("source::unknown_experiment", error.to_string())),
        _ => Err(error.into()),
    }
}
