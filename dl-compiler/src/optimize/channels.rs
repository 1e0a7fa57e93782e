//! Lays the channels of separable convolutions side by side, for inference: products of pixels are then those of a matrix, and
//! convolutions of each channel by itself read vectors of channels. The convolution of a picture that comes first leads there.
//!
//! Before: `%2 = convolution2d groups: 32 (%0, %1), %4 = relu (%2), %6 = convolution2d (%4, %5)` of single pixels. After:
//! `%7 = transpose [1, 2, 0] (%0), %8 = depthwise2d (%7, …), %9 = relu (%8), %10 = matmul (%9, …), %11 = transpose [2, 0, 1] (%10)`.
//! Where nobody reads the planes, the last transpose is left for `dead`; the weights are turned once, when they are prepared.
//! What is computed place by place follows its operands. Gradients want images side by side, so training is left alone.

use std::collections::BTreeMap;

use super::{add, function, rewrite, trains, view};
use crate::expression::View;
use crate::graph::{Element, Graph, Node, NodeId, Regions, Type};
use crate::ops::Op;
use crate::ops::constant::Splat;
use crate::ops::convolution2d::Convolution2d;
use crate::ops::depthwise2d::Depthwise2d;
use crate::ops::expand::Expand;
use crate::ops::matmul::MatMul;
use crate::ops::reshape::Reshape;
use crate::ops::sum::Sum;
use crate::ops::transpose::Transpose;
use crate::program::{Convolution2dShape, Epilogue};

/// The fewest channels, and the most taps along an axis, that the runtime's kernel takes.
const CHANNELS: usize = 16;
const TAPS: usize = 32;
/// The most channels of a convolution that leads to channels last: with more, others are faster and a copy is a small part.
const FEW: usize = 4;
/// The most floats that a row of its results meets, which the runtime keeps on the stack.
const MET: usize = 12 * 1024;

/// The same graph with channels last from one separable convolution to the next.
pub(super) fn channels(graph: &Graph) -> Graph {
    if trains(graph) {
        return graph.clone();
    }
    let wanted = wanted(graph);
    let regions = Regions::new(graph);
    let mut last = Last::default();
    rewrite(graph, |new, id, node| {
        let turned = match &node.op {
            _ if regions.of(id).is_some() => None,
            Op::Convolution2d(op) => last.convolution(new, op, &node, wanted[id.index()]),
            Op::Sum(sum) => last.sum(new, sum, &node),
            Op::Reshape(_) => last.reshape(new, &node),
            _ if function(graph, id).is_some() => last.pointwise(new, &node),
            _ => None,
        };
        turned.unwrap_or_else(|| new.push(node))
    })
}

/// How a convolution is computed if channels come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Each channel by itself.
    Depthwise,
    /// As a product of all pixels with a matrix.
    Product,
    /// As it is, from planes.
    First,
}

fn kind(graph: &Graph, op: &Convolution2d, operands: &[NodeId]) -> Option<Kind> {
    let &[x, weight] = operands else { return None };
    let shape = op.shape(&graph.ty(x).dims, &graph.ty(weight).dims);
    let is_depthwise = shape.groups == shape.channels && shape.filters == shape.channels;
    let fits = shape.channels >= CHANNELS && shape.kernel.iter().all(|taps| *taps <= TAPS);
    let is_single = (shape.kernel, shape.stride, shape.padding, shape.groups) == ([1, 1], [1, 1], [0, 0], 1);
    match op.epilogue == Epilogue::default() {
        true if is_depthwise && fits => Some(Kind::Depthwise),
        true if is_single => Some(Kind::Product),
        true if shape.groups == 1 && shape.channels <= FEW && met(&shape) <= MET => Some(Kind::First),
        _ => None,
    }
}

/// Floats that a row of results meets, with what lies beside them.
fn met(shape: &Convolution2dShape) -> usize {
    let rows = shape.kernel[0].saturating_sub(1).saturating_mul(shape.dilation[0]).saturating_add(1);
    let width = shape.padding[1].saturating_mul(2).saturating_add(shape.width);
    rows.saturating_mul(width).saturating_mul(shape.channels)
}

/// Which values are read with channels last: by convolutions of each channel by itself and by products before these, as they are
/// or after functions of single numbers.
fn wanted(graph: &Graph) -> Vec<bool> {
    let mut wanted = vec![false; graph.nodes.len()];
    for (id, node) in graph.iter().rev() {
        let (reads, operands) = match &node.op {
            Op::Convolution2d(op) => match kind(graph, op, &node.operands) {
                Some(Kind::Depthwise) => (true, 1),
                Some(Kind::Product) => (wanted[id.index()], 1),
                _ => continue,
            },
            Op::Reshape(_) => (wanted[id.index()] && keeps_channels(graph, node.operands[0], &node.ty), 1),
            _ => (wanted[id.index()] && function(graph, id).is_some(), node.operands.len()),
        };
        node.operands[..operands].iter().for_each(|operand| wanted[operand.index()] |= reads);
    }
    wanted
}

/// Whether an image stays one under other dimensions, of as many channels: that of a sequence, as one of a single row.
fn keeps_channels(graph: &Graph, of: NodeId, to: &Type) -> bool {
    let (before, after) = (graph.ty(of).dims.as_slice(), to.dims.as_slice());
    before.len() > 1 && after.len() > 1 && before.first() == after.first()
}

/// Values of the new graph, `[channels, height, width]` or as many axes as there are, and the same with channels last.
#[derive(Default)]
struct Last(BTreeMap<NodeId, NodeId>);

impl Last {
    /// A convolution with channels last, back in planes, if its result is wanted so or x, of single pixels, is there.
    fn convolution(&mut self, graph: &mut Graph, op: &Convolution2d, node: &Node, wanted: bool) -> Option<NodeId> {
        let &[x, weight] = node.operands.as_slice() else { return None };
        let kind = kind(graph, op, &node.operands)?;
        match kind {
            Kind::First if wanted => {
                let last = add(graph, Convolution2d { last: true, ..op.clone() }, &[x, weight], node)?;
                return self.planes(graph, last, node);
            }
            Kind::First => return None,
            Kind::Product if !wanted && !self.0.contains_key(&x) => return None,
            Kind::Product | Kind::Depthwise => {}
        }
        let x = self.image(graph, x, node)?;
        let [filters, depth, height, width] = *graph.ty(weight).dims.as_slice() else { return None };
        let of_weight = graph.node(weight).clone();
        let result = if kind == Kind::Product {
            let matrix = add(graph, Reshape { dims: vec![filters, depth] }, &[weight], &of_weight)?;
            add(graph, MatMul { transposed: true, epilogue: Epilogue::default() }, &[x, matrix], node)?
        } else {
            let planes = add(graph, Reshape { dims: vec![filters, height, width] }, &[weight], &of_weight)?;
            let taps = add(graph, to_last(3), &[planes], &of_weight)?;
            let Convolution2d { stride, padding, dilation, .. } = *op;
            let op = Depthwise2d { stride, padding, dilation, epilogue: Epilogue::default() };
            add(graph, op, &[x, taps], node)?
        };
        self.planes(graph, result, node)
    }

    /// A function of single numbers, if one of its operands is there with channels last.
    fn pointwise(&mut self, graph: &mut Graph, node: &Node) -> Option<NodeId> {
        let is_number = node.ty.element == Element::F32;
        if !is_number || !node.operands.iter().any(|operand| self.0.contains_key(operand)) {
            return None;
        }
        let operands: Option<Vec<NodeId>> =
            node.operands.iter().map(|&operand| self.operand(graph, operand, node)).collect();
        let result = add(graph, node.op.clone(), &operands?, node)?;
        self.planes(graph, result, node)
    }

    /// The sum of each channel's pixels.
    fn sum(&self, graph: &mut Graph, sum: &Sum, node: &Node) -> Option<NodeId> {
        let x = *self.0.get(node.operands.first()?)?;
        if (sum.axis, sum.count + 1) != (1, node.ty.dims.len()) {
            return None;
        }
        let sums = add(graph, Sum { axis: 0, count: sum.count }, &[x], node)?;
        add(graph, Reshape { dims: node.ty.dims.clone() }, &[sums], node)
    }

    /// The same image under other dimensions.
    fn reshape(&mut self, graph: &mut Graph, node: &Node) -> Option<NodeId> {
        let &x = node.operands.first()?;
        let last = *self.0.get(&x)?;
        if !keeps_channels(graph, x, &node.ty) {
            return None;
        }
        let dims = to_last(node.ty.dims.len()).dims(&node.ty.dims);
        let last = add(graph, Reshape { dims }, &[last], node)?;
        self.planes(graph, last, node)
    }

    /// What a function of images with channels last reads in place of an operand: copies of a list with a number for each channel
    /// are copied the other way.
    fn operand(&mut self, graph: &mut Graph, id: NodeId, node: &Node) -> Option<NodeId> {
        if self.0.contains_key(&id) {
            return self.image(graph, id, node);
        }
        let (&channels, pixels) = node.ty.dims.split_first()?;
        let dims = to_last(node.ty.dims.len()).dims(&node.ty.dims);
        if let Op::Splat(splat) = &graph.node(id).op {
            return add(graph, Splat { value: splat.value, dims }, &[], node);
        }
        let (source, view) = view::view(graph, id);
        let mut ones = vec![1; dims.len()];
        let copies = match graph.ty(source).len() {
            1 => dims,
            _ if view == (View { inner: pixels.iter().product(), len: channels }) => {
                ones[pixels.len()] = channels;
                pixels.to_vec()
            }
            _ => return self.image(graph, id, node),
        };
        let list = add(graph, Reshape { dims: ones }, &[source], node)?;
        add(graph, Expand { axis: 0, dims: copies }, &[list], node)
    }

    /// An image with channels last.
    fn image(&mut self, graph: &mut Graph, id: NodeId, node: &Node) -> Option<NodeId> {
        if let Some(&last) = self.0.get(&id) {
            return Some(last);
        }
        let Type { element: Element::F32, dims, .. } = graph.ty(id) else { return None };
        let last = add(graph, to_last(dims.len()), &[id], node)?;
        self.0.insert(id, last);
        Some(last)
    }

    /// The planes of an image with channels last.
    fn planes(&mut self, graph: &mut Graph, last: NodeId, node: &Node) -> Option<NodeId> {
        let axes = graph.ty(last).dims.len();
        let planes = add(graph, to_last(axes).inverse(), &[last], node)?;
        self.0.insert(planes, last);
        Some(planes)
    }
}

/// From `[channels, height, width]`, or so many axes, to `[height, width, channels]`.
fn to_last(axes: usize) -> Transpose {
    Transpose { axes: (1..axes).chain([0]).collect() }
}
