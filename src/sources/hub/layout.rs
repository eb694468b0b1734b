//! The cache that `huggingface_hub` shares between programs (its `file_download.py`, "caching" guide):
//! ```text
//! models--owner--name/blobs/<etag>          the bytes
//! models--owner--name/snapshots/<commit>/…  links to them under the names of the repository
//! models--owner--name/refs/<revision>       the commit of a branch
//! .locks/models--owner--name/<etag>.lock    who is fetching
//! ```

use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

use super::super::error::SourceError;

/// The folder of one model.
pub(super) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

impl Repository {
    pub(super) fn new(cache: &Path, repository: &str) -> Self {
        let name = format!("models--{}", repository.replace('/', "--"));
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    /// Where the bytes with an etag belong.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Waits until nobody else fetches the bytes with an etag.
    pub(super) fn lock(&self, etag: &str) -> Result<File, SourceError> {
        for folder in [&self.locks, &self.folder.join("blobs")] {
            fs::create_dir_all(folder).map_err(SourceError::io("create", folder))?;
        }
        let path = self.locks.join(format!("{etag}.lock"));
        let file = File::options().create(true).append(true).open(&path).map_err(SourceError::io("create", &path))?;
        file.lock().map_err(SourceError::io("lock", &path))?;
        Ok(file)
    }

    /// Gives a blob its name in a snapshot, as Python does it: a link relative to its place.
    pub(super) fn link(&self, commit: &str, name: &str, blob: &Path) -> Result<(), SourceError> {
        let path = self.folder.join("snapshots").join(commit).join(name);
        if path.exists() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(SourceError::io("create", parent))?;
        let depth = 2 + Path::new(name).components().filter(|part| matches!(part, Component::Normal(_))).count() - 1;
        let target = Path::new(&"../".repeat(depth)).join("blobs").join(blob.file_name().unwrap_or_default());
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(target, &path).map_err(SourceError::io("create", &path))
    }

    /// Notes which commit a branch is.
    pub(super) fn note_revision(&self, revision: &str, commit: &str) -> Result<(), SourceError> {
        let folder = self.folder.join("refs");
        fs::create_dir_all(&folder).map_err(SourceError::io("create", &folder))?;
        let path = folder.join(revision);
        let draft = tempfile::NamedTempFile::new_in(&folder).map_err(SourceError::io("write to", &folder))?;
        fs::write(draft.path(), commit).map_err(SourceError::io("write", draft.path()))?;
        draft.persist(&path).map(|_| ()).map_err(|error| SourceError::io("write", &path)(error.error))
    }
}
