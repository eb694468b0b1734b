//! What flows along the edges of a plan: artifact kinds, and the typed ports of a stage kind.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::digest::{BadDigest, Digest};

/// What an artifact is. An edge joins an output port to an input port that accepts its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// A file from outside, of any format: what an input of a manifest is until a stage has read it.
    File,
    /// A folder of any files, written or read by commands.
    Folder,
    /// JSON Lines of validated trajectory or text records, written by `clean`.
    Records,
    /// JSON Lines of rows that were refused, each with its reasons.
    Rejects,
    /// JSON Lines of token ids and loss masks, written by `render-prompts`.
    Prompts,
    /// A Hugging Face tokenizer folder: `tokenizer.json`, `tokenizer_config.json`, chat template.
    Tokenizer,
    /// A Hugging Face model folder: config, weights, tokenizer.
    Model,
    /// A PEFT adapter folder.
    Adapter,
    /// A folder with an adapter as a GGUF file, for llama.cpp; no stage reads it.
    GgufAdapter,
    /// JSON Lines of one row an optimiser step: loss, gradient norm, learning rate.
    Curve,
    /// Counts about an artifact, as JSON.
    Statistics,
    /// Evaluation results with one row an example, as JSON.
    Report,
    /// A gate's verdict with every number it used, as JSON.
    Verdict,
}

impl ArtifactKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::File,
        Self::Folder,
        Self::Records,
        Self::Rejects,
        Self::Prompts,
        Self::Tokenizer,
        Self::Model,
        Self::Adapter,
        Self::GgufAdapter,
        Self::Curve,
        Self::Statistics,
        Self::Report,
        Self::Verdict,
    ];

    /// The name used in diagnostics and schemas.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Records => "records",
            Self::Rejects => "rejects",
            Self::Prompts => "prompts",
            Self::Tokenizer => "tokenizer",
            Self::Model => "model",
            Self::Adapter => "adapter",
            Self::GgufAdapter => "gguf-adapter",
            Self::Curve => "curve",
            Self::Statistics => "statistics",
            Self::Report => "report",
            Self::Verdict => "verdict",
        }
    }

    /// Whether an artifact of this kind is a folder rather than a file.
    #[must_use]
    pub const fn is_folder(self) -> bool {
        matches!(self, Self::Folder | Self::Tokenizer | Self::Model | Self::Adapter | Self::GgufAdapter)
    }
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How the bytes of an artifact are stored: a file is one blob, a folder one blob that lists its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase", tag = "shape", content = "digest")]
pub enum Content {
    /// The digest of a file's bytes.
    File(Digest),
    /// The digest of a folder's listing.
    Tree(Digest),
}

impl fmt::Display for Content {
    /// `file:` or `tree:` and the digest, in one word.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(digest) => write!(formatter, "file:{digest}"),
            Self::Tree(digest) => write!(formatter, "tree:{digest}"),
        }
    }
}

impl FromStr for Content {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("file", digest)) => digest.parse().map(Self::File),
            Some(("tree", digest)) => digest.parse().map(Self::Tree),
            _ => Err(BadDigest(text.chars().take(80).collect())),
        }
    }
}

impl Content {
    /// The digest, whichever shape it has.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        match self {
            Self::File(digest) | Self::Tree(digest) => digest,
        }
    }
}

/// How many edges an input port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Exactly one.
    One,
    /// None or one.
    Optional,
    /// One or more, in order.
    Many,
    /// Any number, in order.
    Any,
}

/// Which part of an input a stage reads. Only that part is handed to the stage and only its digest enters the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// All of it.
    Whole,
    /// Of a folder, the files with these names at its top; those that are absent are left out. `*.gguf` means every file
    /// that ends so.
    Files(&'static [&'static str]),
}

/// An input of a stage kind, or of one stage whose settings name its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPort {
    /// The name used under `in:`.
    pub name: Cow<'static, str>,
    /// The kinds it takes.
    pub accepts: &'static [ArtifactKind],
    /// How many edges it takes.
    pub arity: Arity,
    /// Which part of the artifact the stage reads.
    pub projection: Projection,
    /// One sentence for `--help`, schema and hover.
    pub about: &'static str,
}

/// An output of a stage kind, or of one stage whose settings name its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPort {
    /// The slot's name: `stage.slot` refers to it.
    pub name: Cow<'static, str>,
    /// What is written there.
    pub kind: ArtifactKind,
    /// One sentence for `--help`, schema and hover.
    pub about: &'static str,
}

/// What a gate said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every rule held.
    Passed,
    /// Too little evidence to decide.
    Inconclusive,
    /// At least one rule did not hold.
    Failed,
}

impl Verdict {
    /// The word shown to people and stored in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
