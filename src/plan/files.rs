//! What the project has at the paths of a manifest: whether an input is there, as a file or a folder, and whether a
//! symbolic link leads out of the project.

use std::io;
use std::path::{Path, PathBuf};

use super::Pinned;
use crate::artifact::{ArtifactKind, Content};
use crate::diagnostic::{Diagnostic, Span, nearest};
use crate::manifest::Problems;
use crate::source::Source;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    File,
    /// A file that holds a whole model.
    ModelFile,
    Folder,
    /// What a recorded stage gave, of a known kind.
    Artifact(ArtifactKind),
    /// What a recorded stage gave, as a file or a folder: of which kind is not known any more.
    Stored {
        is_folder: bool,
    },
    /// Not here yet, so whatever fits.
    Unknown,
}

impl Shape {
    /// The shape of bytes that are known by digest alone.
    pub(super) fn of(pinned: Pinned, source: &Source) -> Self {
        match (pinned.kind, source, pinned.content) {
            (Some(kind), ..) => Self::Artifact(kind),
            (None, Source::Experiment(_), content) => Self::Stored { is_folder: matches!(content, Content::Tree(_)) },
            (None, source, Content::File(_)) => Self::of_file(source.file_name()),
            (None, _, Content::Tree(_)) => Self::Folder,
        }
    }

    /// The shape of a file by its name.
    pub(super) fn of_file(name: &str) -> Self {
        if Path::new(name).extension().is_some_and(|extension| extension == "gguf") {
            Self::ModelFile
        } else {
            Self::File
        }
    }
}

/// The project's folder, with its real path.
pub(super) struct Root<'a> {
    folder: &'a Path,
    real: Option<PathBuf>,
}

impl<'a> Root<'a> {
    pub(super) fn new(folder: &'a Path) -> Self {
        Self { folder, real: folder.canonicalize().ok() }
    }

    /// The path of something in the project.
    pub(super) fn path(&self, relative: &Path) -> PathBuf {
        self.folder.join(relative)
    }

    /// The shape of an input, unless something is wrong with it.
    pub(super) fn shape(&self, relative: &str, span: Span, name: &str, problems: &mut Problems) -> Option<Shape> {
        let path = self.path(Path::new(relative));
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                problems.add(|source| self.unreadable(relative, name, &error).at(source, span, ""));
                return None;
            }
        };
        if self.leads_outside(&path) {
            problems.add(|source| leads_outside("the input", name, relative).at(source, span, ""));
            return None;
        }
        if metadata.is_dir() {
            Some(Shape::Folder)
        } else if metadata.is_file() {
            Some(Shape::of_file(relative))
        } else {
            let message = || format!("the input `{name}` is `{relative}`, which is neither a file nor a folder");
            problems.error("manifest::unreadable_input", span, "", message);
            None
        }
    }

    /// Whether the last part of a path that exists lies, with all links followed, outside of the project.
    pub(super) fn leads_outside(&self, path: &Path) -> bool {
        let Some(real_root) = &self.real else { return true };
        // A link to nowhere exists but has no real path: writing through it would create what it names.
        let there = path.ancestors().find(|part| part.symlink_metadata().is_ok());
        there.is_none_or(|part| part.canonicalize().map_or(true, |real| !real.starts_with(real_root)))
    }

    fn unreadable(&self, relative: &str, name: &str, error: &io::Error) -> Diagnostic {
        if error.kind() != io::ErrorKind::NotFound {
            let message = format!("the input `{name}` is `{relative}`, which can't be read: {error}");
            return Diagnostic::error("manifest::unreadable_input", message);
        }
        let message = format!("the input `{name}` is `{relative}`, which does not exist");
        let diagnostic = Diagnostic::error("manifest::missing_input", message);
        match self.nearest_file(relative) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help("paths are relative to the project's folder"),
        }
    }

    /// The nearest name in the same folder.
    fn nearest_file(&self, relative: &str) -> Option<String> {
        const MOST: usize = 1_000;
        let (folder, file) = relative.rsplit_once('/').unwrap_or(("", relative));
        let entries = self.path(Path::new(folder)).read_dir().ok()?;
        let mut names: Vec<String> =
            entries.take(MOST).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_unstable();
        let near = nearest(file, names.iter().map(String::as_str))?;
        Some(if folder.is_empty() { near.to_owned() } else { format!("{folder}/{near}") })
    }
}

pub(super) fn leads_outside(what: &str, name: &str, relative: &str) -> Diagnostic {
    let message = format!("{what} `{name}` is `{relative}`, which leads out of the project through a symbolic link");
    Diagnostic::error("manifest::path_outside", message).help("copy the data into the project")
}
