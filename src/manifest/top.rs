//! The top of a manifest: its sections, and the settings that stand there themselves.

use std::str::FromStr;

use super::fields::{self, Fields};
use super::params::Params;
use super::problems::Problems;
use super::tree::{Entry, Node, Yaml};
use super::{Manifest, Override, VERSION, exports, inputs, names, stages};
use crate::device::Backend;
use crate::diagnostic::{Diagnostic, SourceText, Span};
use crate::reference::Name;
use crate::stage_config::foreign;

pub(super) fn read(
    root: Node,
    source: &SourceText,
    overrides: &[Override],
    mut problems: Problems,
) -> Result<Manifest, Problems> {
    if root.value == Yaml::Null {
        let help = "`pipe init` writes a manifest to start from";
        problems.advise("manifest::empty", Span::default(), "", || "the manifest is empty".to_owned(), help);
        return Err(problems);
    }
    let Some(mut fields) = Fields::open(root, "the manifest", &mut problems) else { return Err(problems) };
    version(&mut fields, &mut problems);
    let name = fields.require("name", "name it in kebab-case, such as `name: lms-assistant`");
    let name = name.and_then(|entry| manifest_name(&entry, &mut problems));
    let seed = fields.take("seed").and_then(|entry| seed(&entry.node, &mut problems)).unwrap_or(0);
    let backend = fields.take("backend").and_then(|entry| backend(&entry.node, &mut problems)).unwrap_or_default();
    let mut params = Params::read(fields.take("params").map(|entry| entry.node), overrides, &mut problems);
    let inputs = inputs::read(fields.take("inputs"), &mut problems);
    let stages = fields.require("stages", "a manifest has at least one stage");
    let stages = stages.map_or_else(Vec::new, |entry| stages::read(entry, &mut params, &mut problems));
    let exports = exports::read(fields.take("exports"), &mut problems);
    let params = params.finish(&mut problems);
    fields.finish(&mut problems, hint);
    Ok(Manifest { source: source.clone(), name, seed, backend, params, inputs, stages, exports, problems })
}

fn hint(key: &str) -> Option<String> {
    match key {
        "uses" | "in" | "with" | "matrix" | "max-parallel" => {
            Some(format!("`{key}` stands inside a stage, under `stages`"))
        }
        "env" => Some("`env` is not in this version of pipe yet".to_owned()),
        _ => match (foreign::wiring(key), foreign::setting(key)) {
            (Some(wiring), _) => Some(wiring.to_owned()),
            (None, Some(ours)) => Some(format!("here it is `{ours}`, a setting under a stage's `with`")),
            (None, None) => None,
        },
    }
}

fn version(fields: &mut Fields, problems: &mut Problems) {
    let help = format!("begin the manifest with `version: {VERSION}`");
    let Some(entry) = fields.require("version", &help) else { return };
    if entry.node.value != Yaml::Int(VERSION.into()) && entry.node.value != Yaml::Invalid {
        let quoted = matches!(entry.node.value, Yaml::Text(_));
        let found = if quoted { format!("the text {}", entry.node.describe()) } else { entry.node.describe() };
        let number = matches!(entry.node.value, Yaml::Int(_));
        let help = if number { "this pipe reads version 1; a newer one may read others" } else { "write `version: 1`" };
        let message = || format!("version is {found}; expected the number `{VERSION}`");
        problems.advise("manifest::bad_version", entry.node.span, "", message, help);
    }
}

fn manifest_name(entry: &Entry, problems: &mut Problems) -> Option<Name> {
    let text = fields::text(&entry.node, "name", problems)?;
    names::kebab(&text, "manifest's", problems).map(|name| name.value)
}

fn seed(node: &Node, problems: &mut Problems) -> Option<u64> {
    match &node.value {
        Yaml::Invalid => None,
        Yaml::Int(seed) if u64::try_from(*seed).is_ok() => u64::try_from(*seed).ok(),
        _ => {
            fields::wrong_type("seed", &node.describe(), "a whole number of at least 0", node.span, problems);
            None
        }
    }
}

fn backend(node: &Node, problems: &mut Problems) -> Option<Backend> {
    let text = fields::text(node, "backend", problems)?;
    let parsed = Backend::from_str(&text.value);
    parsed
        .map_err(|error| {
            problems.add(|source| {
                let names = ["cpu", "flex", "ndarray", "wgpu"];
                Diagnostic::error("manifest::unknown_backend", error.to_string())
                    .at(source, text.span, "")
                    .nearest(&text.value, names)
            });
        })
        .ok()
}
