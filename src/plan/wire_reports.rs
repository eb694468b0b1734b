//! What is said about edges that lead nowhere or into the wrong port, and what is proposed instead.

use super::files::Shape;
use super::wire::Wiring;
use crate::artifact::{Arity, ArtifactKind, InputPort};
use crate::diagnostic::{Diagnostic, nearest};
use crate::manifest::tree::excerpt;
use crate::manifest::{PortEntry, Problems, Spanned, StageEntry};
use crate::reference::{Edge, Name};
use crate::stage::Stage;
use crate::stage_name::StageName;

impl Wiring<'_> {
    pub(super) fn unknown_input(&mut self, name: &Name, accepts: &[ArtifactKind]) -> Diagnostic {
        if let Some(stage) = self.stage_names.get(name.as_str()) {
            let fits = self.outputs(*stage).find(|output| accepts.contains(&output.kind));
            let fits = fits.or_else(|| self.outputs(*stage).next());
            let diagnostic =
                Diagnostic::error("manifest::bad_edge", format!("`{name}` is a stage; expected one of its outputs"));
            return match fits {
                Some(slot) => diagnostic.help(format!("did you mean `{name}.{}`?", slot.name)),
                None => diagnostic.help("write `stage.slot`"),
            };
        }
        let diagnostic = Diagnostic::error("manifest::unknown_input", format!("there is no input `{name}`"));
        match nearest(name.as_str(), self.input_names.keys().copied()) {
            Some(near) => {
                // The input that was meant is not unused as well.
                self.used[self.input_names[near]] = true;
                diagnostic.help(format!("did you mean `{near}`?"))
            }
            None => diagnostic.help("declare it under `inputs`, or write `stage.slot`"),
        }
    }

    pub(super) fn unknown_stage(&self, name: &StageName, slot: &Name) -> Diagnostic {
        if self.input_names.contains_key(name.as_str()) {
            let message = format!("`{name}` is an input and has no slots");
            return Diagnostic::error("manifest::bad_edge", message).help(format!("write `{name}`"));
        }
        let diagnostic = Diagnostic::error("manifest::unknown_stage", format!("there is no stage `{name}`"));
        match nearest(name.as_str(), self.stage_names.keys().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}.{slot}`?")),
            None => diagnostic.help("an edge is the name of an input, or `stage.slot`"),
        }
    }

    pub(super) fn report_missing(&self, at: usize, port: &InputPort, problems: &mut Problems) {
        if !matches!(port.arity, Arity::One | Arity::Many) {
            return;
        }
        let entry = &self.manifest.stages[at];
        problems.add(|source| {
            let message = format!(
                "stage `{}` lacks the port `{}`; expected {}",
                entry.name.value,
                port.name,
                kind_list(port.accepts)
            );
            let fits = self.fitting(at, port);
            let help = format!("add `in: {{ {}: {} }}`", port.name, fits.unwrap_or_else(|| "…".to_owned()));
            Diagnostic::error("manifest::missing_port", message).at(source, entry.name.span, "").help(help)
        });
    }

    /// An output in this manifest that the port takes, as a proposal.
    fn fitting(&self, reader: usize, port: &InputPort) -> Option<String> {
        (0..self.stages.len()).filter(|at| *at != reader).find_map(|at| self.fitting_slot(at, port))
    }

    fn fitting_slot(&self, stage: usize, port: &InputPort) -> Option<String> {
        let slot = self.outputs(stage).find(|output| port.accepts.contains(&output.kind))?;
        Some(format!("{}.{}", self.manifest.stages[stage].name.value, slot.name))
    }

    pub(super) fn report_shape(
        &self,
        reader: usize,
        edge: &Spanned<Edge>,
        port: &InputPort,
        shape: Shape,
        problems: &mut Problems,
    ) {
        let found = match shape {
            Shape::File | Shape::Stored { is_folder: false } => "file",
            Shape::ModelFile => "model file",
            Shape::Folder | Shape::Stored { is_folder: true } => "folder",
            Shape::Artifact(kind) => kind.name(),
            Shape::Unknown => "source",
        };
        problems.add(|source| {
            let diagnostic =
                self.wrong_kind(reader, edge, port, &format!("an input {found}")).at(source, edge.span, "");
            let makes = |kind: &&&dyn Stage| kind.outputs().iter().any(|output| port.accepts.contains(&output.kind));
            match (self.fitting(reader, port), self.registry.iter().find(makes)) {
                (Some(fits), _) => diagnostic.help(format!("did you mean `{fits}`?")),
                (None, Some(kind)) => {
                    diagnostic.help(format!("a stage of kind `{}` makes {}", kind.kind(), kind_list(port.accepts)))
                }
                (None, None) => diagnostic,
            }
        });
    }

    pub(super) fn report_kind(
        &self,
        reader: usize,
        edge: &Spanned<Edge>,
        port: &InputPort,
        (stage, found): (usize, ArtifactKind),
        problems: &mut Problems,
    ) {
        problems.add(|source| {
            let diagnostic = self.wrong_kind(reader, edge, port, &in_words(found)).at(source, edge.span, "");
            match self.fitting_slot(stage, port).or_else(|| self.fitting(reader, port)) {
                Some(fits) => diagnostic.help(format!("did you mean `{fits}`?")),
                None => diagnostic,
            }
        });
    }

    fn wrong_kind(&self, reader: usize, edge: &Spanned<Edge>, port: &InputPort, found: &str) -> Diagnostic {
        let stage = &self.manifest.stages[reader].name.value;
        let expected = kind_list(port.accepts);
        let message =
            format!("`{}` is {found}; expected {expected} for the port `{}` of stage `{stage}`", edge.value, port.name);
        Diagnostic::error("manifest::wrong_kind", message)
    }
}

/// Reports a port with too many edges or too few.
pub(super) fn check_count(entry: &StageEntry, written: &PortEntry, port: &InputPort, problems: &mut Problems) {
    let count = written.edges.len();
    let expected = match port.arity {
        Arity::One if count != 1 => "one edge",
        Arity::Optional if count > 1 => "at most one edge",
        Arity::Many if count == 0 => "at least one edge",
        _ => return,
    };
    if written.damaged && count <= 1 {
        return;
    }
    let span = written.edges.get(1).map_or(written.port.span, |edge| edge.span);
    let stage = &entry.name.value;
    let message = || format!("the port `{}` of stage `{stage}` has {count} edges; expected {expected}", port.name);
    problems.error("manifest::edge_count", span, "", message);
}

fn kind_list(kinds: &[ArtifactKind]) -> String {
    kinds.iter().map(|kind| in_words(*kind)).collect::<Vec<_>>().join(" or ")
}

/// The name of a kind as it stands in a sentence.
fn in_words(kind: ArtifactKind) -> String {
    match kind {
        ArtifactKind::Records | ArtifactKind::Rejects | ArtifactKind::Prompts | ArtifactKind::Statistics => {
            kind.name().to_owned()
        }
        ArtifactKind::Adapter => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

pub(super) fn unknown_port(entry: &StageEntry, written: &PortEntry, ports: &[InputPort]) -> Diagnostic {
    let found = &written.port.value;
    let names: Vec<&str> = ports.iter().map(|port| &*port.name).collect();
    let message = format!("stage `{}` has no port `{}`", entry.name.value, excerpt(found));
    let diagnostic = Diagnostic::error("manifest::unknown_port", message);
    let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match (nearest(found, names.iter().copied()), names.is_empty()) {
        (Some(near), _) => diagnostic.help(format!("did you mean `{near}`? Its ports are {}", list.join(", "))),
        (None, false) => diagnostic.help(format!("its ports are {}", list.join(", "))),
        (None, true) => diagnostic.help("it has no ports"),
    }
}

pub(super) fn unknown_slot(stage: &StageName, slot: &Name, written: &[&str], exists: bool) -> Diagnostic {
    let list: Vec<String> = written.iter().map(|name| format!("`{stage}.{name}`")).collect();
    let (code, message) = if exists {
        ("manifest::unwritten_slot", format!("stage `{stage}` does not write `{slot}` with its settings"))
    } else {
        ("manifest::unknown_slot", format!("stage `{stage}` has no output `{slot}`"))
    };
    let diagnostic = Diagnostic::error(code, message);
    match (nearest(slot.as_str(), written.iter().copied()), written.is_empty()) {
        (Some(near), _) => {
            diagnostic.help(format!("did you mean `{stage}.{near}`? Its outputs are {}", list.join(", ")))
        }
        (None, false) => diagnostic.help(format!("its outputs are {}", list.join(", "))),
        (None, true) => diagnostic.help("it has no outputs"),
    }
}
