//! Lets products read and write matrices transposed, instead of copying them into another order.
//!
//! Before: `%2 = transpose [1, 0] (%1), %3 = batched_matmul (%0, %2)`. After: `%3 = batched_matmul transposed_b (%0, %1)`.
//! A transpose of a transpose is one. What was absorbed is left for `dead`.

use super::{rewrite, uses};
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::batched_matmul::BatchedMatMul;
use crate::ops::matmul::MatMul;
use crate::ops::transpose::Transpose;
use crate::program::Epilogue;

/// The same graph with fewer copies of matrices.
pub(super) fn transpose(graph: &Graph) -> Graph {
    let uses = uses(graph);
    let mut single: Vec<bool> = Vec::new();
    rewrite(graph, |new, id, node| {
        let node = of_operands(new, node);
        let node = of_result(new, &|operand: NodeId| single[operand.index()], &node).unwrap_or(node);
        let same = match &node.op {
            Op::Transpose(transpose) if transpose.is_identity() => node.operands.first().copied(),
            _ => None,
        };
        let only = uses[id.index()] == 1;
        let now = match same {
            Some(same) => same,
            None => new.push(node),
        };
        single.resize(new.nodes.len(), only);
        // Whoever replaces a value that others use too is no longer used once.
        if same.is_some() {
            single[now.index()] = false;
        }
        now
    })
}

/// The transpose that makes a value, and what of.
fn transposed(graph: &Graph, id: NodeId) -> Option<(&Transpose, NodeId)> {
    match graph.node(id) {
        Node { op: Op::Transpose(transpose), operands, .. } => Some((transpose, *operands.first()?)),
        _ => None,
    }
}

/// The node on operands that are not transposed, if it can transpose them itself.
fn of_operands(graph: &Graph, node: Node) -> Node {
    let mut node = node;
    let plain = |place: usize| {
        let (transpose, of) = transposed(graph, *node.operands.get(place)?)?;
        transpose.swaps_last().then_some(of)
    };
    match &node.op {
        Op::Transpose(outer) => {
            if let Some((inner, of)) = node.operands.first().and_then(|&operand| transposed(graph, operand)) {
                let op = outer.after(inner).into();
                return Node { op, operands: vec![of], ..node };
            }
        }
        Op::MatMul(product) if product.epilogue == Epilogue::default() => {
            if let Some(weight) = plain(1) {
                node.op = MatMul { transposed: !product.transposed, epilogue: product.epilogue }.into();
                node.operands[1] = weight;
            }
        }
        Op::BatchedMatMul(product) => {
            let (a, b) = (plain(0), plain(1));
            let op = BatchedMatMul::new(product.transposed_a != a.is_some(), product.transposed_b != b.is_some());
            node.op = op.into();
            for (place, of) in [a, b].into_iter().enumerate() {
                if let Some(of) = of {
                    node.operands[place] = of;
                }
            }
        }
        _ => {}
    }
    node
}

/// The transpose of a product that nobody else needs, as the product of the transposes in the other order.
fn of_result(graph: &Graph, single: &dyn Fn(NodeId) -> bool, node: &Node) -> Option<Node> {
    let (Op::Transpose(transpose), &[product]) = (&node.op, node.operands.as_slice()) else { return None };
    if !transpose.swaps_last() || !single(product) {
        return None;
    }
    let product = graph.node(product);
    let op: Op = match &product.op {
        Op::BatchedMatMul(of) => BatchedMatMul::new(!of.transposed_b, !of.transposed_a).into(),
        Op::MatMulWeights(of) => of.clone().into(),
        _ => return None,
    };
    let operands = product.operands.iter().rev().copied().collect();
    Some(Node { op, operands, ..node.clone() })
}
