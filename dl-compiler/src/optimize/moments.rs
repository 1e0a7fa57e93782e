//! Finds the variance of a batch from the mean and the deviations of each example, in place of a second look at all numbers.
//!
//! Before: `%1 = sum (%0), … %5 = subtract (%0, expand (%4)), %6 = sum (multiply (%5, %5))`. After:
//! `%6 = add (deviations (%0), multiply (n, square (subtract (divide (%1, n), %4))))`, where n numbers are summed. So what makes
//! `%0` can find both sums as it does, before the mean over the batch, `%4`, is known (Chan, Golub and LeVeque, 1979).
//! Rounding stays that of deviations: no square of a mean is taken from another.

use std::collections::BTreeMap;

use super::rewrite;
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::add::Add;
use crate::ops::constant::Splat;
use crate::ops::deviations::Deviations;
use crate::ops::multiply::Multiply;
use crate::ops::subtract::Subtract;
use crate::ops::sum::Sum;

/// The sums of values along axes.
type Sums = BTreeMap<(NodeId, usize, usize), NodeId>;

/// The same graph with the deviations of each example.
pub(super) fn moments(graph: &Graph) -> Graph {
    let mut sums = Sums::new();
    rewrite(graph, |new, _, node| {
        if let Some(spread) = spread(new, &sums, &node) {
            return spread;
        }
        let key = match &node.op {
            Op::Sum(Sum { axis, count }) => Some((node.operands[0], *axis, *count)),
            _ => None,
        };
        let id = new.push(node);
        sums.extend(key.map(|key| (key, id)));
        id
    })
}

/// The sum of squared distances from what the batch has once, by deviations of each example.
fn spread(graph: &mut Graph, sums: &Sums, node: &Node) -> Option<NodeId> {
    let Op::Sum(Sum { axis, count }) = node.op else { return None };
    let square = graph.node(node.operands[0]);
    let (Op::Multiply(_), &[a, b]) = (&square.op, square.operands.as_slice()) else { return None };
    let distance = graph.node(a);
    let (Op::Subtract(_), &[first, second]) = (&distance.op, distance.operands.as_slice()) else { return None };
    if a != b {
        return None;
    }
    let (x, center) = [(first, second), (second, first)].into_iter().find_map(|(x, copies)| {
        let copied = graph.node(copies);
        let Op::Expand(expand) = &copied.op else { return None };
        let center = *copied.operands.first()?;
        let fits = (expand.axis, expand.dims.len()) == (axis, count) && !graph.ty(center).per_example;
        (fits && graph.ty(x).per_example).then_some((x, center))
    })?;
    let sum = *sums.get(&(x, axis, count))?;
    let summed: usize = graph.ty(x).dims.iter().skip(axis).take(count).product();
    if summed < 2 {
        return None;
    }
    let mut add = |op: Op, operands: &[NodeId]| graph.add(op, operands, node.origin.clone()).ok();
    let deviations = add(Deviations { axis, count }.into(), &[x])?;
    let number = |value: f64| Op::from(Splat { value, dims: node.ty.dims.clone() });
    let share = add(number(1.0 / summed as f64), &[])?;
    let mean = add(Multiply.into(), &[sum, share])?;
    let distance = add(Subtract.into(), &[mean, center])?;
    let square = add(Multiply.into(), &[distance, distance])?;
    let summed = add(number(summed as f64), &[])?;
    let between = add(Multiply.into(), &[square, summed])?;
    add(Add.into(), &[deviations, between])
}
