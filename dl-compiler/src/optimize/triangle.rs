//! Leaves out of products what lies above the diagonal, where a causal softmax does not look or yields zeros.
//!
//! Before: `%2 = batched_matmul (%0, %1), %3 = causal_softmax (%2), %5 = batched_matmul (%3, %4)`. After:
//! `%2 = batched_matmul lower y (%0, %1), …, %5 = batched_matmul lower a (%3, %4)`; gradients alike, which are products too.
//! Steps that work place by place may stand between. A zero times what is not finite counts as zero from here on.

use super::rewrite;
use crate::graph::Graph;
use crate::ops::Op;
use crate::ops::batched_matmul::BatchedMatMul;
use crate::program::Triangle;

/// The same graph, its products told which of their matrices is lower triangular.
pub(super) fn triangle(graph: &Graph) -> Graph {
    let (zero, read) = (zero_above(graph), read_above(graph));
    rewrite(graph, |new, id, mut node| {
        if let Op::BatchedMatMul(product) = &node.op {
            let is_zero: Vec<bool> = graph.node(id).operands.iter().map(|operand| zero[operand.index()]).collect();
            let triangle = match is_zero.as_slice() {
                _ if !read[id.index()] => Triangle::Result,
                [true, _] => Triangle::Left,
                [_, true] => Triangle::Right,
                _ => Triangle::None,
            };
            node.op = BatchedMatMul { triangle, ..product.clone() }.into();
        }
        new.push(node)
    })
}

/// Which values are zero above the diagonals of their last two axes.
fn zero_above(graph: &Graph) -> Vec<bool> {
    let mut zero = vec![false; graph.nodes.len()];
    for (id, node) in graph.iter() {
        let of = |place: usize| node.operands.get(place).is_some_and(|operand| zero[operand.index()]);
        zero[id.index()] = match &node.op {
            Op::CausalSoftmax(_) | Op::CausalSoftmaxGradient(_) => true,
            Op::Multiply(_) => of(0) || of(1),
            Op::Divide(_) | Op::Negate(_) => of(0),
            _ => false,
        };
    }
    zero
}

/// Which values somebody reads above these diagonals.
fn read_above(graph: &Graph) -> Vec<bool> {
    let mut read = vec![false; graph.nodes.len()];
    for (_, id) in &graph.roots {
        read[id.index()] = true;
    }
    for (id, node) in graph.iter().rev() {
        let reads = match &node.op {
            Op::CausalSoftmax(_) | Op::CausalSoftmaxGradient(_) => false,
            op if op.spec().pointwise => read[id.index()],
            _ => true,
        };
        if reads {
            node.operands.iter().for_each(|operand| read[operand.index()] = true);
        }
    }
    read
}
