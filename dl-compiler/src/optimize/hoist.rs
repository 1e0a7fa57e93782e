//! Takes products with a matrix out of loops: one product over all steps in place of one at each step.
//!
//! Before: `%3 = scan_step (%x), %4 = matmul (%3, %w)`. After: `%3 = matmul (%x, %w), %4 = scan_step (%3)`: the projections
//! of all inputs. Behind the loop the same: `stack (matmul (%a, %w))` becomes `matmul (stack (%a), %w)`, which is how the
//! gradients of all inputs are made; and `stack (scan_step (%x))` of one loop is `%x`.

use super::rewrite;
use crate::graph::{Graph, Node, NodeId, Origin, Regions};
use crate::ops::Op;

/// The same graph with products at their places outside of loops.
pub(super) fn hoist(graph: &Graph) -> Graph {
    if graph.scans.is_empty() {
        return graph.clone();
    }
    let users = graph.users();
    let is_root = |id: NodeId| graph.roots.iter().any(|(_, root)| *root == id);
    let only_stacked =
        |id: NodeId| !is_root(id) && users[id.index()].iter().all(|user| matches!(graph.node(*user).op, Op::Stack(_)));
    let mut regions = Regions::default();
    rewrite(graph, |new, id, node| {
        regions.extend(new);
        match &node.op {
            Op::MatMul(_) => before(new, &regions, node),
            Op::Stack(_) => behind(new, node, only_stacked(graph.node(id).operands[0])),
            _ => new.push(node),
        }
    })
}

/// `matmul (scan_step (x), w)` as `scan_step (matmul (x, w))`.
fn before(graph: &mut Graph, regions: &Regions, node: Node) -> NodeId {
    let &[x, weight] = node.operands.as_slice() else { return graph.push(node) };
    let Op::ScanStep(step) = graph.node(x).op.clone() else { return graph.push(node) };
    if regions.of(weight).is_some() {
        return graph.push(node);
    }
    let sequence = graph.node(x).operands[0];
    match graph.add(node.op.clone(), &[sequence, weight], node.origin.clone()) {
        Ok(product) => graph.push(Node { op: step.into(), operands: vec![product], ..node }),
        Err(_) => graph.push(node),
    }
}

/// `stack (matmul (a, w))` as `matmul (stack (a), w)` if nothing else needs the product, and `stack (scan_step (x))` as `x`.
fn behind(graph: &mut Graph, node: Node, only_stacked: bool) -> NodeId {
    let Op::Stack(stack) = node.op.clone() else { return graph.push(node) };
    let value = graph.node(node.operands[0]).clone();
    match (value.op, value.operands.as_slice()) {
        (Op::ScanStep(step), &[x]) if stack.scan == step.scan && graph.ty(x) == &node.ty => x,
        (Op::MatMul(product), &[a, weight]) if only_stacked => {
            let origin = Origin { name: String::new(), ..node.origin };
            let rows = graph.add(stack.clone().into(), &[a], origin);
            match rows.and_then(|rows| graph.add(product.into(), &[rows, weight], node.origin.clone())) {
                Ok(product) => product,
                Err(_) => graph.push(node),
            }
        }
        _ => graph.push(node),
    }
}
