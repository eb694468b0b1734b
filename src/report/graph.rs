//! A plan as a drawing: indented text, Mermaid, or Graphviz.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::plan::{Origin, Plan, PlannedStage};
use crate::reference::Name;

/// Each stage with what it reads, in topological order. The cells of a matrix are one entry that counts them.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    for group in groups(plan) {
        let kind = group.first.stage.kind();
        let uses = if kind == group.first.name.base().as_str() { String::new() } else { format!(" ({kind})") };
        let _ = writeln!(out, "{}{uses}", group.title());
        let mut edges = Vec::new();
        each_edge_of(plan, group.first, |port, from, slot| {
            let from = slot.map_or_else(|| from.to_owned(), |slot| format!("{from}.{slot}"));
            edges.push((port.to_owned(), from));
        });
        for (port, from, count) in counted(edges) {
            let _ = writeln!(out, "  {port:<10} ← {from}{}", times(count));
        }
    }
    out
}

/// A stage, or all cells of one.
struct Group<'a> {
    first: &'a PlannedStage,
    cells: usize,
}

impl Group<'_> {
    /// `train × 6 (lora_r, seed)`.
    fn title(&self) -> String {
        let axes: Vec<&str> = self.first.name.cell().0.keys().map(Name::as_str).collect();
        let axes = if axes.is_empty() { String::new() } else { format!(" ({})", axes.join(", ")) };
        format!("{}{}{axes}", self.first.name.base(), times(self.cells))
    }
}

fn groups(plan: &Plan) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: HashMap<&Name, usize> = HashMap::new();
    for stage in plan.order().iter().map(|id| plan.stage(*id)) {
        if let Some(place) = places.get(stage.name.base()) {
            groups[*place].cells += 1;
            continue;
        }
        places.insert(stage.name.base(), groups.len());
        groups.push(Group { first: stage, cells: 1 });
    }
    groups
}

fn times(count: usize) -> String {
    if count == 1 { String::new() } else { format!(" × {count}") }
}

/// Equal edges once, with how many they are, in their order.
fn counted(edges: Vec<(String, String)>) -> Vec<(String, String, usize)> {
    let mut counted: Vec<(String, String, usize)> = Vec::new();
    for (port, from) in edges {
        match counted.last_mut() {
            Some((last_port, last, count)) if *last_port == port && *last == from => *count += 1,
            _ => counted.push((port, from, 1)),
        }
    }
    counted
}

/// Nodes and edges, for programs.
#[must_use]
pub fn json(plan: &Plan) -> Value {
    let mut edges = Vec::new();
    for id in plan.order() {
        let stage = plan.stage(*id);
        for port in &stage.inputs {
            for label in &port.labels {
                edges.push(json!({ "from": label, "to": stage.name.as_str(), "port": port.port.name }));
            }
        }
    }
    let stage = |id| json!({ "name": plan.stage(id).name.as_str(), "uses": plan.stage(id).stage.kind() });
    json!({
        "version": 1,
        "inputs": plan.inputs().map(|input| input.name.to_string()).collect::<Vec<_>>(),
        "stages": plan.order().iter().map(|id| stage(*id)).collect::<Vec<_>>(),
        "edges": edges,
    })
}

/// A Mermaid flowchart, which Markdown viewers draw.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart LR\n");
    for input in plan.inputs() {
        let _ = writeln!(out, "  in_{}([{}])", node(input.name.as_str()), input.name);
    }
    for group in groups(plan) {
        // In quotes, since a title may hold brackets.
        let (id, title) = (node(group.first.name.base().as_str()), group.title());
        let _ = if group.cells == 1 { writeln!(out, "  {id}[{title}]") } else { writeln!(out, "  {id}[\"{title}\"]") };
    }
    each_edge(plan, |from, slot, to| {
        let label = slot.map_or_else(String::new, |slot| format!("|{slot}|"));
        let _ = writeln!(out, "  {from} -->{label} {to}");
    });
    out
}

/// Graphviz.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    let mut out = String::from("digraph pipeline {\n  rankdir=LR;\n");
    for input in plan.inputs() {
        let _ = writeln!(out, "  in_{} [label=\"{}\", shape=oval];", node(input.name.as_str()), input.name);
    }
    for group in groups(plan) {
        let (id, title) = (node(group.first.name.base().as_str()), group.title());
        let _ = writeln!(out, "  {id} [label=\"{title}\", shape=box];");
    }
    each_edge(plan, |from, slot, to| {
        let label = slot.map_or_else(String::new, |slot| format!(" [label=\"{slot}\"]"));
        let _ = writeln!(out, "  {from} -> {to}{label};");
    });
    out.push_str("}\n");
    out
}

/// Each edge between stages or groups of cells; several between the same two once.
fn each_edge(plan: &Plan, mut draw: impl FnMut(&str, Option<&str>, &str)) {
    for group in groups(plan) {
        let to = node(group.first.name.base().as_str());
        let mut last = None;
        each_edge_of(plan, group.first, |port, from, slot| {
            let from = if slot.is_some() { node(from) } else { format!("in_{}", node(from)) };
            let edge = (port.to_owned(), from.clone(), slot.map(str::to_owned));
            if last.as_ref() != Some(&edge) {
                draw(&from, slot, &to);
            }
            last = Some(edge);
        });
    }
}

/// Each edge into a stage: the port, the input or the producer without its label, and the slot.
fn each_edge_of(plan: &Plan, stage: &PlannedStage, mut visit: impl FnMut(&str, &str, Option<&str>)) {
    for edges in &stage.inputs {
        for origin in &edges.origins {
            match origin {
                Origin::Input { name, .. } => visit(&edges.port.name, name.as_str(), None),
                Origin::Output { stage, slot } => {
                    visit(&edges.port.name, plan.stage(*stage).name.base().as_str(), Some(slot.as_str()));
                }
            }
        }
    }
}

/// A node's id in both languages: names without `-`.
fn node(name: &str) -> String {
    name.replace('-', "_")
}
