//! `pipe init`: a small manifest to start from.

use std::io::Write;

use serde_json::json;

use crate::cli::arguments::InitArguments;
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::{Failure, Session};

pub fn init(arguments: &InitArguments, session: &Session) -> Result<Exit, Failure> {
    let path = &arguments.manifest;
    let failed = |error: std::io::Error| Failure::Usage(format!("cannot write `{}`: {error}", path.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(crate::manifest::STARTER.as_bytes()).map_err(failed)?;
    if session.console.json {
        say(&json!({ "version": 1, "wrote": path }).to_string());
        return Ok(Exit::Ok);
    }
    say(&format!("wrote {0}\nnext: edit its inputs, then `pipe check {0}`", path.display()));
    Ok(Exit::Ok)
}
