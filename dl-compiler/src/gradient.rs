//! Differentiation: appends to a Graph the gradient of a loss for every parameter it trains and reaches (reverse mode).
//!
//! Before: roots loss, metrics, updates. After: the same and one gradient root for each parameter.
//! Each operation's own rule is [`vjp`](crate::ops::Operation::vjp); here are the walk, the sum over several users,
//! and the sum over the batch where a batch-wide operand met a value per example. It simplifies nothing: later stages do.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, NodeId, Origin, Role, Type};
use crate::ops::{self, Op, Violation};

mod steps;

use steps::Loops;

/// What a gradient rule sees and builds with: one node, the gradient of its result, and the graph to append to.
pub struct Rule<'a> {
    graph: &'a mut Graph,
    loops: &'a mut Loops,
    node: NodeId,
    d: NodeId,
    name: String,
    failure: Option<Violation>,
}

impl Rule<'_> {
    /// Operand number `index` of the node.
    pub fn operand(&self, index: usize) -> NodeId {
        self.graph.node(self.node).operands[index]
    }

    /// The type of any value.
    pub fn ty(&self, id: NodeId) -> &Type {
        self.graph.ty(id)
    }

    /// The node's own result.
    pub fn result(&self) -> NodeId {
        self.node
    }

    /// The gradient of the node's result.
    pub fn d(&self) -> NodeId {
        self.d
    }

    /// Appends an operation. A mistake in a rule surfaces as an error of the whole differentiation.
    pub fn apply(&mut self, op: impl Into<Op>, operands: &[NodeId]) -> NodeId {
        let origin = Origin { span: self.graph.node(self.node).origin.span, name: self.name.clone() };
        let result = match op.into() {
            op @ (Op::MatMulWeights(_) | Op::Convolution2dWeight(_) | Op::SumBatch(_)) => {
                self.loops.over_all(self.graph, op, operands, origin)
            }
            op => {
                let operands: Result<Vec<_>, _> =
                    operands.iter().map(|&operand| self.loops.bring(self.graph, operand)).collect();
                operands.and_then(|operands| self.graph.add(op, &operands, origin))
            }
        };
        match result {
            Ok(id) => id,
            Err(violation) => {
                self.failure.get_or_insert(violation);
                self.d
            }
        }
    }

    /// A number in every place of a tensor shaped like `like`.
    pub fn splat(&mut self, value: f64, like: NodeId) -> NodeId {
        let dims = self.ty(like).dims.clone();
        self.apply(ops::constant::Splat { value, dims }, &[])
    }

    /// `-a`
    pub fn negate(&mut self, a: NodeId) -> NodeId {
        self.apply(ops::negate::Negate, &[a])
    }

    /// `a + b`
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.apply(ops::add::Add, &[a, b])
    }

    /// `a - b`
    pub fn subtract(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.apply(ops::subtract::Subtract, &[a, b])
    }

    /// `a * b`
    pub fn multiply(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.apply(ops::multiply::Multiply, &[a, b])
    }

    /// `a / b`
    pub fn divide(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.apply(ops::divide::Divide, &[a, b])
    }

    /// 1 where `a > b`
    pub fn greater(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.apply(ops::greater::Greater, &[a, b])
    }

    /// `a` where `condition`, otherwise `b`
    pub fn select(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> NodeId {
        self.apply(ops::select::Select, &[condition, a, b])
    }
}

/// Appends gradients of loss number `loss` for the parameters `trained`, places among those of the model.
///
/// Other parameters are constants here: gradients flow through what is computed from them, and none is made for them.
/// A parameter that the loss does not reach gets no root. Fails only if a gradient rule is wrong.
pub fn differentiate(graph: &mut Graph, loss: usize, trained: &[usize]) -> Result<(), Violation> {
    *graph = graph.arranged();
    let Some(loss) = graph.root(Role::Loss(loss)) else {
        return Ok(());
    };
    let reaches = reaches_parameter(graph, trained);
    let count = graph.nodes.len();
    let mut gradients: Vec<Option<NodeId>> = vec![None; count];
    if reaches[loss.index()] {
        let origin = Origin { span: graph.node(loss).origin.span, name: "d_loss".to_owned() };
        // What the batch has once counts once: the weights of its examples sum to 1.
        let op = match graph.ty(loss) {
            ty if ty.per_example => ops::example_weight::ExampleWeight.into(),
            ty => ops::constant::Splat { value: 1.0, dims: ty.dims.clone() }.into(),
        };
        gradients[loss.index()] = Some(graph.add(op, &[], origin)?);
    }
    let mut loops = Loops::new(graph);
    for index in (0..count).rev() {
        let node = NodeId(index as u32);
        let op = graph.node(node).op.clone();
        let operands = graph.node(node).operands.clone();
        if operands.is_empty() || !reaches[index] {
            continue;
        }
        let first = operands.iter().find(|operand| reaches[operand.index()]).copied().unwrap_or(operands[0]);
        let origin = Origin { span: graph.node(node).origin.span, name: gradient_name(graph, first) };
        let parts = if let Some(part) = loops.rule(graph, node, gradients[index], origin) {
            vec![part?]
        } else {
            let Some(d) = gradients[index] else { continue };
            let name = gradient_name(graph, first);
            let mut rule = Rule { name, graph, loops: &mut loops, node, d, failure: None };
            let parts = op.vjp(&mut rule);
            if let Some(violation) = rule.failure {
                return Err(violation);
            }
            parts
        };
        for (operand, part) in operands.into_iter().zip(parts) {
            let Some(part) = part else { continue };
            if !reaches[operand.index()] {
                continue;
            }
            let origin = Origin { span: graph.node(node).origin.span, name: gradient_name(graph, operand) };
            let part = loops.for_operand(graph, part, operand)?;
            let later = repeats(&graph.node(operand).op);
            let part = if later { part } else { over_batch(graph, part, operand, &origin)? };
            let sum = match gradients[operand.index()] {
                None => part,
                // A sum over the batch and a value that is still per example cannot be added.
                Some(other) if graph.ty(other).per_example != graph.ty(part).per_example => {
                    let other = over_batch(graph, other, operand, &origin)?;
                    let part = over_batch(graph, part, operand, &origin)?;
                    graph.add(ops::add::Add.into(), &[other, part], origin)?
                }
                Some(other) => graph.add(ops::add::Add.into(), &[other, part], origin)?,
            };
            gradients[operand.index()] = Some(sum);
        }
    }
    let mut roots: BTreeMap<usize, NodeId> = BTreeMap::new();
    for (node, d) in gradients.into_iter().enumerate() {
        let (Op::Parameter(op), Some(d)) = (&graph.nodes[node].op, d) else { continue };
        let (parameter, origin) = (op.parameter, graph.nodes[node].origin.clone());
        let d = match roots.get(&parameter) {
            Some(&other) => graph.add(ops::add::Add.into(), &[other, d], origin)?,
            None => d,
        };
        roots.insert(parameter, d);
    }
    graph.roots.extend(roots.into_iter().map(|(parameter, d)| (Role::Gradient(parameter), d)));
    *graph = graph.arranged();
    Ok(())
}

/// Whether the value only repeats or rearranges its operand. Its gradient may stay per example on its way to the operand:
/// summed over the copies first, there is less to sum over the batch.
fn repeats(op: &Op) -> bool {
    matches!(op, Op::Expand(_) | Op::Reshape(_) | Op::Flatten(_))
}

/// The gradient `part` of `operand`, summed over the batch if only the operand is batch-wide.
fn over_batch(graph: &mut Graph, part: NodeId, operand: NodeId, origin: &Origin) -> Result<NodeId, Violation> {
    if graph.ty(part).per_example && !graph.ty(operand).per_example {
        return graph.add(ops::sum_batch::SumBatch.into(), &[part], origin.clone());
    }
    Ok(part)
}

/// For every node, whether one of the parameters `trained` is among what it was computed from.
fn reaches_parameter(graph: &Graph, trained: &[usize]) -> Vec<bool> {
    let mut reaches = vec![false; graph.nodes.len()];
    // What a carry is computed from comes behind it, so a loop is walked until nothing new is found.
    let mut carried: BTreeSet<(usize, usize)> = BTreeSet::new();
    loop {
        let before = carried.len();
        for (id, node) in graph.iter() {
            let from_operand = node.operands.iter().any(|operand| reaches[operand.index()]);
            reaches[id.index()] = from_operand
                || match &node.op {
                    Op::Parameter(op) => trained.contains(&op.parameter),
                    Op::Carry(op) => carried.contains(&(op.scan, op.index)),
                    _ => false,
                };
            if let (Op::Next(op), true) = (&node.op, reaches[id.index()]) {
                carried.insert((op.scan, op.index));
            }
        }
        if carried.len() == before {
            return reaches;
        }
    }
}

fn gradient_name(graph: &Graph, of: NodeId) -> String {
    match graph.node(of).origin.name.as_str() {
        "" => String::new(),
        name => format!("d_{name}"),
    }
}
