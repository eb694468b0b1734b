//! Changed JSON Lines told in rows: what a reason says beyond two digests.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;

use crate::artifact::ArtifactKind;
use crate::digest::Digest;
use crate::engine::causes::{Known, origin};
use crate::engine::why::Reason;
use crate::plan::{Origin, PlannedStage};
use crate::text::row_changes::RowChanges;

/// The largest file that is compared: about a second of reading.
const MOST_BYTES: u64 = 64 << 20;

/// Comparisons made so far: several stages may read what changed.
#[derive(Default)]
pub struct RowCounts(HashMap<(Digest, Digest), Option<RowChanges>>);

impl RowCounts {
    /// Adds to a reason of a stage what changed in rows, where both files are here, are JSON Lines, and not too large.
    pub fn add(&mut self, known: Known<'_>, stage: &PlannedStage, reason: &mut Reason) {
        let (label, port, old, new, rows) = match reason {
            Reason::FileChanged { input, port, old, new, rows } => (input, port, old, new, rows),
            Reason::InputChanged { producer, port, old, new, rows } => (producer, port, old, new, rows),
            _ => return,
        };
        let (Some(old), Some(origin)) = (*old, origin(stage, port, label)) else { return };
        if has_rows(origin, known) {
            let compared = self.0.entry((old, *new)).or_insert_with(|| compare(known, origin, old, *new));
            rows.clone_from(compared);
        }
    }
}

fn has_rows(origin: &Origin, known: Known<'_>) -> bool {
    match origin {
        Origin::Input { source, .. } => {
            let name = source.file_name().to_ascii_lowercase();
            [".jsonl", ".ndjson"].iter().any(|ending| name.ends_with(ending))
        }
        Origin::Output { stage, slot } => {
            let output = known.products.get(stage).and_then(|record| record.outputs.get(slot.as_str()));
            let rows = [ArtifactKind::Records, ArtifactKind::Rejects, ArtifactKind::Prompts, ArtifactKind::Curve];
            output.is_some_and(|output| rows.contains(&output.kind))
        }
    }
}

fn compare(known: Known<'_>, origin: &Origin, old: Digest, new: Digest) -> Option<RowChanges> {
    let before = stored(known, old)?;
    let after = stored(known, new).or_else(|| in_project(known, origin))?;
    RowChanges::between(BufReader::new(before), BufReader::new(after)).ok()?
}

fn stored(known: Known<'_>, digest: Digest) -> Option<File> {
    known.store.size_of(&digest).filter(|size| *size <= MOST_BYTES)?;
    known.store.open_verified(&digest).ok()
}

/// An input that no run has read yet lies in the project only.
fn in_project(known: Known<'_>, origin: &Origin) -> Option<File> {
    let Origin::Input { name, .. } = origin else { return None };
    let input = known.plan.inputs().find(|input| input.name == *name)?;
    let file = File::open(input.path.as_ref()?).ok()?;
    let metadata = file.metadata().ok()?;
    (metadata.is_file() && metadata.len() <= MOST_BYTES).then_some(file)
}
