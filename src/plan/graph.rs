//! The graph of stages: who reads from whom, in what order they can run, and which wait for each other.
//!
//! The only file that knows the graph library. Nodes are numbered as the caller numbers its stages; an edge goes from
//! the producer to the consumer and bears the place where the manifest says so.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use petgraph::Direction::{Incoming, Outgoing};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::diagnostic::Span;

pub(super) type Graph = DiGraph<(), Span>;

/// A graph of `count` nodes with edges (producer, consumer, place).
pub(super) fn build(count: usize, edges: impl IntoIterator<Item = (usize, usize, Span)>) -> Graph {
    let mut graph = Graph::with_capacity(count, count);
    for _ in 0..count {
        graph.add_node(());
    }
    for (producer, consumer, span) in edges {
        graph.add_edge(NodeIndex::new(producer), NodeIndex::new(consumer), span);
    }
    graph
}

/// The nodes that a node reads from directly, ascending.
pub(super) fn upstream(graph: &Graph, node: usize) -> Vec<usize> {
    neighbours(graph, node, Incoming)
}

/// The nodes that read from a node directly, ascending.
pub(super) fn downstream(graph: &Graph, node: usize) -> Vec<usize> {
    neighbours(graph, node, Outgoing)
}

fn neighbours(graph: &Graph, node: usize, direction: petgraph::Direction) -> Vec<usize> {
    let mut found: Vec<usize> =
        graph.neighbors_directed(NodeIndex::new(node), direction).map(NodeIndex::index).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// All nodes, each after those it reads from, the smallest number first where there is a choice; without the nodes of
/// cycles and what comes after them.
pub(super) fn order(graph: &Graph) -> Vec<usize> {
    let mut missing: Vec<usize> =
        graph.node_indices().map(|node| graph.edges_directed(node, Incoming).count()).collect();
    let ready = missing.iter().enumerate().filter(|(_, missing)| **missing == 0).map(|(node, _)| Reverse(node));
    let mut ready: BinaryHeap<Reverse<usize>> = ready.collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(Reverse(node)) = ready.pop() {
        order.push(node);
        for edge in graph.edges_directed(NodeIndex::new(node), Outgoing) {
            let consumer = edge.target().index();
            missing[consumer] -= 1;
            if missing[consumer] == 0 {
                ready.push(Reverse(consumer));
            }
        }
    }
    order
}

/// One step of a cycle: this node, and the place where the next one reads from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub node: usize,
    pub read_at: Span,
}

/// The shortest cycle through the smallest node of every knot of nodes that wait for each other. Their order is that
/// of the smallest nodes.
pub(super) fn cycles(graph: &Graph) -> Vec<Vec<Step>> {
    let mut knots: Vec<(usize, HashSet<usize>)> = kosaraju_scc(graph)
        .into_iter()
        .filter(|knot| knot.len() > 1 || knot.iter().any(|node| graph.contains_edge(*node, *node)))
        .filter_map(|knot| {
            let members: HashSet<usize> = knot.iter().map(|node| node.index()).collect();
            members.iter().min().copied().map(|first| (first, members))
        })
        .collect();
    knots.sort_unstable_by_key(|(first, _)| *first);
    knots.iter().map(|(first, members)| shortest_cycle(graph, *first, members)).collect()
}

/// Breadth first from `first` within the knot until an edge leads back to it.
fn shortest_cycle(graph: &Graph, first: usize, members: &HashSet<usize>) -> Vec<Step> {
    let mut reached_from: HashMap<usize, Step> = HashMap::new();
    let mut queue = VecDeque::from([first]);
    while let Some(node) = queue.pop_front() {
        let mut edges: Vec<(usize, Span)> = graph
            .edges_directed(NodeIndex::new(node), Outgoing)
            .map(|edge| (edge.target().index(), *edge.weight()))
            .filter(|(target, _)| members.contains(target))
            .collect();
        edges.sort_unstable_by_key(|(target, span)| (*target, span.offset));
        for (target, read_at) in edges {
            let step = Step { node, read_at };
            if target == first {
                return walk_back(step, first, &reached_from);
            }
            reached_from.entry(target).or_insert_with(|| {
                queue.push_back(target);
                step
            });
        }
    }
    Vec::new()
}

fn walk_back(last: Step, first: usize, reached_from: &HashMap<usize, Step>) -> Vec<Step> {
    let mut steps = vec![last];
    let mut node = last.node;
    while node != first {
        let Some(step) = reached_from.get(&node) else { break };
        steps.push(*step);
        node = step.node;
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(count: usize, edges: &[(usize, usize)]) -> Graph {
        build(count, edges.iter().map(|(from, to)| (*from, *to, Span::default())))
    }

    #[test]
    fn the_order_respects_edges_and_otherwise_the_numbers() {
        assert_eq!(order(&graph(5, &[(4, 0), (0, 2), (0, 2)])), [1, 3, 4, 0, 2]);
        assert_eq!(order(&graph(3, &[(0, 1), (1, 0)])), [2]);
    }

    #[test]
    fn each_knot_gives_its_shortest_cycle_from_the_smallest_node() {
        let found = cycles(&graph(7, &[(0, 1), (1, 2), (2, 0), (1, 0), (3, 3), (2, 4), (5, 6)]));
        let nodes: Vec<Vec<usize>> = found.iter().map(|cycle| cycle.iter().map(|step| step.node).collect()).collect();
        assert_eq!(nodes, [vec![0, 1], vec![3]]);
        assert!(cycles(&graph(3, &[(0, 1), (1, 2), (0, 2)])).is_empty());
    }

    #[test]
    fn a_long_cycle_needs_no_deep_stack() {
        let count = 50_000;
        let edges: Vec<(usize, usize)> = (0..count).map(|node| (node, (node + 1) % count)).collect();
        assert_eq!(cycles(&graph(count, &edges))[0].len(), count);
    }
}
