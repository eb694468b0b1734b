//! `--frozen`: whether the lock that is committed beside a manifest is up to date with it.

use std::path::Path;

use serde_json::{Value, json};

use crate::artifact::Verdict;
use crate::cli::arguments::ManifestArguments;
use crate::cli::console::{note, say};
use crate::cli::exit::Exit;
use crate::cli::load::{self, Fetch, Loaded, only_unfetched};
use crate::cli::{Failure, Session};
use crate::engine::event::EVENT_VERSION;
use crate::lock::Lock;

/// `pipe check --frozen` of one manifest.
///
/// # Errors
/// The manifest or the lock is not valid.
pub fn check(manifest: &Path, session: &Session) -> Result<Exit, Failure> {
    let arguments =
        ManifestArguments { manifest: manifest.to_owned(), stages: Vec::new(), param: Vec::new(), backend: None };
    let loaded = match load::load(&arguments, session, Fetch::Pinned) {
        Ok(loaded) => loaded,
        // The lock does not know one of the models, or there is none: then nothing of this manifest was run as it stands.
        Err(Failure::Diagnostics(found)) if only_unfetched(&found) => {
            let reasons = found.iter().map(|one| format!("{}, and the lock does not pin it", one.message));
            tell_stale(manifest, &reasons.collect::<Vec<_>>(), &Value::Null, session);
            return Ok(Exit::Stale);
        }
        Err(failure) => return Err(failure),
    };
    if told_stale(&loaded, session) {
        return Ok(Exit::Stale);
    }
    let Some(lock) = &loaded.lock else { return Ok(Exit::Stale) };
    tell_current(manifest, lock, session);
    Ok(Exit::of_verdict(lock.verdict))
}

/// Says what of the lock is out of date, if anything is.
pub fn told_stale(loaded: &Loaded, session: &Session) -> bool {
    let manifest = Path::new(&loaded.manifest.path);
    let Some(lock) = &loaded.lock else {
        let reason = format!("there is no `{}`; a complete `pipe run` writes it", loaded.lock_target.shown);
        tell_stale(manifest, &[reason], &Value::Null, session);
        return true;
    };
    let drift = lock.drift(&loaded.plan);
    if drift.is_empty() {
        return false;
    }
    let reasons: Vec<String> = drift.iter().map(ToString::to_string).collect();
    tell_stale(manifest, &reasons, &json!(drift), session);
    true
}

fn tell_stale(manifest: &Path, reasons: &[String], drift: &Value, session: &Session) {
    if session.console.json {
        let fields = json!({
            "v": EVENT_VERSION, "event": "lock_stale", "manifest": manifest, "reasons": reasons, "drift": drift,
        });
        say(&fields.to_string());
        return;
    }
    say(&format!("stale  {}", manifest.display()));
    for reason in reasons {
        say(&format!("  {reason}"));
    }
    note(&format!("`pipe run {}` brings the lock up to date", manifest.display()));
}

fn tell_current(manifest: &Path, lock: &Lock, session: &Session) {
    if session.console.json {
        let fields = json!({
            "v": EVENT_VERSION, "event": "lock_current", "manifest": manifest, "plan": lock.plan,
            "experiment": lock.experiment, "verdict": lock.verdict,
        });
        say(&fields.to_string());
    } else if !session.console.quiet || lock.verdict.is_some_and(|verdict| verdict != Verdict::Passed) {
        let verdict = lock.verdict.map_or_else(|| "no gate".to_owned(), |verdict| format!("gates {}", verdict.name()));
        say(&format!("locked  {}: {verdict}, experiment {}", manifest.display(), lock.experiment.short()));
    }
}
