//! Removes operations that change nothing.
//!
//! Before: `%1 = multiply (%0, constant 1.0), %2 = reshape [4] (reshape [2, 2] (%1))`. After: `%2 = %0` where shapes agree.
//! Only rewrites that keep every bit: `x + 0` is kept, since `-0 + 0` is `0`.

use super::rewrite;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::reshape::Reshape;

/// The same graph without operations that change nothing.
pub(super) fn simplify(graph: &Graph) -> Graph {
    rewrite(graph, |new, _, node| {
        let node = merge_views(new, node);
        match unchanged(new, &node) {
            Some(same) => {
                let origin = &mut new.nodes[same.index()].origin;
                if origin.name.is_empty() {
                    *origin = node.origin;
                }
                same
            }
            None => new.push(node),
        }
    })
}

/// A view of a view is one view.
fn merge_views(graph: &Graph, node: Node) -> Node {
    if !matches!(node.op, Op::Reshape(_) | Op::Flatten(_)) {
        return node;
    }
    let inner = graph.node(node.operands[0]);
    if !matches!(inner.op, Op::Reshape(_) | Op::Flatten(_)) {
        return node;
    }
    let operands = inner.operands.clone();
    Node { op: Reshape { dims: node.ty.dims.clone() }.into(), operands, ..node }
}

/// The operand that the node's value equals, if its type is the node's too.
fn unchanged(graph: &Graph, node: &Node) -> Option<NodeId> {
    let is = |place: usize, number: f64| match &graph.node(node.operands[place]).op {
        Op::Splat(splat) => splat.value == number,
        _ => false,
    };
    let same = match &node.op {
        Op::Multiply(_) if is(1, 1.0) => node.operands[0],
        Op::Multiply(_) if is(0, 1.0) => node.operands[1],
        Op::Divide(_) if is(1, 1.0) => node.operands[0],
        Op::Subtract(_) if is(1, 0.0) => node.operands[0],
        Op::Negate(_) => match graph.node(node.operands[0]) {
            Node { op: Op::Negate(_), operands, .. } => operands[0],
            _ => return None,
        },
        Op::Reshape(_) | Op::Flatten(_) => node.operands[0],
        _ => return None,
    };
    (*graph.ty(same) == node.ty).then_some(same)
}
