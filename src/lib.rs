//! `pipe`: a declarative pipeline runner for fine-tuning language models.
//!
//! The rooms, from the ground up, are listed in `ARCHITECTURE.md`; a room imports only lower floors.

pub mod artifact;
pub mod cell;
pub mod cli;
pub mod command;
pub mod device;
pub mod diagnostic;
pub mod digest;
pub mod engine;
pub mod lock;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod reference;
pub(crate) mod relative_path;
pub mod report;
pub mod source;
pub mod sources;
pub mod stage;
pub mod stage_config;
pub mod stage_name;
pub mod stages;
pub mod store;
pub mod surroundings;
pub mod text;
pub mod tokenizer_spec;
