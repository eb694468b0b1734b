//! Cleaning: files of rows in any known format in, validated records out, and a reason for every row left out.
//!
//! Batches of chunks are cleaned in parallel while the batch before is written and the next is read, so memory is
//! bounded by two batches, 32 bytes a distinct row and the hashes of what is held out. Results are merged in the
//! files' order: the bytes written depend on the inputs and the rules alone, not on threads.

mod counts;
mod exam;
mod merge;
mod outputs;
mod pipeline;
mod refusal;
mod worker;

pub(crate) use counts::{HeldOutCounts, Statistics};
pub(crate) use exam::read_held_out;
pub(crate) use merge::Merge;
pub(crate) use outputs::Outputs;
pub(crate) use pipeline::{CleanError, clean_source};
pub(crate) use worker::Rules;
