//! Masks the gradient of a pool before it is spread rather than after: there it is a fraction as large, and the product
//! that made it can do so as it stores.
//!
//! Before: `%1 = max_pool2d (%0), %3 = max_pool2d_gradient (%0, %2), %4 = where (greater (%0, 0), %3, 0)`. After:
//! `%3 = where (greater (%1, 0), %2, 0), %4 = max_pool2d_gradient (%0, %3)`. A gradient goes where the maximum is, so what
//! lets it pass there is whether the maximum is positive.

use std::collections::BTreeMap;

use super::{add, alone, relu_gradient, rewrite};
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::constant::Splat;
use crate::ops::greater::Greater;
use crate::ops::max_pool2d::MaxPool2d;
use crate::ops::reshape::Reshape;
use crate::ops::select::Select;

/// The same graph with masks before the gradients of pools.
pub(super) fn masks(graph: &Graph) -> Graph {
    let alone = alone(graph);
    let mut single: Vec<bool> = Vec::new();
    let mut pools: BTreeMap<NodeId, Vec<(MaxPool2d, NodeId)>> = BTreeMap::new();
    rewrite(graph, |new, id, node| {
        let masked = masked(new, &node, &single, &pools);
        let pool = match &node.op {
            Op::MaxPool2d(pool) => Some((node.operands[0], pool.clone())),
            _ => None,
        };
        let now = masked.unwrap_or_else(|| new.push(node));
        single.resize(new.nodes.len(), alone[id.index()]);
        if let Some((x, pool)) = pool {
            pools.entry(x).or_default().push((pool, now));
        }
        now
    })
}

/// The gradient of a pool with its mask before it, if the node is one behind it.
fn masked(
    graph: &mut Graph,
    node: &Node,
    single: &[bool],
    pools: &BTreeMap<NodeId, Vec<(MaxPool2d, NodeId)>>,
) -> Option<NodeId> {
    let [x, spread] = relu_gradient(graph, node)?;
    let gradient = graph.node(spread).clone();
    let Op::MaxPool2dGradient(op) = &gradient.op else { return None };
    let fits = single[spread.index()] && gradient.operands[0] == x;
    let is_same = |pool: &MaxPool2d| (pool.kernel, pool.stride, pool.padding) == (op.kernel, op.stride, op.padding);
    let (_, mut y) = pools.get(&x).filter(|_| fits)?.iter().find(|(pool, _)| is_same(pool))?.clone();
    // A view of the gradient is masked where it was made.
    let mut d_y = gradient.operands[1];
    let viewed = matches!(graph.node(d_y).op, Op::Reshape(_) | Op::Flatten(_)) && single[d_y.index()];
    let view = graph.node(d_y).clone();
    if viewed {
        d_y = view.operands[0];
        y = add(graph, Reshape { dims: graph.ty(d_y).dims.clone() }, &[y], &view)?;
    }
    let made = graph.node(d_y).clone();
    let zero = add(graph, Splat { value: 0.0, dims: made.ty.dims.clone() }, &[], &made)?;
    let positive = add(graph, Greater, &[y, zero], &made)?;
    let mut masked = add(graph, Select, &[positive, d_y, zero], &made)?;
    if viewed {
        masked = add(graph, Reshape { dims: view.ty.dims.clone() }, &[masked], &view)?;
    }
    add(graph, gradient.op, &[x, masked], node)
}
