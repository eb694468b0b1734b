//! What stages can tell from their settings and the inputs that are here already, before anything runs.
//!
//! Not part of planning: it opens models, and a manifest is right or wrong without them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::{Origin, Plan, PlannedStage, configure};
use crate::diagnostic::Diagnostic;
use crate::manifest::{Manifest, Problems};
use crate::stage::{Answers, LocalInputs, Preflight};

/// Something worth a line about a stage.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// The stage's name.
    pub stage: String,
    /// What it says.
    pub note: String,
}

impl Plan {
    /// Asks the stages that are `wanted`; `manifest` is the one that was planned.
    ///
    /// # Errors
    /// All that is known to fail, each at the setting that causes it.
    pub fn preflight(
        &self,
        manifest: &Manifest,
        wanted: impl Fn(&PlannedStage) -> bool,
    ) -> Result<Vec<Note>, Vec<Diagnostic>> {
        let mut problems = Problems::new(&manifest.source);
        let (mut found, answers) = (Vec::new(), RefCell::default());
        for stage in self.order().iter().map(|id| self.stage(*id)).filter(|stage| wanted(stage)) {
            let Some(entry) = manifest.stages.iter().find(|entry| entry.name.value.base() == stage.name.base()) else {
                continue;
            };
            let Preflight { issues, notes } = stage.stage.preflight(&stage.config, &self.local_inputs(stage, &answers));
            for issue in &issues {
                configure::report(entry, issue, &mut problems);
            }
            for note in notes.into_iter().map(|note| Note { stage: stage.name.base().to_string(), note }) {
                // Cells of one stage have the same to say.
                if !found.contains(&note) {
                    found.push(note);
                }
            }
        }
        if problems.is_empty() { Ok(found) } else { Err(problems.finish()) }
    }

    fn local_inputs<'a>(&'a self, stage: &'a PlannedStage, answers: &'a RefCell<Answers>) -> LocalInputs<'a> {
        let path = |origin: &Origin| -> Option<&'a Path> {
            let Origin::Input { name, .. } = origin else { return None };
            self.inputs.iter().find(|input| input.name == *name)?.path.as_deref()
        };
        let ports = stage.inputs.iter().filter_map(|port| {
            let paths: Option<Vec<&'a Path>> = port.origins.iter().map(path).collect();
            Some((&*port.port.name, paths?))
        });
        LocalInputs::new(ports.collect::<BTreeMap<_, _>>(), answers)
    }
}
