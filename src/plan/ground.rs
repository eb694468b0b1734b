//! Where a plan finds its inputs: in the project's folder, or in the record of an experiment.

use std::path::{Path, PathBuf};

use super::files::{Root, Shape};
use super::{NOT_FETCHED, Pinned, Planner};
use crate::artifact::Content;
use crate::manifest::{InputEntry, Problems};
use crate::source::Source;

/// What stands behind the inputs of a manifest.
pub(super) enum Ground<'a> {
    Project { root: Root<'a>, planner: &'a Planner<'a> },
    Recorded(&'a [(&'a str, Content)]),
}

impl<'a> Ground<'a> {
    pub(super) fn of(planner: &'a Planner<'a>) -> Self {
        Self::Project { root: Root::new(planner.project), planner }
    }

    /// What stands behind an input, unless something is wrong with it.
    pub(super) fn shape(&self, input: &InputEntry, problems: &mut Problems) -> Option<Shape> {
        let source = input.source.as_ref()?;
        match self {
            Self::Project { root, planner } => match (&source.value, self.pinned(&source.value)) {
                (source, Some(pinned)) => Some(Shape::of(pinned, source)),
                (Source::File(path), None) => root.shape(path, source.span, input.name.value.as_str(), problems),
                (outside, None) => Some(match (planner.fetched)(outside) {
                    Some(path) if path.is_dir() => Shape::Folder,
                    Some(_) => Shape::of_file(outside.file_name()),
                    None if outside.file_name().contains('.') => Shape::of_file(outside.file_name()),
                    None => Shape::Unknown,
                }),
            },
            Self::Recorded(_) => {
                let content = self.recorded(input);
                if content.is_none() {
                    let message = || format!("the record has no input `{}`", input.name.value);
                    problems.error("manifest::missing_input", input.name.span, "", message);
                }
                content.map(|content| Shape::of(Pinned { content, kind: None }, &source.value))
            }
        }
    }

    /// The digest of an input that has a shape.
    pub(super) fn content(&self, input: &InputEntry, problems: &mut Problems) -> Option<Content> {
        let Self::Project { planner, .. } = self else { return self.recorded(input) };
        let source = input.source.as_ref()?;
        if let Some(pinned) = self.pinned(&source.value) {
            return Some(pinned.content);
        }
        let Some(path) = self.place(&source.value) else {
            let message =
                || format!("the input `{}` is `{}`, which was not fetched yet", input.name.value, source.value);
            problems.advise(
                NOT_FETCHED,
                source.span,
                "",
                message,
                "`pipe models pull MANIFEST` fetches it; so does `pipe run`",
            );
            return None;
        };
        (planner.digest)(&path)
            .map_err(|error| {
                let message =
                    || format!("the input `{}` is `{}`, which can't be read: {error}", input.name.value, source.value);
                problems.error("manifest::unreadable_input", source.span, "", message);
            })
            .ok()
    }

    /// Where an input lies, if it is here.
    pub(super) fn path(&self, source: &Source) -> Option<PathBuf> {
        let Self::Project { root, .. } = self else { return None };
        if self.pinned(source).is_some() { None } else { self.place(source).map(|path| root.path(&path)) }
    }

    /// The path of a source, relative to the project or absolute; `None` when it was not fetched.
    fn place(&self, source: &Source) -> Option<PathBuf> {
        match (source, self) {
            (Source::File(path), _) => Some(PathBuf::from(path)),
            (outside, Self::Project { planner, .. }) => (planner.fetched)(outside),
            (_, Self::Recorded(_)) => None,
        }
    }

    /// The pinned bytes of an input that is not here.
    fn pinned(&self, source: &Source) -> Option<Pinned> {
        let Self::Project { root, planner } = self else { return None };
        let is_here = match source {
            Source::File(path) => root.path(Path::new(path)).symlink_metadata().is_ok(),
            outside => (planner.fetched)(outside).is_some(),
        };
        if is_here { None } else { (planner.pinned)(source) }
    }

    /// Whether something placed at a path would land outside of the project.
    pub(super) fn leads_outside(&self, relative: &str) -> bool {
        match self {
            Self::Project { root, .. } => root.leads_outside(&root.path(Path::new(relative))),
            Self::Recorded(_) => false,
        }
    }

    fn recorded(&self, input: &InputEntry) -> Option<Content> {
        let Self::Recorded(inputs) = self else { return None };
        inputs.iter().find(|(name, _)| *name == input.name.value.as_str()).map(|(_, content)| *content)
    }
}
