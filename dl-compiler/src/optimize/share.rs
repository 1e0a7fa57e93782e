//! Computes equal values once (common subexpressions).
//!
//! Before: `%1 = relu (%0), %2 = relu (%0), %3 = add (%1, %2)`. After: `%1 = relu (%0), %3 = add (%1, %1)`.
//! Sums and products are equal in either order. Random draws differ by their instance number, so they never count as equal.

use std::collections::BTreeMap;

use super::rewrite;
use crate::graph::{Graph, NodeId};
use crate::ops::Op;

/// The same graph with equal operations on equal operands merged into the first of them.
pub(super) fn share(graph: &Graph) -> Graph {
    let mut first: BTreeMap<String, NodeId> = BTreeMap::new();
    rewrite(graph, |new, _, node| {
        let mut operands = node.operands.clone();
        if matches!(node.op, Op::Add(_) | Op::Multiply(_)) {
            operands.sort_unstable();
        }
        let key = format!("{:?} {operands:?}", node.op);
        match first.get(&key) {
            Some(&same) => same,
            None => {
                let id = new.push(node);
                first.insert(key, id);
                id
            }
        }
    })
}
