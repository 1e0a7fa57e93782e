//! Makes one loop of pointwise operations that feed only each other, and of a sum or a pool with what it reads.
//!
//! Before: `%2 = greater (%0, constant 0.0), %3 = select (%2, %1, constant 0.0)`.
//! After: `%3 = fused select(greater(x0, 0.0), x1, 0.0) (%0, %1)`. Constants become part of the expression, and an operand
//! that repeats another along axes is read where the numbers are. What is cheaper to compute again than to store and
//! read is part of every loop that needs it. What was absorbed is left for `dead`.

use std::collections::{BTreeMap, BTreeSet};

use super::{function, view};
use crate::expression::{Argument, Expression, Instruction, View};
use crate::graph::{Graph, NodeId, Regions, Type};
use crate::ops::fused::Fused;
use crate::ops::fused_sum::FusedSum;
use crate::ops::max_pool2d::MaxPool2d;
use crate::ops::max_pool2d_gradient::MaxPool2dGradient;
use crate::ops::{Op, PointwiseFn};

/// The most instructions of one loop: what still fits the registers well.
const INSTRUCTIONS: usize = 24;

/// The most instructions that are computed again rather than stored.
const AGAIN: usize = 6;

/// The same graph with every pointwise operation in a fused loop.
pub(super) fn fuse(graph: &Graph) -> Graph {
    let loops = Loops::new(graph);
    let mut fused = graph.clone();
    for (id, node) in graph.iter().filter(|(id, _)| loops.heads[id.index()] == Some(*id)) {
        let mut builder = Builder::new(graph, &loops, id);
        let terms = terms(graph, id).unwrap_or(id);
        builder.inline(terms);
        let expression = Expression { views: builder.views, instructions: builder.instructions };
        let terms = Fused { expression, ty: graph.ty(terms).clone() };
        let replaced = &mut fused.nodes[id.index()];
        replaced.operands = builder.operands;
        replaced.op = match &node.op {
            Op::Sum(sum) => FusedSum { terms, sum: sum.clone() }.into(),
            Op::MaxPool2d(pool) => MaxPool2d { prologue: Some(terms), ..pool.clone() }.into(),
            Op::MaxPool2dGradient(pool) => {
                replaced.operands.extend(node.operands.last());
                MaxPool2dGradient { prologue: Some(terms), ..pool.clone() }.into()
            }
            _ => terms.into(),
        };
    }
    fused
}

/// Which loop each pointwise node is part of.
struct Loops {
    /// For every pointwise node, and every sum or pool of one, the last node of its loop: itself, unless all its users are
    /// of one loop over the same places.
    heads: Vec<Option<NodeId>>,
    /// The nodes that every loop computes for itself.
    again: Vec<bool>,
}

impl Loops {
    fn new(graph: &Graph) -> Loops {
        let users = graph.users();
        let regions = Regions::new(graph);
        let mut is_root = vec![false; graph.nodes.len()];
        for (_, id) in &graph.roots {
            is_root[id.index()] = true;
        }
        let mut loops = Loops { heads: vec![None; graph.nodes.len()], again: vec![false; graph.nodes.len()] };
        let light = light(graph);
        let mut sizes = vec![0; graph.nodes.len()];
        for (id, node) in graph.iter().rev() {
            let reads = terms(graph, id).is_some_and(|terms| regions.of(terms) == regions.of(id));
            if reads && (users[node.operands[0].index()].len() == 1 || light[node.operands[0].index()]) {
                loops.heads[id.index()] = Some(id);
            }
            if function(graph, id).is_none() {
                continue;
            }
            let users = &users[id.index()];
            let fits = |user: &NodeId| {
                let head = loops.heads[user.index()]?;
                let same = same_places(places(graph, head), &node.ty) && regions.of(head) == regions.of(id);
                (same && sizes[head.index()] < INSTRUCTIONS).then_some(head)
            };
            let around: Option<BTreeSet<NodeId>> = users.iter().map(fits).collect();
            let mut head = id;
            if let (false, Some(around)) = (is_root[id.index()], around) {
                match around.first() {
                    Some(only) if around.len() == 1 => head = *only,
                    // The first in the graph is no better than the others: each computes it.
                    Some(_) => loops.again[id.index()] = light[id.index()],
                    None => {}
                }
            }
            // What is stored all the same is read by the sums and pools of it.
            let stored = head == id && !loops.again[id.index()];
            for user in users.iter().filter(|user| stored && terms(graph, **user) == Some(id)) {
                loops.heads[user.index()] = None;
            }
            loops.heads[id.index()] = Some(head);
            sizes[head.index()] += 1;
        }
        loops
    }
}

/// What a sum along axes sums or a pool compares, if it is computed place by place and can be on the way.
fn terms(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let node = graph.node(id);
    let terms = *node.operands.first()?;
    let takes = match &node.op {
        Op::Sum(_) => graph.ty(terms).len() > node.ty.len(),
        Op::MaxPool2d(pool) => pool.takes_prologue(&graph.ty(terms).dims),
        Op::MaxPool2dGradient(pool) => pool.takes_prologue(&node.ty.dims),
        _ => false,
    };
    (takes && function(graph, terms).is_some()).then_some(terms)
}

/// The places that a loop runs over.
fn places(graph: &Graph, head: NodeId) -> &Type {
    terms(graph, head).map_or(&graph.node(head).ty, |terms| graph.ty(terms))
}

/// Whether two values have the same places; of truth values and numbers alike.
fn same_places(a: &Type, b: &Type) -> bool {
    a.dims == b.dims && a.per_example == b.per_example
}

/// Whether a value is as cheap to compute as to read: a few simple operations on one value of its size, if on any.
fn light(graph: &Graph) -> Vec<bool> {
    let mut known: Vec<Option<(usize, BTreeSet<NodeId>)>> = vec![None; graph.nodes.len()];
    for (id, node) in graph.iter() {
        let Some(function) = function(graph, id).filter(|function| is_simple(*function)) else { continue };
        let (mut count, mut sources) = (1, BTreeSet::new());
        for &operand in &node.operands {
            if let (Some((inner, from)), true) = (&known[operand.index()], same_places(graph.ty(operand), &node.ty)) {
                count += inner;
                sources.extend(from.iter().copied());
                continue;
            }
            let (source, view) = view::view(graph, operand);
            let is_full = (view.inner, view.len) == (1, node.ty.len()) && node.ty.len() > 1;
            if is_full && !matches!(graph.node(source).op, Op::Splat(_)) {
                sources.insert(source);
            }
        }
        if count <= AGAIN && sources.len() <= 1 && function != PointwiseFn::Divide {
            known[id.index()] = Some((count, sources));
        }
    }
    known.iter().map(Option::is_some).collect()
}

/// Whether a function takes a few cycles for a lane.
fn is_simple(function: PointwiseFn) -> bool {
    use PointwiseFn::*;
    matches!(
        function,
        Negate | Relu | Abs | Add | Subtract | Multiply | Minimum | Maximum | Greater | GreaterEqual | Equal | NotEqual
    )
}

struct Builder<'a> {
    graph: &'a Graph,
    loops: &'a Loops,
    head: NodeId,
    done: BTreeMap<NodeId, Argument>,
    operands: Vec<NodeId>,
    views: Vec<View>,
    instructions: Vec<Instruction>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph, loops: &'a Loops, head: NodeId) -> Builder<'a> {
        let (operands, views, instructions) = (Vec::new(), Vec::new(), Vec::new());
        Builder { graph, loops, head, done: BTreeMap::new(), operands, views, instructions }
    }

    /// What stands for a value within the loop. Recursion is bounded by [`INSTRUCTIONS`] and [`AGAIN`].
    fn visit(&mut self, id: NodeId) -> Argument {
        if let Some(&done) = self.done.get(&id) {
            return done;
        }
        let head = self.loops.heads[id.index()];
        let is_here = head.is_some_and(|head| head == self.head || self.loops.again[head.index()]);
        let fits = same_places(self.graph.ty(id), places(self.graph, self.head));
        if is_here && fits && view::spread(self.graph, id).is_none() {
            return self.inline(id);
        }
        let argument = self.leaf(id);
        self.done.insert(id, argument);
        argument
    }

    /// The instruction of a value and those before it.
    fn inline(&mut self, id: NodeId) -> Argument {
        let Some(function) = function(self.graph, id) else { return self.leaf(id) };
        let node = self.graph.node(id);
        let arguments = node.operands.iter().map(|&operand| self.visit(operand)).collect();
        self.instructions.push(Instruction { function, arguments, name: node.origin.name.clone() });
        let argument = Argument::Instruction(self.instructions.len() - 1);
        self.done.insert(id, argument);
        argument
    }

    fn leaf(&mut self, id: NodeId) -> Argument {
        let (mut source, mut view) = view::view(self.graph, id);
        // The same for all examples is read where it is once.
        while let Some(once) = view::spread(self.graph, source) {
            let (behind, inner) = view::view(self.graph, once);
            if (inner.inner, inner.len) != (1, view.len) {
                break;
            }
            (source, view) = (behind, View { len: inner.len, ..view });
        }
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
