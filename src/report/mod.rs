//! What people and machines see: sinks of events, and renderers of records. Pure functions and writers that are handed
//! to them; whoever calls decides where the text goes.

pub mod diagnostics;
pub mod diff;
pub mod graph;
pub mod json_lines;
pub mod table;
pub mod terminal;
pub mod units;
pub mod verdict;
