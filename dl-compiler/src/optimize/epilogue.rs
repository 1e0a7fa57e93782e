//! Lets products and convolutions add their bias and a residual, apply their activation or a mask, and pool, as they store.
//!
//! Before: `%3 = matmul (%0, %1), %4 = add (%3, expand (%2)), %5 = relu (%4)`. After: `%5 = matmul +bias relu (%0, %1, %2)`.
//! Before: `%3 = matmul (%0, %1), %4 = add (%3, %2)`. After: `%4 = matmul +residual (%0, %1, %2)`.
//! Before: `%4 = where (greater (%2, 0), %3, 0)`, the gradient of relu. After: `%4 = matmul masked (%0, %1, %2)`.
//! Before: `%4 = convolution2d relu (%0, %1), %5 = max_pool2d (%4)`. After: `%5 = convolution2d relu max_pool (%0, %1)`.
//! A value that somebody else needs is not absorbed, and nothing is stored for the sake of it.

use super::{alone, function, relu_gradient, rewrite, view};
use crate::graph::{Graph, Node, NodeId, Type};
use crate::ops::Op;
use crate::program::{Activation, Epilogue};

/// What a node becomes if it can be absorbed; asks whether a value has but one user.
type Absorption = fn(&Graph, &dyn Fn(NodeId) -> bool, &Node) -> Option<Node>;

/// The same graph with biases and activations in the epilogues of the products before them.
pub(super) fn epilogue(graph: &Graph) -> Graph {
    let graph = pass(graph, with_bias);
    let graph = pass(&graph, with_residual);
    let graph = pass(&graph, with_activation);
    let graph = pass(&graph, with_mask);
    pass(&graph, with_pool)
}

fn pass(graph: &Graph, rule: Absorption) -> Graph {
    let alone = alone(graph);
    let mut single: Vec<bool> = Vec::new();
    rewrite(graph, |new, id, node| {
        let fused = rule(new, &|operand: NodeId| single[operand.index()], &node);
        let now = new.push(fused.unwrap_or(node));
        single.resize(new.nodes.len(), alone[id.index()]);
        now
    })
}

/// `product + bias`, in either order, as a product with bias.
fn with_bias(graph: &Graph, single: &dyn Fn(NodeId) -> bool, node: &Node) -> Option<Node> {
    let (Op::Add(_), &[a, b]) = (&node.op, node.operands.as_slice()) else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(product, bias)| {
        if !single(product) || graph.ty(product) != &node.ty {
            return None;
        }
        let (source, pattern) = view::view(graph, bias);
        if graph.ty(source).per_example || view::columns(graph, product) != Some(pattern) {
            return None;
        }
        let fused = absorb(graph.node(product), |epilogue| {
            (*epilogue == Epilogue::default()).then_some(Epilogue { bias: true, ..*epilogue })
        })?;
        let mut operands = fused.operands;
        operands.push(flat(graph, source, pattern.len)?);
        Some(Node { operands, origin: node.origin.clone(), ..fused })
    })
}

/// `product + residual`, in either order, as a product with residual.
fn with_residual(graph: &Graph, single: &dyn Fn(NodeId) -> bool, node: &Node) -> Option<Node> {
    let (Op::Add(_), &[a, b]) = (&node.op, node.operands.as_slice()) else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(product, residual)| {
        if !single(product) || graph.ty(product) != &node.ty || !is_there(graph, single, residual, &node.ty) {
            return None;
        }
        let fused = absorb(graph.node(product), |epilogue| {
            let is_open = !epilogue.residual && epilogue.activation == Activation::Identity && !epilogue.mask;
            is_open.then_some(Epilogue { residual: true, ..*epilogue })
        })?;
        Some(beside(node, fused, residual))
    })
}

/// `where(y > 0, product, 0)` as a product with a mask.
fn with_mask(graph: &Graph, single: &dyn Fn(NodeId) -> bool, node: &Node) -> Option<Node> {
    let [y, product] = relu_gradient(graph, node)?;
    if !single(product) || graph.ty(product) != &node.ty || !is_there(graph, single, y, &node.ty) {
        return None;
    }
    let fused = absorb(graph.node(product), |epilogue| {
        let is_open = epilogue.activation == Activation::Identity && !epilogue.mask;
        is_open.then_some(Epilogue { mask: true, ..*epilogue })
    })?;
    Some(beside(node, fused, y))
}

/// The product in place of the node, with one operand more.
fn beside(node: &Node, product: Node, operand: NodeId) -> Node {
    let mut operands = product.operands;
    operands.push(operand);
    Node { operands, origin: node.origin.clone(), ..product }
}

/// Whether a value for each example lies in memory anyway, one number for each of the result: it is no pointwise operation
/// that is but part of a loop.
fn is_there(graph: &Graph, single: &dyn Fn(NodeId) -> bool, id: NodeId, result: &Type) -> bool {
    let node = graph.node(id);
    let is_copy = matches!(node.op, Op::Expand(_));
    &node.ty == result && !is_copy && !(single(id) && function(graph, id).is_some())
}

/// The value itself if it is a plain list of `len` numbers.
fn flat(graph: &Graph, id: NodeId, len: usize) -> Option<NodeId> {
    (graph.ty(id).dims == [len]).then_some(id)
}

/// `relu(product)` and the like as a product with activation.
fn with_activation(graph: &Graph, single: &dyn Fn(NodeId) -> bool, node: &Node) -> Option<Node> {
    let activation = match node.op {
        Op::Relu(_) => Activation::Relu,
        Op::Sigmoid(_) => Activation::Sigmoid,
        Op::Tanh(_) => Activation::Tanh,
        _ => return None,
    };
    let product = *node.operands.first()?;
    if !single(product) {
        return None;
    }
    let fused = absorb(graph.node(product), |epilogue| {
        (epilogue.activation == Activation::Identity).then_some(Epilogue { activation, ..*epilogue })
    })?;
    Some(Node { origin: node.origin.clone(), ..fused })
}

/// `max_pool2d(convolution)` as a convolution that pools, if the windows lie side by side.
fn with_pool(graph: &Graph, single: &dyn Fn(NodeId) -> bool, node: &Node) -> Option<Node> {
    let Op::MaxPool2d(pool) = &node.op else { return None };
    let image = *node.operands.first()?;
    let Node { op: Op::Convolution2d(convolution), operands, .. } = graph.node(image) else { return None };
    let shape = convolution.shape(&graph.ty(operands[0]).dims, &graph.ty(operands[1]).dims);
    let is_apart = pool.kernel == pool.stride && pool.padding == [0, 0];
    if !single(image) || !is_apart || !shape.pools(pool.kernel) {
        return None;
    }
    let fused = absorb(graph.node(image), |epilogue| {
        let is_open = !epilogue.residual && !epilogue.mask && epilogue.pool.is_none();
        is_open.then_some(Epilogue { pool: Some(pool.kernel), ..*epilogue })
    })?;
    Some(Node { ty: node.ty.clone(), origin: node.origin.clone(), ..fused })
}

/// The product with another epilogue, if it is one and `change` agrees. Gradients of images take no activation.
fn absorb(product: &Node, change: impl Fn(&Epilogue) -> Option<Epilogue>) -> Option<Node> {
    let mut product = product.clone();
    let is_gradient = matches!(product.op, Op::Convolution2dInput(_));
    let epilogue = match &mut product.op {
        Op::MatMul(op) => &mut op.epilogue,
        Op::Convolution2d(op) => &mut op.epilogue,
        Op::Convolution2dInput(op) => &mut op.epilogue,
        Op::Depthwise2d(op) => &mut op.epilogue,
        _ => return None,
    };
    *epilogue = change(epilogue)?;
    (!is_gradient || epilogue.activation == Activation::Identity).then_some(product)
}
