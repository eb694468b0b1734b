//! The part of a plan that makes some stages: they and all that they need.

use std::collections::{HashMap, HashSet};

use super::{Export, Links, Origin, Plan, PlannedStage, StageId, cell_reports, id};
use crate::cell::Cell;
use crate::diagnostic::{Diagnostic, nearest};
use crate::stage_name::StageName;

impl Plan {
    /// The plan of the stages of these names and all that they need. It has the inputs and exports of those stages and
    /// an id of its own.
    ///
    /// # Errors
    /// A diagnostic for each name that no stage has.
    pub fn select(&self, names: &[impl AsRef<str>]) -> Result<Self, Vec<Diagnostic>> {
        let mut wanted = vec![false; self.stages.len()];
        let mut unknown = Vec::new();
        for name in names.iter().map(AsRef::as_ref) {
            match self.address(name) {
                Ok(ids) => ids.into_iter().for_each(|id| wanted[id.0] = true),
                Err(diagnostic) => unknown.push(*diagnostic),
            }
        }
        if !unknown.is_empty() {
            return Err(unknown);
        }
        // Who reads comes after what is read, so one pass from the end reaches everything.
        for id in self.order.iter().rev() {
            if wanted[id.0] {
                self.upstream(*id).iter().for_each(|needed| wanted[needed.0] = true);
            }
        }
        Ok(self.part(&wanted))
    }

    /// The stages that a name means: all cells of a stage, or with a label those that match it.
    ///
    /// # Errors
    /// A diagnostic when no stage has the name, or no cell of it the label.
    pub fn address(&self, text: &str) -> Result<Vec<StageId>, Box<Diagnostic>> {
        let name = text.parse::<StageName>().map_err(|_| Box::new(self.unknown_stage(text)))?;
        let of_stage = self.order.iter().copied().filter(|id| self.stage(*id).name.base() == name.base());
        let of_stage: Vec<StageId> = of_stage.collect();
        if of_stage.is_empty() {
            return Err(Box::new(self.unknown_stage(name.base().as_str())));
        }
        if !name.label().is_empty() {
            let cells: Vec<Cell> = of_stage.iter().map(|id| self.stage(*id).name.cell().clone()).collect();
            if let Some((message, help)) = cell_reports::mislabelled(&name, &cells) {
                return Err(Box::new(Diagnostic::error("plan::unknown_cell", message).help(help)));
            }
        }
        Ok(of_stage.into_iter().filter(|id| name.label().matches(self.stage(*id).name.cell())).collect())
    }

    fn part(&self, wanted: &[bool]) -> Self {
        let kept = self.order.iter().copied().filter(|id| wanted[id.0]);
        let places: HashMap<StageId, StageId> = kept.clone().enumerate().map(|(at, id)| (id, StageId(at))).collect();
        let stages: Vec<PlannedStage> = kept.clone().map(|id| renumber(self.stage(id), &places)).collect();
        let links = |ids: &[StageId]| ids.iter().filter_map(|id| places.get(id).copied()).collect();
        let links = kept.map(|id| Links { upstream: links(self.upstream(id)), downstream: links(self.downstream(id)) });
        let links = links.collect();
        let origins = stages.iter().flat_map(|stage| &stage.inputs).flat_map(|edges| &edges.origins);
        let read: HashSet<&str> = origins
            .filter_map(|origin| match origin {
                Origin::Input { name, .. } => Some(name.as_str()),
                Origin::Output { .. } => None,
            })
            .collect();
        let exports = self.exports.iter().filter_map(|export| {
            let stage = *places.get(&export.stage)?;
            Some(Export { stage, ..export.clone() })
        });
        Self {
            name: self.name.clone(),
            source: self.source.clone(),
            device: self.device,
            inputs: self.inputs.iter().filter(|input| read.contains(input.name.as_str())).cloned().collect(),
            exports: exports.collect(),
            order: (0..stages.len()).map(StageId).collect(),
            links,
            id: id::plan_id(stages.iter().map(|stage| stage.node)),
            stages,
        }
    }

    fn unknown_stage(&self, name: &str) -> Diagnostic {
        let mut names: Vec<&str> = self.stages.iter().map(|stage| stage.name.base().as_str()).collect();
        names.dedup();
        let diagnostic = Diagnostic::error("plan::unknown_stage", format!("the manifest has no stage `{name}`"));
        match nearest(name, names.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help(format!("the stages are {}", names.join(", "))),
        }
    }
}

/// A stage with its producers under their new numbers; its node stays what it was.
fn renumber(stage: &PlannedStage, places: &HashMap<StageId, StageId>) -> PlannedStage {
    let mut stage = stage.clone();
    for origin in stage.inputs.iter_mut().flat_map(|edges| &mut edges.origins) {
        if let Origin::Output { stage, .. } = origin {
            *stage = places[stage];
        }
    }
    stage
}
