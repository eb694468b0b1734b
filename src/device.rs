//! Where model work runs, as plain data: no tensor library is named here.
//!
//! The model room turns a [`DeviceSpec`] into a device of the tensor library; every other room only passes it on,
//! prints it, or puts its [`Backend`] into an action key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The tensor backend that does the model work.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// burn's own CPU backend, the default; `cpu` is another name for it.
    #[default]
    #[serde(alias = "cpu")]
    Flex,
    /// The CPU backend over the `ndarray` crate (cargo feature `ndarray`).
    NdArray,
    /// GPUs through `wgpu` (cargo feature `wgpu`).
    Wgpu,
}

impl Backend {
    /// Every backend the product knows, built in or not.
    pub const ALL: [Self; 3] = [Self::Flex, Self::NdArray, Self::Wgpu];

    /// The name used in manifests, keys and flags.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            Self::Wgpu => "wgpu",
        }
    }

    /// Whether this binary holds the backend.
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::Flex => true,
            Self::NdArray => cfg!(feature = "ndarray"),
            Self::Wgpu => cfg!(feature = "wgpu"),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The text named no backend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("backend is `{0}`; expected `flex` (or `cpu`), `ndarray` or `wgpu`")]
pub struct UnknownBackend(pub String);

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "cpu" {
            return Ok(Self::Flex);
        }
        Self::ALL.into_iter().find(|backend| backend.name() == text).ok_or_else(|| UnknownBackend(text.to_owned()))
    }
}

/// The device a model stage runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// The tensor backend; part of the action key of every model stage.
    pub backend: Backend,
}
