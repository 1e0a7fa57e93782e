//! Computes at compile time what depends on constants alone.
//!
//! Before: `%0 = constant 2.0, %1 = constant 3.0, %2 = multiply (%0, %1)`. After: `%2 = constant 6.0`.
//! A constant has one number in all its places, so every pointwise operation and change of shape of constants is one again.

use super::rewrite;
use crate::graph::{Element, Graph, Node};
use crate::ops::constant::Splat;
use crate::ops::{Lowering, Op};

/// The same graph with operations on constants replaced by constants.
pub(super) fn fold(graph: &Graph) -> Graph {
    rewrite(graph, |new, _, node| {
        let op = folded(new, &node).map(|value| Op::from(Splat { value, dims: node.ty.dims.clone() }));
        match op {
            Some(op) => new.push(Node { op, operands: Vec::new(), ..node }),
            None => new.push(node),
        }
    })
}

fn folded(graph: &Graph, node: &Node) -> Option<f64> {
    if node.operands.is_empty() || node.ty.element != Element::F32 {
        return None;
    }
    let numbers: Vec<f64> = node
        .operands
        .iter()
        .map(|&operand| match &graph.node(operand).op {
            Op::Splat(splat) => Some(splat.value),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let types: Vec<_> = node.operands.iter().map(|&operand| graph.ty(operand)).collect();
    match (node.op.lower(&types, &node.ty), &node.op) {
        (Lowering::Pointwise(function), _) => Some(function.eval(&numbers)),
        (Lowering::View, _) | (_, Op::Expand(_) | Op::Slice(_) | Op::Transpose(_)) => numbers.first().copied(),
        _ => None,
    }
}
