//! `pipe schema`: the JSON Schema of manifests, for editors.

use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::stages::registry;

pub fn schema() -> Exit {
    let schema = crate::manifest::schema(registry());
    say(&serde_json::to_string_pretty(&schema).unwrap_or_default());
    Exit::Ok
}
