//! `hf:owner/name@revision`: a model of a Hugging Face hub, through the cache that Python's `huggingface_hub` shares.
//!
//! Only the files that a model needs are fetched; each is resumed where it broke off and compared with the digest that the
//! hub gives. They lie in the shared cache (`layout`); here is only a folder of links to them, so that what else Python
//! has fetched of the model does not change its digest. A revision that is no commit id is what the caller has pinned it
//! to, else it is looked up once and then stays.

mod client;
mod download;
mod files;
mod layout;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use client::Client;
use layout::Repository;

use super::error::SourceError;
use super::{Fetched, Fetching, draft, lock};
use crate::source::Hub;

/// How the hub is reached; what the environment says, read by the command line.
#[derive(Clone)]
pub struct HubSettings {
    /// `HF_ENDPOINT`, without a `/` at its end.
    pub endpoint: String,
    /// `HF_TOKEN`; sent to the endpoint alone, never shown.
    pub token: Option<String>,
    /// The folder `hub` of `HF_HOME`, or `HF_HUB_CACHE`.
    pub cache: PathBuf,
    /// `HF_HUB_OFFLINE`: nothing is fetched.
    pub offline: bool,
}

impl std::fmt::Debug for HubSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        formatter
            .debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("token", &token)
            .finish_non_exhaustive()
    }
}

fn home(folder: &Path) -> PathBuf {
    folder.join("hf")
}

/// The name of the folder for a model at a revision, or of one file of it.
fn name_of(source: &Hub, revision: &str) -> String {
    let path = source.path.as_ref().map_or_else(String::new, |path| format!("@{path}"));
    format!("{}@{revision}{path}", source.repository).replace('%', "%25").replace('/', "%2F")
}

/// The commit that a revision is: of a commit id, itself; else what it is pinned to; else what it was found to be.
pub(super) fn commit_of(folder: &Path, source: &Hub, pin: Option<&str>) -> Option<String> {
    if source.is_pinned() {
        return Some(source.revision.clone());
    }
    let noted = || fs::read_to_string(note(folder, source)).ok();
    let commit = pin.map(str::to_owned).or_else(noted)?;
    Some(commit.trim().to_owned()).filter(|commit| Hub::is_commit(commit))
}

/// The file that says which commit a branch was found to be.
fn note(folder: &Path, source: &Hub) -> PathBuf {
    home(folder).join(name_of(source, &source.revision) + ".commit")
}

/// See [`super::Sources::forget`].
pub(super) fn forget(folder: &Path, source: &Hub) -> Result<(), SourceError> {
    let note = note(folder, source);
    match fs::remove_file(&note) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SourceError::io("remove", &note)(error)),
        _ => Ok(()),
    }
}

/// Where the source lies, if it was fetched whole.
pub(super) fn locate(folder: &Path, source: &Hub, pin: Option<&str>) -> Option<PathBuf> {
    let own = home(folder).join(name_of(source, &commit_of(folder, source, pin)?));
    // Somebody may have cleared the shared cache: links to nowhere are not fetched.
    if !is_whole(&own) {
        return None;
    }
    Some(source.file_name().map_or_else(|| own.clone(), |name| own.join(name)))
}

/// Whether a folder is there and every link in it leads to a file.
fn is_whole(folder: &Path) -> bool {
    let Ok(entries) = folder.read_dir() else { return false };
    entries.flatten().all(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => is_whole(&entry.path()),
        _ => entry.path().is_file(),
    })
}

/// See [`super::Sources::pull`].
pub(super) fn pull(
    folder: &Path,
    settings: &HubSettings,
    source: &Hub,
    pin: Option<&str>,
    observe: &mut dyn FnMut(Fetching),
) -> Result<PathBuf, SourceError> {
    if let Some(path) = locate(folder, source, pin) {
        return Ok(path);
    }
    let name = source.to_string();
    if settings.offline {
        return Err(SourceError::Offline { name });
    }
    let home = home(folder);
    // One fetch at a time; whoever waited finds the other's result.
    let _lock = lock(&home)?;
    if let Some(path) = locate(folder, source, pin) {
        return Ok(path);
    }
    let client = Client::new(settings, &name);
    let known = commit_of(folder, source, pin);
    let listing = client.listing(&source.repository, known.as_deref().unwrap_or(&source.revision))?;
    let wanted = files::wanted(&listing.files, source)?;
    let repository = Repository::new(&settings.cache, &source.repository);
    let draft = draft(&home)?;
    for file in &wanted {
        let blob = download::file(&client, &repository, &source.repository, &listing.commit, file, observe)?;
        repository.link(&listing.commit, file, &blob)?;
        let place = source.file_name().unwrap_or(file);
        let link = draft.path().join("files").join(place);
        let parent = link.parent().unwrap_or(&home);
        fs::create_dir_all(parent).map_err(SourceError::io("create", parent))?;
        std::os::unix::fs::symlink(&blob, &link).map_err(SourceError::io("create", &link))?;
    }
    let own = home.join(name_of(source, &listing.commit));
    publish(&draft.path().join("files"), &own)?;
    // Only a branch that was just looked up: what was known before may be older than what other programs know.
    if known.is_none() {
        repository.note_revision(&source.revision, &listing.commit)?;
        let note = note(folder, source);
        fs::write(&note, format!("{}\n", listing.commit)).map_err(SourceError::io("write", &note))?;
    }
    File::open(&home).and_then(|home| home.sync_all()).map_err(SourceError::io("write to", &home))?;
    locate(folder, source, pin).ok_or(SourceError::Hub { name, message: "its files vanished meanwhile".into() })
}

/// Puts the folder of links in its place, in that of one whose links lead nowhere by now; the caller holds the lock.
fn publish(draft: &Path, own: &Path) -> Result<(), SourceError> {
    if own.exists() {
        fs::remove_dir_all(own).map_err(SourceError::io("remove", own))?;
    }
    fs::rename(draft, own).map_err(SourceError::io("create", own))
}

/// See [`super::Sources::list`].
pub(super) fn list(folder: &Path) -> Result<Vec<Fetched>, SourceError> {
    let home = home(folder);
    let entries = match home.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SourceError::io("read", &home)(error)),
    };
    let found = entries.flatten().filter(|entry| entry.path().is_dir()).filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().replace("%2F", "/").replace("%25", "%");
        let (model, path) = match name.match_indices('@').nth(1) {
            Some((at, _)) => (name[..at].to_owned(), format!("/{}", &name[at + 1..])),
            None => (name.clone(), String::new()),
        };
        (!name.starts_with('.')).then(|| Fetched { source: format!("hf:{model}{path}"), path: entry.path() })
    });
    Ok(found.collect())
}
