//! Drops what no root needs.
//!
//! Before: `%0 = input, %1 = relu (%0), %2 = tanh (%0); loss is %1`. After: `%0 = input, %1 = relu (%0); loss is %1`.

use crate::graph::{Graph, NodeId};

/// The same graph without nodes that no root reaches.
pub(super) fn dead(graph: &Graph) -> Graph {
    let needed = graph.needed(graph.roots.iter().map(|(_, id)| *id));
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
