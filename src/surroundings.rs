//! What of the machine a stage may ask for by name, and what it was given: variables of the environment and programs.
//!
//! Read once, when the plan is made, so that what enters the key is what the stage gets. Most stages ask for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::{Canonical, Digest};

/// What a stage asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Variables whose values enter the key.
    pub variables: BTreeSet<String>,
    /// Variables whose values enter no key, record or log.
    pub secrets: BTreeSet<String>,
    /// Programs, by the names they are looked for on the search path.
    pub tools: BTreeSet<String>,
}

/// What a stage was given.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Name to value; those that are not set are absent.
    pub variables: BTreeMap<String, Value>,
    /// The same of secrets.
    pub secrets: BTreeMap<String, Value>,
    /// Name to program.
    pub tools: BTreeMap<String, Tool>,
    /// The file of this very program.
    pub program: PathBuf,
}

impl Surroundings {
    /// What of it decides bytes: of each variable asked for a digest or that it is not set, of each program its digest.
    #[must_use]
    pub fn traces(&self, needs: &Needs) -> Traces {
        let digest = |name: &String| (name.clone(), self.variables.get(name).map(Value::digest));
        Traces {
            variables: needs.variables.iter().map(digest).collect(),
            tools: self.tools.iter().map(|(name, tool)| (name.clone(), tool.digest)).collect(),
        }
    }
}

/// What keys and records hold of the surroundings: no value, no path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// Name to the digest of a variable's value; none when it is not set.
    pub variables: BTreeMap<String, Option<Digest>>,
    /// Name to the digest of a program's file.
    pub tools: BTreeMap<String, Digest>,
}

impl Traces {
    /// Whether nothing was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.tools.is_empty()
    }

    /// As ingredients of a key: nothing at all for a stage that asks for nothing.
    #[must_use]
    pub fn canonical(&self) -> Vec<(&'static str, Canonical)> {
        let optional = |digest: &Option<Digest>| digest.map_or(Canonical::Null, Canonical::from);
        let variables = self.variables.iter().map(|(name, digest)| (name.clone(), optional(digest)));
        let tools = self.tools.iter().map(|(name, digest)| (name.clone(), Canonical::from(*digest)));
        [("env", Canonical::Map(variables.collect())), ("tools", Canonical::Map(tools.collect()))]
            .into_iter()
            .filter(|(_, entries)| !matches!(entries, Canonical::Map(entries) if entries.is_empty()))
            .collect()
    }
}

/// A value of the environment. Never shown, not even to those who debug.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    text: String,
    digest: Digest,
}

impl Value {
    /// A value.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { digest: Digest::of(text.as_bytes()), text }
    }

    /// A value of which only the digest is known: enough to compare a plan with, not to run one.
    #[must_use]
    pub const fn pinned(digest: Digest) -> Self {
        Self { text: String::new(), digest }
    }

    /// The value itself, for whoever hands it on; empty of a pinned one.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What may be kept of a value that enters a key.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its file, as the search path gave it.
    pub path: PathBuf,
    /// The folders that belong to it and that it may read.
    pub folders: Vec<PathBuf>,
    /// The digest of its file's bytes. Libraries it loads are not in it.
    pub digest: Digest,
}

/// Whoever knows this machine: the command line, or a test.
pub trait Machine {
    /// A variable of the environment, when it is set to UTF-8.
    fn variable(&self, name: &str) -> Option<Value>;
    /// A program on the search path; `None` when there is none.
    ///
    /// # Errors
    /// When it can't be read.
    fn tool(&self, name: &str) -> io::Result<Option<Tool>>;
    /// The file of this very program.
    fn program(&self) -> PathBuf;
}

/// A machine without variables and programs, for plans whose stages ask for none.
#[derive(Debug, Clone, Copy)]
pub struct Bare;

impl Machine for Bare {
    fn variable(&self, _name: &str) -> Option<Value> {
        None
    }

    fn tool(&self, _name: &str) -> io::Result<Option<Tool>> {
        Ok(None)
    }

    fn program(&self) -> PathBuf {
        PathBuf::new()
    }
}
