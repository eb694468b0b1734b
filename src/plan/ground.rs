//! Where a plan finds its inputs: in the project's folder, or in the record of an experiment.

use std::io;
use std::path::{Path, PathBuf};

use super::files::{Root, Shape};
use crate::artifact::Content;
use crate::manifest::{InputEntry, Problems};
use crate::reference::Source;

/// What stands behind the inputs of a manifest.
pub(super) enum Ground<'a> {
    Project { root: Root<'a>, digest: &'a dyn Fn(&Path) -> io::Result<Content> },
    Recorded(&'a [(&'a str, Content)]),
}

impl<'a> Ground<'a> {
    pub(super) fn project(root: &'a Path, digest: &'a dyn Fn(&Path) -> io::Result<Content>) -> Self {
        Self::Project { root: Root::new(root), digest }
    }

    /// What stands behind an input, unless something is wrong with it.
    pub(super) fn shape(&self, input: &InputEntry, problems: &mut Problems) -> Option<Shape> {
        let source = input.source.as_ref()?;
        match self {
            Self::Project { root, .. } => {
                root.shape(&relative(&source.value), source.span, input.name.value.as_str(), problems)
            }
            Self::Recorded(_) => match self.recorded(input) {
                Some(Content::File(_)) => Some(Shape::File),
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
        digest(Path::new(&relative(&source.value)))
            .map_err(|error| {
                let message =
                    || format!("the input `{}` is `{}`, which can't be read: {error}", input.name.value, source.value);
                problems.error("manifest::unreadable_input", source.span, "", message);
            })
            .ok()
    }

    /// Where an input lies; of a recorded one, where it lay.
    pub(super) fn path(&self, source: &Source) -> PathBuf {
        match self {
            Self::Project { root, .. } => root.path(&relative(source)),
            Self::Recorded(_) => PathBuf::from(relative(source)),
        }
    }

    /// Whether something placed at a path would land outside of the project.
    pub(super) fn leads_outside(&self, relative: &str) -> bool {
        match self {
            Self::Project { root, .. } => root.leads_outside(&root.path(relative)),
            Self::Recorded(_) => false,
        }
    }

    fn recorded(&self, input: &InputEntry) -> Option<Content> {
        let Self::Recorded(inputs) = self else { return None };
        inputs.iter().find(|(name, _)| *name == input.name.value.as_str()).map(|(_, content)| *content)
    }
}

/// The path of a source; reading a manifest lets no other source through.
fn relative(source: &Source) -> String {
    match source {
        Source::File(path) => path.clone(),
        other => other.to_string(),
    }
}
