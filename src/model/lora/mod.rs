//! Low-rank adapters in PEFT's format: their configuration, their weights, and putting them on a model.

mod adapter;
mod config;
mod files;
mod pattern;
mod saved;

pub(crate) use adapter::{adapt, attach, save};
pub use config::LoraConfig;
pub(crate) use files::{AdapterFiles, Pair};
pub(crate) use saved::AdapterConfig;
