//! Loops: a run of steps that is repeated, over buffers of which each step sees a piece.
//!
//! A sequence that a loop reads or writes lies step by step ([`Layout::Steps`]), so that what a step sees of all examples of a
//! shard is one row of floats. What is computed from sequences row by row keeps that order; for everything else
//! the sequence is turned round, once. A carry is a buffer of its own that the end of every step writes; but if it is stored
//! step by step anyway, before or after it changes, it is a sequence of one step more, of which each step of the loop
//! reads one and writes the next.

use std::collections::{BTreeMap, BTreeSet};

use dl_grammar::Span;

use super::{Scheduler, fill, lower};
use crate::graph::{Graph, NodeId, Scan};
use crate::ops::{Lowering, Op};
use crate::program::{AxisShape, BufferId, Home, Kernel, Layout, StepsShape};

/// The loops of a graph while they are scheduled.
#[derive(Debug, Default)]
pub(super) struct Loops {
    /// The loops being scheduled, the innermost last.
    open: Vec<usize>,
    /// The phase in which they run.
    phase: Option<usize>,
    begun: Vec<bool>,
    /// Which nodes end which loop.
    stacks: Vec<Vec<NodeId>>,
    lasts: Vec<Vec<NodeId>>,
    carries: Vec<Vec<NodeId>>,
    nexts: BTreeMap<(usize, usize), NodeId>,
    /// The carry of which a value of a loop is the next one, of those that are sequences.
    next_of: BTreeMap<NodeId, (usize, usize)>,
    /// The carries that are sequences.
    sequences: BTreeSet<(usize, usize)>,
    /// The sequences of carries, from their first value to the last.
    histories: BTreeMap<(usize, usize), BufferId>,
    /// Parts of those: from which step on, and how many.
    parts: BTreeMap<(BufferId, usize, usize), BufferId>,
    /// The `stack` that a value of a loop is written into at once.
    into: BTreeMap<NodeId, NodeId>,
    /// The number of steps of values that nobody wants but step by step.
    wanted: Vec<Option<usize>>,
    /// Where carries lie.
    carried: BTreeMap<(usize, usize), BufferId>,
    /// The last values of what is no carry.
    kept: BTreeMap<NodeId, BufferId>,
    wholes: BTreeMap<NodeId, BufferId>,
    pieces: BTreeMap<(BufferId, usize, usize), BufferId>,
    steps_first: BTreeMap<(BufferId, usize), BufferId>,
    examples_first: BTreeMap<BufferId, BufferId>,
}

impl Loops {
    pub(super) fn new(graph: &Graph) -> Loops {
        let none = vec![Vec::new(); graph.scans.len()];
        let mut loops = Loops {
            begun: vec![false; graph.scans.len()],
            stacks: none.clone(),
            lasts: none.clone(),
            carries: none,
            wanted: wanted(graph),
            ..Loops::default()
        };
        for (id, node) in graph.iter() {
            match &node.op {
                Op::Stack(op) => {
                    loops.stacks[op.scan].push(id);
                    loops.into.entry(node.operands[0]).or_insert(id);
                }
                Op::Last(op) => loops.lasts[op.scan].push(id),
                Op::Carry(op) => loops.carries[op.scan].push(id),
                Op::Next(op) => {
                    loops.nexts.insert((op.scan, op.index), node.operands[0]);
                }
                _ => {}
            }
        }
        let stored: BTreeSet<(usize, NodeId)> = graph
            .nodes
            .iter()
            .filter_map(|node| if let Op::Stack(op) = &node.op { Some((op.scan, node.operands[0])) } else { None })
            .collect();
        for carries in &loops.carries {
            for &id in carries {
                let Op::Carry(op) = &graph.node(id).op else { continue };
                let key = (op.scan, op.index);
                let Some(&next) = loops.nexts.get(&key) else { continue };
                if stored.contains(&(op.scan, id)) || stored.contains(&(op.scan, next)) {
                    loops.next_of.entry(next).or_insert(key);
                    loops.sequences.insert(key);
                }
            }
        }
        loops
    }

    /// The loop that repeats what is scheduled now, if it is scheduled for `phase`.
    pub(super) fn within(&self, phase: usize) -> Option<usize> {
        self.open.last().copied().filter(|_| self.phase == Some(phase))
    }

    /// The phase of the loops that are open.
    pub(super) fn phase(&self) -> Option<usize> {
        self.phase
    }
}

/// How many steps a value may be computed over at once, row by row, in any order of steps and examples.
fn row_by_row(graph: &Graph, id: NodeId) -> Option<usize> {
    let node = graph.node(id);
    let steps_of = |id: NodeId| {
        let ty = graph.ty(id);
        if ty.dims.len() > 1 || matches!(node.op, Op::Fused(_)) { ty.dims.first().copied() } else { None }
    };
    match (&node.op, node.operands.as_slice()) {
        (Op::MatMul(_), &[x, ..]) => steps_of(x).filter(|_| node.ty.dims.len() > 1),
        (Op::MatMulWeights(_) | Op::Convolution2dWeight(_), &[x, d]) => {
            steps_of(x).filter(|steps| steps_of(d) == Some(*steps))
        }
        (Op::Fused(fused), operands) if node.ty.per_example => {
            let steps = node.ty.dims.first().copied()?;
            let elements = node.ty.len();
            let fits = operands.iter().zip(&fused.expression.views).all(|(&operand, view)| {
                let ty = graph.ty(operand);
                if ty.per_example {
                    (view.inner, view.len) == (1, elements) && ty.dims.first() == Some(&steps)
                } else {
                    (elements / steps).is_multiple_of(view.inner * view.len)
                }
            });
            fits.then_some(steps)
        }
        (Op::Gather(_), &[_, index]) | (Op::GatherGradient(_), &[index, _]) => graph.ty(index).dims.first().copied(),
        (Op::Sum(sum), &[x]) if (sum.axis, sum.count) == (0, 1) => graph.ty(x).dims.first().copied(),
        _ => None,
    }
}

/// For every node, how many steps it has if all that use it want it step by step.
fn wanted(graph: &Graph) -> Vec<Option<usize>> {
    let mut wanted: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    if graph.scans.is_empty() {
        return wanted;
    }
    let users = graph.users();
    let mut is_root = vec![false; graph.nodes.len()];
    graph.roots.iter().for_each(|(_, id)| is_root[id.index()] = true);
    for (id, _) in graph.iter().rev() {
        if is_root[id.index()] {
            continue;
        }
        let mut steps = users[id.index()].iter().map(|user| match &graph.node(*user).op {
            Op::ScanStep(op) => Some(op.length),
            _ => wanted[user.index()],
        });
        if let Some(Some(first)) = steps.next()
            && steps.all(|other| other == Some(first))
            && row_by_row(graph, id) == Some(first)
        {
            wanted[id.index()] = Some(first);
        }
    }
    wanted
}

impl Scheduler<'_> {
    /// Ends the loops that `region` is not in and begins those that it is in; `at` is the first node there.
    pub(super) fn enter(&mut self, region: Option<usize>, at: NodeId) {
        while let Some(&open) = self.loops.open.last() {
            if self.is_in(region, open) {
                break;
            }
            self.end(open);
        }
        while let Some(scan) = self.graph.child(region, self.loops.open.last().copied()) {
            self.begin(scan, at);
        }
    }

    fn is_in(&self, mut region: Option<usize>, scan: usize) -> bool {
        while let Some(inner) = region {
            if inner == scan {
                return true;
            }
            region = self.graph.scans[inner].parent;
        }
        false
    }

    /// Begins a loop: sequences are turned round, the phase is found, carries get their first values.
    fn begin(&mut self, scan: usize, at: NodeId) {
        self.loops.begun[scan] = true;
        let graph = self.graph;
        let members = (at.index()..graph.nodes.len())
            .map(|place| NodeId(place as u32))
            .take_while(|&id| self.is_in(self.regions.of(id), scan));
        let ends = self.loops.stacks[scan].iter().chain(&self.loops.lasts[scan]).copied();
        let nodes: Vec<NodeId> = members.chain(ends).collect();
        let mut phase = self.phase(true, &[]);
        for id in nodes {
            let node = graph.node(id);
            for &operand in &node.operands {
                let outside = !self.is_in(self.regions.of(operand), scan);
                if !outside || matches!(graph.node(operand).op, Op::Parameter(_) | Op::Splat(_)) {
                    continue;
                }
                let buffer = match &node.op {
                    Op::ScanStep(op) => self.sequence(operand, op.length),
                    _ => self.read_in(operand, false, None),
                };
                phase = phase.max(self.phase(true, &[buffer]));
            }
        }
        if self.loops.open.is_empty() {
            self.loops.phase = Some(phase);
        }
        for id in self.loops.carries[scan].clone() {
            let node = graph.node(id);
            let Op::Carry(op) = &node.op else { continue };
            let (name, span) = (self.called[id.index()].clone(), node.origin.span);
            let key = (scan, op.index);
            if self.loops.sequences.contains(&key) {
                let length = graph.scans[scan].length;
                let dims = [&[length + 1], node.ty.dims.as_slice()].concat();
                let history = self.buffer(format!("{name}_history"), dims, true, Home::Shard, span);
                self.buffers[history.0 as usize].layout = Layout::Steps(length + 1);
                self.ready[history.0 as usize] = self.phase(true, &[]);
                self.loops.histories.insert(key, history);
                let first =
                    self.steps_of_history(history, if graph.scans[scan].reversed { length } else { 0 }, 1, &name);
                self.put(node.operands[0], first, span);
                let carry = self.piece_later(history, scan, usize::from(graph.scans[scan].reversed), name);
                self.loops.carried.insert(key, carry);
                continue;
            }
            let buffer = self.buffer(name, node.ty.dims.clone(), true, Home::Shard, span);
            self.put(node.operands[0], buffer, span);
            self.loops.carried.insert(key, buffer);
        }
        self.loops.open.push(scan);
    }

    /// Ends a loop: what it leaves behind is stored, and carries become what they are at the next step.
    fn end(&mut self, scan: usize) {
        let graph = self.graph;
        for id in self.loops.stacks[scan].clone() {
            let value = graph.node(id).operands[0];
            let at_once = self.loops.into.get(&value) == Some(&id) && self.is_written(value, scan);
            if !at_once && self.history(id).is_none() {
                let span = graph.node(id).origin.span;
                let whole = self.whole(id);
                let piece = self.piece(whole, scan, format!("{}_step", self.called[id.index()]));
                self.put(value, piece, span);
            }
        }
        for id in self.loops.lasts[scan].clone() {
            let node = graph.node(id);
            let Op::Last(op) = &node.op else { continue };
            if !self.loops.carried.contains_key(&(scan, op.index)) {
                let name = self.called[id.index()].clone();
                let buffer = self.buffer(name, node.ty.dims.clone(), true, Home::Shard, node.origin.span);
                self.put(node.operands[0], buffer, node.origin.span);
                self.loops.kept.insert(id, buffer);
            }
        }
        let mut copies: Vec<(BufferId, NodeId, BufferId, Span)> = Vec::new();
        for id in self.loops.carries[scan].clone() {
            let Op::Carry(op) = &graph.node(id).op else { continue };
            let key = (scan, op.index);
            let (Some(&carry), Some(&value)) = (self.loops.carried.get(&key), self.loops.nexts.get(&key)) else {
                continue;
            };
            let base = self.base[value.index()];
            let span = graph.node(value).origin.span;
            if let Some(&history) = self.loops.histories.get(&key) {
                // Nothing that is read at this step is written over.
                if self.loops.next_of.get(&value) != Some(&key) || !self.is_written(value, scan) {
                    let next = self.next_piece(history, key, value);
                    self.put(value, next, span);
                }
                continue;
            }
            let is_other = matches!(&graph.node(base).op, Op::Carry(other) if other.scan == scan && base != id);
            if is_other {
                // The other carry may get its own next value first.
                let name = format!("{}_next", self.called[id.index()]);
                let aside = self.buffer(name, graph.ty(value).dims.clone(), true, Home::Shard, span);
                self.put(value, aside, span);
                copies.push((carry, value, aside, span));
            } else if base != id {
                copies.push((carry, value, carry, span));
            }
        }
        for (carry, value, from, span) in copies {
            if from == carry {
                self.put(value, carry, span);
            } else {
                self.push(self.loops.phase.unwrap_or(1), Kernel::Copy, vec![from], carry, span);
            }
        }
        self.loops.open.pop();
        if self.loops.open.is_empty() {
            self.loops.phase = None;
        }
    }

    /// Whether a value is computed by a step of that loop itself.
    fn is_written(&self, value: NodeId, scan: usize) -> bool {
        self.regions.of(value) == Some(scan)
            && matches!(lower(self.graph, value), Lowering::Pointwise(_) | Lowering::Kernel(_))
    }

    /// Writes a value into a buffer.
    fn put(&mut self, value: NodeId, to: BufferId, span: Span) {
        let phase = self.phase(true, &[]);
        if let Op::Splat(splat) = &self.graph.node(self.base[value.index()]).op {
            self.push(phase, fill(splat.value), Vec::new(), to, span);
            return;
        }
        let from = self.read(value, false);
        let kernel = if self.buffers[from.0 as usize].per_example {
            Kernel::Copy
        } else {
            Kernel::Expand(AxisShape { outer: 1, middle: 1, inner: self.graph.ty(value).len() })
        };
        let phase = self.phase(true, &[from]);
        self.push(phase, kernel, vec![from], to, span);
    }

    /// Schedules what makes up a loop; `false` for every other node.
    pub(super) fn loop_node(&mut self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        let buffer = match &node.op {
            Op::ScanStep(op) => {
                let whole = self.sequence(node.operands[0], op.length);
                self.piece(whole, op.scan, self.called[id.index()].clone())
            }
            Op::Next(_) => return true,
            Op::Carry(op) => match self.loops.carried.get(&(op.scan, op.index)) {
                Some(&buffer) => buffer,
                None => return true,
            },
            Op::Stack(op) => {
                self.pass(op.scan, id);
                self.whole(id)
            }
            Op::Last(op) => {
                self.pass(op.scan, id);
                if let Some(&history) = self.loops.histories.get(&(op.scan, op.index)) {
                    let Scan { reversed, length, .. } = self.graph.scans[op.scan];
                    let name = self.called[id.index()].clone();
                    let last = self.steps_of_history(history, if reversed { 0 } else { length }, 1, &name);
                    self.values.insert(id, last);
                    return true;
                }
                let carried = self.loops.carried.get(&(op.scan, op.index));
                match carried.or_else(|| self.loops.kept.get(&id)) {
                    Some(&buffer) => buffer,
                    None => return true,
                }
            }
            _ => return false,
        };
        self.values.insert(id, buffer);
        true
    }

    /// Begins and ends a loop in which nothing is computed.
    fn pass(&mut self, scan: usize, at: NodeId) {
        if !self.loops.begun[scan] {
            self.begin(scan, at);
            self.end(scan);
        }
    }

    /// Where a value of the loop at hand is stored for later, if it is: its piece of the whole.
    pub(super) fn stacked(&mut self, id: NodeId) -> Option<BufferId> {
        let scan = self.regions.of(id)?;
        if let Some(&key) = self.loops.next_of.get(&id).filter(|key| key.0 == scan) {
            let history = *self.loops.histories.get(&key)?;
            return Some(self.next_piece(history, key, id));
        }
        let stack = *self.loops.into.get(&id)?;
        if !matches!(&self.graph.node(stack).op, Op::Stack(op) if op.scan == scan) {
            return None;
        }
        let whole = self.whole(stack);
        Some(self.piece(whole, scan, self.called[id.index()].clone()))
    }

    /// The buffer that holds all steps of a `stack`.
    fn whole(&mut self, stack: NodeId) -> BufferId {
        if let Some(&whole) = self.loops.wholes.get(&stack) {
            return whole;
        }
        let node = self.graph.node(stack);
        let name = self.called[stack.index()].clone();
        if let Some((history, first)) = self.history(stack) {
            let length = node.ty.dims.first().copied().unwrap_or(1);
            let whole = self.steps_of_history(history, first, length, &name);
            self.loops.wholes.insert(stack, whole);
            return whole;
        }
        let whole = self.buffer(name, node.ty.dims.clone(), true, Home::Shard, node.origin.span);
        self.buffers[whole.0 as usize].layout = Layout::Steps(node.ty.dims.first().copied().unwrap_or(1));
        self.ready[whole.0 as usize] = self.phase(true, &[]);
        self.loops.wholes.insert(stack, whole);
        whole
    }

    /// The sequence of a carry of which a `stack` is a part, and the first of its steps.
    fn history(&self, stack: NodeId) -> Option<(BufferId, usize)> {
        let node = self.graph.node(stack);
        let Op::Stack(op) = &node.op else { return None };
        let (value, reversed) = (node.operands[0], self.graph.scans[op.scan].reversed);
        let (key, first) = match &self.graph.node(value).op {
            Op::Carry(carry) if carry.scan == op.scan => ((carry.scan, carry.index), usize::from(reversed)),
            _ => (*self.loops.next_of.get(&value)?, usize::from(!reversed)),
        };
        let history = self.loops.histories.get(&key).filter(|_| key.0 == op.scan);
        history.map(|history| (*history, first))
    }

    /// Steps of the sequence of a carry.
    fn steps_of_history(&mut self, of: BufferId, first: usize, count: usize, name: &str) -> BufferId {
        if let Some(&part) = self.loops.parts.get(&(of, first, count)) {
            return part;
        }
        let whole = &self.buffers[of.0 as usize];
        let (len, span, ready) = (whole.floats / whole.dims[0], whole.span, self.ready[of.0 as usize]);
        let step: Vec<usize> = whole.dims.iter().skip(1).copied().collect();
        let dims = if count == 1 { step } else { [&[count], step.as_slice()].concat() };
        let part = self.buffer(name.to_owned(), dims, true, Home::Steps { of, first }, span);
        self.buffers[part.0 as usize].floats = count * len;
        if count > 1 {
            self.buffers[part.0 as usize].layout = Layout::Steps(count);
        }
        self.ready[part.0 as usize] = ready;
        self.loops.parts.insert((of, first, count), part);
        part
    }

    /// Where the next value of a carry that is a sequence goes.
    fn next_piece(&mut self, history: BufferId, (scan, _): (usize, usize), value: NodeId) -> BufferId {
        let later = usize::from(!self.graph.scans[scan].reversed);
        self.piece_later(history, scan, later, self.called[value.index()].clone())
    }

    /// The step of a sequence that a loop is at.
    fn piece(&mut self, of: BufferId, scan: usize, name: String) -> BufferId {
        // Of a part of a longer sequence it is a step of that.
        match self.buffers[of.0 as usize].home {
            Home::Steps { of, first } => self.piece_later(of, scan, first, name),
            _ => self.piece_later(of, scan, 0, name),
        }
    }

    fn piece_later(&mut self, of: BufferId, scan: usize, later: usize, name: String) -> BufferId {
        if let Some(&piece) = self.loops.pieces.get(&(of, scan, later)) {
            return piece;
        }
        let whole = &self.buffers[of.0 as usize];
        let (dims, span, ready) =
            (whole.dims.iter().skip(1).copied().collect::<Vec<_>>(), whole.span, self.ready[of.0 as usize]);
        let Layout::Steps(steps) = whole.layout else { return of };
        let len = whole.floats / steps.max(1);
        let piece = self.buffer(name, dims, true, Home::Step { of, scan, later }, span);
        self.buffers[piece.0 as usize].floats = len;
        self.ready[piece.0 as usize] = ready;
        self.loops.pieces.insert((of, scan, later), piece);
        piece
    }

    /// A value step by step, as a loop reads it.
    fn sequence(&mut self, id: NodeId, steps: usize) -> BufferId {
        let buffer = self.natural(id, false);
        let buffer = if self.buffers[buffer.0 as usize].per_example {
            buffer
        } else {
            self.spread(buffer, self.graph.node(id).origin.span)
        };
        self.in_order(buffer, Some(steps))
    }

    /// How many steps a node is computed over step by step, because an operand lies so or nobody wants it otherwise.
    pub(super) fn steps_of(&mut self, id: NodeId) -> Option<usize> {
        // What a loop leaves behind is stored as the language sees it.
        let is_stored = self.loops.into.contains_key(&id) || self.loops.next_of.contains_key(&id);
        let is_stacked = self.regions.of(id).is_some() && is_stored;
        if self.graph.scans.is_empty() || is_stacked {
            return None;
        }
        let steps = row_by_row(self.graph, id)?;
        let lies_so = |scheduler: &mut Self, operand: NodeId| {
            let base = scheduler.base[operand.index()];
            let buffer = scheduler.values.get(&base);
            buffer.is_some_and(|buffer| scheduler.buffers[buffer.0 as usize].layout == Layout::Steps(steps))
        };
        let operands = &self.graph.node(id).operands;
        let any = operands.iter().any(|&operand| lies_so(self, operand));
        (any || self.loops.wanted[id.index()] == Some(steps)).then_some(steps)
    }

    /// The buffer that holds a value, step by step or not.
    pub(super) fn read_in(&mut self, id: NodeId, prepare: bool, steps: Option<usize>) -> BufferId {
        let buffer = self.natural(id, prepare);
        if self.buffers[buffer.0 as usize].per_example { self.in_order(buffer, steps) } else { buffer }
    }

    /// The same floats in the other order.
    fn in_order(&mut self, buffer: BufferId, steps: Option<usize>) -> BufferId {
        match (self.buffers[buffer.0 as usize].layout, steps) {
            // Nothing lies in lanes before `lanes` has run.
            (Layout::Pixel, None) | (Layout::Lanes, _) => buffer,
            (Layout::Steps(known), Some(steps)) if known == steps => buffer,
            (Layout::Steps(known), steps) => {
                let buffer = match self.loops.examples_first.get(&buffer) {
                    Some(&turned) => turned,
                    None => {
                        let turned = self.turned(buffer, known, false);
                        self.loops.examples_first.insert(buffer, turned);
                        turned
                    }
                };
                self.in_order(buffer, steps)
            }
            (Layout::Pixel, Some(steps)) => match self.loops.steps_first.get(&(buffer, steps)) {
                Some(&turned) => turned,
                None => {
                    let turned = self.turned(buffer, steps, true);
                    self.loops.steps_first.insert((buffer, steps), turned);
                    turned
                }
            },
        }
    }

    fn turned(&mut self, buffer: BufferId, steps: usize, first: bool) -> BufferId {
        let of = &self.buffers[buffer.0 as usize];
        let (floats, span) = (of.floats, of.span);
        let shape = StepsShape { steps, len: floats / steps.max(1) };
        let (kernel, suffix, layout) = if first {
            (Kernel::StepsFirst(shape), "steps", Layout::Steps(steps))
        } else {
            (Kernel::ExamplesFirst(shape), "examples", Layout::Pixel)
        };
        let (name, dims) = (format!("{}_{suffix}", of.name), [steps, shape.len]);
        let result = self.buffer(name, dims, true, Home::Shard, span);
        self.buffers[result.0 as usize].layout = layout;
        let phase = self.phase(true, &[buffer]);
        self.push(phase, kernel, vec![buffer], result, span);
        result
    }
}
