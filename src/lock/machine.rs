//! The machine as a lock has it: what a plan asks for and the lock knows is what it was in the locked run.

use std::io;
use std::path::PathBuf;

use super::Lock;
use crate::plan::Plan;
use crate::surroundings::{Machine, Tool, Traces, Value};

/// What a lock knows, and of all else what a real machine says.
pub struct PinnedMachine<'a> {
    /// The lock, if there is one.
    pub lock: Option<&'a Lock>,
    /// The machine that is asked for what the lock does not know.
    pub machine: &'a dyn Machine,
}

impl Machine for PinnedMachine<'_> {
    fn variable(&self, name: &str) -> Option<Value> {
        match self.lock.and_then(|lock| lock.machine.variables.get(name)) {
            Some(locked) => locked.map(Value::pinned),
            None => self.machine.variable(name),
        }
    }

    fn tool(&self, name: &str) -> io::Result<Option<Tool>> {
        match self.lock.and_then(|lock| lock.machine.tools.get(name)) {
            Some(digest) => Ok(Some(Tool { path: PathBuf::new(), folders: Vec::new(), digest: *digest })),
            None => self.machine.tool(name),
        }
    }

    fn program(&self) -> PathBuf {
        self.machine.program()
    }
}

/// What all stages of a plan were given.
#[must_use]
pub fn traces(plan: &Plan) -> Traces {
    plan.order().iter().map(|id| plan.stage(*id)).fold(Traces::default(), |mut all, stage| {
        let Traces { variables, tools } = stage.surroundings.traces(&stage.config.needs);
        all.variables.extend(variables);
        all.tools.extend(tools);
        all
    })
}
