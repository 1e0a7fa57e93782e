//! The gradient of a loop is a loop: it runs the other way and reads what the steps left behind.
//!
//! Every loop that a gradient reaches gets a *twin*. A gradient with respect to a value of the loop is a value of the twin;
//! what a rule needs of the loop is stacked there and read here, step by step. Gradients of values outside of the loop
//! are added up over the steps; those of matrices and kernels become one sum over all steps, behind the twin.

use std::collections::BTreeMap;

use crate::graph::{Graph, NodeId, Origin, Regions, Scan};
use crate::ops::add::Add;
use crate::ops::carry::Carry;
use crate::ops::constant::Splat;
use crate::ops::last::Last;
use crate::ops::next::Next;
use crate::ops::scan_step::ScanStep;
use crate::ops::stack::Stack;
use crate::ops::{Op, Violation};

/// What is known of loops while their gradients are made.
#[derive(Debug, Default)]
pub(super) struct Loops {
    regions: Regions,
    twins: BTreeMap<usize, usize>,
    /// Values of loops as their twins read them.
    brought: BTreeMap<NodeId, NodeId>,
    /// How many carries each scan has.
    carries: BTreeMap<usize, usize>,
    /// The gradients of what carries are in the end.
    ends: BTreeMap<(usize, usize), NodeId>,
    /// The carries whose gradients go from step to step.
    open: BTreeMap<(usize, usize), NodeId>,
}

impl Loops {
    /// The loops of a graph that has no gradients yet.
    pub(super) fn new(graph: &Graph) -> Loops {
        let mut loops = Loops { regions: Regions::new(graph), ..Loops::default() };
        for node in &graph.nodes {
            if let Op::Carry(op) = &node.op {
                let count = loops.carries.entry(op.scan).or_default();
                *count = (*count).max(op.index + 1);
            }
        }
        loops
    }

    /// The loop of gradients that belongs to a loop.
    fn twin(&mut self, graph: &mut Graph, scan: usize) -> usize {
        if let Some(&twin) = self.twins.get(&scan) {
            return twin;
        }
        let Scan { length, reversed, parent, span } = graph.scans[scan].clone();
        let parent = parent.map(|parent| self.twin(graph, parent));
        graph.scans.push(Scan { length, reversed: !reversed, parent, span });
        let twin = graph.scans.len() - 1;
        self.twins.insert(scan, twin);
        let carries = self.carries.get(&scan).copied().unwrap_or(0);
        self.carries.insert(twin, carries);
        twin
    }

    fn region(&mut self, graph: &Graph, id: NodeId) -> Option<usize> {
        self.regions.extend(graph);
        self.regions.of(id)
    }

    /// A value as the gradients of its loop can read it.
    pub(super) fn bring(&mut self, graph: &mut Graph, id: NodeId) -> Result<NodeId, Violation> {
        let Some(scan) = self.region(graph, id) else { return Ok(id) };
        let Some(&twin) = self.twins.get(&scan) else { return Ok(id) };
        if let Some(&brought) = self.brought.get(&id) {
            return Ok(brought);
        }
        let stack = self.stack(graph, scan, id)?;
        let above = self.bring(graph, stack)?;
        let step = ScanStep { scan: twin, length: graph.scans[scan].length };
        let brought = graph.add(step.into(), &[above], graph.node(id).origin.clone())?;
        self.brought.insert(id, brought);
        Ok(brought)
    }

    fn stack(&mut self, graph: &mut Graph, scan: usize, id: NodeId) -> Result<NodeId, Violation> {
        let Origin { span, name } = graph.node(id).origin.clone();
        let name = if name.is_empty() { name } else { format!("{name}_steps") };
        let stack = Stack { scan, length: graph.scans[scan].length };
        graph.add(stack.into(), &[id], Origin { span, name })
    }

    /// An operation that sums over the batch, of values of loops: it sums over their steps too, once all are done.
    pub(super) fn over_all(
        &mut self,
        graph: &mut Graph,
        op: Op,
        operands: &[NodeId],
        origin: Origin,
    ) -> Result<NodeId, Violation> {
        let mut operands = operands.to_vec();
        if let Op::SumBatch(_) = op {
            for operand in &mut operands {
                *operand = self.accumulated(graph, *operand, None)?;
            }
            return graph.add(op, &operands, origin);
        }
        let depth = |loops: &mut Loops, graph: &Graph, id: NodeId| {
            let region = loops.region(graph, id);
            loops.regions.depth(region)
        };
        loop {
            let depths: Vec<usize> = operands.iter().map(|&operand| depth(self, graph, operand)).collect();
            let deepest = depths.iter().copied().max().unwrap_or(0);
            if deepest == 0 {
                return graph.add(op, &operands, origin);
            }
            let around = operands.iter().zip(&depths).find(|(_, depth)| **depth == deepest);
            let scan = around.and_then(|(operand, _)| self.regions.of(*operand)).unwrap_or(0);
            for (operand, depth) in operands.iter_mut().zip(depths) {
                // What is outside of this loop is the same at each of its steps.
                let of = if depth == deepest { self.regions.of(*operand).unwrap_or(scan) } else { scan };
                *operand = self.stack(graph, of, *operand)?;
            }
        }
    }

    /// A gradient of a value in the region of `operand`: one of a loop within is added up over its steps.
    pub(super) fn for_operand(
        &mut self,
        graph: &mut Graph,
        part: NodeId,
        operand: NodeId,
    ) -> Result<NodeId, Violation> {
        let region = self.region(graph, operand);
        let target = region.map(|scan| self.twins.get(&scan).copied().unwrap_or(scan));
        self.accumulated(graph, part, target)
    }

    fn accumulated(&mut self, graph: &mut Graph, mut part: NodeId, target: Option<usize>) -> Result<NodeId, Violation> {
        loop {
            let region = self.region(graph, part);
            let Some(scan) = region.filter(|_| self.regions.depth(region) > self.regions.depth(target)) else {
                return Ok(part);
            };
            let origin = graph.node(part).origin.clone();
            let index = self.carries.entry(scan).or_default();
            let (scan, index) = (scan, std::mem::replace(index, *index + 1));
            let zero = Splat { value: 0.0, dims: graph.ty(part).dims.clone() };
            let zero = graph.add(zero.into(), &[], origin.clone())?;
            let carry = graph.add(Carry { scan, index }.into(), &[zero], origin.clone())?;
            let sum = graph.add(Add.into(), &[carry, part], origin.clone())?;
            graph.add(Next { scan, index }.into(), &[sum], origin.clone())?;
            part = graph.add(Last { scan, index }.into(), &[sum], origin)?;
        }
    }

    /// The gradient rule of what makes up a loop; `None` for every other operation. `d` is the gradient of the node, if one
    /// reaches it; what comes out is that of its operand.
    pub(super) fn rule(
        &mut self,
        graph: &mut Graph,
        node: NodeId,
        d: Option<NodeId>,
        origin: Origin,
    ) -> Option<Result<Option<NodeId>, Violation>> {
        match graph.node(node).op.clone() {
            Op::Stack(Stack { scan, length }) => Some(d.map_or(Ok(None), |d| {
                let scan = self.twin(graph, scan);
                graph.add(ScanStep { scan, length }.into(), &[d], origin).map(Some)
            })),
            Op::ScanStep(ScanStep { scan, length }) => Some(d.map_or(Ok(None), |d| {
                let scan = self.twin(graph, scan);
                graph.add(Stack { scan, length }.into(), &[d], origin).map(Some)
            })),
            Op::Last(Last { scan, index }) => {
                if let Some(d) = d {
                    self.twin(graph, scan);
                    self.ends.insert((scan, index), d);
                }
                Some(Ok(None))
            }
            Op::Next(Next { scan, index }) => Some(self.open(graph, node, (scan, index), origin)),
            Op::Carry(Carry { scan, index }) => Some(self.close(graph, node, d, (scan, index), origin)),
            _ => None,
        }
    }

    /// The gradient of a carry's next value, as it comes from the step behind or, at the last step, from outside.
    fn open(
        &mut self,
        graph: &mut Graph,
        node: NodeId,
        carry: (usize, usize),
        origin: Origin,
    ) -> Result<Option<NodeId>, Violation> {
        let Some(&scan) = self.twins.get(&carry.0) else { return Ok(None) };
        let end = match self.ends.remove(&carry) {
            Some(end) => end,
            None => zeros(graph, node, &origin)?,
        };
        let d = graph.add(Carry { scan, index: carry.1 }.into(), &[end], origin)?;
        self.open.insert(carry, d);
        Ok(Some(d))
    }

    /// The gradient of a carry goes to the step before and, at the first step, to the initial value.
    fn close(
        &mut self,
        graph: &mut Graph,
        node: NodeId,
        d: Option<NodeId>,
        carry: (usize, usize),
        origin: Origin,
    ) -> Result<Option<NodeId>, Violation> {
        let Some(&scan) = self.twins.get(&carry.0) else { return Ok(None) };
        if self.open.remove(&carry).is_none() {
            return Ok(None);
        }
        let d = match d {
            Some(d) => d,
            None => zeros(graph, node, &origin)?,
        };
        graph.add(Next { scan, index: carry.1 }.into(), &[d], origin.clone())?;
        graph.add(Last { scan, index: carry.1 }.into(), &[d], origin).map(Some)
    }
}

fn zeros(graph: &mut Graph, like: NodeId, origin: &Origin) -> Result<NodeId, Violation> {
    let dims = graph.ty(like).dims.clone();
    graph.add(Splat { value: 0.0, dims }.into(), &[], origin.clone())
}
