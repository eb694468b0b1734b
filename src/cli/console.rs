//! Writing to the terminal: what was asked for to stdout, everything else to stderr. A closed pipe is no error.

use std::io::{self, IsTerminal, Write};

use serde_json::json;

use crate::cli::arguments::{ColourWhen, Global};
use crate::diagnostic::Diagnostic;
use crate::engine::EngineError;
use crate::engine::event::EVENT_VERSION;
use crate::report::diagnostics;
use crate::report::terminal::TerminalStyle;
use crate::stage::StageError;

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    /// JSON instead of text.
    pub json: bool,
    /// Only failures and the last lines.
    pub quiet: bool,
    when: ColourWhen,
}

impl Console {
    /// As the flags say.
    #[must_use]
    pub const fn new(global: &Global) -> Self {
        Self { json: global.json, quiet: global.quiet, when: global.color }
    }

    fn colour(self, is_terminal: bool) -> bool {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self.when {
            ColourWhen::Always => true,
            ColourWhen::Never => false,
            ColourWhen::Auto => is_terminal && !dumb && !refused,
        }
    }

    /// How progress on stderr looks.
    #[must_use]
    pub fn terminal_style(self) -> TerminalStyle {
        let is_terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        TerminalStyle { live: is_terminal && !dumb && !self.quiet, colour: self.colour(is_terminal), quiet: self.quiet }
    }

    /// How lines on stdout look that a run once wrote to stderr.
    #[must_use]
    pub fn page_style(self) -> TerminalStyle {
        TerminalStyle { live: false, colour: self.colour(io::stdout().is_terminal()), quiet: self.quiet }
    }

    /// Shows what is wrong in somebody's text, all of it: to stderr, or as JSON lines to stdout.
    pub fn diagnose(self, found: &[Diagnostic]) {
        let colour = self.colour(io::stderr().is_terminal());
        for diagnostic in found {
            if self.json {
                say(&diagnostics::to_json_line(diagnostic));
            } else {
                note(&diagnostics::render(diagnostic, colour));
            }
        }
    }

    /// Shows an error with its chain of causes and what to do about it.
    pub fn fail(self, error: &EngineError) {
        self.explain(error);
        if self.json {
            let (message, help) = (error.with_causes(), error.help());
            say(&json!({ "v": EVENT_VERSION, "event": "error", "message": message, "help": help }).to_string());
            return;
        }
        note(&format!("error: {}", error.with_causes()));
        if let Some(help) = error.help() {
            note(&format!("  help: {help}"));
        }
    }

    /// Shows what is wrong with the command line.
    pub fn refuse(self, message: &str) {
        if self.json {
            say(&json!({ "v": EVENT_VERSION, "event": "error", "message": message, "help": null }).to_string());
        } else {
            note(&format!("error: {message}"));
        }
    }

    /// Shows what a sink of events has not shown of a failure: the diagnostics and what to do.
    pub fn explain_failure(self, what: &str, error: &EngineError) {
        self.explain(error);
        if let Some(help) = error.help().filter(|_| !self.json) {
            note(&format!("{what}: {help}"));
        }
    }

    fn explain(self, error: &EngineError) {
        if let EngineError::Manifest(found) | EngineError::Stage { error: StageError::Data(found), .. } = error {
            self.diagnose(found);
        }
    }
}

/// Writes to stdout.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    // Whoever closed the pipe has read enough.
    let _ =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
}

/// Writes to stderr.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
