//! Puts cheap operations in place of dear ones, within rounding.
//!
//! Before: `%2 = divide (%0, expand (%1))`. After: `%3 = divide (constant 1, %1), %4 = multiply (%0, expand (%3))`: few divisions.
//! Before: `%3 = multiply (multiply (%0, expand (%1)), expand (%2))`. After: `%4 = multiply (%1, %2), %5 = multiply (%0, expand (%4))`.
//! Copies for each example of what the batch has once are not made where the other operand is one for each example.
//! Before: `%2 = sum (multiply (%0, expand (%1)))`. After: `%2 = multiply (sum (%0), %1)`, so that sums of the same are
//! found to be the same. Before: `sum (subtract (%0, expand (%1)))`, where `%1` is the mean of `%0`. After: `constant 0`.
//! It changes roundings, not values: other sums that cancel are not taken apart.

use super::{add, rewrite, view};
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::constant::Splat;
use crate::ops::divide::Divide;
use crate::ops::equal::Equal;
use crate::ops::expand::Expand;
use crate::ops::multiply::Multiply;
use crate::ops::negate::Negate;
use crate::ops::reshape::Reshape;
use crate::ops::select::Select;

/// The most nodes that a mean is followed through.
const FACTORS: usize = 16;

/// The same graph with cheaper operations.
pub(super) fn cheapen(graph: &Graph) -> Graph {
    rewrite(graph, |new, _, node| {
        let node = once(new, node);
        let cheaper = match &node.op {
            Op::Divide(_) => divide(new, &node),
            Op::Sum(_) | Op::SumBatch(_) => sum(new, &node),
            Op::Add(_) => addition(new, &node),
            Op::Multiply(_) => product(new, &node),
            Op::Negate(_) => Some(node.operands[0]).filter(|&x| constant(new, x) == Some(0.0)),
            _ => None,
        };
        cheaper.unwrap_or_else(|| new.push(node))
    })
}

/// A sum or product with one number for each example, whose other operand is the same for all of them, with what that is
/// a copy of.
fn once(graph: &mut Graph, node: Node) -> Node {
    let (Op::Add(_) | Op::Subtract(_) | Op::Multiply(_), &[a, b]) = (&node.op, node.operands.as_slice()) else {
        return node;
    };
    for (place, each, copy) in [(1, a, b), (0, b, a)] {
        if graph.ty(each).per_example
            && graph.ty(copy).per_example
            && let Some(wide) = copied(graph, copy, &node)
        {
            let mut operands = node.operands.clone();
            operands[place] = wide;
            return Node { operands, ..node };
        }
    }
    node
}

/// Copies along axes of what the batch has once, of a value that is a copy of these for each example.
fn copied(graph: &mut Graph, id: NodeId, of: &Node) -> Option<NodeId> {
    let wide = view::spread(graph, source(graph, id))?;
    copies(graph, id, wide, of)
}

/// The copies along axes that a value is made by, of another value.
fn copies(graph: &mut Graph, mut id: NodeId, mut value: NodeId, of: &Node) -> Option<NodeId> {
    let mut chain = Vec::new();
    while is_view(graph, id) {
        chain.push(graph.node(id).op.clone());
        id = graph.node(id).operands[0];
    }
    for op in chain.into_iter().rev() {
        value = add(graph, op, &[value], of)?;
    }
    Some(value)
}

/// A division by what is one number for many places as a product with its reciprocal.
fn divide(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    let (x, by) = (node.operands[0], node.operands[1]);
    if let Op::Splat(splat) = &graph.node(by).op {
        let reciprocal = Splat { value: 1.0 / splat.value, ..splat.clone() };
        // Where the reciprocal is exact or the rounding of a product is all that differs.
        let is_safe = reciprocal.value.is_finite() && splat.value.is_finite() && splat.value != 0.0;
        let reciprocal = is_safe.then(|| add(graph, reciprocal, &[], node))??;
        return multiply(graph, x, reciprocal, node);
    }
    let source = source(graph, by);
    if graph.ty(source).len() >= node.ty.len() || matches!(graph.node(source).op, Op::Splat(_)) {
        return None;
    }
    let one = add(graph, Splat { value: 1.0, dims: graph.ty(source).dims.clone() }, &[], node)?;
    let reciprocal = add(graph, Divide, &[one, source], node)?;
    let reciprocal = copies(graph, by, reciprocal, node)?;
    multiply(graph, x, reciprocal, node)
}

/// A number added to itself, or to zero.
fn addition(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    let (a, b) = (node.operands[0], node.operands[1]);
    if a == b {
        let two = add(graph, Splat { value: 2.0, dims: node.ty.dims.clone() }, &[], node)?;
        return multiply(graph, a, two, node);
    }
    let (x, _) = [(a, b), (b, a)].into_iter().find(|(_, zero)| constant(graph, *zero) == Some(0.0))?;
    (graph.ty(x) == &node.ty).then_some(x)
}

/// A product whose factors that are the same for many places meet first, and to which a zero is all that matters.
fn product(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    let (a, b) = (node.operands[0], node.operands[1]);
    for (zero, other) in [(a, b), (b, a)] {
        if constant(graph, zero) == Some(0.0) && is_finite(graph, other) && graph.ty(zero) == &node.ty {
            return Some(zero);
        }
    }
    let (product, factor) = [(a, b), (b, a)].into_iter().find(|(_, factor)| is_copy(graph, *factor))?;
    let (x, first) = scaled(graph, product);
    let factor = factors(graph, first?, factor, node)?;
    add(graph, Multiply, &[x, factor], node)
}

/// [`product`], or the plain one.
fn multiply(graph: &mut Graph, a: NodeId, b: NodeId, of: &Node) -> Option<NodeId> {
    let node = Node { op: Multiply.into(), operands: vec![a, b], ..of.clone() };
    Some(product(graph, &node).unwrap_or_else(|| graph.push(node)))
}

/// A value as a product with a factor that is the same for many places, if it is one.
fn scaled(graph: &Graph, id: NodeId) -> (NodeId, Option<NodeId>) {
    let node = graph.node(id);
    if let (Op::Multiply(_), &[a, b]) = (&node.op, node.operands.as_slice()) {
        for (x, factor) in [(a, b), (b, a)] {
            if is_copy(graph, factor) && !is_copy(graph, x) && graph.ty(x) == &node.ty {
                return (x, Some(factor));
            }
        }
    }
    (id, None)
}

/// Whether a value is one number for many places.
fn is_copy(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op, Op::Expand(_) | Op::Splat(_)) && graph.ty(id).len() > 1
}

/// The product of two factors that are copies; a copy itself where both are copies alike.
fn factors(graph: &mut Graph, a: NodeId, b: NodeId, of: &Node) -> Option<NodeId> {
    let (first, second) = (graph.node(a).clone(), graph.node(b).clone());
    match (&first.op, &second.op) {
        (Op::Splat(x), Op::Splat(y)) => {
            let value = x.value * y.value;
            is_normal(value).then(|| add(graph, Splat { value, ..x.clone() }, &[], of))?
        }
        (Op::Expand(expand), Op::Splat(splat)) | (Op::Splat(splat), Op::Expand(expand)) => {
            let source = if matches!(first.op, Op::Expand(_)) { first.operands[0] } else { second.operands[0] };
            let inner = times(graph, source, splat.value, of)?;
            add(graph, expand.clone(), &[inner], of)
        }
        (Op::Expand(x), Op::Expand(y)) if x == y => {
            let inner = add(graph, Multiply, &[first.operands[0], second.operands[0]], of)?;
            add(graph, x.clone(), &[inner], of)
        }
        _ => None,
    }
}

/// A value times a number, with which one that it was multiplied by already becomes one.
fn times(graph: &mut Graph, id: NodeId, number: f64, of: &Node) -> Option<NodeId> {
    let (view, inner) = match graph.node(id).op {
        Op::Reshape(_) | Op::Flatten(_) => (true, graph.node(id).operands[0]),
        _ => (false, id),
    };
    let (mut x, mut number) = (inner, number);
    if let (Op::Multiply(_), &[a, b]) = (&graph.node(inner).op, graph.node(inner).operands.as_slice()) {
        for (other, known) in [(a, b), (b, a)] {
            if let Op::Splat(splat) = &graph.node(known).op
                && is_normal(number * splat.value)
            {
                (x, number) = (other, number * splat.value);
                break;
            }
        }
    }
    let dims = graph.ty(inner).dims.clone();
    let product = if number == 1.0 && graph.ty(x) == graph.ty(inner) {
        x
    } else {
        let number = add(graph, Splat { value: number, dims }, &[], of)?;
        add(graph, Multiply, &[x, number], of)?
    };
    if view { add(graph, Reshape { dims: graph.ty(id).dims.clone() }, &[product], of) } else { Some(product) }
}

/// Whether a number is none that single precision would lose.
fn is_normal(number: f64) -> bool {
    (number as f32).is_normal()
}

/// The number that a value is in all places.
fn constant(graph: &Graph, id: NodeId) -> Option<f64> {
    let id = source(graph, id);
    match &graph.node(view::spread(graph, id).unwrap_or(id)).op {
        Op::Splat(splat) => Some(splat.value),
        _ => None,
    }
}

/// The value that copies along axes are copies of.
fn source(graph: &Graph, mut id: NodeId) -> NodeId {
    while is_view(graph, id) {
        id = graph.node(id).operands[0];
    }
    id
}

/// Whether a value shows or repeats the numbers of its operand.
fn is_view(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op, Op::Expand(_) | Op::Reshape(_) | Op::Flatten(_))
}

/// Whether a value is a constant, or one divided by how many examples there are.
fn is_finite(graph: &Graph, id: NodeId) -> bool {
    match &graph.node(source(graph, id)).op {
        Op::Splat(splat) => splat.value.is_finite(),
        Op::BatchShare(_) => true,
        _ => false,
    }
}

/// A sum of products with a factor that all terms share, of negated terms, or of deviations from their mean.
fn sum(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    let terms = graph.node(node.operands[0]).clone();
    if is_sum_of_deviations(graph, node) {
        return zeros(graph, node);
    }
    match (&node.op, &terms.op) {
        (_, Op::Negate(_)) => {
            let sum = sum_of(graph, node, terms.operands[0])?;
            if constant(graph, sum) == Some(0.0) { Some(sum) } else { add(graph, Negate, &[sum], node) }
        }
        (Op::SumBatch(_), Op::Reshape(_) | Op::Flatten(_)) => {
            let sum = sum_of(graph, node, terms.operands[0])?;
            add(graph, Reshape { dims: node.ty.dims.clone() }, &[sum], node)
        }
        (_, Op::Multiply(_)) => {
            let (a, b) = (terms.operands[0], terms.operands[1]);
            let mut found = None;
            for (x, factor) in [(a, b), (b, a)] {
                // The terms keep what makes them one for each example.
                if found.is_none() && graph.ty(x).per_example == terms.ty.per_example {
                    found = shared_factor(graph, node, factor).map(|factor| (x, factor));
                }
            }
            let (x, factor) = match found {
                Some(found) => found,
                None => within(graph, node, a, b)?,
            };
            let sum = sum_of(graph, node, x)?;
            if constant(graph, sum) == Some(0.0) {
                return Some(sum);
            }
            add(graph, Multiply, &[sum, factor], node)
        }
        _ => None,
    }
}

/// Zeros in place of a value: once, or a copy of them for each example.
fn zeros(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    let zeros = add(graph, Splat { value: 0.0, dims: node.ty.dims.clone() }, &[], node)?;
    if !node.ty.per_example {
        return Some(zeros);
    }
    let each = graph.push(node.clone());
    let each = add(graph, Equal, &[each, each], node)?;
    add(graph, Select, &[each, zeros, zeros], node)
}

/// Whether a sum adds up the differences between numbers and the mean of just these: 0, whatever they are.
fn is_sum_of_deviations(graph: &Graph, node: &Node) -> bool {
    let terms = graph.node(node.operands[0]);
    // Over places, or over places and then the batch.
    let (places, differences) = match (&node.op, &terms.op) {
        (Op::Sum(places), _) => (places, terms),
        (Op::SumBatch(_), Op::Sum(places)) => (places, graph.node(terms.operands[0])),
        _ => return false,
    };
    let (Op::Subtract(_), &[x, mean]) = (&differences.op, differences.operands.as_slice()) else { return false };
    let copies = graph.node(mean);
    let (Op::Expand(Expand { axis, dims }), &[mean]) = (&copies.op, copies.operands.as_slice()) else { return false };
    if (*axis, dims.len()) != (places.axis, places.count) {
        return false;
    }
    // The mean is the same sum of the numbers, times one divided by how many there are: no more than a few factors.
    let over_batch = matches!(node.op, Op::SumBatch(_));
    let (mut sums, mut shares, mut factor, mut left) = (0, 0, 1.0, vec![mean]);
    for _ in 0..FACTORS {
        let Some(id) = left.pop() else { break };
        let node = graph.node(id);
        match &node.op {
            Op::Multiply(_) => left.extend(&node.operands),
            Op::Splat(splat) => factor *= splat.value,
            Op::Expand(_) | Op::Reshape(_) => left.extend(&node.operands),
            Op::BatchShare(_) => shares += 1,
            Op::Sum(sum) if !over_batch && sum == places && node.operands[0] == x => sums += 1,
            Op::SumBatch(_) if over_batch => match graph.node(node.operands[0]) {
                Node { op: Op::Sum(sum), operands, .. } if sum == places && operands[0] == x => sums += 1,
                _ => return false,
            },
            _ => return false,
        }
    }
    let count: usize = dims.iter().product();
    let is_mean = (sums, shares) == (1, usize::from(over_batch)) && (factor * count as f64 - 1.0).abs() < 1e-12;
    left.is_empty() && is_mean
}

/// A product of products without the factors of these that all terms of a sum share, and these factors.
fn within(graph: &mut Graph, sum: &Node, a: NodeId, b: NodeId) -> Option<(NodeId, NodeId)> {
    let per_example = graph.ty(a).per_example || graph.ty(b).per_example;
    let mut part = |id| {
        let (x, factor) = scaled(graph, id);
        let factor = factor.and_then(|factor| shared_factor(graph, sum, factor));
        if factor.is_some() { (x, factor) } else { (id, None) }
    };
    let ((x, p), (y, q)) = (part(a), part(b));
    let core = add(graph, Multiply, &[x, y], sum)?;
    let factor = match (p, q) {
        (Some(p), Some(q)) => add(graph, Multiply, &[p, q], sum)?,
        (p, q) => p.or(q)?,
    };
    (graph.ty(core).per_example == per_example).then_some((core, factor))
}

/// The factor as it is once for all that is summed, if it is.
fn shared_factor(graph: &mut Graph, sum: &Node, factor: NodeId) -> Option<NodeId> {
    let of = graph.node(factor).clone();
    match (&sum.op, &of.op) {
        (Op::SumBatch(_), _) => (!of.ty.per_example).then_some(factor),
        (Op::Sum(_), Op::Splat(splat)) => add(graph, Splat { dims: sum.ty.dims.clone(), ..splat.clone() }, &[], sum),
        (Op::Sum(sum), Op::Expand(Expand { axis, dims })) => {
            (sum.axis == *axis && sum.count == dims.len()).then_some(of.operands[0])
        }
        _ => None,
    }
}

/// The same sum of something else; what is summed already is summed further.
fn sum_of(graph: &mut Graph, node: &Node, terms: NodeId) -> Option<NodeId> {
    let ty = node.op.infer(&[graph.ty(terms)]).ok()?;
    let inner = Node { op: node.op.clone(), operands: vec![terms], ty, origin: node.origin.clone() };
    Some(sum(graph, &inner).unwrap_or_else(|| graph.push(inner)))
}
