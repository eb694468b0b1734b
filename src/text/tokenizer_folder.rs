//! Where a tokenizer's files come from: a Hugging Face folder, or a GGUF model whose tokenizer was written out in memory.
//!
//! Everything that reads `tokenizer.json`, its configs or a chat template does so through here, so that both look alike.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

pub use super::spec_files::BadSpec;

use super::spec_files;
use crate::tokenizer_spec::TokenizerSpec;

/// The files of a tokenizer.
#[derive(Debug, Clone)]
pub enum TokenizerFolder {
    /// A folder of the file system.
    OnDisk(PathBuf),
    /// Files by name.
    InMemory(BTreeMap<&'static str, Vec<u8>>),
}

impl From<&Path> for TokenizerFolder {
    fn from(folder: &Path) -> Self {
        Self::OnDisk(folder.to_owned())
    }
}

impl TokenizerFolder {
    /// The files that transformers would have for a tokenizer given as plain data.
    ///
    /// # Errors
    /// [`BadSpec`].
    pub fn from_spec(spec: &TokenizerSpec) -> Result<Self, BadSpec> {
        spec_files::files(spec).map(Self::InMemory)
    }

    /// The bytes of a file, which may have at most so many; `None` when there is no such file.
    ///
    /// # Errors
    /// It can't be read, or is larger.
    pub(crate) fn read(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        let path = match self {
            Self::InMemory(files) => return Ok(files.get(name).cloned()),
            Self::OnDisk(folder) => folder.join(name),
        };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() > max_bytes => {
                let message = format!("`{}` bytes; expected at most `{max_bytes}`", metadata.len());
                Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
            }
            Ok(_) => fs::read(&path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where a file is, for messages.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::OnDisk(folder) => folder.join(name),
            Self::InMemory(_) => PathBuf::from(name),
        }
    }

    /// The folder, for messages.
    pub(crate) fn place(&self) -> Cow<'_, Path> {
        match self {
            Self::OnDisk(folder) => Cow::Borrowed(folder),
            Self::InMemory(_) => Cow::Borrowed(Path::new("the GGUF file")),
        }
    }

    /// Writes the files of a tokenizer that has no folder into one, except those that are there; does nothing for others.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn write_missing(&self, folder: &Path) -> io::Result<()> {
        let Self::InMemory(files) = self else { return Ok(()) };
        for (name, bytes) in files.iter().filter(|(name, _)| !folder.join(name).exists()) {
            fs::write(folder.join(name), bytes)?;
        }
        Ok(())
    }
}
