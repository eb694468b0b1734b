//! `pipe gate verify`: verdicts worked out anew from stored per-example results and compared with the recorded ones.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::artifact::Verdict;
use crate::cli::arguments::{GateVerb, ManifestArguments};
use crate::cli::console::{note, say};
use crate::cli::exit::Exit;
use crate::cli::load::{self, Fetch};
use crate::cli::{Failure, Session, project};
use crate::digest::Digest;
use crate::engine::key::Action;
use crate::engine::record::StageRecord;
use crate::engine::{EngineError, StagePreview, typed};
use crate::report::units;
use crate::stage::StageKind;
use crate::stages::gate::{Gate, GateVerdict, recompute};
use crate::store::{Lookup, Store};

/// What came out for one gate.
struct Verified {
    stage: String,
    recorded: Option<Verdict>,
    recomputed: Verdict,
    /// Whether every number of the verdict is the recorded one, byte for byte.
    is_identical: bool,
    /// How many it rests on, its baseline's among them.
    reports: usize,
    examples: usize,
    /// The checks that came out otherwise, by number of rule and report.
    differing: Vec<(usize, usize)>,
}

pub fn gate(verb: &GateVerb, session: &Session) -> Result<Exit, Failure> {
    let GateVerb::Verify { target } = verb;
    let (store, gates) = if Path::new(target).is_file() {
        match stored(target, session)? {
            Some(found) => found,
            None => return Ok(Exit::Stale),
        }
    } else {
        let store = load::open_store(&session.global, &project::current_root())?;
        let gates = gates_of(load::experiment(&store, target)?.stages);
        (store, gates)
    };
    if gates.is_empty() {
        return Err(Failure::Usage(format!("`{target}` has no gate")));
    }
    let found: Vec<Verified> = gates.iter().map(|gate| verify(gate, &store)).collect::<Result<_, _>>()?;
    if session.console.json {
        let rows: Vec<_> = found.iter().map(as_json).collect();
        say(&json!({ "version": 1, "gates": rows }).to_string());
    } else {
        found.iter().for_each(|one| say(&told(one)));
    }
    if found.iter().any(|one| !one.is_identical) {
        return Ok(Exit::Diverged);
    }
    Ok(Exit::of_verdict(found.iter().map(|one| one.recomputed).max()))
}

fn gates_of(stages: Vec<StageRecord>) -> Vec<StageRecord> {
    stages.into_iter().filter(|stage| stage.kind == Gate::NAME).collect()
}

/// The stored gates of a manifest as it stands; nothing when one has not run.
fn stored(manifest: &str, session: &Session) -> Result<Option<(Store, Vec<StageRecord>)>, Failure> {
    let arguments =
        ManifestArguments { manifest: manifest.into(), stages: Vec::new(), param: Vec::new(), backend: None };
    let loaded = load::load(&arguments, session, Fetch::Nothing)?;
    let previews = loaded.preview(&BTreeSet::new())?;
    let mut gates = Vec::new();
    for (id, preview) in loaded.plan.order().iter().zip(previews) {
        match preview.preview {
            StagePreview::Hit(record) => gates.push(*record),
            StagePreview::Run(_) if loaded.plan.stage(*id).stage.kind() == Gate::NAME => {
                note(&format!(
                    "stage `{}` has no stored verdict for this manifest; `pipe run {manifest}`",
                    preview.name
                ));
                return Ok(None);
            }
            StagePreview::Run(_) => {}
        }
    }
    Ok(Some((loaded.store, gates_of(gates))))
}

fn verify(gate: &StageRecord, store: &Store) -> Result<Verified, Failure> {
    let unusable = |reason: String| Failure::Engine(EngineError::Record { what: gate.name.clone(), reason });
    if gate.epoch != Gate::EPOCH {
        let (stage, recorded, current) = (gate.name.clone(), gate.epoch, Gate::EPOCH);
        return Err(EngineError::OtherEpoch { stage, recorded, current }.into());
    }
    let action: Action = match store.action(&gate.key)? {
        Lookup::Found(value) => typed("action", value)?,
        Lookup::Absent => return Err(unusable("its settings are no longer in the cache".into())),
        Lookup::Damaged(damage) => {
            return Err(EngineError::DamagedRecord { what: gate.name.clone(), damage: damage.to_string() }.into());
        }
    };
    let read = |port: &str| -> Result<Vec<Vec<u8>>, Failure> {
        let digests: &[Digest] = action.inputs.get(port).map_or(&[], Vec::as_slice);
        digests.iter().map(|digest| Ok(store.read(digest)?)).collect()
    };
    let (reports, baseline) = (read("reports")?, read("baseline")?);
    let cells = action.cells.get("reports").map_or(&[][..], Vec::as_slice);
    let (verdict, examples) = recompute(&action.config, &reports, cells, baseline.first().map(Vec::as_slice))
        .map_err(|error| unusable(error.to_string()))?;
    let output = gate.outputs.get("verdict").ok_or_else(|| unusable("it has no `verdict`".into()))?;
    let bytes = store.read(output.content.digest())?;
    let is_same = verdict.to_json().is_ok_and(|json| json == bytes) && gate.outcome.verdict == Some(verdict.verdict);
    let recorded = GateVerdict::read(&bytes).map_err(|error| unusable(error.to_string()))?;
    let mut checks = verdict.checks.iter().zip(&recorded.checks);
    Ok(Verified {
        stage: gate.name.clone(),
        recorded: gate.outcome.verdict,
        recomputed: verdict.verdict,
        is_identical: is_same,
        reports: reports.len() + baseline.len(),
        examples,
        differing: checks.by_ref().filter(|(now, then)| now != then).map(|(now, _)| (now.rule, now.report)).collect(),
    })
}

fn told(found: &Verified) -> String {
    let Verified { stage, recomputed, examples, .. } = found;
    let rests = format!("{} with {}", units::count(found.reports, "report"), units::count(*examples, "example"));
    if found.is_identical {
        return format!("identical  `{stage}`: {recomputed}, worked out again from {rests}");
    }
    let recorded = found.recorded.map_or_else(|| "nothing".to_owned(), |verdict| verdict.to_string());
    let checks = found.differing.iter().map(|(rule, report)| format!("rule {rule} on report {report}"));
    let checks: Vec<String> = checks.collect();
    let where_ = if checks.is_empty() { String::new() } else { format!("; differing: {}", checks.join(", ")) };
    format!("differs    `{stage}`: recorded is {recorded}, worked out again from {rests} is {recomputed}{where_}")
}

fn as_json(found: &Verified) -> serde_json::Value {
    json!({
        "stage": found.stage, "recorded": found.recorded, "recomputed": found.recomputed,
        "identical": found.is_identical, "reports": found.reports, "examples": found.examples,
    })
}
