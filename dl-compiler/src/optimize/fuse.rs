//! Makes one loop of pointwise operations that feed only each other.
//!
//! Before: `%2 = greater (%0, constant 0.0), %3 = select (%2, %1, constant 0.0)`.
//! After: `%3 = fused select(greater(x0, 0.0), x1, 0.0) (%0, %1)`. Constants become part of the expression, and an operand
//! that repeats another along axes is read where the numbers are. What was absorbed is left for `dead`.

use std::collections::BTreeMap;

use super::view;
use crate::expression::{Argument, Expression, Instruction, View};
use crate::graph::{Graph, NodeId, Regions};
use crate::ops::fused::Fused;
use crate::ops::{Lowering, Op, PointwiseFn};

/// The most instructions of one loop: what still fits the registers well.
const INSTRUCTIONS: usize = 24;

/// The same graph with every pointwise operation in a fused loop.
pub(super) fn fuse(graph: &Graph) -> Graph {
    let heads = heads(graph);
    let mut fused = graph.clone();
    for (id, node) in graph.iter().filter(|(id, _)| heads[id.index()] == Some(*id)) {
        let mut builder = Builder::new(graph, &heads, id);
        builder.visit(id);
        let expression = Expression { views: builder.views, instructions: builder.instructions };
        let replaced = &mut fused.nodes[id.index()];
        replaced.op = Fused { expression, ty: node.ty.clone() }.into();
        replaced.operands = builder.operands;
    }
    fused
}

fn function(graph: &Graph, id: NodeId) -> Option<PointwiseFn> {
    let node = graph.node(id);
    let types: Vec<_> = node.operands.iter().map(|&operand| graph.ty(operand)).collect();
    match node.op.lower(&types, &node.ty) {
        Lowering::Pointwise(function) => Some(function),
        _ => None,
    }
}

/// For every pointwise node the last node of its loop: itself, unless all its users are of one loop over the same places.
fn heads(graph: &Graph) -> Vec<Option<NodeId>> {
    let users = graph.users();
    let regions = Regions::new(graph);
    let mut is_root = vec![false; graph.nodes.len()];
    for (_, id) in &graph.roots {
        is_root[id.index()] = true;
    }
    let mut heads: Vec<Option<NodeId>> = vec![None; graph.nodes.len()];
    let mut sizes = vec![0; graph.nodes.len()];
    for (id, node) in graph.iter().rev() {
        if function(graph, id).is_none() {
            continue;
        }
        let mut head = id;
        if let (false, Some(first)) = (is_root[id.index()], users[id.index()].first()) {
            let candidate = heads[first.index()];
            let agree = users[id.index()].iter().all(|user| heads[user.index()] == candidate);
            if let (true, Some(candidate)) = (agree, candidate) {
                let ty = graph.ty(candidate);
                let fits = sizes[candidate.index()] < INSTRUCTIONS;
                let same = ty.dims == node.ty.dims && ty.per_example == node.ty.per_example;
                if fits && same && regions.of(candidate) == regions.of(id) {
                    head = candidate;
                }
            }
        }
        heads[id.index()] = Some(head);
        sizes[head.index()] += 1;
    }
    heads
}

struct Builder<'a> {
    graph: &'a Graph,
    heads: &'a [Option<NodeId>],
    head: NodeId,
    done: BTreeMap<NodeId, Argument>,
    operands: Vec<NodeId>,
    views: Vec<View>,
    instructions: Vec<Instruction>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph, heads: &'a [Option<NodeId>], head: NodeId) -> Builder<'a> {
        let (operands, views, instructions) = (Vec::new(), Vec::new(), Vec::new());
        Builder { graph, heads, head, done: BTreeMap::new(), operands, views, instructions }
    }

    /// What stands for a value within the loop. Recursion is bounded by [`INSTRUCTIONS`].
    fn visit(&mut self, id: NodeId) -> Argument {
        if let Some(&done) = self.done.get(&id) {
            return done;
        }
        let argument = match function(self.graph, id) {
            Some(function) if self.heads[id.index()] == Some(self.head) => {
                let node = self.graph.node(id);
                let arguments = node.operands.iter().map(|&operand| self.visit(operand)).collect();
                self.instructions.push(Instruction { function, arguments, name: node.origin.name.clone() });
                Argument::Instruction(self.instructions.len() - 1)
            }
            _ => self.leaf(id),
        };
        self.done.insert(id, argument);
        argument
    }

    fn leaf(&mut self, id: NodeId) -> Argument {
        let (source, view) = view::view(self.graph, id);
        if let Op::Splat(splat) = &self.graph.node(source).op {
            return Argument::Constant(splat.value);
        }
        let known =
            self.operands.iter().zip(&self.views).position(|(operand, seen)| *operand == source && *seen == view);
        Argument::Operand(known.unwrap_or_else(|| {
            self.operands.push(source);
            self.views.push(view);
            self.operands.len() - 1
        }))
    }
}
