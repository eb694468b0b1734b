//! Baselines: experiments under names that people and manifests refer to, one record each below `roots/baselines/`. What
//! a baseline leads to is kept by the collector.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::ExperimentId;
use crate::store::draft::sync_names;
use crate::store::error::StoreError;
use crate::store::layout::{Class, Store};
use crate::store::record::decode_text;
use crate::store::stamp::now_s;
use crate::store::usage::files_below;

/// A baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// What it is called: a plain name, as those of stages.
    pub name: String,
    /// The experiment.
    pub experiment: ExperimentId,
    /// Since when, in seconds since 1970.
    pub since_unix_s: u64,
}

impl Store {
    /// Calls an experiment by a name from now on, in place of the one that had it. The caller has seen to it that the name
    /// is plain.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the experiment is not in the store, [`StoreError::Io`].
    pub fn set_baseline(&self, name: &str, experiment: &ExperimentId) -> Result<Baseline, StoreError> {
        // So that it is not on its way to the trash while it gets its name.
        let _alone = self.lock_trash()?;
        let id = experiment.to_string();
        if !self.place(Class::Experiments, &id).is_file() {
            return Err(StoreError::NotFound { what: "experiment", prefix: id });
        }
        let baseline = Baseline { name: name.to_owned(), experiment: *experiment, since_unix_s: now_s() };
        self.replace_record_at(Class::Roots, name, &self.baselines_folder().join(name), &baseline)?;
        Ok(baseline)
    }

    /// Lets a name go; says whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_baseline(&self, name: &str) -> Result<bool, StoreError> {
        // Only what is listed, so that no name reaches outside of the folder.
        if !self.baseline_names()?.iter().any(|known| known == name) {
            return Ok(false);
        }
        let path = self.baselines_folder().join(name);
        match fs::remove_file(&path) {
            Ok(()) => sync_names([path.as_path()]).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", &path, error)),
        }
    }

    /// All baselines by name.
    ///
    /// # Errors
    /// [`StoreError::UnreadableRoot`] for a damaged one, which stays where it is; [`StoreError::Io`].
    pub fn baselines(&self) -> Result<Vec<Baseline>, StoreError> {
        self.baseline_names()?.iter().map(|name| self.read_baseline(name)).collect()
    }

    /// The baseline of this name.
    ///
    /// # Errors
    /// As [`Store::baselines`].
    pub fn baseline(&self, name: &str) -> Result<Option<Baseline>, StoreError> {
        let is_known = self.baseline_names()?.iter().any(|known| known == name);
        is_known.then(|| self.read_baseline(name)).transpose()
    }

    fn read_baseline(&self, name: &str) -> Result<Baseline, StoreError> {
        let path = self.baselines_folder().join(name);
        let bytes = fs::read(&path).map_err(|error| StoreError::io("read", &path, error))?;
        decode_text(Class::Roots, name, &bytes)
            .map_err(|problem| StoreError::UnreadableRoot { what: format!("`{}`", path.display()), problem })
    }

    fn baseline_names(&self) -> Result<Vec<String>, StoreError> {
        let files = files_below(&self.baselines_folder())?;
        let mut names: Vec<String> =
            files.into_iter().filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned())).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn baselines_folder(&self) -> PathBuf {
        self.folder(Class::Roots).join("baselines")
    }
}
