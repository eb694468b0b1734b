//! Exports: each from an output that exists, to a place of its own inside the project.

use super::files::leads_outside;
use super::ground::Ground;
use super::wire::Wiring;
use crate::artifact::ArtifactKind;
use crate::diagnostic::{Diagnostic, Span};
use crate::manifest::{ExportEntry, ExportWhen, Manifest, Problems};
use crate::reference::Name;
use crate::source::Source;

/// An export by the numbers of the manifest.
pub(super) struct DraftExport {
    pub path: String,
    pub stage: usize,
    pub slot: Name,
    pub kind: ArtifactKind,
    pub when: ExportWhen,
    pub span: Span,
}

pub(super) fn resolve(wiring: &mut Wiring<'_>, ground: &Ground<'_>, problems: &mut Problems) -> Vec<DraftExport> {
    let manifest = wiring.manifest;
    report_collisions(manifest, problems);
    let mut drafts = Vec::new();
    for ExportEntry { target, from, when } in &manifest.exports {
        if ground.leads_outside(&target.value) {
            let what = from.value.to_string();
            problems.add(|source| leads_outside("the export of", &what, &target.value).at(source, target.span, ""));
        }
        if let Some((stage, slot, kind)) = wiring.output(from, problems) {
            drafts.push(DraftExport { path: target.value.clone(), stage, slot, kind, when: *when, span: target.span });
        }
    }
    drafts
}

/// A path that the manifest speaks for.
struct Place<'m> {
    parts: Vec<&'m str>,
    /// The input there; none for an export.
    input: Option<&'m str>,
    span: Span,
}

/// Reports exports that would overwrite each other or an input: one path may not be, hold or lie in another.
fn report_collisions(manifest: &Manifest, problems: &mut Problems) {
    let inputs = manifest.inputs.iter().filter_map(|input| {
        let source = input.source.as_ref()?;
        let Source::File(path) = &source.value else { return None };
        Some(Place { parts: path.split('/').collect(), input: Some(input.name.value.as_str()), span: source.span })
    });
    let exports = manifest.exports.iter().map(|export| {
        let target = &export.target;
        Place { parts: target.value.split('/').collect(), input: None, span: target.span }
    });
    let mut places: Vec<Place<'_>> = inputs.chain(exports).collect();
    // Sorted by their parts, what lies in a folder comes right after the folder.
    places.sort_by(|one, other| (&one.parts, one.span.offset).cmp(&(&other.parts, other.span.offset)));
    let mut holders: Vec<&Place<'_>> = Vec::new();
    for place in &places {
        while holders.pop_if(|holder| !place.parts.starts_with(&holder.parts)).is_some() {}
        let collides = |holder: &&&Place<'_>| place.input.is_none() || holder.input.is_none();
        match holders.iter().rev().find(collides) {
            Some(holder) => report_collision(holder, place, problems),
            // Inputs may share a path; one of them is enough to hold it.
            None if holders.last().is_some_and(|holder| holder.parts == place.parts) => {}
            None => holders.push(place),
        }
    }
}

fn report_collision(one: &Place<'_>, other: &Place<'_>, problems: &mut Problems) {
    let one_is_later = other.input.is_some() || (one.input.is_none() && one.span.offset > other.span.offset);
    let (export, with) = if one_is_later { (one, other) } else { (other, one) };
    problems.add(|source| {
        let other = match with.input {
            Some(name) => format!("the input `{name}`"),
            None => "another export".to_owned(),
        };
        let message = format!("the export to `{}` would overwrite {other}", export.parts.join("/"));
        Diagnostic::error("manifest::export_collision", message)
            .at(source, export.span, "")
            .at(source, with.span, format!("{other} is here"))
            .help("give the export a path of its own")
    });
}
