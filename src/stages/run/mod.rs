//! `run`: any command as a stage.
//!
//! The command starts in the folder that takes its outputs, sees its inputs, its tools and the system's libraries, and
//! gets no environment but what is declared. What it leaves there undeclared, or does not write though declared, is an
//! error. That the same inputs give the same bytes is its author's promise: nobody checks it before `pipe reproduce`.

mod argv;
mod forms;
mod outputs;
mod place;
mod relay;
mod settings;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::sync::Once;

use crate::artifact::{Arity, ArtifactKind, InputPort, OutputPort, Projection};
use crate::command::{self, Ended};
use crate::diagnostic::Diagnostic;
use crate::stage::{ConfigIssue, Numerics, Outcome, StageContext, StageError, StageKind};
use crate::surroundings::Needs;

use place::Place;
use relay::Relay;
pub use settings::{Output, RunSettings};

/// The `run` stage kind.
pub struct Run;

impl StageKind for Run {
    type Config = RunSettings;
    const NAME: &'static str = "run";
    const ABOUT: &'static str = "Runs a command that sees its declared inputs and tools only.";
    const EPOCH: u32 = 1;
    const INPUTS: &'static [InputPort] = &[];
    const OUTPUTS: &'static [OutputPort] = &[];
    const NUMERICS: Numerics = Numerics::Exact;
    const NAMES_PORTS: bool = true;

    fn check(config: &RunSettings) -> Vec<ConfigIssue> {
        config.issues()
    }

    fn inputs(config: &RunSettings) -> Cow<'static, [InputPort]> {
        let port = |name: &String| InputPort {
            name: Cow::Owned(name.clone()),
            accepts: ArtifactKind::ALL,
            arity: Arity::Many,
            projection: Projection::Whole,
            about: "What the command reads there.",
        };
        config.inputs.iter().map(port).collect()
    }

    fn outputs(config: &RunSettings) -> Cow<'static, [OutputPort]> {
        let port = |(name, output): (&String, &Output)| OutputPort {
            name: Cow::Owned(name.clone()),
            kind: output.kind,
            about: "What the command writes there.",
        };
        config.out.iter().map(port).collect()
    }

    fn needs(config: &RunSettings) -> Needs {
        let taken = config.env.iter().filter(|(_, value)| value.is_none());
        Needs {
            variables: taken.map(|(name, _)| name.clone()).collect(),
            secrets: config.secrets.clone(),
            tools: config.tools.iter().chain(config.program()).cloned().collect::<BTreeSet<_>>(),
        }
    }

    fn run(config: &RunSettings, context: &StageContext<'_>) -> Result<Outcome, StageError> {
        let secrets = &context.surroundings.secrets;
        if let Some(unset) = config.secrets.iter().find(|name| !secrets.contains_key(*name)) {
            return Err(StageError::failed(format!("the secret `{unset}` is not set in the environment")));
        }
        warn_of_missing_walls(context);
        warn_of_scripts(context);
        let place = Place::prepare(context)?;
        let order = place.order(config, context)?;
        let relay = Relay::new(context.observer, secrets.values());
        let stop = || context.cancel.is_requested();
        let ended =
            command::run(&order, &context.surroundings.program, &|stream, line| relay.take(stream, line), &stop);
        let program = config.program().map_or("the command", String::as_str);
        match ended.map_err(|error| StageError::Transient(error.into()))? {
            Ended::Code(0) => outputs::take(config, context, &place)?,
            Ended::Code(code) => {
                return Err(StageError::Transient(relay.failure(&format!("`{program}` ended with exit code {code}"))));
            }
            Ended::Signal(signal) => {
                return Err(StageError::Transient(relay.failure(&format!("`{program}` was ended by signal {signal}"))));
            }
            Ended::Refused(why) => return Err(StageError::failed(why)),
            Ended::Stopped => return Err(StageError::Cancelled),
        }
        Ok(Outcome::default())
    }
}

/// Says of each tool that is a script that what it starts is in no key and may not be found.
fn warn_of_scripts(context: &StageContext<'_>) {
    for (name, tool) in &context.surroundings.tools {
        let mut start = [0; 2];
        // One that can't be read can't be started either, and that is told then.
        let read = File::open(&tool.path).and_then(|mut file| file.read_exact(&mut start));
        if read.is_ok() && start == *b"#!" {
            let message = format!("the tool `{name}` is a script, `{}`", tool.path.display());
            let warning = Diagnostic::warning("run::script_tool", message);
            let help = "what it starts is not in the key, and is not found unless it is under `tools` too; if it only \
                        stands for a program, put that first on PATH";
            context.observer.warning(warning.help(help));
        }
    }
}

/// Says once, not for every stage, what the kernel does not keep a command from.
fn warn_of_missing_walls(context: &StageContext<'_>) {
    static TOLD: Once = Once::new();
    let missing = command::walls().missing();
    if missing.is_empty() {
        return;
    }
    TOLD.call_once(|| {
        let message = format!("this kernel has no walls for commands against {}", missing.join(", "));
        let warning = Diagnostic::warning("run::no_walls", message);
        context.observer.warning(warning.help("inputs and outputs are declared as ever, but nothing enforces it"));
    });
}
