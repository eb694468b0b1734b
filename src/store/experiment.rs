//! Records of complete runs, and finding records by the first digits of their id.

use serde_json::Value;

use crate::digest::ExperimentId;
use crate::store::error::StoreError;
use crate::store::layout::{Class, Store};
use crate::store::record::Lookup;

impl Store {
    /// Keeps the record of an experiment, flushed; the first one of an id stands. Says whether this is it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put_experiment(&self, id: &ExperimentId, record: &Value) -> Result<bool, StoreError> {
        self.create_record(Class::Experiments, &id.to_string(), record)
    }

    /// The record of an experiment.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::UnknownVersion`].
    pub fn experiment(&self, id: &ExperimentId) -> Result<Lookup<Value>, StoreError> {
        self.read_record(Class::Experiments, &id.to_string())
    }

    /// The ids of all experiments, sorted.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn experiments(&self) -> Result<Vec<ExperimentId>, StoreError> {
        Ok(self.names(Class::Experiments)?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The one experiment whose id begins so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`], [`StoreError::Io`].
    pub fn find_experiment(&self, prefix: &str) -> Result<ExperimentId, StoreError> {
        let ids = self.experiments()?.iter().map(ToString::to_string).collect();
        let id = only("experiment", prefix, ids)?;
        id.parse().map_err(|_| StoreError::NotFound { what: "experiment", prefix: prefix.to_owned() })
    }

    /// The sorted file names of a class.
    pub(super) fn names(&self, class: Class) -> Result<Vec<String>, StoreError> {
        let names = self.list(class)?.into_iter().filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned()));
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }
}

/// The one name that begins so; a whole name is not ambiguous even where others go on after it.
pub(super) fn only(what: &'static str, prefix: &str, mut names: Vec<String>) -> Result<String, StoreError> {
    if let Some(whole) = names.iter().position(|name| name == prefix) {
        return Ok(names.swap_remove(whole));
    }
    names.retain(|name| !prefix.is_empty() && name.starts_with(prefix));
    match names.len() {
        1 => Ok(names.swap_remove(0)),
        0 => Err(StoreError::NotFound { what, prefix: prefix.to_owned() }),
        _ => Err(StoreError::Ambiguous { what, prefix: prefix.to_owned(), candidates: names }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_finds_one_names_all_or_says_that_there_is_none() {
        let names = || vec!["ab1".to_owned(), "ab2".to_owned(), "c".to_owned(), "c-2".to_owned()];
        assert_eq!(only("run", "ab1", names()).unwrap(), "ab1");
        assert_eq!(only("run", "c", names()).unwrap(), "c");
        let error = only("run", "ab", names()).unwrap_err().to_string();
        assert_eq!(error, "`ab` begins the ids of 2 runs: `ab1`, `ab2`");
        assert!(matches!(only("run", "x", names()), Err(StoreError::NotFound { .. })));
        assert!(matches!(only("run", "", names()), Err(StoreError::NotFound { .. })));
    }
}
