//! Scheduling: turns an optimized Graph into a Program, whose buffers have homes but no offsets yet.
//!
//! Before: `%4 = matmul +bias relu (%0, %1, %2)`. After: `pack` in `prepare` and `hidden = matmul … (image,
//! hidden_weight_panels, hidden.bias)` in a phase of shards. What is computed for each example runs in phases of shards,
//! what sums over the batch in phases of the batch between them, and what depends on parameters alone is prepared
//! once. It decides neither where buffers lie ([`plan`](mod@crate::plan)) nor how steps are written down.

use std::collections::BTreeMap;

use dl_grammar::Span;

use crate::expression::{Argument, Expression, Instruction, View};
use crate::graph::{Element, Graph, NodeId, Regions, Role};
use crate::model::{Model, Parameter};
use crate::ops::{Lowering, Op, PointwiseFn};
use crate::plan::{Offsets, offsets};
use crate::program::{
    AxisShape, Buffer, BufferId, Convolution2dShape, GatherShape, Home, Kernel, Layout, MatMulShape, Phase, Program,
    SHARD, Step,
};
use crate::small::few_rows;

mod loops;

use loops::Loops;

/// The Program that computes the roots of `graph`, which is one of the model's graphs after optimization.
///
/// With `inference`, all that is read of parameters and states is prepared, so that running needs nothing else; without
/// it they are read where they are, but for the panels of products that are worth making.
pub fn schedule(model: &Model, graph: &Graph, inference: bool) -> Program {
    let mut scheduler = Scheduler::new(model, graph, inference);
    scheduler.assign_targets();
    for (id, _) in graph.iter() {
        if scheduler.reachable[id.index()] {
            scheduler.enter(scheduler.regions.of(id), id);
            scheduler.visit(id);
        }
    }
    scheduler.enter(None, NodeId(graph.nodes.len() as u32));
    scheduler.results();
    scheduler.finish()
}

/// When a value is there: before everything, or after a phase. Phases of shards have odd numbers, of the batch even ones.
const BEFORE: usize = 0;

struct Scheduler<'a> {
    model: &'a Model,
    graph: &'a Graph,
    inference: bool,
    parameters: Offsets,
    states: Offsets,
    reachable: Vec<bool>,
    /// The node whose floats each node shows: itself, unless it is a view.
    base: Vec<NodeId>,
    /// Whether it is batch-wide and depends on parameters, states and constants alone.
    prepared: Vec<bool>,
    /// The gradient or update that a node's result is written to.
    targets: BTreeMap<NodeId, Home>,
    /// What each node is called.
    called: Vec<String>,
    regions: Regions,
    loops: Loops,
    buffers: Vec<Buffer>,
    /// For each buffer, the phase after which it is there.
    ready: Vec<usize>,
    names: BTreeMap<String, usize>,
    values: BTreeMap<NodeId, BufferId>,
    fields: BTreeMap<usize, BufferId>,
    tensors: BTreeMap<Home, BufferId>,
    copies: BTreeMap<BufferId, BufferId>,
    constants: BTreeMap<(u64, usize), BufferId>,
    /// The panels that are made of a weight by a kernel.
    panels: Vec<(BufferId, Kernel, BufferId)>,
    spread: BTreeMap<BufferId, BufferId>,
    prepare: Vec<Step>,
    phases: BTreeMap<usize, Vec<Step>>,
    results: Vec<(Role, BufferId)>,
}

impl<'a> Scheduler<'a> {
    fn new(model: &'a Model, graph: &'a Graph, inference: bool) -> Scheduler<'a> {
        let lowerings: Vec<Lowering> = graph.iter().map(|(id, _)| lower(graph, id)).collect();
        let mut base: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
        let mut prepared: Vec<bool> = Vec::with_capacity(graph.nodes.len());
        for ((id, node), lowering) in graph.iter().zip(&lowerings) {
            base.push(match (lowering, node.operands.first()) {
                (Lowering::View, Some(operand)) => base[operand.index()],
                _ => id,
            });
            prepared.push(node.is_prepared(&prepared));
        }
        Scheduler {
            model,
            graph,
            inference,
            parameters: offsets(&model.parameters),
            states: offsets(&model.states),
            reachable: graph.needed(graph.roots.iter().map(|(_, id)| *id)),
            base,
            prepared,
            targets: BTreeMap::new(),
            called: names(graph),
            regions: Regions::new(graph),
            loops: Loops::new(graph),
            buffers: Vec::new(),
            ready: Vec::new(),
            names: BTreeMap::new(),
            values: BTreeMap::new(),
            fields: BTreeMap::new(),
            tensors: BTreeMap::new(),
            copies: BTreeMap::new(),
            constants: BTreeMap::new(),
            panels: Vec::new(),
            spread: BTreeMap::new(),
            prepare: Vec::new(),
            phases: BTreeMap::new(),
            results: Vec::new(),
        }
    }

    /// Lets results be written to gradients and updates at once, where nothing per example reads them.
    fn assign_targets(&mut self) {
        let mut read_by_examples = vec![false; self.graph.nodes.len()];
        for node in self.graph.nodes.iter().filter(|node| node.ty.per_example) {
            for operand in &node.operands {
                read_by_examples[self.base[operand.index()].index()] = true;
            }
        }
        for &(role, id) in &self.graph.roots {
            let (Some(target), base) = (target(role), self.base[id.index()]) else { continue };
            let computed = matches!(lower(self.graph, base), Lowering::Pointwise(_) | Lowering::Kernel(_));
            if computed && !self.prepared[base.index()] && !read_by_examples[base.index()] {
                self.targets.entry(base).or_insert(target);
            }
        }
    }

    /// Schedules the step of a node, if it has one.
    fn visit(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        if self.loop_node(id) {
            return;
        }
        let prepared = self.prepared[id.index()];
        let steps = self.steps_of(id);
        let (kernel, operands) = match lower(self.graph, id) {
            Lowering::Leaf | Lowering::View => return,
            Lowering::Pointwise(function) => self.pointwise(id, function, steps),
            Lowering::Kernel(kernel) => {
                // Panels are made from the weight where it is.
                let packs =
                    matches!(kernel, Kernel::MatMul(..) | Kernel::Convolution2d(..) | Kernel::Convolution2dInput(..));
                let weight = |place| place == 1 && packs;
                let operands = node.operands.iter().enumerate().map(|(place, &operand)| {
                    // Indices stay where the caller has them; who looks up rows step by step finds them there.
                    let is_index = matches!(self.graph.ty(operand).element, Element::Index(_));
                    self.read_in(operand, prepared || weight(place), steps.filter(|_| !is_index))
                });
                let operands = operands.collect();
                (in_steps(kernel, steps), operands)
            }
        };
        let kernel = match kernel {
            Kernel::MatMul(shape, transposed, epilogue) if self.reads_weight_in_place(shape, transposed) => {
                Kernel::MatMulUnpacked(shape, transposed, epilogue)
            }
            Kernel::MatMul(shape, false, epilogue) if self.reads_weight_either_way(shape, operands.get(1)) => {
                Kernel::MatMulEither(shape, epilogue)
            }
            kernel => kernel,
        };
        let operands = self.adapt(&kernel, operands, node.ty.per_example, node.origin.span);
        let phase = if prepared { BEFORE } else { self.phase(node.ty.per_example, &operands) };
        let (name, home) = match self.targets.get(&id) {
            Some(&target) => (self.target_of(target).0, target),
            None => (self.called[id.index()].clone(), home(phase)),
        };
        let result = match self.stacked(id) {
            Some(step) => step,
            None => self.buffer(name, node.ty.dims.clone(), node.ty.per_example, home, node.origin.span),
        };
        // A sum over the steps has none.
        if let (Some(steps), true) = (steps, node.ty.per_example && !matches!(node.op, Op::Sum(_))) {
            self.buffers[result.0 as usize].layout = Layout::Steps(steps);
        }
        self.push(phase, kernel, operands, result, node.origin.span);
        self.values.insert(id, result);
    }

    /// Whether the weight of a product is read where it is, for want of memory or because panels are for many rows: more than a
    /// batch of `train` has, or a loop comes back for them. Transposed, panels are worth more than making them costs sooner.
    fn reads_weight_in_place(&self, shape: MatMulShape, transposed: bool) -> bool {
        let rows = self.model.train.batch.saturating_mul(shape.rows);
        let few = few_rows(self.model, shape.rows) || !transposed && rows <= FEW_ROWS;
        let few = few && self.loops.phase().is_none();
        !self.inference && (few || shape.inputs.saturating_mul(shape.outputs) > LARGEST_PREPARED)
    }

    /// Whether the runtime decides how the weight of a product forward is read: a parameter, for which panels are made once for each
    /// step, and a vector of each example, so that a shard has as many rows as meet a weight at once where it is.
    fn reads_weight_either_way(&self, shape: MatMulShape, weight: Option<&BufferId>) -> bool {
        let is_parameter = |id: &BufferId| matches!(self.buffers[id.0 as usize].home, Home::Parameter(_));
        let fits =
            shape.rows == 1 && shape.outputs >= PANEL && shape.inputs.saturating_mul(shape.outputs) <= LARGEST_IN_PLACE;
        !self.inference && fits && self.loops.phase().is_none() && weight.is_some_and(is_parameter)
    }

    /// One pointwise operation as an expression of one instruction.
    fn pointwise(&mut self, id: NodeId, function: PointwiseFn, steps: Option<usize>) -> (Kernel, Vec<BufferId>) {
        let node = self.graph.node(id);
        let prepared = self.prepared[id.index()];
        let (mut operands, mut views, mut arguments) = (Vec::new(), Vec::new(), Vec::new());
        for &operand in &node.operands {
            if let Op::Splat(splat) = &self.graph.node(self.base[operand.index()]).op {
                arguments.push(Argument::Constant(splat.value));
                continue;
            }
            let buffer = self.read_in(operand, prepared, steps);
            let place = operands.iter().position(|known| *known == buffer);
            arguments.push(Argument::Operand(place.unwrap_or(operands.len())));
            if place.is_none() {
                operands.push(buffer);
                views.push(View { inner: 1, len: self.graph.ty(operand).len() });
            }
        }
        let instruction = Instruction { function, arguments, name: String::new() };
        (Kernel::Pointwise(Expression { views, instructions: vec![instruction] }), operands)
    }

    /// The buffer that holds a value for a step, its floats as the language sees them.
    fn read(&mut self, id: NodeId, prepare: bool) -> BufferId {
        self.read_in(id, prepare, None)
    }

    /// The buffer that holds a value as it was made. Steps of `prepare` read parameters and states where they are.
    fn natural(&mut self, id: NodeId, prepare: bool) -> BufferId {
        let base = self.base[id.index()];
        let node = self.graph.node(base);
        match &node.op {
            Op::Input(input) => self.field(input.field),
            Op::Parameter(op) => {
                self.tensor(Home::Parameter(op.parameter), &self.model.parameters[op.parameter], prepare)
            }
            Op::State(op) => self.tensor(Home::State(op.state), &self.model.states[op.state], prepare),
            Op::Splat(splat) => self.constant(splat.value, &splat.dims, node.origin.span),
            _ => match self.values.get(&base) {
                Some(&buffer) => buffer,
                // Operands come before their users, so this only names what verify then refuses.
                None => self.constant(f64::NAN, &node.ty.dims, node.origin.span),
            },
        }
    }

    fn field(&mut self, field: usize) -> BufferId {
        if let Some(&buffer) = self.fields.get(&field) {
            return buffer;
        }
        let declared = &self.model.fields[field];
        let (name, dims, span) = (declared.name.clone(), declared.dims.clone(), declared.span);
        let buffer = self.buffer(name, dims, true, Home::Field(field), span);
        self.fields.insert(field, buffer);
        buffer
    }

    /// A parameter or state where it is, or, where inference reads it outside of `prepare`, its prepared copy.
    fn tensor(&mut self, home: Home, declared: &Parameter, prepare: bool) -> BufferId {
        let buffer = match self.tensors.get(&home) {
            Some(&buffer) => buffer,
            None => {
                let (path, dims, span) = (declared.path.clone(), declared.dims.clone(), declared.span);
                let buffer = self.buffer(path, dims, false, home, span);
                self.tensors.insert(home, buffer);
                buffer
            }
        };
        if self.inference && !prepare { self.copy(buffer) } else { buffer }
    }

    /// The prepared copy of a parameter or state.
    fn copy(&mut self, from: BufferId) -> BufferId {
        if let Some(&buffer) = self.copies.get(&from) {
            return buffer;
        }
        let of = &self.buffers[from.0 as usize];
        let (name, dims, span) = (of.name.replace('.', "_"), of.dims.clone(), of.span);
        let result = self.buffer(name, dims, false, Home::Prepared, span);
        self.push(BEFORE, Kernel::Copy, vec![from], result, span);
        self.copies.insert(from, result);
        result
    }

    /// A buffer full of one number.
    fn constant(&mut self, value: f64, dims: &[usize], span: Span) -> BufferId {
        let key = (value.to_bits(), dims.iter().product());
        if let Some(&buffer) = self.constants.get(&key) {
            return buffer;
        }
        let result = self.buffer("constant".to_owned(), dims.to_vec(), false, Home::Prepared, span);
        self.push(BEFORE, fill(value), Vec::new(), result, span);
        self.constants.insert(key, result);
        result
    }

    /// Puts panels in place of the weights of products, and batch-wide operands once for each example where the kernel wants that.
    fn adapt(&mut self, kernel: &Kernel, mut operands: Vec<BufferId>, per_example: bool, span: Span) -> Vec<BufferId> {
        match (kernel, operands.get(1)) {
            (Kernel::MatMul(shape, transposed, _), Some(&weight)) => {
                operands[1] = self.pack(weight, (shape.inputs, shape.outputs), *transposed, false);
            }
            (Kernel::MatMulEither(shape, _), Some(&weight)) => {
                operands[1] = self.pack(weight, (shape.inputs, shape.outputs), false, true);
                operands.push(weight);
            }
            (Kernel::Convolution2d(shape, _), Some(&weight)) => operands[1] = self.pack_filters(weight, *shape, false),
            (Kernel::Convolution2dInput(shape, _), Some(&weight)) => {
                operands[1] = self.pack_filters(weight, *shape, true)
            }
            _ => {}
        }
        for (place, operand) in operands.iter_mut().enumerate() {
            let wide = !self.buffers[operand.0 as usize].per_example;
            if wide && kernel.wants_per_example(place, per_example) {
                *operand = self.spread(*operand, span);
            }
        }
        operands
    }

    /// The panels of a weight, refreshed wherever the weight is made.
    fn pack(
        &mut self,
        weight: BufferId,
        (inputs, outputs): (usize, usize),
        transposed: bool,
        either: bool,
    ) -> BufferId {
        let (columns, depth) = if transposed { (inputs, outputs) } else { (outputs, inputs) };
        let floats = columns.next_multiple_of(PANEL) * depth;
        let kernel = Kernel::Pack { inputs, outputs, transposed, either };
        self.panels(weight, kernel, vec![inputs, outputs], floats, transposed)
    }

    /// The panels of a convolution's filters.
    fn pack_filters(&mut self, weight: BufferId, shape: Convolution2dShape, transposed: bool) -> BufferId {
        let dims = self.buffers[weight.0 as usize].dims.clone();
        self.panels(weight, Kernel::PackFilters { shape, transposed }, dims, shape.panels(transposed), transposed)
    }

    fn panels(
        &mut self,
        weight: BufferId,
        kernel: Kernel,
        dims: Vec<usize>,
        floats: usize,
        transposed: bool,
    ) -> BufferId {
        if let Some((_, _, buffer)) = self.panels.iter().find(|(of, known, _)| *of == weight && *known == kernel) {
            return *buffer;
        }
        let of = &self.buffers[weight.0 as usize];
        let (name, span) = (of.name.replace('.', "_"), of.span);
        let name = if transposed { format!("{name}_panels_transposed") } else { format!("{name}_panels") };
        let phase = self.ready[weight.0 as usize];
        let result = self.buffer(name, dims, false, home(phase), span);
        self.buffers[result.0 as usize].floats = floats;
        self.push(phase, kernel.clone(), vec![weight], result, span);
        self.panels.push((weight, kernel, result));
        result
    }

    /// A batch-wide value once for each example.
    fn spread(&mut self, of: BufferId, span: Span) -> BufferId {
        if let Some(&buffer) = self.spread.get(&of) {
            return buffer;
        }
        let phase = self.phase(true, &[of]);
        let (name, dims) =
            (format!("{}_each", self.buffers[of.0 as usize].name), self.buffers[of.0 as usize].dims.clone());
        let inner = dims.iter().product();
        let result = self.buffer(name.replace('.', "_"), dims, true, Home::Shard, span);
        let kernel = Kernel::Expand(AxisShape { outer: 1, middle: 1, inner });
        self.push(phase, kernel, vec![of], result, span);
        self.spread.insert(of, result);
        result
    }

    /// Sees to it that every root is where its role wants it.
    fn results(&mut self) {
        for &(role, id) in &self.graph.roots {
            let span = self.graph.node(id).origin.span;
            let buffer = self.read(id, false);
            let buffer = match role {
                Role::Gradient(_) | Role::Update(_) => self.in_target(role, buffer, span),
                _ if !self.buffers[buffer.0 as usize].per_example => self.spread(buffer, span),
                _ if self.buffers[buffer.0 as usize].home != Home::Shard => self.in_shard(buffer, span),
                _ => buffer,
            };
            self.results.push((role, buffer));
        }
    }

    /// A gradient or update in its place.
    fn in_target(&mut self, role: Role, from: BufferId, span: Span) -> BufferId {
        let Some(home) = target(role).filter(|home| *home != self.buffers[from.0 as usize].home) else { return from };
        let (name, dims) = self.target_of(home);
        let phase = self.phase(false, &[from]);
        let result = self.buffer(name, dims, false, home, span);
        self.push(phase, Kernel::Copy, vec![from], result, span);
        result
    }

    /// A copy in the arena of what an example holds.
    fn in_shard(&mut self, from: BufferId, span: Span) -> BufferId {
        let of = &self.buffers[from.0 as usize];
        let (name, dims) = (format!("{}_copy", of.name), of.dims.clone());
        let phase = self.phase(true, &[from]);
        let result = self.buffer(name, dims, true, Home::Shard, span);
        self.push(phase, Kernel::Copy, vec![from], result, span);
        result
    }

    fn finish(self) -> Program {
        let phases = self.phases.into_iter();
        let phases =
            phases.map(|(phase, steps)| if phase % 2 == 1 { Phase::Shards(steps) } else { Phase::Batch(steps) });
        Program {
            buffers: self.buffers,
            prepare: self.prepare,
            scans: self.graph.scans.clone(),
            phases: phases.collect(),
            results: self.results,
            shard_examples: SHARD,
            ..Program::default()
        }
    }

    /// The earliest phase that finds all operands there.
    fn phase(&self, per_example: bool, operands: &[BufferId]) -> usize {
        if let (Some(phase), true) = (self.loops.phase(), per_example) {
            return phase;
        }
        let after = |operand: &BufferId| {
            let ready = self.ready[operand.0 as usize];
            // A phase of the other kind has to end first; within one of the same kind steps follow each other.
            if ready == BEFORE || (ready % 2 == 1) == per_example { ready } else { ready + 1 }
        };
        let least = if per_example { 1 } else { 2 };
        operands.iter().map(after).max().unwrap_or(BEFORE).max(least)
    }

    fn push(&mut self, phase: usize, kernel: Kernel, operands: Vec<BufferId>, result: BufferId, span: Span) {
        self.ready[result.0 as usize] = phase;
        let within = self.loops.within(phase);
        let step = Step { within, ..Step::new(kernel, operands, result, span) };
        match phase {
            BEFORE => self.prepare.push(step),
            phase => self.phases.entry(phase).or_default().push(step),
        }
    }

    fn buffer(
        &mut self,
        name: String,
        dims: impl Into<Vec<usize>>,
        per_example: bool,
        home: Home,
        span: Span,
    ) -> BufferId {
        let dims = dims.into();
        let name = self.unique(name);
        let offset = match home {
            Home::Parameter(parameter) | Home::Gradient(parameter) => self.parameters.starts[parameter],
            Home::State(state) | Home::Update(state) => self.states.starts[state],
            Home::Field(_) | Home::Prepared | Home::Shard | Home::Fixed => 0,
            Home::Step { .. } | Home::Steps { .. } | Home::Window { .. } => 0,
        };
        let floats = dims.iter().product();
        let id = BufferId(self.buffers.len() as u32);
        self.buffers.push(Buffer { name, dims, floats, per_example, home, layout: Layout::default(), offset, span });
        self.ready.push(BEFORE);
        id
    }

    fn unique(&mut self, name: String) -> String {
        let mut candidate = name.clone();
        while self.names.contains_key(&candidate) {
            let count = self.names.entry(name.clone()).or_insert(1);
            *count += 1;
            candidate = format!("{name}_{count}");
        }
        self.names.insert(candidate.clone(), 1);
        candidate
    }

    /// What a gradient or update is called, and its dimensions.
    fn target_of(&self, home: Home) -> (String, Vec<usize>) {
        let of = |prefix: &str, declared: &Parameter| {
            (format!("{prefix}_{}", declared.path.replace('.', "_")), declared.dims.clone())
        };
        match home {
            Home::Gradient(parameter) => of("d", &self.model.parameters[parameter]),
            Home::Update(state) => of("next", &self.model.states[state]),
            _ => Default::default(),
        }
    }
}

/// Where a gradient or update has to be.
fn target(role: Role) -> Option<Home> {
    match role {
        Role::Gradient(parameter) => Some(Home::Gradient(parameter)),
        Role::Update(state) => Some(Home::Update(state)),
        Role::Output(_) | Role::Loss(_) | Role::Metric(_) => None,
    }
}

/// Columns of a panel of packed weights: the runtime's tile width.
const PANEL: usize = 16;

fn lower(graph: &Graph, id: NodeId) -> Lowering {
    let node = graph.node(id);
    let types: Vec<_> = node.operands.iter().map(|&operand| graph.ty(operand)).collect();
    match node.op.lower(&types, &node.ty) {
        // The sum or the greatest of one number and one copy of a number are that number.
        Lowering::Kernel(Kernel::Sum(shape) | Kernel::MaxReduce(shape) | Kernel::Expand(shape))
            if shape.middle == 1 =>
        {
            Lowering::View
        }
        lowering => lowering,
    }
}

/// A kernel over rows that lie step by step, if they do.
fn in_steps(kernel: Kernel, steps: Option<usize>) -> Kernel {
    let steps = steps.unwrap_or(1);
    match kernel {
        Kernel::Gather(shape) => Kernel::Gather(GatherShape { steps, ..shape }),
        Kernel::GatherGradient(shape) => Kernel::GatherGradient(GatherShape { steps, ..shape }),
        other => other,
    }
}

/// What each value is called: by its own name, else after the value it is computed for and what it is (`h_split`).
fn names(graph: &Graph) -> Vec<String> {
    let users = graph.users();
    let mut names: Vec<String> = graph.nodes.iter().map(|node| node.origin.name.replace('.', "_")).collect();
    // The nearest value with a name of its own.
    let mut named: Vec<String> = names.clone();
    for (id, node) in graph.iter().rev() {
        if !names[id.index()].is_empty() {
            continue;
        }
        let user = users[id.index()].iter().copied().find(|user| !named[user.index()].is_empty());
        let Some(user) = user else {
            names[id.index()] = kind(&node.op);
            continue;
        };
        let of = named[user.index()].clone();
        names[id.index()] = match &graph.node(user).op {
            _ if matches!(lower(graph, user), Lowering::View) => names[user.index()].clone(),
            Op::Sum(_) => format!("{of}_terms"),
            _ => format!("{of}_{}", kind(&node.op)),
        };
        named[id.index()] = of;
    }
    names
}

/// What the name of a value without one says of it.
fn kind(op: &Op) -> String {
    match op {
        Op::Fused(fused) => {
            let last = fused.expression.instructions.last();
            last.map_or_else(|| "value".to_owned(), |last| format!("{:?}", last.function).to_lowercase())
        }
        Op::Stack(_) => "steps".to_owned(),
        Op::ScanStep(_) => "step".to_owned(),
        Op::Last(_) => "end".to_owned(),
        Op::Splat(_) => "constant".to_owned(),
        Op::Slice(_) => "part".to_owned(),
        other => other.name().to_owned(),
    }
}

/// Rows of a batch that take less time to multiply by a weight as it is than its panels take to make: those of a single shard,
/// which reads the weight once. Of more rows, each step decides ([`Kernel::MatMulEither`]).
const FEW_ROWS: usize = SHARD;

/// Floats of the largest weight that sixteen rows meet where it is in no more time than in panels (4 MiB).
const LARGEST_IN_PLACE: usize = 1 << 20;

/// Floats of the largest weight that a training step makes panels of (64 MiB). Those of a larger one, forward and transposed,
/// would take more memory than all gradients, and making them more time than they save.
const LARGEST_PREPARED: usize = 1 << 24;

/// Where the results of a phase live.
fn home(phase: usize) -> Home {
    match phase {
        BEFORE => Home::Prepared,
        phase if phase % 2 == 1 => Home::Shard,
        _ => Home::Fixed,
    }
}

/// An expression without operands fills its result with one number.
fn fill(value: f64) -> Kernel {
    let arguments = vec![Argument::Constant(value), Argument::Constant(1.0)];
    let instruction = Instruction { function: PointwiseFn::Multiply, arguments, name: String::new() };
    Kernel::Pointwise(Expression { views: Vec::new(), instructions: vec![instruction] })
}
