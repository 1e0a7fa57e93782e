//! What emit relies on: every operand is there when it is read, every result is written once and where its phase may
//! write, every kernel gets operands of the right kind and size, and no step writes over what it reads.

use super::{ALIGNMENT, Buffer, BufferId, Home, Kernel, Layout, Phase, Program, Step};
use crate::graph::Role;

impl Program {
    /// Checks all that emit relies on; after it emit cannot fail. Offsets are checked once the Program is planned.
    pub fn verify(&self) -> Result<(), String> {
        let mut written = vec![false; self.buffers.len()];
        for (buffer, there) in self.buffers.iter().zip(&mut written) {
            *there = matches!(buffer.home, Home::Field(_) | Home::Parameter(_) | Home::State(_));
            self.verify_place(buffer)?;
        }
        let mut names: Vec<&str> = self.buffers.iter().map(|buffer| buffer.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("two buffers are called {}", pair[0]));
        }
        for step in &self.prepare {
            self.verify_step(step, &mut written, |home| home == Home::Prepared, false)?;
        }
        for phase in &self.phases {
            for step in phase.steps() {
                match phase {
                    Phase::Shards(_) => {
                        let shard = |home| {
                            matches!(home, Home::Shard | Home::Step { .. } | Home::Steps { .. } | Home::Window { .. })
                        };
                        self.verify_step(step, &mut written, shard, true)?;
                    }
                    Phase::Batch(_) => {
                        let batch = |home| matches!(home, Home::Fixed | Home::Gradient(_) | Home::Update(_));
                        self.verify_step(step, &mut written, batch, false)?;
                    }
                }
            }
        }
        for &(role, id) in &self.results {
            let found = self.buffers.get(id.0 as usize).filter(|_| written[id.0 as usize]);
            let right = found.is_some_and(|buffer| match role {
                Role::Gradient(parameter) => buffer.home == Home::Gradient(parameter),
                Role::Loss(_) | Role::Metric(_) => buffer.home == Home::Shard && buffer.floats == 1,
                Role::Update(state) => buffer.home == Home::Update(state),
                Role::Output(_) => buffer.home == Home::Shard,
            });
            if !right {
                return Err(format!("{role:?} is not where it should be: {found:?}"));
            }
        }
        Ok(())
    }

    fn verify_place(&self, buffer: &Buffer) -> Result<(), String> {
        let planned = self.shard_floats + self.fixed_floats + self.prepared_floats > 0;
        let room = match buffer.home {
            Home::Shard => self.shard_floats,
            Home::Fixed => self.fixed_floats,
            Home::Prepared => self.prepared_floats,
            Home::Field(_) | Home::Parameter(_) | Home::Gradient(_) | Home::State(_) | Home::Update(_) => {
                return Ok(());
            }
            Home::Step { of, scan, later } => return self.verify_piece(buffer, of, scan, later),
            Home::Steps { of, first } => return self.verify_steps(buffer, of, first),
            Home::Window { of, start, size } => return self.verify_window(buffer, of, start, size),
        };
        if planned
            && (!buffer.offset.is_multiple_of(ALIGNMENT) || buffer.offset + buffer.extent(self.shard_examples) > room)
        {
            return Err(format!("{} does not lie in its {:?} of {room} floats", buffer.name, buffer.home));
        }
        Ok(())
    }

    /// A step of a sequence is a piece of a buffer that lies step by step, of as many steps as the loop has, or one more.
    fn verify_piece(&self, buffer: &Buffer, of: BufferId, scan: usize, later: usize) -> Result<(), String> {
        let whole = self.buffers.get(of.0 as usize).ok_or_else(|| format!("{} is of no buffer", buffer.name))?;
        let steps = self.scans.get(scan).map(|scan| scan.length);
        let is_piece = steps.is_some_and(|steps| {
            let all = if whole.layout == Layout::Steps(steps) { steps } else { steps + 1 };
            whole.layout == Layout::Steps(all) && steps + later <= all
                && whole.floats == all * buffer.floats && whole.per_example
                // Whoever reads a step reads it as the language sees it.
                && buffer.layout == Layout::default()
        });
        if is_piece { Ok(()) } else { Err(format!("{} is no step of {}", buffer.name, whole.name)) }
    }

    /// Steps of a sequence are pieces of a buffer that lies step by step.
    fn verify_steps(&self, buffer: &Buffer, of: BufferId, first: usize) -> Result<(), String> {
        let whole = self.buffers.get(of.0 as usize).ok_or_else(|| format!("{} is of no buffer", buffer.name))?;
        let count = if let Layout::Steps(count) = buffer.layout { count } else { 1 };
        let are_steps = match whole.layout {
            Layout::Steps(all) => {
                first + count <= all && buffer.floats * all == whole.floats * count && buffer.layout != Layout::Lanes
            }
            _ => false,
        };
        let fits = are_steps && whole.home == Home::Shard && whole.per_example && buffer.per_example;
        if fits { Ok(()) } else { Err(format!("{} is no part of {}", buffer.name, whole.name)) }
    }

    /// A window is a part of each block of a buffer that lies as the language sees it.
    fn verify_window(&self, buffer: &Buffer, of: BufferId, start: usize, size: usize) -> Result<(), String> {
        let whole = self.buffers.get(of.0 as usize).ok_or_else(|| format!("{} is of no buffer", buffer.name))?;
        let plain = |buffer: &Buffer| buffer.layout == Layout::default() && buffer.per_example;
        let is_part = size > 0 && whole.floats > 0 && whole.floats.is_multiple_of(size) && {
            let outer = whole.floats / size;
            buffer.floats.is_multiple_of(outer) && (1..=size.saturating_sub(start)).contains(&(buffer.floats / outer))
        };
        let is_whole = !matches!(whole.home, Home::Window { .. }) && plain(whole) && plain(buffer);
        if is_part && is_whole { Ok(()) } else { Err(format!("{} is no window of {}", buffer.name, whole.name)) }
    }

    fn verify_step(
        &self,
        step: &Step,
        written: &mut [bool],
        may_write: impl Fn(Home) -> bool,
        per_example: bool,
    ) -> Result<(), String> {
        let place = |id: BufferId| self.buffers.get(id.0 as usize).ok_or_else(|| format!("{id:?} does not exist"));
        let result = place(step.result)?;
        for id in step.moments.into_iter().flatten() {
            let moment = place(id)?;
            let Kernel::Convolution2d(shape, _) = &step.kernel else {
                return Err(format!("{} is no moment of a convolution", moment.name));
            };
            let fits = moment.home == Home::Shard && moment.floats == shape.filters && moment.layout == result.layout;
            if std::mem::replace(&mut written[id.0 as usize], true) || !moment.per_example || !fits {
                return Err(format!("{} cannot be a moment of {}", moment.name, result.name));
            }
        }
        let fail = |what: String| Err(format!("{} = {}: {what}", result.name, step.kernel));
        let whole = self.whole(step.result);
        // What goes from step to step of a loop is written before the loop, and again at the end of every step.
        let goes_on =
            step.within.is_some() && matches!(step.kernel, Kernel::Copy | Kernel::Expand(_) | Kernel::Pointwise(_));
        let in_place = matches!(step.kernel, Kernel::Clear(_));
        if std::mem::replace(&mut written[step.result.0 as usize], true) != in_place && !goes_on {
            return fail("written twice".to_owned());
        }
        written[whole.0 as usize] = true;
        // Of what a shard adds to a sum, it has one.
        let each = per_example && !matches!(step.kernel, Kernel::Convolution2dWeightOfShard(_));
        if !may_write(result.home) || result.per_example != each {
            return fail(format!("cannot be written here, its home is {:?}", result.home));
        }
        let expected = step.kernel.operands();
        if step.operands.len() != expected {
            return fail(format!("{} operands, expected {expected}", step.operands.len()));
        }
        for (number, &id) in step.operands.iter().enumerate() {
            let operand = place(id)?;
            if id == step.result || !(written[id.0 as usize] || written[self.whole(id).0 as usize]) {
                return fail(format!("{} is read before it is written", operand.name));
            }
            if !operand.per_example && step.kernel.wants_per_example(number, per_example) {
                return fail(format!("{} is batch-wide", operand.name));
            }
            // What sums over the batch may read examples; a step of its kind else stays with its kind.
            if operand.per_example && !per_example && !step.kernel.sums_over_batch() {
                return fail(format!("{} is per example", operand.name));
            }
            let is_window = |buffer: &Buffer| matches!(buffer.home, Home::Window { .. });
            if is_window(operand) || is_window(result) {
                if self.whole(id) == whole {
                    return fail(format!("reads and writes parts of {}", place(whole)?.name));
                }
                let read = step.kernel.expression(0).is_some_and(|(expression, _)| number < expression.views.len());
                if !read || is_window(result) && !matches!(step.kernel, Kernel::Pointwise(_)) {
                    return fail("windows are for pointwise expressions".to_owned());
                }
            }
        }
        let planned = self.shard_floats + self.fixed_floats + self.prepared_floats > 0;
        for (number, id) in step.results().enumerate() {
            let result = self.buffer(id);
            // What it reads, and what it writes before.
            let others = step.operands.iter().copied().chain(step.results().take(number));
            for other in others.map(|id| self.buffer(id)) {
                let apart = other.offset + other.extent(self.shard_examples) <= result.offset
                    || result.offset + result.extent(self.shard_examples) <= other.offset;
                if planned && other.home == result.home && other.home == Home::Shard && !apart {
                    return fail(format!("written over {}", other.name));
                }
            }
        }
        let laid = |id: BufferId| self.buffer(id).layout == Layout::Lanes;
        let agree = match step.kernel {
            Kernel::Interleave(_) => !step.operands.iter().any(|&id| laid(id)) && laid(step.result),
            Kernel::Deinterleave(_) => step.operands.iter().all(|&id| laid(id)) && !laid(step.result),
            _ => {
                let examples = step.touched().filter(|&id| self.buffer(id).per_example);
                let layouts: Vec<bool> = examples.map(laid).collect();
                layouts.iter().all(|&lanes| lanes == layouts[0])
            }
        };
        if !agree {
            return fail("some of its values are in lanes, others not".to_owned());
        }
        if let Some((expression, places)) = step.kernel.expression(result.floats) {
            for (view, &id) in expression.views.iter().zip(&step.operands) {
                let operand = place(id)?;
                let repeats = view.inner * view.len;
                let fits = if operand.per_example { repeats == places } else { places.is_multiple_of(repeats) };
                let in_full = (view.inner, view.len) == (1, places);
                let fits = fits && (in_full || !matches!(operand.home, Home::Window { .. }));
                if view.len != operand.floats || !fits {
                    return fail(format!("{} has {} floats, read as {view:?}", operand.name, operand.floats));
                }
            }
        }
        Ok(())
    }
}

impl Kernel {
    /// How many operands it takes.
    fn operands(&self) -> usize {
        match self {
            kernel if kernel.draws() => 0,
            Kernel::ExampleWeight | Kernel::Range | Kernel::BatchShare | Kernel::Clear(_) => 0,
            Kernel::MatMul(_, _, epilogue)
            | Kernel::MatMulUnpacked(_, _, epilogue)
            | Kernel::Convolution2d(_, epilogue)
            | Kernel::Convolution2dInput(_, epilogue)
            | Kernel::Depthwise2d(_, epilogue) => 2 + epilogue.operands(),
            Kernel::MatMulEither(_, epilogue) => 3 + epilogue.operands(),
            Kernel::CrossEntropyGradient(_) | Kernel::Convolution2dWeightOfBatch(_) => 3,
            Kernel::MatMulWeights(_)
            | Kernel::BatchedMatMul(..)
            | Kernel::Gather(_)
            | Kernel::GatherGradient(_)
            | Kernel::Convolution2dWeight(..)
            | Kernel::Convolution2dWeightOfShard(_)
            | Kernel::MaxPool2dGradient(_, None)
            | Kernel::SoftmaxGradient(_)
            | Kernel::CausalSoftmaxGradient(_)
            | Kernel::CrossEntropy(_)
            | Kernel::Accuracy(_) => 2,
            Kernel::Pointwise(expression)
            | Kernel::PointwiseSum(expression, _)
            | Kernel::MaxPool2d(_, Some(expression)) => expression.views.len(),
            Kernel::MaxPool2dGradient(_, Some(expression)) => expression.views.len() + 1,
            Kernel::Concat(_, lens) => lens.len(),
            _ => 1,
        }
    }
}
