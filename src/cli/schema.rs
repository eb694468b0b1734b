//! `pipe schema`: the JSON Schema of manifests, for editors.

use crate::cli::exit::Exit;
use crate::cli::{Failure, Session};
use crate::stages::registry;

pub fn schema(session: &Session) -> Result<Exit, Failure> {
    let schema = crate::manifest::schema(registry());
    session.console.say(&serde_json::to_string_pretty(&schema).unwrap_or_default());
    Ok(Exit::Ok)
}
