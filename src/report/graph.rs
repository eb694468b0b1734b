//! A plan as a drawing: indented text, Mermaid, or Graphviz.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::plan::{Origin, Plan};

/// Each stage with what it reads, in topological order.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    for id in plan.order() {
        let stage = plan.stage(*id);
        let kind = stage.stage.kind();
        let uses = if kind == stage.name.as_str() { String::new() } else { format!(" ({kind})") };
        let _ = writeln!(out, "{}{uses}", stage.name);
        for edges in &stage.inputs {
            for label in &edges.labels {
                let _ = writeln!(out, "  {:<10} ← {label}", edges.port.name);
            }
        }
    }
    out
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
    for id in plan.order() {
        let _ = writeln!(out, "  {}[{}]", node(plan.stage(*id).name.as_str()), plan.stage(*id).name);
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
    for id in plan.order() {
        let name = &plan.stage(*id).name;
        let _ = writeln!(out, "  {} [label=\"{name}\", shape=box];", node(name.as_str()));
    }
    each_edge(plan, |from, slot, to| {
        let label = slot.map_or_else(String::new, |slot| format!(" [label=\"{slot}\"]"));
        let _ = writeln!(out, "  {from} -> {to}{label};");
    });
    out.push_str("}\n");
    out
}

fn each_edge(plan: &Plan, mut draw: impl FnMut(String, Option<&str>, String)) {
    for id in plan.order() {
        let stage = plan.stage(*id);
        for origin in stage.inputs.iter().flat_map(|edges| &edges.origins) {
            let to = node(stage.name.as_str());
            match origin {
                Origin::Input { name, .. } => draw(format!("in_{}", node(name.as_str())), None, to),
                Origin::Output { stage: from, slot } => {
                    draw(node(plan.stage(*from).name.as_str()), Some(slot.as_str()), to);
                }
            }
        }
    }
}

/// A node's id in both languages: names without `-`.
fn node(name: &str) -> String {
    name.replace('-', "_")
}
