//! Drops what no root needs.
//!
//! Before: `%0 = input, %1 = relu (%0), %2 = tanh (%0); loss is %1`. After: `%0 = input, %1 = relu (%0); loss is %1`.

use std::collections::BTreeMap;

use crate::graph::{Graph, NodeId};
use crate::ops::Op;

/// The same graph without nodes that no root reaches.
pub(super) fn dead(graph: &Graph) -> Graph {
    let needed = needed(graph, graph.roots.iter().map(|(_, id)| *id));
    let mut new = Graph { scans: graph.scans.clone(), ..Graph::default() };
    let mut now = vec![NodeId(0); graph.nodes.len()];
    for (id, node) in graph.iter().filter(|(id, _)| needed[id.index()]) {
        let mut node = node.clone();
        for operand in &mut node.operands {
            *operand = now[operand.index()];
        }
        now[id.index()] = new.push(node);
    }
    new.roots = graph.roots.iter().map(|&(role, id)| (role, now[id.index()])).collect();
    new
}

/// For every node whether one of `roots` is computed from it.
pub(crate) fn needed(graph: &Graph, roots: impl IntoIterator<Item = NodeId>) -> Vec<bool> {
    let mut next: BTreeMap<(usize, usize), NodeId> = BTreeMap::new();
    for (id, node) in graph.iter() {
        if let Op::Next(op) = &node.op {
            next.insert((op.scan, op.index), id);
        }
    }
    let mut needed = vec![false; graph.nodes.len()];
    let mut found: Vec<NodeId> = roots.into_iter().collect();
    while let Some(id) = found.pop() {
        if std::mem::replace(&mut needed[id.index()], true) {
            continue;
        }
        let node = graph.node(id);
        found.extend(&node.operands);
        // A carry is needed with what it is at the next step, though that comes behind it.
        if let Op::Carry(op) = &node.op {
            found.extend(next.get(&(op.scan, op.index)));
        }
    }
    needed
}
