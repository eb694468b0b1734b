//! What can go wrong with a model, said so that the person who can fix it knows what to change.
//!
//! Every tensor error names the tensor and both shapes. Programmer errors are panics, not variants of this enum.

use std::io;
use std::path::{Path, PathBuf};

use crate::device::Backend;

/// Why model work stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file of the model could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file of the model could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A JSON file of the model is malformed.
    #[error("`{}` is not the JSON expected here", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why parsing stopped.
        source: serde_json::Error,
    },
    /// The binary was built without this backend.
    #[error("backend `{backend}` is not built in; build it with `cargo build --release --features {backend}`")]
    BackendNotBuilt {
        /// The backend asked for.
        backend: Backend,
    },
    /// The backend is there, but does not work on this machine.
    #[error("backend `{backend}` does not work here: {reason}")]
    Device {
        /// The backend.
        backend: Backend,
        /// What it said.
        reason: String,
    },
    /// The model belongs to a family this build cannot run.
    #[error("model_type is `{found}`; expected {expected}")]
    UnsupportedArchitecture {
        /// The `model_type` of `config.json`.
        found: String,
        /// The families that work.
        expected: String,
    },
    /// A configuration field is missing, unknown, or has a value that cannot be honoured.
    #[error("{field} is `{found}`; expected {expected}")]
    Field {
        /// The field's name as the file spells it.
        field: String,
        /// Its value.
        found: String,
        /// What would have been accepted.
        expected: String,
    },
    /// Something is wrong inside a file or folder.
    #[error("`{}`: {source}", path.display())]
    At {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong there.
        source: Box<Self>,
    },
    /// A model folder without weight files.
    #[error("`{}` has no weights; expected `model.safetensors`, or `model.safetensors.index.json` with its shards", folder.display())]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// Weights that torch has pickled.
    #[error(
        "`{}` is a pickle, which can run code when it is opened, and is not read; expected `{expected}`: load it with the \
         program that wrote it, if you trust its author, and save it with `save_pretrained(…, safe_serialization=True)`",
        path.display()
    )]
    Pickle {
        /// The file.
        path: PathBuf,
        /// The name of the file that would have been read.
        expected: String,
    },
    /// A weight file is truncated or malformed.
    #[error("`{}` is not a valid weight file: {reason}", path.display())]
    MalformedWeights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor the architecture needs is not in the weight files.
    #[error("tensor `{tensor}` with shape `{expected:?}` is missing from `{}`", path.display())]
    MissingTensor {
        /// The tensor's name.
        tensor: String,
        /// The shape it should have had.
        expected: Vec<usize>,
        /// The folder or file that was searched.
        path: PathBuf,
    },
    /// The weight files hold a tensor the architecture has no place for.
    #[error("tensor `{tensor}` with shape `{found:?}` in `{}` has no place in the model", path.display())]
    UnexpectedTensor {
        /// The tensor's name.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The folder or file that holds it.
        path: PathBuf,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{tensor}` has shape `{found:?}`; expected `{expected:?}`")]
    Shape {
        /// The tensor's name.
        tensor: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape the configuration asks for.
        expected: Vec<usize>,
    },
    /// A tensor is stored in a number format that cannot be read.
    #[error("tensor `{tensor}` with shape `{shape:?}` has dtype `{found}`; expected `F32`, `F16` or `BF16`")]
    TensorDtype {
        /// The tensor's name.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its dtype as the file spells it.
        found: String,
    },
    /// A row of token ids cannot be shown to this model.
    #[error("row {row}: {reason}")]
    Row {
        /// The row, counted from 0.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A window of rows has no token to learn from.
    #[error("step {step}: no token of its rows is a target; check the loss masks")]
    NoTargets {
        /// The optimiser step, counted from 0.
        step: u64,
    },
    /// The loss or the gradient is no longer a finite number.
    #[error("step {step}: {quantity} is `{found}`; lower the learning rate or look for damaged weights")]
    Diverged {
        /// The optimiser step, counted from 0.
        step: u64,
        /// `loss` or `grad_norm`.
        quantity: &'static str,
        /// Its value.
        found: f64,
    },
    /// The observer asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl ModelError {
    /// A [`ModelError::Field`] from anything printable.
    #[expect(clippy::needless_pass_by_value, reason = "callers pass numbers and literals")]
    pub(crate) fn field(field: impl Into<String>, found: impl ToString, expected: impl Into<String>) -> Self {
        Self::Field { field: field.into(), found: found.to_string(), expected: expected.into() }
    }

    /// For `map_err` on what was made of `path`: errors that name no file of their own get this one.
    pub(crate) fn at(path: &Path) -> impl FnOnce(Self) -> Self {
        let path = path.to_path_buf();
        move |error| match error {
            Self::Field { .. }
            | Self::UnsupportedArchitecture { .. }
            | Self::Shape { .. }
            | Self::TensorDtype { .. } => Self::At { path, source: Box::new(error) },
            other => other,
        }
    }

    /// For `map_err` on a read of `path`.
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Read { path, source }
    }

    /// For `map_err` on a write of `path`.
    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Write { path, source }
    }
}
