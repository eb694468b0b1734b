//! Low-rank adapters in PEFT's format: their configuration, their weights, and putting them on a model.

mod adapter;
mod config;

pub(crate) use adapter::{attach, draw, save, tensor_names};
pub(crate) use config::AdapterConfig;
pub use config::LoraConfig;
