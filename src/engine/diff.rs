//! Two experiments side by side: only what differs, from their records and what the store still holds of them.
//!
//! Stages are matched by name. What is no longer in the store (a manifest, an action, a report) is left out rather than
//! an error: the records alone say a lot.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;

use serde::Serialize;
use serde_json::Value;

use crate::artifact::{ArtifactKind, Content, Verdict};
use crate::digest::{Digest, ExperimentId};
use crate::engine::differences::{Feed, differences};
use crate::engine::history::typed;
use crate::engine::key::Action;
use crate::engine::record::{ExperimentRecord, StageRecord};
use crate::engine::why::Reason;
use crate::manifest::{self, Override};
use crate::store::{Lookup, Store};
use crate::text::eval_report::{self, Score};
use crate::text::row_changes::RowChanges;

/// The largest input whose rows are compared.
const MOST_BYTES: u64 = 64 << 20;

/// One of the two.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Its id.
    pub id: ExperimentId,
    /// The manifest's name.
    pub name: String,
    /// Its verdict.
    pub verdict: Option<Verdict>,
    /// How long its stages took together when they were computed.
    pub seconds: f64,
}

/// A value that differs; absent where one side has none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change<T> {
    /// What it is the value of.
    pub what: String,
    /// In the first experiment.
    pub old: Option<T>,
    /// In the second.
    pub new: Option<T>,
}

/// An input that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputChange {
    /// Its name and digests.
    #[serde(flatten)]
    pub change: Change<Digest>,
    /// What that means in rows, where both are JSON Lines that the store holds.
    pub rows: Option<RowChanges>,
}

/// A setting, epoch, kind or backend of a stage that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageChange {
    /// The stage.
    pub stage: String,
    /// What differs.
    pub change: Reason,
}

/// A stage whose float work was done on two classes of machines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classes {
    /// The first experiment's class.
    pub old: String,
    /// The second's.
    pub new: String,
}

/// All that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExperimentDiff {
    /// The version of this form.
    pub version: u32,
    /// The first experiment.
    pub old: Side,
    /// The second.
    pub new: Side,
    /// Where float stages were computed on machines of two classes: then equal work may give other last bits.
    pub classes: Option<Classes>,
    /// Params of the manifests, overrides applied.
    pub params: Vec<Change<Value>>,
    /// Stages that only the first has, and only the second.
    pub stages: Vec<Change<String>>,
    /// Settings and versions of stages.
    pub settings: Vec<StageChange>,
    /// Inputs.
    pub inputs: Vec<InputChange>,
    /// Outputs that differ although the stage did the same on the same bytes.
    pub diverged: Vec<Change<Digest>>,
    /// Scores of evaluations, with their intervals.
    pub metrics: Vec<Change<Score>>,
    /// Other figures of stages.
    pub figures: Vec<Change<Value>>,
    /// Verdicts of gates.
    pub verdicts: Vec<Change<Verdict>>,
    /// Seconds that stages took.
    pub seconds: Vec<Change<f64>>,
}

/// Compares two experiments.
#[must_use]
pub fn diff(old: &ExperimentRecord, new: &ExperimentRecord, store: &Store) -> ExperimentDiff {
    let pairs = pairs(old, new);
    let each = |give: &dyn Fn(&StageRecord) -> BTreeMap<String, Value>| {
        changes(pairs.iter().flat_map(|(_, old, new)| merged(old.map(give), new.map(give))))
    };
    let figures = |stage: &StageRecord| {
        let is_report = stage.outputs.values().any(|output| output.kind == ArtifactKind::Report);
        let shown = stage.outcome.metrics.iter().filter(|_| !is_report);
        shown.map(|(name, value)| (format!("{} {name}", stage.name), value.clone())).collect()
    };
    ExperimentDiff {
        version: 1,
        old: side(old),
        new: side(new),
        classes: classes(&pairs),
        params: changes(merged(Some(params(old, store)), Some(params(new, store)))),
        stages: stages(&pairs),
        settings: settings(&pairs, store),
        inputs: inputs(old, new, store),
        diverged: diverged(&pairs),
        metrics: changes(pairs.iter().flat_map(|(_, old, new)| {
            let scores = |stage: &StageRecord| scores(stage, store);
            merged(old.map(scores), new.map(scores))
        })),
        figures: each(&figures),
        verdicts: changes(pairs.iter().map(|(name, old, new)| {
            let verdict = |stage: &StageRecord| stage.outcome.verdict;
            ((*name).to_owned(), old.and_then(verdict), new.and_then(verdict))
        })),
        seconds: changes(pairs.iter().map(|(name, old, new)| {
            ((*name).to_owned(), old.map(|stage| stage.seconds), new.map(|stage| stage.seconds))
        })),
    }
}

/// A stage's name with its records on both sides.
type Pair<'a> = (&'a str, Option<&'a StageRecord>, Option<&'a StageRecord>);

/// In the order of the first experiment, then what only the second has.
fn pairs<'a>(old: &'a ExperimentRecord, new: &'a ExperimentRecord) -> Vec<Pair<'a>> {
    let of_new: BTreeMap<&str, &StageRecord> = new.stages.iter().map(|stage| (stage.name.as_str(), stage)).collect();
    let of_old: BTreeSet<&str> = old.stages.iter().map(|stage| stage.name.as_str()).collect();
    let both =
        old.stages.iter().map(|stage| (stage.name.as_str(), Some(stage), of_new.get(stage.name.as_str()).copied()));
    let added = new.stages.iter().filter(|stage| !of_old.contains(stage.name.as_str()));
    both.chain(added.map(|stage| (stage.name.as_str(), None, Some(stage)))).collect()
}

fn side(record: &ExperimentRecord) -> Side {
    let seconds = record.stages.iter().map(|stage| stage.seconds).sum();
    Side { id: record.id, name: record.name.clone(), verdict: record.verdict, seconds }
}

/// Two maps as one list of what both say of a name.
fn merged<T>(
    old: Option<BTreeMap<String, T>>,
    new: Option<BTreeMap<String, T>>,
) -> Vec<(String, Option<T>, Option<T>)> {
    let (old, mut new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let mut all: Vec<_> = old
        .into_iter()
        .map(|(name, value)| {
            let other = new.remove(&name);
            (name, Some(value), other)
        })
        .collect();
    all.extend(new.into_iter().map(|(name, value)| (name, None, Some(value))));
    all
}

fn changes<T: PartialEq>(all: impl IntoIterator<Item = (String, Option<T>, Option<T>)>) -> Vec<Change<T>> {
    let differing = all.into_iter().filter(|(_, old, new)| old != new);
    differing.map(|(what, old, new)| Change { what, old, new }).collect()
}

fn classes(pairs: &[Pair<'_>]) -> Option<Classes> {
    pairs.iter().find_map(|(_, old, new)| {
        let (old, new) = (old.as_ref()?.numerics_class.clone()?, new.as_ref()?.numerics_class.clone()?);
        (old != new).then_some(Classes { old, new })
    })
}

/// The params of the manifest that the store kept; an override alone when that is gone.
fn params(record: &ExperimentRecord, store: &Store) -> BTreeMap<String, Value> {
    let overrides: Vec<Override> =
        record.overrides.iter().map(|(name, text)| Override { name: name.clone(), text: text.clone() }).collect();
    let read = store.read(&record.manifest).ok();
    let read = read.and_then(|bytes| manifest::read(&record.manifest_path, &bytes, &overrides).ok());
    match read {
        Some(manifest) => {
            manifest.params.into_iter().filter_map(|param| Some((param.name.value.to_string(), param.value?))).collect()
        }
        None => overrides.into_iter().map(|one| (one.name, Value::from(one.text))).collect(),
    }
}

fn stages(pairs: &[Pair<'_>]) -> Vec<Change<String>> {
    let kind = |stage: &&StageRecord| stage.kind.clone();
    let lone = pairs.iter().filter(|(_, old, new)| old.is_none() || new.is_none());
    let change = |(name, old, new): &Pair<'_>| Change {
        what: (*name).to_owned(),
        old: old.as_ref().map(kind),
        new: new.as_ref().map(kind),
    };
    lone.map(change).collect()
}

fn settings(pairs: &[Pair<'_>], store: &Store) -> Vec<StageChange> {
    let action = |stage: &StageRecord| match store.action(&stage.key) {
        Ok(Lookup::Found(value)) => typed::<Action>("action", value).ok(),
        _ => None,
    };
    let mut found = Vec::new();
    for (name, old, new) in pairs {
        let (Some(old), Some(new)) = (old, new) else { continue };
        if old.key == new.key {
            continue;
        }
        let (Some(old), Some(mut new)) = (action(old), action(new)) else { continue };
        // What a stage reads follows from the inputs and the settings before it, which are told for themselves.
        new.inputs.clone_from(&old.inputs);
        let own = differences(&old, &new, |port, _| Feed::Input(port.to_owned()));
        found.extend(own.into_iter().map(|change| StageChange { stage: (*name).to_owned(), change }));
    }
    found
}

fn inputs(old: &ExperimentRecord, new: &ExperimentRecord, store: &Store) -> Vec<InputChange> {
    let digests =
        |record: &ExperimentRecord| record.inputs.iter().map(|(name, content)| (name.clone(), *content)).collect();
    let changed = changes(merged::<Content>(Some(digests(old)), Some(digests(new))));
    let change = |Change { what, old, new }: Change<Content>| InputChange {
        rows: old.zip(new).and_then(|(old, new)| rows(old, new, store)),
        change: Change { what, old: old.map(|old| *old.digest()), new: new.map(|new| *new.digest()) },
    };
    changed.into_iter().map(change).collect()
}

/// What changed in rows, where both begin as a row of JSON Lines does.
fn rows(old: Content, new: Content, store: &Store) -> Option<RowChanges> {
    let open = |content: Content| {
        let Content::File(digest) = content else { return None };
        store.size_of(&digest).filter(|size| *size <= MOST_BYTES)?;
        let mut file = BufReader::new(store.open_verified(&digest).ok()?);
        let start = std::io::BufRead::fill_buf(&mut file).ok()?;
        let first = start.trim_ascii_start().first().copied();
        matches!(first, Some(b'{' | b'/')).then_some(file)
    };
    RowChanges::between(open(old)?, open(new)?).ok()?
}

fn diverged(pairs: &[Pair<'_>]) -> Vec<Change<Digest>> {
    let same_work = pairs.iter().filter_map(|(name, old, new)| Some((name, (*old)?, (*new)?)));
    let outputs = |name: &str, stage: &StageRecord| -> BTreeMap<String, Digest> {
        let outputs = stage.outputs.iter();
        outputs.map(|(slot, output)| (format!("{name}.{slot}"), *output.content.digest())).collect()
    };
    let same_work = same_work.filter(|(_, old, new)| old.key == new.key);
    changes(same_work.flat_map(|(name, old, new)| merged(Some(outputs(name, old)), Some(outputs(name, new)))))
}

/// The scores of a stage's reports.
fn scores(stage: &StageRecord, store: &Store) -> BTreeMap<String, Score> {
    let reports = stage.outputs.values().filter(|output| output.kind == ArtifactKind::Report);
    let read = reports.filter_map(|output| eval_report::read(&store.read(output.content.digest()).ok()?).ok());
    read.flat_map(|report| report.metrics).map(|(metric, score)| (format!("{} {metric}", stage.name), score)).collect()
}
