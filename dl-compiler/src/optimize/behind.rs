//! Moves other dimensions of a convolution's results behind what is computed of them place by place, so that what comes before and
//! after finds the convolution: that of a sequence is one of an image of a single row.
//!
//! Before: `%2 = convolution2d (%0, %1), %3 = reshape (%2), %5 = relu (add (%3, %4))`. After: `%6 = reshape (%4),
//! %7 = relu (add (%2, %6)), %5 = reshape (%7)`. A reshape moves no number. Training is left alone.

use super::{add, function, rewrite, trains};
use crate::graph::{Graph, Node, NodeId};
use crate::ops::Op;
use crate::ops::constant::Splat;
use crate::ops::reshape::Reshape;

/// The same graph with reshapes later.
pub(super) fn behind(graph: &Graph) -> Graph {
    if trains(graph) {
        return graph.clone();
    }
    // Whether a value of the new graph is a convolution's, or computed of such place by place.
    let mut of_image: Vec<bool> = Vec::new();
    rewrite(graph, |new, id, node| {
        let is_pointwise = function(graph, id).is_some();
        let moved = match node.op {
            Op::Reshape(_) => again(new, &node),
            _ if is_pointwise => before(new, &of_image, &node),
            _ => None,
        };
        let now = moved.unwrap_or_else(|| new.push(node));
        for node in &new.nodes[of_image.len()..] {
            let follows = is_pointwise && !matches!(node.op, Op::Reshape(_));
            let is_image = follows && node.operands.iter().any(|operand| of_image[operand.index()]);
            of_image.push(is_image || matches!(node.op, Op::Convolution2d(_)));
        }
        now
    })
}

/// The reshape of a reshape as one, or as none.
fn again(graph: &mut Graph, node: &Node) -> Option<NodeId> {
    let of = graph.node(*node.operands.first()?);
    let (Op::Reshape(_), &[first]) = (&of.op, of.operands.as_slice()) else { return None };
    if graph.ty(first) == &node.ty {
        return Some(first);
    }
    add(graph, node.op.clone(), &[first], node)
}

/// A function of single numbers of an image before the reshape of it.
fn before(graph: &mut Graph, of_image: &[bool], node: &Node) -> Option<NodeId> {
    let reshaped = |graph: &Graph, id: NodeId| {
        let of = graph.node(id);
        matches!(of.op, Op::Reshape(_)).then(|| of.operands.first().copied()).flatten()
    };
    let mut images = node.operands.iter().filter_map(|&operand| reshaped(graph, operand));
    let image = images.find(|image| of_image[image.index()])?;
    let dims = graph.ty(image).dims.clone();
    let mut operands = Vec::with_capacity(node.operands.len());
    for &operand in &node.operands {
        let same = reshaped(graph, operand).filter(|&image| graph.ty(image).dims == dims);
        operands.push(match (same, &graph.node(operand).op) {
            (Some(same), _) => same,
            (None, Op::Splat(splat)) => {
                let splat = Splat { value: splat.value, dims: dims.clone() };
                add(graph, splat, &[], node)?
            }
            (None, _) => add(graph, Reshape { dims: dims.clone() }, &[operand], node)?,
        });
    }
    let value = add(graph, node.op.clone(), &operands, node)?;
    add(graph, Reshape { dims: node.ty.dims.clone() }, &[value], node)
}
