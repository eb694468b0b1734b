//! What a stage is asked before anything runs, and what it can answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::ConfigIssue;

/// The inputs of a stage before anything has run.
#[derive(Debug)]
pub struct LocalInputs<'a> {
    ports: BTreeMap<&'a str, Vec<&'a Path>>,
    answers: &'a RefCell<Answers>,
}

/// What stages of one plan were told already, by question.
pub type Answers = BTreeMap<String, Preflight>;

impl<'a> LocalInputs<'a> {
    /// Port name to what is wired into it, for each port into which no earlier stage leads.
    #[must_use]
    pub const fn new(ports: BTreeMap<&'a str, Vec<&'a Path>>, answers: &'a RefCell<Answers>) -> Self {
        Self { ports, answers }
    }

    /// The answer to a question that several stages ask, found out once.
    pub fn once(&self, question: String, answer: impl FnOnce() -> Preflight) -> Preflight {
        if let Some(known) = self.answers.borrow().get(&question) {
            return known.clone();
        }
        let found = answer();
        self.answers.borrow_mut().insert(question, found.clone());
        found
    }

    /// The files and folders of a port, in order; `None` when one of them is still to be made by an earlier stage.
    #[must_use]
    pub fn get(&self, port: &str) -> Option<&[&'a Path]> {
        self.ports.get(port).map(Vec::as_slice)
    }
}

/// What a stage can tell before anything runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// What will make it fail, at the settings that cause it.
    pub issues: Vec<ConfigIssue>,
    /// What is worth a line, lower case, no full stop.
    pub notes: Vec<String>,
}
