//! How a value repeats another: follows copies along axes back to where the numbers are.

use crate::expression::View;
use crate::graph::{Graph, NodeId};
use crate::ops::Op;

/// The value whose numbers `id` repeats, and how; `id` itself where nothing is repeated.
///
/// Place `i` of `id` holds number `(i / inner) % len` of the source. A pattern that is not of this form,
/// or that a per-example source cannot have across examples, ends the walk early.
pub(super) fn view(graph: &Graph, id: NodeId) -> (NodeId, View) {
    let mut chain = vec![id];
    let mut at = id;
    while let Op::Expand(_) | Op::Reshape(_) | Op::Flatten(_) = graph.node(at).op {
        at = graph.node(at).operands[0];
        chain.push(at);
    }
    for (place, &source) in chain.iter().enumerate().rev() {
        if let Some(view) = along(graph, source, &chain[..place]) {
            return (source, view);
        }
    }
    (id, View { inner: 1, len: graph.ty(id).len() })
}

/// How the places of a product repeat a list with a number for each of its columns, or filters; nothing for other values.
pub(super) fn columns(graph: &Graph, product: NodeId) -> Option<View> {
    let dims = graph.ty(product).dims.as_slice();
    match (&graph.node(product).op, dims) {
        (Op::MatMul(_) | Op::Depthwise2d(_), [.., len]) => Some(View { inner: 1, len: *len }),
        (Op::Convolution2d(op), [.., len]) if op.last => Some(View { inner: 1, len: *len }),
        (Op::Convolution2d(_), [len, pixels @ ..]) => Some(View { inner: pixels.iter().product(), len: *len }),
        _ => None,
    }
}

/// The pattern in which the first of `chain` repeats `source`, its last operand.
fn along(graph: &Graph, source: NodeId, chain: &[NodeId]) -> Option<View> {
    let source = graph.ty(source);
    let (mut periods, len, mut inner) = (1_usize, source.len(), 1_usize);
    for &id in chain.iter().rev() {
        let Op::Expand(expand) = &graph.node(id).op else { continue };
        let copies: usize = expand.dims.iter().product();
        let behind: usize = graph.ty(id).dims.iter().skip(expand.axis + expand.dims.len()).product();
        if len == 1 || inner.is_multiple_of(behind) {
            inner *= copies;
        } else if behind.is_multiple_of(len * inner) {
            periods *= copies;
        } else {
            return None;
        }
    }
    (periods == 1 || !source.per_example).then_some(View { inner, len })
}

/// The batch-wide value of which a node makes one for each example: the choice between twice the same.
pub(super) fn spread(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let node = graph.node(id);
    let (Op::Select(_), &[_, a, b]) = (&node.op, node.operands.as_slice()) else { return None };
    (a == b && node.ty.per_example && !graph.ty(a).per_example && graph.ty(a).dims == node.ty.dims).then_some(a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Origin, Type};
    use crate::ops::expand::Expand;
    use crate::ops::input::Input;
    use crate::ops::parameter::Parameter;
    use crate::ops::reshape::Reshape;

    /// The places of `[..]` after the chain, each naming the place of the source it shows, found by walking the axes.
    fn places(dims: &[usize], steps: &[(usize, &[usize])]) -> Vec<usize> {
        let mut values: Vec<usize> = (0..dims.iter().product()).collect();
        let mut dims = dims.to_vec();
        for &(axis, new) in steps {
            let behind: usize = dims[axis + new.len()..].iter().product();
            let copies: usize = new.iter().product();
            values = values.chunks(behind).flat_map(|chunk| chunk.repeat(copies)).collect();
            dims[axis..axis + new.len()].copy_from_slice(new);
        }
        values
    }

    fn check(batch_wide: bool, dims: &[usize], steps: &[(usize, &[usize])], traced: bool) {
        let mut graph = Graph::default();
        let leaf = if batch_wide {
            Parameter { parameter: 0, dims: dims.to_vec() }.into()
        } else {
            Input { field: 0, ty: Type::per_example(dims) }.into()
        };
        let source = graph.add(leaf, &[], Origin::default()).unwrap();
        let mut id = source;
        for &(axis, new) in steps {
            id = graph.add(Expand { axis, dims: new.to_vec() }.into(), &[id], Origin::default()).unwrap();
        }
        let (found, view) = super::view(&graph, id);
        assert_eq!(found == source, traced, "{dims:?} {steps:?}");
        if traced {
            let expected = places(dims, steps);
            let actual: Vec<usize> = (0..expected.len()).map(|i| (i / view.inner) % view.len).collect();
            assert_eq!(actual, expected, "{dims:?} {steps:?}");
        }
    }

    #[test]
    fn patterns_agree_with_walking_the_axes() {
        check(true, &[1, 3], &[(0, &[4])], true);
        check(false, &[1, 3], &[(0, &[4])], false);
        check(false, &[3, 1, 1], &[(1, &[2, 5])], true);
        check(true, &[1, 3, 1], &[(2, &[2]), (0, &[4])], true);
        check(true, &[1, 3, 1], &[(0, &[4]), (2, &[2])], true);
        check(false, &[1, 1], &[(0, &[4]), (1, &[2])], true);
        check(true, &[2, 1, 3], &[(1, &[4])], false);
        check(true, &[3, 1, 1], &[(2, &[5]), (1, &[2])], true);
    }

    #[test]
    fn a_reshape_keeps_the_order_of_places() {
        let mut graph = Graph::default();
        let bias = graph.add(Parameter { parameter: 0, dims: vec![6] }.into(), &[], Origin::default()).unwrap();
        let tall = graph.add(Reshape { dims: vec![6, 1, 1] }.into(), &[bias], Origin::default()).unwrap();
        let full = graph.add(Expand { axis: 1, dims: vec![4, 5] }.into(), &[tall], Origin::default()).unwrap();
        assert_eq!(super::view(&graph, full), (bias, View { inner: 20, len: 6 }));
    }
}
