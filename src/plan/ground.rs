//! Where a plan finds its inputs: in the project's folder, or in the record of an experiment.

use std::io;
use std::path::{Path, PathBuf};

use super::NOT_FETCHED;
use super::files::{Root, Shape};
use crate::artifact::Content;
use crate::manifest::{InputEntry, Problems};
use crate::source::Source;

/// What stands behind the inputs of a manifest.
pub(super) enum Ground<'a> {
    Project {
        root: Root<'a>,
        fetched: &'a dyn Fn(&Source) -> Option<PathBuf>,
        digest: &'a dyn Fn(&Path) -> io::Result<Content>,
    },
    Recorded(&'a [(&'a str, Content)]),
}

impl<'a> Ground<'a> {
    pub(super) fn project(
        root: &'a Path,
        fetched: &'a dyn Fn(&Source) -> Option<PathBuf>,
        digest: &'a dyn Fn(&Path) -> io::Result<Content>,
    ) -> Self {
        Self::Project { root: Root::new(root), fetched, digest }
    }

    /// What stands behind an input, unless something is wrong with it.
    pub(super) fn shape(&self, input: &InputEntry, problems: &mut Problems) -> Option<Shape> {
        let source = input.source.as_ref()?;
        match self {
            Self::Project { root, fetched, .. } => match &source.value {
                Source::File(path) => root.shape(path, source.span, input.name.value.as_str(), problems),
                outside => Some(match fetched(outside) {
                    Some(path) if path.is_dir() => Shape::Folder,
                    Some(_) => Shape::of_file(outside.file_name()),
                    None if outside.file_name().contains('.') => Shape::of_file(outside.file_name()),
                    None => Shape::Unknown,
                }),
            },
            Self::Recorded(_) => match self.recorded(input) {
                Some(Content::File(_)) => Some(Shape::of_file(source.value.file_name())),
                Some(Content::Tree(_)) => Some(Shape::Folder),
                None => {
                    let message = || format!("the record has no input `{}`", input.name.value);
                    problems.error("manifest::missing_input", input.name.span, "", message);
                    None
                }
            },
        }
    }

    /// The digest of an input that has a shape.
    pub(super) fn content(&self, input: &InputEntry, problems: &mut Problems) -> Option<Content> {
        let Self::Project { digest, .. } = self else { return self.recorded(input) };
        let source = input.source.as_ref()?;
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
        digest(&path)
            .map_err(|error| {
                let message =
                    || format!("the input `{}` is `{}`, which can't be read: {error}", input.name.value, source.value);
                problems.error("manifest::unreadable_input", source.span, "", message);
            })
            .ok()
    }

    /// Where an input lies; of a recorded one, where it lay.
    pub(super) fn path(&self, source: &Source) -> PathBuf {
        match (self, self.place(source)) {
            (Self::Project { root, .. }, Some(path)) => root.path(&path),
            (_, Some(path)) => path,
            (_, None) => PathBuf::from(source.to_string()),
        }
    }

    /// The path of a source, relative to the project or absolute; `None` when it was not fetched.
    fn place(&self, source: &Source) -> Option<PathBuf> {
        match (source, self) {
            (Source::File(path), _) => Some(PathBuf::from(path)),
            (outside, Self::Project { fetched, .. }) => fetched(outside),
            (outside, Self::Recorded(_)) => Some(PathBuf::from(outside.to_string())),
        }
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
