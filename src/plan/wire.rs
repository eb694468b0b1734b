//! Edges: every reference under `in:` resolved to an input or a slot, and checked against the port it leads into.

use std::borrow::Cow;
use std::collections::HashMap;

use super::configure::KnownKind;
use super::files::Shape;
use super::wire_reports;
use crate::artifact::{ArtifactKind, InputPort, OutputPort};
use crate::diagnostic::{Span, nearest};
use crate::manifest::{Manifest, Problems, Spanned};
use crate::reference::{Edge, Name};
use crate::stage::{Stage, StageConfig};
use crate::stage_name::StageName;

/// A port with the edges that lead into it.
pub(super) struct DraftPort {
    pub port: InputPort,
    pub edges: Vec<DraftEdge>,
}

/// An edge that fits its port.
pub(super) struct DraftEdge {
    pub label: String,
    pub kind: ArtifactKind,
    pub origin: DraftOrigin,
}

/// The other end of an edge, by the numbers of the manifest.
pub(super) enum DraftOrigin {
    Input(usize),
    Output { stage: usize, slot: Name },
}

/// The kind and settings of a stage, as far as they are valid.
pub(super) type Resolved = (Option<KnownKind>, Option<StageConfig>);

/// What an edge can lead to.
pub(super) struct Wiring<'m> {
    pub manifest: &'m Manifest,
    pub registry: &'m [&'static dyn Stage],
    pub stage_names: HashMap<&'m str, usize>,
    pub input_names: HashMap<&'m str, usize>,
    /// By the numbers of the manifest.
    pub stages: Vec<Resolved>,
    shapes: Vec<Option<Shape>>,
    pub used: Vec<bool>,
    /// Producer, consumer, and the place where the consumer says so.
    pub edges: Vec<(usize, usize, Span)>,
}

/// The first kind that a port takes and that is of some sort.
fn accepted(port: &InputPort, sort: impl Fn(ArtifactKind) -> bool) -> Option<ArtifactKind> {
    port.accepts.iter().copied().find(|kind| sort(*kind))
}

/// What a reference turned out to be.
enum Target {
    Input(usize),
    /// A stage and, unless something is wrong with it, its slot.
    Output(usize, Option<(Name, ArtifactKind)>),
}

impl<'m> Wiring<'m> {
    pub(super) fn new(
        manifest: &'m Manifest,
        registry: &'m [&'static dyn Stage],
        stages: Vec<Resolved>,
        shapes: Vec<Option<Shape>>,
    ) -> Self {
        let stage_names =
            manifest.stages.iter().enumerate().map(|(at, stage)| (stage.name.value.as_str(), at)).collect();
        let input_names =
            manifest.inputs.iter().enumerate().map(|(at, input)| (input.name.value.as_str(), at)).collect();
        let used = vec![false; manifest.inputs.len()];
        Self { manifest, registry, stage_names, input_names, stages, shapes, used, edges: Vec::new() }
    }

    /// The outputs that a stage writes; none when its kind is unknown.
    pub(super) fn outputs(&self, stage: usize) -> impl Iterator<Item = &OutputPort> {
        let (kind, config) = &self.stages[stage];
        let outputs = match (kind, config) {
            (_, Some(config)) => &*config.outputs,
            (Some(kind), None) => kind.stage.outputs(),
            (None, None) => &[],
        };
        outputs.iter()
    }

    /// The inputs of a stage; nothing is known of them when its kind is not, or when they are named by settings that are
    /// not valid.
    fn inputs(&self, stage: usize) -> Option<Cow<'static, [InputPort]>> {
        let (kind, config) = &self.stages[stage];
        match config {
            Some(config) => Some(config.inputs.clone()),
            None => kind.filter(|kind| !kind.stage.names_ports()).map(|kind| Cow::Borrowed(kind.stage.inputs())),
        }
    }

    /// The ports of a stage, in the order of its kind.
    pub(super) fn wire(&mut self, at: usize, problems: &mut Problems) -> Vec<DraftPort> {
        let entry = &self.manifest.stages[at];
        let ports = self.inputs(at);
        let ports = ports.as_deref();
        let mut wired: HashMap<&str, Vec<DraftEdge>> = HashMap::new();
        for written in &entry.ports {
            let port = ports.and_then(|ports| ports.iter().find(|port| port.name == written.port.value));
            if let (None, Some(ports)) = (port, ports) {
                problems
                    .add(|source| wire_reports::unknown_port(entry, written, ports).at(source, written.port.span, ""));
            }
            let edges = written.edges.iter().filter_map(|edge| self.edge(at, edge, port, problems)).collect();
            if let Some(port) = port {
                wire_reports::check_count(entry, written, port, problems);
                wired.insert(&port.name, edges);
            }
        }
        let draft =
            |port: &InputPort| DraftPort { port: port.clone(), edges: wired.remove(&*port.name).unwrap_or_default() };
        let drafts: Vec<DraftPort> = ports.unwrap_or_default().iter().map(draft).collect();
        if !entry.ports_damaged {
            let names = || drafts.iter().map(|draft| &*draft.port.name);
            let known = |name: &str| names().any(|port| port == name);
            // An unknown port that was meant to be this one is reported already.
            let meant = |written: &str, port: &str| !known(written) && nearest(written, names()) == Some(port);
            let written = |port: &InputPort| {
                let mut written = entry.ports.iter().map(|written| written.port.value.as_str());
                written.any(|written| written == port.name || meant(written, &port.name))
            };
            for draft in drafts.iter().filter(|draft| !written(&draft.port)) {
                self.report_missing(at, &draft.port, problems);
            }
        }
        drafts
    }

    fn edge(
        &mut self,
        reader: usize,
        edge: &Spanned<Edge>,
        port: Option<&InputPort>,
        problems: &mut Problems,
    ) -> Option<DraftEdge> {
        let accepts = port.map_or(&[][..], |port| port.accepts);
        let target = self.target(edge, accepts, problems)?;
        if let Target::Output(stage, _) = target {
            self.edges.push((stage, reader, edge.span));
        }
        let port = port?;
        let label = edge.value.to_string();
        match target {
            Target::Input(input) => {
                let shape = self.shapes[input]?;
                let kind = match shape {
                    Shape::File => accepted(port, |kind| kind == ArtifactKind::File),
                    Shape::Folder => accepted(port, ArtifactKind::is_folder),
                    Shape::ModelFile => accepted(port, |kind| kind == ArtifactKind::Model)
                        .or_else(|| accepted(port, |kind| kind == ArtifactKind::File)),
                    Shape::Artifact(stored) => accepted(port, |kind| kind == stored),
                    Shape::Stored { is_folder } => accepted(port, |kind| kind.is_folder() == is_folder),
                    Shape::Unknown => accepted(port, |kind| kind.is_folder() || kind == ArtifactKind::File),
                };
                if kind.is_none() {
                    self.report_shape(reader, edge, port, shape, problems);
                }
                Some(DraftEdge { label, kind: kind?, origin: DraftOrigin::Input(input) })
            }
            Target::Output(stage, slot) => {
                let (slot, kind) = slot?;
                if !port.accepts.contains(&kind) {
                    self.report_kind(reader, edge, port, (stage, kind), problems);
                    return None;
                }
                Some(DraftEdge { label, kind, origin: DraftOrigin::Output { stage, slot } })
            }
        }
    }

    /// The stage and slot that an export refers to.
    pub(super) fn output(
        &mut self,
        edge: &Spanned<Edge>,
        problems: &mut Problems,
    ) -> Option<(usize, Name, ArtifactKind)> {
        match self.target(edge, &[], problems)? {
            Target::Output(stage, slot) => slot.map(|(slot, kind)| (stage, slot, kind)),
            Target::Input(_) => {
                let message = || format!("`{}` is an input; expected the output of a stage, `stage.slot`", edge.value);
                problems.error("manifest::bad_edge", edge.span, "", message);
                None
            }
        }
    }

    fn target(&mut self, edge: &Spanned<Edge>, accepts: &[ArtifactKind], problems: &mut Problems) -> Option<Target> {
        match &edge.value {
            Edge::Input(name) => {
                if let Some(input) = self.input_names.get(name.as_str()) {
                    self.used[*input] = true;
                    return Some(Target::Input(*input));
                }
                problems.add(|source| self.unknown_input(name, accepts).at(source, edge.span, ""));
                None
            }
            Edge::Output { stage: name, slot } => {
                let Some(stage) = self.stage_names.get(name.as_str()).copied() else {
                    problems.add(|source| self.unknown_stage(name, slot).at(source, edge.span, ""));
                    self.use_input(name.base());
                    return None;
                };
                Some(Target::Output(stage, self.slot(stage, name, slot, edge.span, problems)))
            }
        }
    }

    fn slot(
        &self,
        stage: usize,
        name: &StageName,
        slot: &Name,
        span: Span,
        problems: &mut Problems,
    ) -> Option<(Name, ArtifactKind)> {
        let (kind, config) = &self.stages[stage];
        let kind = kind.filter(|kind| config.is_some() || !kind.stage.names_ports())?.stage;
        if let Some(found) = self.outputs(stage).find(|output| output.name == slot.as_str()) {
            return Some((slot.clone(), found.kind));
        }
        problems.add(|source| {
            let written: Vec<&str> = self.outputs(stage).map(|output| &*output.name).collect();
            let exists = kind.outputs().iter().any(|output| output.name == slot.as_str());
            wire_reports::unknown_slot(name, slot, &written, exists).at(source, span, "")
        });
        None
    }

    /// An input that a wrong reference means is not unused as well.
    fn use_input(&mut self, name: &Name) {
        if let Some(input) = self.input_names.get(name.as_str()) {
            self.used[*input] = true;
        }
    }

    /// Reports the inputs that no edge refers to.
    pub(super) fn report_unused_inputs(&self, problems: &mut Problems) {
        for (input, _) in self.manifest.inputs.iter().zip(&self.used).filter(|(_, used)| !**used) {
            let name = &input.name;
            let message = || format!("the input `{}` is not used", name.value);
            problems.advise(
                "manifest::unused_input",
                name.span,
                "",
                message,
                "wire it under a stage's `in`, or remove it",
            );
        }
    }
}
