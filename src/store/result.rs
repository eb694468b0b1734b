//! Actions and their results. Linking the result is the commit point: before it nothing has happened.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::{ArtifactKind, Content};
use crate::digest::ActionKey;
use crate::store::error::{Damage, StoreError};
use crate::store::layout::{Class, Store};
use crate::store::record::Lookup;
use crate::store::stamp::now_s;

/// One output of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// What it is.
    pub kind: ArtifactKind,
    /// Its bytes.
    pub content: Content,
}

/// What an action gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// The action.
    pub key: ActionKey,
    /// The stage kind's name.
    pub kind: String,
    /// Slot to output.
    pub outputs: BTreeMap<String, Output>,
    /// What the stage said about its success; the engine's business.
    pub outcome: Value,
    /// On what sort of machine floating-point bits came out so; absent for stages without floats.
    pub numerics_class: Option<String>,
    /// How long the stage ran. No part of any digest, nor is what follows.
    pub seconds: f64,
    /// The run that made it.
    pub run: String,
    /// When it was made, in seconds since 1970.
    pub created_unix_s: u64,
}

impl ResultRecord {
    /// A record made now.
    #[must_use]
    pub fn new(key: ActionKey, kind: &str, outputs: BTreeMap<String, Output>, outcome: Value, run: &str) -> Self {
        Self {
            key,
            kind: kind.to_owned(),
            outputs,
            outcome,
            numerics_class: None,
            seconds: 0.0,
            run: run.to_owned(),
            created_unix_s: now_s(),
        }
    }
}

/// What a commit came to.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Committed {
    /// This is the result now.
    New,
    /// There was one with the same outputs already.
    Same(Box<ResultRecord>),
    /// There was one with other outputs, and it still stands: the stage is not reproducible.
    Diverged {
        /// The result that stands.
        existing: Box<ResultRecord>,
    },
}

impl Store {
    /// The result of an action.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::UnknownVersion`].
    pub fn result(&self, key: &ActionKey) -> Result<Lookup<ResultRecord>, StoreError> {
        self.read_record(Class::Results, &key.to_string())
    }

    /// The result of an action if it is there and whole, for a guess that nothing hangs on: its outputs are not looked at,
    /// and damage is neither reported nor moved.
    #[must_use]
    pub fn peek_result(&self, key: &ActionKey) -> Option<ResultRecord> {
        self.peek_record(Class::Results, &key.to_string())
    }

    /// The ingredients of a key.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::UnknownVersion`].
    pub fn action(&self, key: &ActionKey) -> Result<Lookup<Value>, StoreError> {
        self.read_record(Class::Actions, &key.to_string())
    }

    /// Stores an action and then its result, whose outputs must be in the store. The first result of a key stands.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] when an output is not in the store, [`StoreError::Io`].
    pub fn commit(&self, action: &impl Serialize, record: &ResultRecord) -> Result<Committed, StoreError> {
        for Output { content, .. } in record.outputs.values() {
            if !self.contains(*content)? {
                return Err(StoreError::Incomplete { key: record.key, digest: *content.digest() });
            }
        }
        let name = record.key.to_string();
        self.create_record(Class::Actions, &name, action)?;
        // JSON has no infinities, and a record that can't be read back would count as damaged.
        let seconds = if record.seconds.is_finite() { record.seconds } else { 0.0 };
        let record = ResultRecord { seconds, ..record.clone() };
        loop {
            if self.create_record(Class::Results, &name, &record)? {
                return Ok(Committed::New);
            }
            // The one that stands may be old: it is relied on from now on.
            self.renew_result(&record.key)?;
            match self.result(&record.key)? {
                Lookup::Found(existing) if existing.outputs == record.outputs => {
                    return Ok(Committed::Same(Box::new(existing)));
                }
                Lookup::Found(existing) => return Ok(Committed::Diverged { existing: Box::new(existing) }),
                Lookup::Absent | Lookup::Damaged(Damage { quarantined_to: Some(_), .. }) => {}
                // It stands in the way and can't be moved, which is for people to mend.
                Lookup::Damaged(damage) => {
                    let error = std::io::Error::other(damage.problem);
                    return Err(StoreError::io("replace", &damage.path, error));
                }
            }
        }
    }

    /// Moves a result to quarantine, so that the action is done anew: for a result whose bytes are lost and can't be
    /// made again bit for bit. Gives where it is now, or nothing when there was none.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the store can't be written.
    pub fn retire_result(&self, key: &ActionKey, reason: &str) -> Result<Option<Damage>, StoreError> {
        self.session()?;
        let path = self.place(Class::Results, &key.to_string());
        let damage = self.quarantine(Class::Results, &path, None, reason.to_owned());
        Ok(damage.quarantined_to.is_some().then_some(damage))
    }
}
