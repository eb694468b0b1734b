//! `stages:`: what each uses, its edges and its settings.

use super::fields::{self, Fields};
use super::params::Params;
use super::problems::Problems;
use super::settings::Settings;
use super::tree::{Entry, Node, Spanned, Yaml, excerpt};
use super::{Policy, PortEntry, StageEntry, command, matrix, names, policy};
use crate::reference::Edge;
use crate::stage_config::foreign;
use crate::stage_name::StageName;

/// Keys of a stage that the grammar has and this version does not do yet.
const LATER: &[&str] = &["if"];

pub(super) fn read(section: Entry, params: &mut Params, problems: &mut Problems) -> Vec<StageEntry> {
    let key_span = section.key.span;
    let Some(fields) = Fields::open(section.node, "`stages`", problems) else { return Vec::new() };
    let mut stages = Vec::new();
    let mut empty = true;
    for entry in fields.all() {
        empty = false;
        stages.extend(stage(entry, params, problems));
    }
    if empty {
        let message = || "`stages` is empty; expected at least one stage".to_owned();
        problems.error("manifest::missing_key", key_span, "", message);
    }
    stages
}

fn stage(entry: Entry, params: &mut Params, problems: &mut Problems) -> Option<StageEntry> {
    let name =
        names::kebab(&entry.key, "stage", problems).map(|name| Spanned::new(StageName::from(name.value), name.span));
    let owner = format!("stage `{}`", excerpt(&entry.key.value));
    let damaged = |name| StageEntry {
        name,
        matrix: None,
        max_parallel: None,
        uses: None,
        ports: Vec::new(),
        ports_damaged: true,
        with: Settings::none(),
        policy: Policy::default(),
    };
    let Some(mut fields) = Fields::open(entry.node, &owner, problems) else { return name.map(damaged) };
    take_later(&mut fields, problems);
    let policy = policy::read(&mut fields, &owner, problems);
    let (uses, settings) = match command::take(&mut fields, &owner, problems) {
        Some((kind, settings)) => (Some(kind), Some(settings)),
        None => (kind(&mut fields, entry.key, &owner, problems), None),
    };
    let in_place = fields.take("in");
    let (ports, ports_damaged) = in_place.map_or((Vec::new(), false), |section| ports(section.node, &owner, problems));
    let settings = settings.or_else(|| fields.take("with").map(|section| section.node));
    let with = settings.map_or_else(Settings::none, |node| settings_of(node, &owner, params, problems));
    let matrix = fields.take("matrix").and_then(|section| matrix::read(section.node, &owner, &with, problems));
    let max_parallel = fields.take("max-parallel").and_then(|entry| matrix::max_parallel(&entry.node, problems));
    fields.finish(problems, hint);
    name.map(|name| StageEntry { name, matrix, max_parallel, uses, ports, ports_damaged, with, policy })
}

fn kind(fields: &mut Fields, name: Spanned<String>, owner: &str, problems: &mut Problems) -> Option<Spanned<String>> {
    let uses = match fields.take("uses") {
        Some(uses) => fields::text(&uses.node, &format!("`uses` of {owner}"), problems),
        None => Some(name),
    };
    let refused = command::refuse_uses(uses.as_ref(), owner, problems);
    uses.filter(|_| !refused)
}

fn settings_of(node: Node, owner: &str, params: &mut Params, problems: &mut Problems) -> Settings {
    if matches!(node.value, Yaml::Map(_) | Yaml::Null | Yaml::Invalid) {
        return Settings::read(node, params, problems);
    }
    fields::wrong_type(&format!("`with` of {owner}"), &node.describe(), "a map of settings", node.span, problems);
    Settings::none()
}

fn take_later(fields: &mut Fields, problems: &mut Problems) {
    for key in LATER.iter().copied() {
        if let Some(entry) = fields.take_unasked(key) {
            let message = || format!("`{key}` is not in this version of pipe yet");
            let help = "this version has `uses`, `in`, `with`, `matrix` and `max-parallel`";
            problems.advise("manifest::unsupported", entry.key.span, "", message, help);
        }
    }
}

fn hint(key: &str) -> Option<String> {
    match (key, foreign::wiring(key), foreign::setting(key)) {
        ("needs" | "depends_on" | "deps", ..) => Some("an edge is enough: `in: { port: stage.slot }`".to_owned()),
        _ if command::KEYS.contains(&key) => Some(format!("`{key}` is of stages that run a command, with `run`")),
        (_, Some(wiring), _) => Some(wiring.to_owned()),
        (_, None, Some(ours)) => Some(format!("here it is `{ours}`, a setting under `with`")),
        _ if crate::diagnostic::nearest(key, ["uses", "in", "with"]).is_none() => {
            Some("a stage has `uses`, `in` and `with`; settings stand under `with`".to_owned())
        }
        _ => None,
    }
}

fn ports(node: Node, owner: &str, problems: &mut Problems) -> (Vec<PortEntry>, bool) {
    match Fields::open(node, &format!("`in` of {owner}"), problems) {
        Some(fields) => (fields.all().map(|entry| port(entry, owner, problems)).collect(), false),
        None => (Vec::new(), true),
    }
}

fn port(entry: Entry, owner: &str, problems: &mut Problems) -> PortEntry {
    let what = format!("the port `{}` of {owner}", excerpt(&entry.key.value));
    let nodes = match entry.node.value {
        Yaml::List(items) => items,
        _ => vec![entry.node],
    };
    let count = nodes.len();
    let edges: Vec<_> = nodes.iter().filter_map(|node| edge(node, &what, problems)).collect();
    PortEntry { port: entry.key, damaged: edges.len() < count, edges }
}

/// A reference to an input or output.
pub(super) fn edge(node: &Node, what: &str, problems: &mut Problems) -> Option<Spanned<Edge>> {
    let text = fields::text(node, what, problems)?;
    match text.value.parse::<Edge>() {
        Ok(edge) => Some(Spanned::new(edge, text.span)),
        Err(error) => {
            let found = excerpt(&text.value);
            if text.value.contains(['[', ']']) {
                let message = || format!("{what} is `{found}`; expected a label before the slot");
                let help = "cells are `stage[axis=value].slot`, `stage[axis=*].slot` or `stage[*].slot`";
                problems.advise("manifest::bad_edge", text.span, "", message, help);
            } else {
                let path = text.value.contains(['/', ':']);
                let message = || format!("{what} is `{found}`; expected {}", error.expected);
                if path {
                    let help = "name the path under `inputs`, then use that name here";
                    problems.advise("manifest::bad_edge", text.span, "", message, help);
                } else {
                    problems.error("manifest::bad_edge", text.span, "", message);
                }
            }
            None
        }
    }
}
