//! Removes operations that change nothing.
//!
//! Before: `%1 = multiply (%0, constant 1.0), %2 = reshape [4] (reshape [2, 2] (%1))`. After: `%2 = %0` where shapes agree.
//! Before: `%1 = concat (%0, x), %2 = concat (%1, y)` along one axis. After: `%2 = concat (%0, x, y)`; slices of slices alike.
//! Before: `%2 = add (pad 0, 3 (%0), pad 2, 0 (%1))`, the gradient of a split. After: `%2 = concat (%0, %1)`.
//! Only rewrites that keep every number: `x + 0` is kept, since `-0 + 0` is `0` (a tiling alone may keep a `-0` that the
//! sum would have made `0`).

use super::rewrite;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::concat::Concat;
use crate::ops::reshape::Reshape;
use crate::ops::slice::Slice;

/// Joints of more parts are not made of smaller ones: a long chain of them would grow with the square of its length.
const MAX_JOINED: usize = 64;

/// The same graph without operations that change nothing.
pub(super) fn simplify(graph: &Graph) -> Graph {
    rewrite(graph, |new, _, node| {
        let node = merge_views(new, node);
        let node = merge_parts(new, node);
        let node = tiles(new, &node).unwrap_or(node);
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

/// A part of a part is one part, what is joined to joined parts joins them, if all is along one axis.
fn merge_parts(graph: &Graph, node: Node) -> Node {
    match &node.op {
        Op::Slice(outer) => match graph.node(node.operands[0]) {
            Node { op: Op::Slice(inner), operands, .. } if inner.axis == outer.axis => {
                let op = Slice { start: inner.start + outer.start, ..outer.clone() }.into();
                Node { op, operands: operands.clone(), ..node }
            }
            _ => node,
        },
        Op::Concat(outer) => {
            let parts = |&id: &NodeId| match graph.node(id) {
                Node { op: Op::Concat(inner), operands, .. } if inner.axis == outer.axis => operands.clone(),
                _ => vec![id],
            };
            let operands: Vec<NodeId> = node.operands.iter().flat_map(parts).collect();
            if operands.len() > MAX_JOINED {
                return node;
            }
            Node { op: Concat { axis: outer.axis, count: operands.len() }.into(), operands, ..node }
        }
        _ => node,
    }
}

/// A sum of parts padded with zeros, if the parts fill an axis without gap or overlap, as the parts one behind the other.
fn tiles(graph: &Graph, node: &Node) -> Option<Node> {
    let Op::Add(_) = node.op else { return None };
    let mut parts: Vec<(usize, NodeId)> = Vec::new();
    let (mut along, mut left) = (None, node.operands.clone());
    while let Some(id) = left.pop() {
        let part = graph.node(id);
        match &part.op {
            Op::Add(_) => left.extend(&part.operands),
            Op::Pad(pad) if *along.get_or_insert(pad.axis) == pad.axis => parts.push((pad.before, part.operands[0])),
            _ => return None,
        }
    }
    let axis = along?;
    parts.sort_unstable();
    let mut end = 0;
    for &(before, id) in &parts {
        if before != end {
            return None;
        }
        end += graph.ty(id).dims.get(axis)?;
    }
    if node.ty.dims.get(axis) != Some(&end) {
        return None;
    }
    let operands: Vec<NodeId> = parts.into_iter().map(|(_, id)| id).collect();
    Some(Node { op: Concat { axis, count: operands.len() }.into(), operands, ..node.clone() })
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
        // Those of the same dimensions as their operand.
        Op::Reshape(_) | Op::Flatten(_) | Op::Slice(_) | Op::Pad(_) => node.operands[0],
        Op::StopGradient(_) => node.operands[0],
        Op::Concat(concat) if concat.count == 1 => node.operands[0],
        _ => return None,
    };
    (*graph.ty(same) == node.ty).then_some(same)
}
