//! A [`Manifest`] resolved against the stage kinds and the project into a [`Plan`]: a graph of stages in the order in
//! which they can run, every setting checked and filled in, every edge typed, every input's digest known.
//!
//! Runs nothing and writes nothing. Stage kinds are `dyn` [`Stage`] here; the graph library is confined to `graph`.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::artifact::{ArtifactKind, Content, InputPort};
use crate::cell::Cell;
use crate::device::DeviceSpec;
use crate::diagnostic::{Diagnostic, SourceText, Span};
use crate::digest::{Digest, PlanId};
use crate::manifest::{Manifest, Problems};
use crate::reference::Name;
use crate::source::Source;
use crate::stage::{Stage, StageConfig};
use crate::stage_name::StageName;
use crate::surroundings::{Machine, Surroundings};

mod assemble;
mod cell_reports;
mod cells;
mod configure;
mod exports;
mod files;
mod graph;
mod ground;
mod id;
mod join;
mod machine;
mod preflight;
mod reach;
mod resolve;
mod select;
mod wire;
mod wire_reports;

pub use crate::manifest::{ExportWhen, Policy};

pub use id::{experiment_id, plan_id};
pub use preflight::Note;

use ground::Ground;

/// The code of the only diagnostic that a manifest without mistakes can have: a source was not fetched yet.
pub const NOT_FETCHED: &str = "source::not_fetched";

/// All that planning needs besides a manifest.
#[derive(Clone, Copy)]
pub struct Planner<'a> {
    /// The stage kinds there are.
    pub kinds: &'a [&'static dyn Stage],
    /// The project's folder, which paths are relative to and may not leave.
    pub project: &'a Path,
    /// Where a source outside of the project lies on this machine; `None` when it was not fetched.
    pub fetched: &'a dyn Fn(&Source) -> Option<PathBuf>,
    /// The bytes of an input that is not here, where somebody has pinned them or the store has them. Asked only for such
    /// inputs.
    pub pinned: &'a dyn Fn(&Source) -> Option<Pinned>,
    /// The digest of the file or folder at a path, relative to the project or absolute. Called last, once nothing else is
    /// wrong.
    pub digest: &'a dyn Fn(&Path) -> io::Result<Content>,
    /// Where variables and programs are found that stages ask for.
    pub machine: &'a dyn Machine,
}

/// Bytes that are known by digest alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned {
    /// Their digest.
    pub content: Content,
    /// What they are, of an output of a recorded stage.
    pub kind: Option<ArtifactKind>,
}

impl Planner<'_> {
    /// Plans what a manifest says.
    ///
    /// # Errors
    /// All diagnostics, those of reading the manifest among them, in the order of the text.
    pub fn plan(&self, manifest: &Manifest) -> Result<Plan, Vec<Diagnostic>> {
        plan_on(manifest, self.kinds, &Ground::of(self), self.machine)
    }

    /// Plans what a manifest says about inputs whose contents are recorded, by name; reads no file.
    ///
    /// # Errors
    /// As [`Planner::plan`], and when an input has no record.
    pub fn plan_recorded(
        kinds: &[&'static dyn Stage],
        manifest: &Manifest,
        inputs: &[(&str, Content)],
        machine: &dyn Machine,
    ) -> Result<Plan, Vec<Diagnostic>> {
        plan_on(manifest, kinds, &Ground::Recorded(inputs), machine)
    }
}

fn plan_on(
    manifest: &Manifest,
    kinds: &[&'static dyn Stage],
    ground: &Ground<'_>,
    machine: &dyn Machine,
) -> Result<Plan, Vec<Diagnostic>> {
    let mut problems = manifest.problems.clone();
    let expanded = cells::expand(manifest, kinds, ground, machine, &mut problems)?;
    let manifest = expanded.as_ref().unwrap_or(manifest);
    let mut found = Problems::new(&manifest.source);
    let draft = resolve::resolve(manifest, kinds, ground, machine, &mut found);
    problems.absorb(found, expanded.is_some());
    match &manifest.name {
        Some(name) if problems.is_empty() => {
            assemble::assemble(manifest, name, draft, ground, &mut problems).ok_or_else(|| problems.finish())
        }
        _ => Err(problems.finish()),
    }
}

/// A stage of one plan: its place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageId(usize);

impl StageId {
    /// The place in the order, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// What a manifest would do.
#[derive(Clone)]
pub struct Plan {
    name: Name,
    source: SourceText,
    device: DeviceSpec,
    inputs: Vec<PlannedInput>,
    stages: Vec<PlannedStage>,
    order: Vec<StageId>,
    links: Vec<Links>,
    exports: Vec<Export>,
    id: PlanId,
}

/// The stages next to one, in order.
#[derive(Debug, Clone, Default)]
struct Links {
    upstream: Vec<StageId>,
    downstream: Vec<StageId>,
}

/// An input with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedInput {
    /// What the manifest calls it.
    pub name: Name,
    /// Where it comes from.
    pub source: Source,
    /// The file or folder; none where it is not here, and its digest is one that was pinned or recorded.
    pub path: Option<PathBuf>,
    /// The digest of all of it.
    pub content: Content,
}

/// A stage with everything resolved.
#[derive(Clone)]
pub struct PlannedStage {
    /// What the manifest calls it, with the label of its cell.
    pub name: StageName,
    /// The stage kind.
    pub stage: &'static dyn Stage,
    /// Its settings.
    pub config: StageConfig,
    /// What of the machine it asked for.
    pub surroundings: Surroundings,
    /// How long it may take and how often it is tried.
    pub policy: Policy,
    /// Every input port of the kind, in the kind's order, with the edges into it.
    pub inputs: Vec<PortEdges>,
    /// How many cells of its stage may run at once.
    pub max_parallel: Option<NonZeroUsize>,
    /// The digest of what it is and reads, through everything before it.
    pub node: Digest,
    /// Where the manifest names it.
    pub span: Span,
}

/// An input port and the edges into it, in the manifest's order.
#[derive(Debug, Clone)]
pub struct PortEdges {
    /// The port.
    pub port: InputPort,
    /// The other end of each edge.
    pub origins: Vec<Origin>,
    /// What the manifest calls each of them.
    pub labels: Vec<String>,
    /// As what the port takes each of them.
    pub kinds: Vec<ArtifactKind>,
    /// Where the port asks for it, the part of each producer's cell that its reader does not share. Empty where there is
    /// nothing to tell, as without a matrix.
    pub cells: Vec<Cell>,
}

/// The other end of an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An input of the manifest.
    Input {
        /// What the manifest calls it.
        name: Name,
        /// Where it comes from.
        source: Source,
        /// The digest of all of it; the port's projection may leave a part.
        content: Content,
    },
    /// An output of an earlier stage.
    Output {
        /// The producer.
        stage: StageId,
        /// Its slot.
        slot: Name,
    },
}

/// An output that is placed in the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The path below the project's folder, `/`-separated.
    pub path: String,
    /// The producer.
    pub stage: StageId,
    /// Its slot.
    pub slot: Name,
    /// What is placed there.
    pub kind: ArtifactKind,
    /// On what condition.
    pub when: ExportWhen,
    /// Where the manifest says so.
    pub span: Span,
}

impl Plan {
    /// The manifest's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The manifest's text, which spans point into.
    #[must_use]
    pub const fn source(&self) -> &SourceText {
        &self.source
    }

    /// The id: that of the set of nodes, so of no name, path, comment or order.
    #[must_use]
    pub const fn id(&self) -> PlanId {
        self.id
    }

    /// Where model work runs.
    #[must_use]
    pub const fn device(&self) -> DeviceSpec {
        self.device
    }

    /// All stages, each after those it reads from; among equals, in the manifest's order.
    #[must_use]
    pub fn order(&self) -> &[StageId] {
        &self.order
    }

    /// A stage of this plan.
    #[must_use]
    pub fn stage(&self, id: StageId) -> &PlannedStage {
        &self.stages[id.0]
    }

    /// The stage of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<StageId> {
        self.order.iter().copied().find(|id| self.stage(*id).name.as_str() == name)
    }

    /// The stages that a stage reads from directly, in order.
    #[must_use]
    pub fn upstream(&self, id: StageId) -> &[StageId] {
        &self.links[id.0].upstream
    }

    /// The stages that read from a stage directly, in order.
    #[must_use]
    pub fn downstream(&self, id: StageId) -> &[StageId] {
        &self.links[id.0].downstream
    }

    /// The inputs, in the manifest's order.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = &PlannedInput> {
        self.inputs.iter()
    }

    /// What is placed in the project afterwards.
    #[must_use]
    pub fn exports(&self) -> &[Export] {
        &self.exports
    }
}
