//! A manifest's text as a [`Manifest`]: typed, with the place of everything that can be wrong, settings filled in.
//!
//! Knows the grammar and nothing of stage kinds, files or graphs: whether a stage, port or path exists is seen when
//! the plan is made. Everything found wrong is kept in [`Manifest::problems`], so that planning can add to it and all
//! of it is shown in one go.

use std::num::NonZeroUsize;

use crate::cell::Cell;
use crate::device::Backend;
use crate::diagnostic::{Diagnostic, SourceText};
use crate::reference::{Edge, Name};
use crate::source::Source;
use crate::stage_name::StageName;

pub(crate) mod command;
mod exports;
mod fields;
mod inputs;
mod interpolate;
pub(crate) mod matrix;
mod names;
mod params;
mod policy;
pub(crate) mod problems;
mod schema;
mod settings;
mod stages;
pub(crate) mod template;
mod top;
pub(crate) mod tree;
pub(crate) mod typed_yaml;
mod yaml;

pub use params::{BadOverride, Override, Param};
pub use policy::Policy;
pub(crate) use problems::Problems;
pub use schema::schema;
pub use settings::{Facet, Settings};
pub use tree::Spanned;

/// The version of the grammar, the value of `version:`.
pub const VERSION: u32 = 1;

/// A small manifest to start from, with comments: what `pipe init` writes.
pub const STARTER: &str = include_str!("starter.yaml");

/// What a manifest says.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The text, for diagnostics.
    pub source: SourceText,
    /// Its name; absent when it was reported.
    pub name: Option<Name>,
    /// The seed of every stage that has one and sets none.
    pub seed: u64,
    /// Where model work runs.
    pub backend: Backend,
    /// The params, overrides applied.
    pub params: Vec<Param>,
    /// The doors to the outside.
    pub inputs: Vec<InputEntry>,
    /// The stages, in the order of the text.
    pub stages: Vec<StageEntry>,
    /// What is placed in the project.
    pub exports: Vec<ExportEntry>,
    /// What was found wrong so far.
    pub(crate) problems: Problems,
}

impl Manifest {
    /// What reading it found wrong, in the order of the text. A plan reports these and its own.
    #[must_use]
    pub fn problems(&self) -> Vec<Diagnostic> {
        self.problems.clone().finish()
    }

    /// `file:line` of a stage's setting, its path joined by dots; of one that is not written down, that of the stage.
    /// A cell of a matrix, `stage[label]`, has the place of its stage.
    #[must_use]
    pub fn place_of_setting(&self, stage: &str, path: &str) -> Option<String> {
        let name = stage.split('[').next()?;
        let entry = self.stages.iter().find(|entry| entry.name.value.as_str() == name)?;
        let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
        let is_written = steps.first().is_some_and(|first| entry.with.value.contains_key(first));
        let located = if is_written { entry.with.locate(&steps, Facet::Value) } else { None };
        let span = located.filter(|span| span.length > 0).unwrap_or(entry.name.span);
        Some(format!("{}:{}", self.source.name, self.source.position(span.offset).0))
    }
}

/// An entry of `inputs:`.
#[derive(Debug, Clone, PartialEq)]
pub struct InputEntry {
    /// What edges call it.
    pub name: Spanned<Name>,
    /// Where it comes from, a path brought to its one spelling; absent when it was reported.
    pub source: Option<Spanned<Source>>,
}

/// An entry of `stages:`.
#[derive(Debug, Clone, PartialEq)]
pub struct StageEntry {
    /// What edges and people call it; once a matrix is expanded, a cell of it.
    pub name: Spanned<StageName>,
    /// The cells of its own matrix; absent when it has none.
    pub matrix: Option<Matrix>,
    /// How many of its cells may run at once.
    pub max_parallel: Option<NonZeroUsize>,
    /// The stage kind; absent when it was reported.
    pub uses: Option<Spanned<String>>,
    /// What stands under `in:`.
    pub ports: Vec<PortEntry>,
    /// Whether `in:` was reported, so that an absent port means nothing.
    pub ports_damaged: bool,
    /// What stands under `with:`; of a command, beside `run:`.
    pub with: Settings,
    /// How it is run.
    pub policy: Policy,
}

/// The cells that a `matrix:` says, in its order; every cell has the same axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Its axes, each with its place.
    pub axes: Vec<Spanned<Name>>,
    /// Its cells.
    pub cells: Vec<Cell>,
}

/// A port under `in:` and the edges into it.
#[derive(Debug, Clone, PartialEq)]
pub struct PortEntry {
    /// The port's name.
    pub port: Spanned<String>,
    /// The edges, in order; those that were reported are left out.
    pub edges: Vec<Spanned<Edge>>,
    /// Whether an edge was left out.
    pub damaged: bool,
}

/// An entry of `exports:`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportEntry {
    /// The path to place it at, brought to its one spelling.
    pub target: Spanned<String>,
    /// What is placed there.
    pub from: Spanned<Edge>,
    /// On what condition.
    pub when: ExportWhen,
}

/// When an export is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportWhen {
    /// When every gate of the run passed.
    #[default]
    Passed,
    /// Always.
    Always,
}

/// Reads a manifest. `name` is what diagnostics call it.
///
/// # Errors
/// Diagnostics, when the text is no YAML map at all; everything milder is in [`Manifest::problems`].
pub fn read(name: &str, bytes: &[u8], overrides: &[Override]) -> Result<Manifest, Vec<Diagnostic>> {
    let source = yaml::decode(name, bytes).map_err(|error| vec![*error])?;
    let mut problems = Problems::new(&source);
    let root = yaml::parse(&source, &mut problems).map_err(|error| vec![*error])?;
    top::read(root, &source, overrides, problems).map_err(Problems::finish)
}
