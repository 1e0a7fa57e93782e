//! Puts cheap operations in place of dear ones, within rounding.
//!
//! Before: `%2 = divide (%0, expand (%1))`. After: `%3 = divide (constant 1, %1), %4 = multiply (%0, expand (%3))`: few divisions.
//! Before: `%2 = sum (multiply (%0, expand (%1)))`. After: `%2 = multiply (sum (%0), %1)`, so that sums of the same are
//! found to be the same. It changes roundings, not values: sums that cancel are not taken apart.

use super::rewrite;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::constant::Splat;
use crate::ops::divide::Divide;
use crate::ops::expand::Expand;
use crate::ops::multiply::Multiply;
use crate::ops::negate::Negate;
use crate::ops::reshape::Reshape;

/// The same graph with cheaper operations.
pub(super) fn cheapen(graph: &Graph) -> Graph {
    rewrite(graph, |new, _, node| match &node.op {
        Op::Divide(_) => divide(new, &node).unwrap_or_else(|| new.push(node)),
        Op::Sum(_) | Op::SumBatch(_) => sum(new, &node).unwrap_or_else(|| new.push(node)),
        _ => new.push(node),
    })
}

/// A division by what is one number for many places as a product with its reciprocal.
fn divide(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    let (x, by) = (node.operands[0], node.operands[1]);
    if let Op::Splat(splat) = &graph.node(by).op {
        let reciprocal = Splat { value: 1.0 / splat.value, ..splat.clone() };
        // Where the reciprocal is exact or the rounding of a product is all that differs.
        let is_safe = reciprocal.value.is_finite() && splat.value.is_finite() && splat.value != 0.0;
        let reciprocal = is_safe.then(|| add(graph, reciprocal, &[], node))??;
        return add(graph, Multiply, &[x, reciprocal], node);
    }
    let mut copies = Vec::new();
    let mut source = by;
    while let Op::Expand(_) | Op::Reshape(_) | Op::Flatten(_) = graph.node(source).op {
        copies.push(source);
        source = graph.node(source).operands[0];
    }
    if graph.ty(source).len() >= node.ty.len() || matches!(graph.node(source).op, Op::Splat(_)) {
        return None;
    }
    let one = add(graph, Splat { value: 1.0, dims: graph.ty(source).dims.clone() }, &[], node)?;
    let mut reciprocal = add(graph, Divide, &[one, source], node)?;
    for copy in copies.into_iter().rev() {
        let op = graph.node(copy).op.clone();
        reciprocal = add(graph, op, &[reciprocal], node)?;
    }
    add(graph, Multiply, &[x, reciprocal], node)
}

/// A sum of products with a factor that all terms share, or of negated terms.
fn sum(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    let terms = graph.node(node.operands[0]).clone();
    match (&node.op, &terms.op) {
        (_, Op::Negate(_)) => {
            let sum = sum_of(graph, node, terms.operands[0])?;
            add(graph, Negate, &[sum], node)
        }
        (Op::SumBatch(_), Op::Reshape(_) | Op::Flatten(_)) => {
            let sum = sum_of(graph, node, terms.operands[0])?;
            add(graph, Reshape { dims: node.ty.dims.clone() }, &[sum], node)
        }
        (_, Op::Multiply(_)) => {
            let (a, b) = (terms.operands[0], terms.operands[1]);
            let (x, factor) = [(a, b), (b, a)].into_iter().find_map(|(x, factor)| {
                // The terms keep what makes them one for each example.
                let keeps = graph.ty(x).per_example == terms.ty.per_example;
                Some((x, shared_factor(graph, node, factor).filter(|_| keeps)?))
            })?;
            let sum = sum_of(graph, node, x)?;
            add(graph, Multiply, &[sum, factor], node)
        }
        _ => None,
    }
}

/// The factor as it is once for all that is summed, if it is.
fn shared_factor(graph: &Graph, sum: &Node, factor: NodeId) -> Option<NodeId> {
    let of = graph.node(factor);
    match (&sum.op, &of.op) {
        (Op::SumBatch(_), Op::Splat(_)) => Some(factor),
        (Op::SumBatch(_), _) => (!of.ty.per_example).then_some(factor),
        (Op::Sum(sum), Op::Expand(Expand { axis, dims })) => {
            (sum.axis == *axis && sum.count == dims.len()).then_some(of.operands[0])
        }
        _ => None,
    }
}

/// The same sum of something else; what is summed already is summed further.
fn sum_of(graph: &mut Graph, node: &Node, terms: NodeId) -> Option<NodeId> {
    let ty = node.op.infer(&[graph.ty(terms)]).ok()?;
    let inner = Node { op: node.op.clone(), operands: vec![terms], ty, origin: Default::default() };
    Some(sum(graph, &inner).unwrap_or_else(|| graph.push(inner)))
}

fn add(graph: &mut Graph, op: impl Into<Op>, operands: &[NodeId], of: &Node) -> Option<NodeId> {
    graph.add(op.into(), operands, of.origin.clone()).ok()
}
