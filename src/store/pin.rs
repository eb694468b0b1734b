//! Pins: experiments and results that a person wants kept, one record each below `roots/pins/`.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::{ActionKey, Digest, ExperimentId};
use crate::store::draft::sync_names;
use crate::store::error::StoreError;
use crate::store::experiment::only;
use crate::store::layout::{Class, Store};
use crate::store::record::decode_text;
use crate::store::stamp::now_s;
use crate::store::usage::files_below;

/// What can be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what", content = "name")]
pub enum Pinned {
    /// A complete run: manifest, inputs and all results.
    Experiment(ExperimentId),
    /// What one action gave.
    Result(ActionKey),
}

impl Pinned {
    /// The id or key, bare.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        match self {
            Self::Experiment(id) => id.digest(),
            Self::Result(key) => key.digest(),
        }
    }

    const fn class(self) -> Class {
        match self {
            Self::Experiment(_) => Class::Experiments,
            Self::Result(_) => Class::Results,
        }
    }
}

/// A pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// What it keeps.
    pub pinned: Pinned,
    /// How people know it: a manifest's or a stage's name.
    pub label: String,
    /// Why it is kept.
    pub note: String,
    /// Since when, in seconds since 1970.
    pub since_unix_s: u64,
}

impl Store {
    /// Keeps something from now on; a newer note replaces an older one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is not in the store, [`StoreError::Io`].
    pub fn pin(&self, pinned: Pinned, label: &str, note: &str) -> Result<Pin, StoreError> {
        // So that it is not on its way to the trash while it is pinned.
        let _alone = self.lock_trash()?;
        let name = pinned.digest().to_hex();
        if !self.place(pinned.class(), &name).is_file() {
            let what = if matches!(pinned, Pinned::Experiment(_)) { "experiment" } else { "result" };
            return Err(StoreError::NotFound { what, prefix: name });
        }
        let pin = Pin { pinned, label: label.to_owned(), note: note.to_owned(), since_unix_s: now_s() };
        self.replace_record_at(Class::Roots, &name, &self.pins_folder().join(&name), &pin)?;
        Ok(pin)
    }

    /// Lets go what was pinned, by any unique prefix of its id or key.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`], [`StoreError::Io`].
    pub fn unpin(&self, prefix: &str) -> Result<String, StoreError> {
        let name = only("pin", prefix, self.pin_names()?)?;
        let path = self.pins_folder().join(&name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", &path, error)),
            _ => sync_names([path.as_path()]).map(|()| name),
        }
    }

    /// All pins, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::UnreadableRoot`] for a damaged one, which stays where it is; [`StoreError::Io`].
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        let mut pins = Vec::new();
        for name in self.pin_names()? {
            let path = self.pins_folder().join(&name);
            let bytes = fs::read(&path).map_err(|error| StoreError::io("read", &path, error))?;
            let pin: Pin = decode_text(Class::Roots, &name, &bytes)
                .map_err(|problem| StoreError::UnreadableRoot { what: format!("`{}`", path.display()), problem })?;
            pins.push(pin);
        }
        pins.sort_by_key(|pin| pin.since_unix_s);
        Ok(pins)
    }

    /// The one result whose key begins so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`], [`StoreError::Io`].
    pub fn find_result(&self, prefix: &str) -> Result<ActionKey, StoreError> {
        let key = only("result", prefix, self.names(Class::Results)?)?;
        key.parse().map_err(|_| StoreError::NotFound { what: "result", prefix: prefix.to_owned() })
    }

    fn pin_names(&self) -> Result<Vec<String>, StoreError> {
        let files = files_below(&self.pins_folder())?;
        let mut names: Vec<String> =
            files.into_iter().filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned())).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn pins_folder(&self) -> PathBuf {
        self.folder(Class::Roots).join("pins")
    }
}
