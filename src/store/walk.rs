//! Opening plain files and walking folders of them, with everything else refused by name.

use std::fs::{self, File, Metadata, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::store::error::StoreError;
use crate::store::tree::check_component;

/// What to do about symbolic links to files. Links to folders are always refused: they can form circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symlinks {
    /// Read what they point at: inputs may be links, as all files of a Hugging Face cache are.
    Follow,
    /// An error: outputs must stand on their own.
    Refuse,
}

/// A file found in a folder.
#[derive(Debug)]
pub(super) struct Found {
    /// The path below the folder, with `/` between its parts.
    pub(super) relative: String,
    /// The path to open.
    pub(super) path: PathBuf,
    /// What it looked like.
    pub(super) metadata: Metadata,
}

/// Opens a plain file for reading; a pipe or device neither blocks nor passes.
pub(super) fn open_file(path: &Path, symlinks: Symlinks) -> Result<(File, Metadata), StoreError> {
    let mut flags = OFlags::NONBLOCK;
    if symlinks == Symlinks::Refuse {
        check_kind(path, &fs::symlink_metadata(path).map_err(|error| StoreError::io("read", path, error))?)?;
        flags |= OFlags::NOFOLLOW;
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| StoreError::io("open", path, error))?;
    let metadata = file.metadata().map_err(|error| StoreError::io("read", path, error))?;
    check_kind(path, &metadata)?;
    Ok((file, metadata))
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    if metadata.is_file() {
        return Ok(());
    }
    let found = match metadata.file_type() {
        kind if kind.is_symlink() => match fs::read_link(path) {
            Ok(target) => format!("a symbolic link to `{}`", target.display()),
            Err(_) => "a symbolic link".to_owned(),
        },
        kind if kind.is_dir() => "a folder".to_owned(),
        _ => "neither a file nor a folder".to_owned(),
    };
    Err(StoreError::unsupported(path, found, "a plain file"))
}

/// All files below a folder, sorted bytewise by their relative path. Empty folders leave no trace.
pub(super) fn walk(root: &Path, symlinks: Symlinks) -> Result<Vec<Found>, StoreError> {
    let mut found = Vec::new();
    let mut waiting = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = waiting.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| StoreError::io("read", &folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| StoreError::io("read", &folder, error))?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| StoreError::unsupported(&path, "a name that is no UTF-8", "a name that is UTF-8"))?;
            check_component(name)
                .map_err(|problem| StoreError::unsupported(&path, problem, "a name without control characters"))?;
            let relative = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let kind = entry.file_type().map_err(|error| StoreError::io("read", &path, error))?;
            if kind.is_dir() {
                waiting.push((path, relative));
                continue;
            }
            let metadata =
                if kind.is_symlink() && symlinks == Symlinks::Follow { fs::metadata(&path) } else { entry.metadata() };
            let metadata = metadata.map_err(|error| StoreError::io("read", &path, error))?;
            if kind.is_symlink() && metadata.is_dir() {
                return Err(StoreError::unsupported(&path, "a symbolic link to a folder", "a plain file"));
            }
            check_kind(&path, &metadata)?;
            found.push(Found { relative, path, metadata });
        }
    }
    found.sort_unstable_by(|left, right| left.relative.cmp(&right.relative));
    Ok(found)
}
