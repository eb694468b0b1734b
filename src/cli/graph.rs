//! `pipe graph`: the stages and their edges, drawn.

use crate::cli::arguments::{GraphArguments, GraphFormat};
use crate::cli::console::say;
use crate::cli::exit::Exit;
use crate::cli::load::{self, Fetch};
use crate::cli::{Failure, Session};
use crate::report::graph as draw;

pub fn graph(arguments: &GraphArguments, session: &Session) -> Result<Exit, Failure> {
    let loaded = load::load(&arguments.manifest, session, Fetch::Nothing)?;
    if session.console.json {
        say(&draw::json(&loaded.plan).to_string());
        return Ok(Exit::Ok);
    }
    let text = match arguments.format {
        GraphFormat::Text => draw::text(&loaded.plan),
        GraphFormat::Mermaid => draw::mermaid(&loaded.plan),
        GraphFormat::Dot => draw::dot(&loaded.plan),
    };
    say(&text);
    Ok(Exit::Ok)
}
