//! The optimizer stages: each rewrites a Graph into one that means the same and costs less.
//!
//! One stage, one file. Every stage is handed an arranged Graph and need not leave one. [`STAGES`] is their order; every stage is followed by `verify` in debug builds.

use crate::graph::{Graph, Node, NodeId, Regions, Role};
use crate::ops::{Lowering, Op, PointwiseFn};

mod behind;
mod channels;
mod cheapen;
mod dead;
mod epilogue;
mod fold;
mod fuse;
mod gathered;
mod hoist;
mod masks;
mod moments;
mod parts;
mod scale;
mod share;
mod simplify;
#[cfg(test)]
mod tests;
mod transpose;
mod triangle;
mod view;

/// A stage: its name and what it does.
pub type Stage = (&'static str, fn(&Graph) -> Graph);

/// All stages in order.
pub const STAGES: &[Stage] = &[
    ("fold", fold::fold),
    ("simplify", simplify::simplify),
    ("share", share::share),
    ("transpose", transpose::transpose),
    ("dead", dead::dead),
    ("hoist", hoist::hoist),
    ("share", share::share),
    ("gathered", gathered::gathered),
    ("cheapen", cheapen::cheapen),
    ("share", share::share),
    ("dead", dead::dead),
    ("behind", behind::behind),
    ("dead", dead::dead),
    ("scale", scale::scale),
    ("channels", channels::channels),
    ("moments", moments::moments),
    ("dead", dead::dead),
    ("triangle", triangle::triangle),
    ("masks", masks::masks),
    ("dead", dead::dead),
    ("epilogue", epilogue::epilogue),
    ("dead", dead::dead),
    ("parts", parts::parts),
    ("share", share::share),
    ("dead", dead::dead),
    ("fuse", fuse::fuse),
    ("dead", dead::dead),
];

/// Runs all stages.
pub fn optimize(graph: &Graph) -> Graph {
    let mut graph = graph.arranged();
    for (name, stage) in STAGES {
        graph = stage(&graph).arranged();
        debug_assert_eq!(graph.verify(), Ok(()), "after {name}:\n{graph}");
    }
    graph
}

/// Rebuilds a graph node by node: `rule` is handed each node with its operands already rewritten
/// and says which node of the new graph stands for it.
fn rewrite(graph: &Graph, mut rule: impl FnMut(&mut Graph, NodeId, Node) -> NodeId) -> Graph {
    let mut new = Graph { nodes: Vec::with_capacity(graph.nodes.len()), scans: graph.scans.clone(), roots: Vec::new() };
    let mut now: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.iter() {
        let mut node = node.clone();
        for operand in &mut node.operands {
            *operand = now[operand.index()];
        }
        let replacement = rule(&mut new, id, node);
        now.push(replacement);
    }
    new.roots = graph.roots.iter().map(|&(role, id)| (role, now[id.index()])).collect();
    new
}

/// Appends an operation that stands for a node, or for a part of it.
fn add(graph: &mut Graph, op: impl Into<Op>, operands: &[NodeId], of: &Node) -> Option<NodeId> {
    graph.add(op.into(), operands, of.origin.clone()).ok()
}

/// Whether gradients are wanted, so that it is no graph of inference or evaluation.
fn trains(graph: &Graph) -> bool {
    graph.roots.iter().any(|(role, _)| matches!(role, Role::Gradient(_)))
}

/// How often each value is used, roots included.
fn uses(graph: &Graph) -> Vec<usize> {
    let mut uses = vec![0; graph.nodes.len()];
    for operand in graph.nodes.iter().flat_map(|node| &node.operands) {
        uses[operand.index()] += 1;
    }
    for (_, id) in &graph.roots {
        uses[id.index()] += 1;
    }
    uses
}

/// Which values have one user, in the loop that they are in themselves: a product outside of a loop stays there, whoever
/// needs it within.
fn alone(graph: &Graph) -> Vec<bool> {
    let (uses, users, regions) = (uses(graph), graph.users(), Regions::new(graph));
    let in_own_loop = |id: NodeId| users[id.index()].iter().all(|user| regions.of(*user) == regions.of(id));
    graph.iter().map(|(id, _)| uses[id.index()] == 1 && in_own_loop(id)).collect()
}

/// The function of a value that is computed place by place.
fn function(graph: &Graph, id: NodeId) -> Option<PointwiseFn> {
    let node = graph.node(id);
    let types: Vec<_> = node.operands.iter().map(|&operand| graph.ty(operand)).collect();
    match node.op.lower(&types, &node.ty) {
        Lowering::Pointwise(function) => Some(function),
        _ => None,
    }
}

/// The value that decides and the one that passes, if a node is the gradient of relu: `where(y > 0, d, 0)`.
fn relu_gradient(graph: &Graph, node: &Node) -> Option<[NodeId; 2]> {
    let (Op::Select(_), &[condition, d, other]) = (&node.op, node.operands.as_slice()) else { return None };
    let condition = graph.node(condition);
    let (Op::Greater(_), &[y, bound]) = (&condition.op, condition.operands.as_slice()) else { return None };
    let is_zero = |id: NodeId| matches!(&graph.node(id).op, Op::Splat(splat) if splat.value == 0.0);
    (is_zero(bound) && is_zero(other)).then_some([y, d])
}
