//! Why a stage runs: typed reasons, and the words for them.
//!
//! A reason is about the stage itself. Where it is that something before the stage changed, the causes behind it are
//! [`Cause`]s, found by `causes.rs`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::text::row_changes::RowChanges;

/// One reason for a rerun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// No run of this manifest has recorded this stage.
    NeverRan,
    /// A setting differs.
    ConfigChanged {
        /// The way to it below `with:`, joined by dots.
        path: String,
        /// What it was; absent when it was not set.
        old: Option<Value>,
        /// What it is.
        new: Option<Value>,
        /// `file:line` of the manifest, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// A file named under `inputs:` differs.
    FileChanged {
        /// The input's name.
        input: String,
        /// The port that reads it.
        port: String,
        /// What was read last time.
        old: Option<Digest>,
        /// What is there now.
        new: Digest,
        /// What that means in rows, for JSON Lines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rows: Option<RowChanges>,
    },
    /// An upstream stage gives other bytes than last time.
    InputChanged {
        /// The producing stage and slot.
        producer: String,
        /// The port that reads it.
        port: String,
        /// What was read last time.
        old: Option<Digest>,
        /// What is there now.
        new: Digest,
        /// What that means in rows, for JSON Lines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rows: Option<RowChanges>,
    },
    /// An upstream stage did the very same as last time and gave other bytes; the first ones were lost.
    Diverged {
        /// The producing stage and slot.
        producer: String,
        /// The port that reads it.
        port: String,
        /// What was read last time.
        old: Digest,
        /// What is there now.
        new: Digest,
    },
    /// A model is not here, and which bytes of it would be read is not known before it is.
    NotFetched {
        /// The input's name.
        input: String,
    },
    /// An upstream stage will run, so what this one will read is not known yet.
    UpstreamRuns {
        /// The upstream stage.
        stage: String,
    },
    /// A port reads fewer or other edges than last time.
    EdgesChanged {
        /// The port.
        port: String,
    },
    /// `uses:` names another kind.
    KindChanged {
        /// What it was.
        old: String,
        /// What it is.
        new: String,
    },
    /// The stage kind was changed by its authors, so that it gives other bytes.
    EpochBumped {
        /// What it was.
        old: u32,
        /// What it is.
        new: u32,
    },
    /// A variable of the environment that the stage asks for has another value. Which, nobody keeps.
    EnvChanged {
        /// The variable.
        name: String,
    },
    /// A program that the stage asks for is another file.
    ToolChanged {
        /// The program.
        name: String,
        /// Its digest last time.
        old: Option<Digest>,
        /// What it is now.
        new: Option<Digest>,
    },
    /// Another backend or compute type.
    BackendChanged {
        /// What it was.
        old: String,
        /// What it is.
        new: String,
    },
    /// The same action was done before, but its result is no longer in the store.
    Evicted,
    /// Its result is in the store, but not all of the bytes that it names.
    Incomplete {
        /// The slot whose bytes are gone.
        slot: String,
    },
    /// Stored bytes were not what they should be; they are in quarantine.
    Corrupt {
        /// The slot; absent when it was the result's own record.
        slot: Option<String>,
    },
    /// Asked for.
    Forced,
}

/// What in the end makes a stage run: a reason of its own, or of a stage before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The stage whose reason it is.
    pub stage: String,
    /// The reason.
    pub because: Reason,
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`: {}", self.stage, self.because)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = |old: &Option<Digest>, new: &Digest, rows: &Option<RowChanges>| match (rows, old) {
            (Some(rows), _) => rows.to_string(),
            (None, Some(old)) => format!("{} → {}", old.short(), new.short()),
            (None, None) => format!("none → {}", new.short()),
        };
        match self {
            Self::NeverRan => write!(out, "never ran"),
            Self::ConfigChanged { path, old, new, place } => {
                write!(out, "`{path}` changed: {} → {}", shown(old.as_ref()), shown(new.as_ref()))?;
                place.as_ref().map_or(Ok(()), |place| write!(out, " ({place})"))
            }
            Self::FileChanged { input, old, new, rows, .. } => {
                write!(out, "file of input `{input}` changed: {}", change(old, new, rows))
            }
            Self::InputChanged { producer, old, new, rows, .. } => {
                write!(out, "`{producer}` changed: {}", change(old, new, rows))
            }
            Self::Diverged { producer, old, new, .. } => {
                write!(out, "`{producer}` came out otherwise for the same work: {} → {}", old.short(), new.short())
            }
            Self::NotFetched { input } => write!(out, "`{input}` was not fetched yet"),
            Self::UpstreamRuns { stage } => write!(out, "`{stage}` runs first"),
            Self::EdgesChanged { port } => write!(out, "the edges of `{port}` changed"),
            Self::KindChanged { old, new } => write!(out, "`uses` changed: {old} → {new}"),
            Self::EpochBumped { old, new } => write!(out, "this version computes it anew (epoch {old} → {new})"),
            Self::EnvChanged { name } => write!(out, "env `{name}` changed"),
            Self::ToolChanged { name, old, new } => {
                let short = |digest: &Option<Digest>| digest.map_or_else(|| "none".to_owned(), |digest| digest.short());
                write!(out, "tool `{name}` changed: {} → {}", short(old), short(new))
            }
            Self::BackendChanged { old, new } => write!(out, "backend changed: {old} → {new}"),
            Self::Evicted => write!(out, "its result is no longer in the cache"),
            Self::Incomplete { slot } => write!(out, "the bytes of its `{slot}` are no longer in the cache"),
            Self::Corrupt { slot: Some(slot) } => write!(out, "its `{slot}` was corrupt in the cache"),
            Self::Corrupt { slot: None } => write!(out, "the record of its result was corrupt in the cache"),
            Self::Forced => write!(out, "forced"),
        }
    }
}

/// A setting's value, cut where it would drown the line.
fn shown(value: Option<&Value>) -> String {
    const LONGEST: usize = 80;
    let text = value.map_or_else(|| "unset".to_owned(), Value::to_string);
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
