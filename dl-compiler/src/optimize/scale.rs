//! Lets weights and biases take what products are scaled and shifted by, where that is known before any example: the batch
//! normalization of inference.
//!
//! Before: `%2 = convolution2d (%0, %1), %3 = subtract (%2, expand (%mean)), %4 = multiply (%3, expand (%scale))`. After:
//! `%5 = multiply (%1, expand (%scale)), %6 = convolution2d (%0, %5), %7 = add (%6, expand (multiply (negate (%mean), %scale)))`:
//! the weights are scaled once, when they are prepared. Training is left alone, since it prepares in every step.

use super::{add, alone, rewrite, trains, view};
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::add::Add;
use crate::ops::expand::Expand;
use crate::ops::multiply::Multiply;
use crate::ops::negate::Negate;
use crate::ops::reshape::Reshape;
use crate::ops::subtract::Subtract;
use crate::program::Epilogue;

/// The same graph with scaled weights.
pub(super) fn scale(graph: &Graph) -> Graph {
    if trains(graph) {
        return graph.clone();
    }
    let alone = alone(graph);
    let mut facts = Facts::default();
    rewrite(graph, |new, id, node| {
        let scaled = shifted(new, &facts, &node);
        let now = scaled.unwrap_or_else(|| new.push(node));
        facts.extend(new);
        facts.single[now.index()] = alone[id.index()];
        now
    })
}

/// What is known of the nodes of the new graph.
#[derive(Default)]
struct Facts {
    /// Whether it follows from parameters, states and constants alone.
    known: Vec<bool>,
    /// Whether it has one user, in its own loop.
    single: Vec<bool>,
}

impl Facts {
    /// Learns of nodes that are new.
    fn extend(&mut self, graph: &Graph) {
        for node in &graph.nodes[self.known.len()..] {
            self.known.push(node.is_prepared(&self.known));
            // Nobody else has seen what a rule made on the way.
            self.single.push(true);
        }
    }
}

/// A product, and what is added to it: one number for each of its columns, or filters.
struct Affine {
    product: NodeId,
    bias: Option<NodeId>,
}

/// A product scaled or shifted by what is known, as a product of scaled weights plus a bias.
fn shifted(graph: &mut Graph, facts: &Facts, node: &Node) -> Option<NodeId> {
    let &[a, b] = node.operands.as_slice() else { return None };
    let commutes = matches!(node.op, Op::Add(_) | Op::Multiply(_));
    let pairs = [(a, b), (b, a)];
    let (affine, list) = pairs[..if commutes { 2 } else { 1 }].iter().find_map(|&(value, by)| {
        let affine = affine(graph, facts, value)?;
        Some((affine, by)).filter(|(affine, by)| is_list(graph, facts, affine.product, *by))
    })?;
    let list = flat(graph, node, list)?;
    let Affine { product, bias } = affine;
    match &node.op {
        Op::Add(_) => {
            // A first bias is as it should be.
            let bias = add(graph, Add, &[bias?, list], node)?;
            with_bias(graph, node, product, bias)
        }
        Op::Subtract(_) => {
            let bias = match bias {
                Some(bias) => add(graph, Subtract, &[bias, list], node)?,
                None => add(graph, Negate, &[list], node)?,
            };
            with_bias(graph, node, product, bias)
        }
        Op::Multiply(_) => {
            let product = scaled(graph, node, product, list)?;
            match bias {
                Some(bias) => {
                    let bias = add(graph, Multiply, &[bias, list], node)?;
                    with_bias(graph, node, product, bias)
                }
                None => Some(product),
            }
        }
        _ => None,
    }
}

/// The value as a product and its bias, if nobody else needs either.
fn affine(graph: &Graph, facts: &Facts, value: NodeId) -> Option<Affine> {
    let is_product = |id: NodeId| {
        let plain = match &graph.node(id).op {
            Op::MatMul(product) => product.epilogue == Epilogue::default(),
            Op::Convolution2d(product) => product.epilogue == Epilogue::default(),
            _ => false,
        };
        plain && facts.single[id.index()] && facts.known[graph.node(id).operands[1].index()]
    };
    if is_product(value) {
        return Some(Affine { product: value, bias: None });
    }
    let (Op::Add(_), &[a, b]) = (&graph.node(value).op, graph.node(value).operands.as_slice()) else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(product, bias)| {
        let fits = facts.single[value.index()] && is_product(product) && is_list(graph, facts, product, bias);
        let (bias, _) = view::view(graph, bias);
        (fits && graph.ty(bias).dims.len() == 1).then_some(Affine { product, bias: Some(bias) })
    })
}

/// Whether a value is a known list with a number for each column or filter of the product.
fn is_list(graph: &Graph, facts: &Facts, product: NodeId, value: NodeId) -> bool {
    let (source, pattern) = view::view(graph, value);
    facts.known[source.index()] && view::columns(graph, product) == Some(pattern)
}

/// The list itself.
fn flat(graph: &mut Graph, node: &Node, value: NodeId) -> Option<NodeId> {
    let (source, _) = view::view(graph, value);
    let len = graph.ty(source).len();
    if graph.ty(source).dims.len() == 1 {
        return Some(source);
    }
    add(graph, Reshape { dims: vec![len] }, &[source], node)
}

/// The list, repeated over all axes of `dims` but one.
fn along(graph: &mut Graph, node: &Node, list: NodeId, axis: usize, dims: &[usize]) -> Option<NodeId> {
    let tall = dims.iter().enumerate().map(|(at, &size)| if at == axis { size } else { 1 }).collect();
    let mut value = add(graph, Reshape { dims: tall }, &[list], node)?;
    for (first, dims) in [(0, &dims[..axis]), (axis + 1, &dims[axis + 1..])] {
        if !dims.is_empty() {
            value = add(graph, Expand { axis: first, dims: dims.to_vec() }, &[value], node)?;
        }
    }
    Some(value)
}

/// The product with scaled weights.
fn scaled(graph: &mut Graph, node: &Node, product: NodeId, list: NodeId) -> Option<NodeId> {
    let mut product = graph.node(product).clone();
    let dims = graph.ty(product.operands[1]).dims.clone();
    let axis = match &product.op {
        Op::MatMul(op) if !op.transposed => dims.len().checked_sub(1)?,
        _ => 0,
    };
    let factor = along(graph, node, list, axis, &dims)?;
    product.operands[1] = add(graph, Multiply, &[product.operands[1], factor], node)?;
    product.origin = node.origin.clone();
    Some(graph.push(product))
}

/// `product + bias`.
fn with_bias(graph: &mut Graph, node: &Node, product: NodeId, bias: NodeId) -> Option<NodeId> {
    let dims = graph.ty(product).dims.clone();
    let axis = match graph.node(product).op {
        Op::Convolution2d(_) => 0,
        _ => dims.len().checked_sub(1)?,
    };
    let bias = along(graph, node, bias, axis, &dims)?;
    add(graph, Add, &[product, bias], node)
}
