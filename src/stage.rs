//! What a stage kind is, and all that a running stage may touch.
//!
//! A stage opens only what its [`StageContext`] hands it: no clock, environment, network or global randomness, else
//! its key would lie. A new stage kind implements [`StageKind`]; everything above this floor sees `dyn` [`Stage`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::artifact::{ArtifactKind, InputPort, OutputPort, Verdict};
use crate::cell::Cell;
use crate::device::DeviceSpec;
use crate::diagnostic::Diagnostic;
use crate::surroundings::{Needs, Surroundings};

mod preflight;

pub use preflight::{Answers, LocalInputs, Preflight};

/// Whether a stage's bytes depend on floating-point arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numerics {
    /// Text and integers: the same bytes everywhere.
    Exact,
    /// Model work: backend and compute type are in the key, the numerics class is recorded with the result.
    Float,
}

/// A stage kind, written with its types.
pub trait StageKind: Send + Sync + 'static {
    /// The settings under `with:`. `deny_unknown_fields`, snake_case, a default for all that can have one.
    type Config: Serialize + DeserializeOwned + JsonSchema;
    /// The kind's name in `uses:`, kebab-case.
    const NAME: &'static str;
    /// One sentence for `--help`, schema and hover.
    const ABOUT: &'static str;
    /// Bumped whenever the same inputs and settings give other bytes than before.
    const EPOCH: u32;
    /// The inputs.
    const INPUTS: &'static [InputPort];
    /// The outputs, all that any settings write.
    const OUTPUTS: &'static [OutputPort];
    /// Whether floating-point arithmetic decides the bytes.
    const NUMERICS: Numerics;
    /// Settings that change no output byte and stay out of the key.
    const UNKEYED: &'static [&'static str] = &[];
    /// Whether settings name inputs and outputs, so that without them nothing is known of either.
    const NAMES_PORTS: bool = false;
    /// The ports whose inputs come with their cell, when a matrix tells them apart. It is then in the key.
    const CELL_PORTS: &'static [&'static str] = &[];
    /// Names people know from other tools, each with what to write here instead.
    const FOREIGN: &'static [(&'static str, &'static str)] = &[];

    /// Finds what types alone do not catch: ranges, settings that exclude each other.
    fn check(_config: &Self::Config) -> Vec<ConfigIssue> {
        Vec::new()
    }

    /// Whether a stage with these settings writes a slot; a reference to one it does not write is an error.
    fn writes(_config: &Self::Config, _slot: &str) -> bool {
        true
    }

    /// The inputs of a stage with these settings.
    fn inputs(_config: &Self::Config) -> Cow<'static, [InputPort]> {
        Cow::Borrowed(Self::INPUTS)
    }

    /// The outputs that a stage with these settings writes.
    fn outputs(config: &Self::Config) -> Cow<'static, [OutputPort]> {
        let writes = |port: &&OutputPort| Self::writes(config, &port.name);
        if Self::OUTPUTS.iter().all(|port| writes(&port)) {
            return Cow::Borrowed(Self::OUTPUTS);
        }
        Cow::Owned(Self::OUTPUTS.iter().filter(writes).cloned().collect())
    }

    /// What of the machine a stage with these settings asks for.
    fn needs(_config: &Self::Config) -> Needs {
        Needs::default()
    }

    /// What can be told from the settings and from the inputs that are here already, before any stage runs. Cheap: it
    /// reads no weights. That it finds nothing is no promise.
    fn preflight(_config: &Self::Config, _inputs: &LocalInputs<'_>) -> Preflight {
        Preflight::default()
    }

    /// Does the work: reads the context's inputs, writes every output that it writes with these settings.
    ///
    /// # Errors
    /// [`StageError`]; whatever was written by then is thrown away.
    fn run(config: &Self::Config, context: &StageContext<'_>) -> Result<Outcome, StageError>;
}

/// What is wrong with one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigIssue {
    /// The way to the setting below `with:`: field names and list indices.
    pub path: Vec<String>,
    /// A stable code such as `config::unknown_key`.
    pub code: &'static str,
    /// Found and expected.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ConfigIssue {
    /// A value out of its range, at a field directly below `with:`.
    #[must_use]
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { path: vec![field.to_owned()], code: "config::invalid_value", message: message.into(), help: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A checked configuration with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct StageConfig {
    /// All settings.
    pub all: Value,
    /// Those that enter the action key.
    pub keyed: Value,
    /// The inputs of the stage.
    pub inputs: Cow<'static, [InputPort]>,
    /// The outputs it writes.
    pub outputs: Cow<'static, [OutputPort]>,
    /// What of the machine it asks for.
    pub needs: Needs,
}

/// A stage kind without its types.
pub trait Stage: Send + Sync {
    /// The kind's name in `uses:`.
    fn kind(&self) -> &'static str;
    /// One sentence about it.
    fn about(&self) -> &'static str;
    /// The epoch of its bytes.
    fn epoch(&self) -> u32;
    /// The inputs that every stage of the kind has.
    fn inputs(&self) -> &'static [InputPort];
    /// The outputs, all that any settings write.
    fn outputs(&self) -> &'static [OutputPort];
    /// Whether a stage has inputs and outputs that only its settings name.
    fn names_ports(&self) -> bool {
        false
    }
    /// The ports whose inputs come with their cell.
    fn cell_ports(&self) -> &'static [&'static str] {
        &[]
    }
    /// Whether floating-point arithmetic decides the bytes.
    fn numerics(&self) -> Numerics;
    /// The JSON Schema of its settings.
    fn schema(&self) -> Value;
    /// Checks settings and fills in defaults.
    ///
    /// # Errors
    /// Every issue, not the first.
    fn configure(&self, with: &Value) -> Result<StageConfig, Vec<ConfigIssue>>;
    /// What can be told before any stage runs.
    fn preflight(&self, _config: &StageConfig, _inputs: &LocalInputs<'_>) -> Preflight {
        Preflight::default()
    }
    /// Does the work.
    ///
    /// # Errors
    /// [`StageError`].
    fn run(&self, config: &StageConfig, context: &StageContext<'_>) -> Result<Outcome, StageError>;
}

/// What a stage says about a success. No timings, paths or names: this is stored with the result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, serde::Deserialize)]
pub struct Outcome {
    /// A gate's verdict.
    pub verdict: Option<Verdict>,
    /// Figures worth a line: metric name to number, in order of importance.
    pub metrics: serde_json::Map<String, Value>,
}

/// Why a stage did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Something in the data that its author can mend.
    #[error("{}", summarise(.0))]
    Data(Vec<Diagnostic>),
    /// Something else, with its chain of causes.
    #[error(transparent)]
    Failed(#[from] Box<dyn Error + Send + Sync>),
    /// The same, where another attempt may succeed: a disk, or a command that ended badly.
    #[error(transparent)]
    Transient(Box<dyn Error + Send + Sync>),
    /// The run was interrupted.
    #[error("interrupted")]
    Cancelled,
}

impl StageError {
    /// Any error, as the cause.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }

    /// A failure to read or write a file of the sandbox.
    #[must_use]
    pub fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::Transient(format!("`{}`: {error}", path.display()).into())
    }
}

fn summarise(diagnostics: &[Diagnostic]) -> String {
    match diagnostics {
        [] => "the data is not valid".to_owned(),
        [only] => only.message.clone(),
        [first, rest @ ..] => format!("{} (and {} more)", first.message, rest.len()),
    }
}

/// How far a stage is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// How much is done, in `unit`.
    pub done: u64,
    /// How much there is, when known.
    pub total: Option<u64>,
    /// What is counted: `rows`, `steps`, `bytes`, `examples`.
    pub unit: &'static str,
    /// Figures of the moment, such as `loss`; shown and sent as events, never stored in an artifact.
    pub fields: Vec<(&'static str, f64)>,
}

/// Whoever listens to a running stage.
pub trait StageObserver: Send + Sync {
    /// How far the stage is.
    fn progress(&self, progress: Progress);
    /// Something worth a look that does not stop the stage.
    fn warning(&self, diagnostic: Diagnostic);
    /// A line somebody asked for (`print_outputs`).
    fn line(&self, text: &str);
}

/// A request to stop, shared by all stages of a run; of a stage with a time limit, also the end of its time.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    requested: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Cancel {
    /// Asks everybody to stop.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
    }

    /// The same request, which also holds from a moment on; without one, only the request.
    #[must_use]
    pub fn until(&self, deadline: Option<Instant>) -> Self {
        Self { requested: Arc::clone(&self.requested), deadline }
    }

    /// The flag itself, for whoever turns a signal of the operating system into a request.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }

    /// Whether somebody asked, or the time is over.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst) || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// One artifact handed to a stage.
#[derive(Debug, Clone)]
pub struct Input {
    /// What the manifest calls it, for messages only: it is not in the key, so it may not reach an output.
    pub label: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// What tells it from the other inputs of its port, for a port that asks for it: the axes of a matrix and their
    /// values. In the key, so it may reach an output.
    pub cell: Cell,
    /// A file or folder to read; its bytes were verified. Writing to it is a defect.
    pub path: PathBuf,
}

/// All that a running stage may touch.
pub struct StageContext<'a> {
    /// Port name to artifacts, in the manifest's order.
    pub inputs: BTreeMap<&'a str, Vec<Input>>,
    /// The sandbox folder that takes the outputs, one file or folder a slot.
    pub output_folder: PathBuf,
    /// Where model work runs.
    pub device: DeviceSpec,
    /// What of the machine it asked for.
    pub surroundings: &'a Surroundings,
    /// Who listens.
    pub observer: &'a dyn StageObserver,
    /// Whether to stop.
    pub cancel: Cancel,
}

impl StageContext<'_> {
    /// The artifact of a port that takes exactly one.
    ///
    /// # Panics
    /// When the plan let an unfilled port through.
    #[must_use]
    pub fn input(&self, port: &str) -> &Input {
        self.optional_input(port).unwrap_or_else(|| panic!("the plan fills the required port `{port}`"))
    }

    /// The artifact of a port that takes at most one.
    #[must_use]
    pub fn optional_input(&self, port: &str) -> Option<&Input> {
        self.inputs(port).first()
    }

    /// The artifacts of a port, in order.
    #[must_use]
    pub fn inputs(&self, port: &str) -> &[Input] {
        self.inputs.get(port).map_or(&[], Vec::as_slice)
    }

    /// Where the output of a slot goes: the file or folder to create.
    #[must_use]
    pub fn output(&self, slot: &str) -> PathBuf {
        self.output_folder.join(slot)
    }

    /// Stops the stage when the run was interrupted.
    ///
    /// # Errors
    /// [`StageError::Cancelled`].
    pub fn check_cancel(&self) -> Result<(), StageError> {
        if self.cancel.is_requested() { Err(StageError::Cancelled) } else { Ok(()) }
    }

    /// The same, for observers of the model room.
    pub fn flow(&self) -> ControlFlow<()> {
        if self.cancel.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
