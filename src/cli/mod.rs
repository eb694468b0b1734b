//! The command line: one verb a file. The only room that reads the environment, prints, or exits.

mod arguments;
mod baseline;
mod cache;
mod check;
mod command;
mod completions;
mod console;
mod diff;
mod doctor;
mod examples;
mod exit;
mod frozen;
mod gate;
mod graph;
mod host;
mod init;
mod load;
mod logs;
mod machine;
mod man;
mod models;
mod models_show;
mod part;
mod pins;
mod plan;
mod project;
mod recorded;
mod reproduce;
mod run;
mod runs;
mod schema;
mod show;
mod why;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::arguments::{Arguments, Global, Verb};
use crate::cli::console::Console;
use crate::cli::console::note;
use crate::cli::exit::Exit;
use crate::diagnostic::{Diagnostic, with_causes};
use crate::engine::EngineError;
use crate::sources::SourceError;
use crate::stage::Cancel;
use crate::store::StoreError;

/// What every verb is handed.
struct Session {
    global: Global,
    console: Console,
    cancel: Cancel,
}

/// Why a verb did not come to its end.
enum Failure {
    /// Texts that somebody has to mend.
    Diagnostics(Vec<Diagnostic>),
    /// The command line itself, beyond what clap checks.
    Usage(String),
    /// A model from outside can't be had.
    Source(SourceError),
    /// Everything else.
    Engine(EngineError),
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(found: Vec<Diagnostic>) -> Self {
        Self::Diagnostics(found)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}

/// Reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    // Every command of a stage starts this program twice, so these do not wait for the rest of the command line.
    if let Some(exit) = command::hidden_verb() {
        return exit.into();
    }
    if completions::answered() {
        return Exit::Ok.into();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe behind `--help` is success.
            let _ = error.print();
            let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if is_help { Exit::Ok } else { Exit::Usage }.into();
        }
    };
    let console = Console::new(&arguments.global);
    let session = Session { global: arguments.global, console, cancel: Cancel::default() };
    if session.global.verbose {
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::DEBUG).init();
    }
    match dispatch(&arguments.verb, &session) {
        Ok(exit) => exit,
        Err(failure) => session.report(failure),
    }
    .into()
}

fn dispatch(verb: &Verb, session: &Session) -> Result<Exit, Failure> {
    match verb {
        Verb::Run(arguments) => run::run(arguments, session),
        Verb::Plan(arguments) => plan::plan(arguments, session),
        Verb::Check(arguments) => check::check(arguments, session),
        Verb::Why(arguments) => why::why(arguments, session),
        Verb::Graph(arguments) => graph::graph(arguments, session),
        Verb::Runs(arguments) => runs::runs(arguments, session),
        Verb::Show(arguments) => show::show(arguments, session),
        Verb::Diff(arguments) => diff::diff(arguments, session),
        Verb::Logs(arguments) => logs::logs(arguments, session),
        Verb::Baseline(arguments) => baseline::baseline(&arguments.verb, session),
        Verb::Gate(arguments) => gate::gate(&arguments.verb, session),
        Verb::Reproduce(arguments) => reproduce::reproduce(arguments, session),
        Verb::Models(arguments) => models::models(arguments, session),
        Verb::Cache(arguments) => cache::cache(&arguments.verb, session),
        Verb::Completions(arguments) => completions::completions(arguments),
        Verb::Man(arguments) => man::man(arguments),
        Verb::Schema => Ok(schema::schema()),
        Verb::Init(arguments) => init::init(arguments, session),
        Verb::Doctor => Ok(doctor::doctor(session)),
    }
}

impl Session {
    fn report(&self, failure: Failure) -> Exit {
        match failure {
            Failure::Diagnostics(found) => {
                self.console.diagnose(&found);
                note(&load::count(&found));
                Exit::Usage
            }
            Failure::Usage(message) => {
                self.console.refuse(&message);
                Exit::Usage
            }
            Failure::Source(error) => {
                self.console.refuse(&with_causes(error.to_string(), error.source()));
                Exit::Failed
            }
            Failure::Engine(error) => {
                self.console.fail(&error);
                Exit::of_error(&error)
            }
        }
    }

    /// From here on the first SIGINT or SIGTERM asks the stages to stop; the second ends the program at once.
    fn heed_signals(&self) {
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // The order matters: the conditional exit must see the flag of an earlier signal, not of this one.
            // Registration fails only for signals that can't be caught.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, 130, self.cancel.flag());
            let _ = signal_hook::flag::register(signal, self.cancel.flag());
        }
    }
}
