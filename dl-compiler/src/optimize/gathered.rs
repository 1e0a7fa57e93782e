//! Multiplies a table once in place of the rows looked up in it, where these are more.
//!
//! Before: `%3 = gather (%table, %index), %4 = matmul (%3, %w)`. After: `%3 = batched_matmul (%table, %w), %4 = gather (%3, %index)`.
//! The gradients alike: what comes back to equal rows is added up first, and then multiplied once for each row.

use super::rewrite;
use crate::graph::{Graph, Node, NodeId, Type};
use crate::ops::Op;
use crate::ops::batched_matmul::BatchedMatMul;
use crate::ops::gather::Gather;
use crate::ops::gather_gradient::GatherGradient;
use crate::ops::matmul::MatMul;
use crate::program::{Epilogue, SHARD};

/// The same graph with products of tables.
pub(super) fn gathered(graph: &Graph) -> Graph {
    rewrite(graph, |new, _, node| {
        let changed = match &node.op {
            Op::MatMul(product) if is_plain(product, false) => of_rows(new, &node),
            Op::MatMulWeights(_) => of_weight(new, &node),
            Op::GatherGradient(gradient) => of_table(new, &node, gradient.clone()),
            _ => None,
        };
        changed.unwrap_or_else(|| new.push(node))
    })
}

fn is_plain(product: &MatMul, transposed: bool) -> bool {
    product.transposed == transposed && product.epilogue == Epilogue::default()
}

/// Whether a shard looks up more rows than a table of `rows` rows has.
fn pays(rows: usize, index: &Type) -> bool {
    index.per_example && index.len().saturating_mul(SHARD) > rows
}

/// The table and the indices of a look-up that pays, of rows that are vectors.
fn look_up(graph: &Graph, id: NodeId) -> Option<(NodeId, NodeId)> {
    let node = graph.node(id);
    let (Op::Gather(_), &[table, index]) = (&node.op, node.operands.as_slice()) else { return None };
    let ty = graph.ty(table);
    let fits = !ty.per_example && ty.dims.len() == 2 && pays(ty.dims[0], graph.ty(index));
    fits.then_some((table, index))
}

/// `matmul (gather (table, index), w)`
fn of_rows(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    let &[x, weight] = node.operands.as_slice() else { return None };
    let (table, index) = look_up(graph, x)?;
    let product = product(graph, [table, weight], [false, false], node)?;
    graph.add(Gather.into(), &[product, index], node.origin.clone()).ok()
}

/// `matmul_weights (gather (table, index), d)`
fn of_weight(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    let &[x, d] = node.operands.as_slice() else { return None };
    let (table, index) = look_up(graph, x)?;
    let rows = graph.ty(table).dims[0];
    let sums = graph.add(GatherGradient { rows }.into(), &[index, d], node.origin.clone()).ok()?;
    product(graph, [table, sums], [true, false], node)
}

/// `gather_gradient (index, matmul transposed (d, w))`
fn of_table(graph: &mut Graph, node: &Node, gradient: GatherGradient) -> Option<NodeId> {
    let &[index, d_rows] = node.operands.as_slice() else { return None };
    let Node { op: Op::MatMul(transposed), operands, .. } = graph.node(d_rows).clone() else { return None };
    let &[d, weight] = operands.as_slice() else { return None };
    if !is_plain(&transposed, true) || graph.ty(weight).per_example || !pays(gradient.rows, graph.ty(index)) {
        return None;
    }
    let sums = graph.add(gradient.into(), &[index, d], node.origin.clone()).ok()?;
    product(graph, [sums, weight], [false, true], node)
}

fn product(graph: &mut Graph, operands: [NodeId; 2], transposed: [bool; 2], node: &Node) -> Option<NodeId> {
    let is_wide = operands.iter().all(|&id| !graph.ty(id).per_example && graph.ty(id).dims.len() == 2);
    let [transposed_a, transposed_b] = transposed;
    let op = BatchedMatMul::new(transposed_a, transposed_b);
    is_wide.then(|| graph.add(op.into(), &operands, node.origin.clone()).ok())?
}
