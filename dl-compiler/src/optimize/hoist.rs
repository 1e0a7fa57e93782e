//! Takes products with a matrix out of loops: one product over all steps in place of one at each step.
//!
//! Before: `%3 = scan_step (%x), %4 = matmul (%3, %w)`. After: `%3 = matmul (%x, %w), %4 = scan_step (%3)`: the projections
//! of all inputs. Behind the loop the same: `stack (matmul (%a, %w))` becomes `matmul (stack (%a), %w)`, which is how the
//! gradients of all inputs are made; and `stack (scan_step (%x))` of one loop is `%x`. A carry that does nothing but add up
//! what is stacked anyway, as the gradient of a bias does, is the sum of the stack.

use super::rewrite;
use crate::graph::{Graph, Node, NodeId, Origin, Regions};
use crate::ops::reshape::Reshape;
use crate::ops::sum::Sum;
use crate::ops::{self, Op};

/// The same graph with products at their places outside of loops.
pub(super) fn hoist(graph: &Graph) -> Graph {
    if graph.scans.is_empty() {
        return graph.clone();
    }
    let users = graph.users();
    let is_root = |id: NodeId| graph.roots.iter().any(|(_, root)| *root == id);
    let only_stacked =
        |id: NodeId| !is_root(id) && users[id.index()].iter().all(|user| matches!(graph.node(*user).op, Op::Stack(_)));
    let is_stacked = |id: NodeId| users[id.index()].iter().any(|user| matches!(graph.node(*user).op, Op::Stack(_)));
    // Which term of a sum is the carry that it is handed on as, if the carry only adds up what is stacked.
    let carried = |last: &ops::last::Last, sum: NodeId| {
        let &[a, b] = graph.node(sum).operands.as_slice() else { return None };
        let (scan, index) = (last.scan, last.index);
        let carry = Op::from(ops::carry::Carry { scan, index });
        let is_carry = |id: NodeId| graph.node(id).op == carry && users[id.index()] == [sum];
        let place = [a, b].into_iter().position(is_carry)?;
        let handed_on = [Op::from(ops::next::Next { scan, index }), Op::from(last.clone())];
        let is_handed_on = |user: &NodeId| handed_on.contains(&graph.node(*user).op);
        let alone = matches!(graph.node(sum).op, Op::Add(_)) && !is_root(sum);
        (alone && users[sum.index()].iter().all(is_handed_on) && is_stacked([b, a][place])).then_some(place)
    };
    let mut regions = Regions::default();
    rewrite(graph, |new, id, node| {
        regions.extend(new);
        match &node.op {
            Op::MatMul(_) => before(new, &regions, node),
            Op::Stack(_) => behind(new, node, only_stacked(graph.node(id).operands[0])),
            Op::Last(last) => match carried(last, graph.node(id).operands[0]) {
                Some(place) => total(new, last.scan, place, node),
                None => new.push(node),
            },
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

/// `last (carry (a) + x)` as `a + sum (stack (x))`; `place` is that of the carry in the addition.
fn total(graph: &mut Graph, scan: usize, place: usize, node: Node) -> NodeId {
    let sum = node.operands[0];
    let (carry, x) = (graph.node(sum).operands[place], graph.node(sum).operands[1 - place]);
    let initial = graph.node(carry).operands[0];
    let is_zero = matches!(&graph.node(initial).op, Op::Splat(constant) if constant.value == 0.0);
    let stack = ops::stack::Stack { scan, length: graph.scans[scan].length };
    let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, node.origin.clone());
    let total = add(stack.into(), &[x])
        .and_then(|stack| add(Sum { axis: 0, count: 1 }.into(), &[stack]))
        .and_then(|sum| add(Reshape { dims: node.ty.dims.clone() }.into(), &[sum]))
        .and_then(|sum| if is_zero { Ok(sum) } else { add(ops::add::Add.into(), &[initial, sum]) });
    total.unwrap_or_else(|_| graph.push(node))
}
