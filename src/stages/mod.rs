//! The stage kinds: one file each, and the list of them.

pub mod clean;
pub mod eval;
pub mod gate;
pub mod init;
pub mod merge;
mod precision;
mod prompt_statistics;
pub mod render_prompts;
mod renderer_of;
mod row_errors;
pub mod run;
pub mod tokenizer;
mod tokenizer_of;
pub mod train;

pub(crate) use tokenizer_of::tokenizer_of;

use crate::stage::Stage;
use crate::stage_config::Kind;

/// Every stage kind. A new one is a file here and a line in this list.
static REGISTRY: [&dyn Stage; 9] = [
    &Kind::<clean::Clean>::new(),
    &Kind::<tokenizer::Tokenizer>::new(),
    &Kind::<init::Init>::new(),
    &Kind::<render_prompts::RenderPrompts>::new(),
    &Kind::<train::Train>::new(),
    &Kind::<merge::Merge>::new(),
    &Kind::<eval::Eval>::new(),
    &Kind::<gate::Gate>::new(),
    &Kind::<run::Run>::new(),
];

/// Every stage kind, in the order of a pipeline.
#[must_use]
pub fn registry() -> &'static [&'static dyn Stage] {
    &REGISTRY
}
