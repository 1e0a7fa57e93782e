//! Lays images side by side: gives buffers of convolutions and what works along with them the layout
//! [`Layout::Lanes`], and turns values round where a kernel wants them otherwise.
//!
//! Before: `features = convolution2d (image, weight)`, each example by itself. After: `image_lanes = interleave (image)`,
//! `features = convolution2d (image_lanes, filters)`, sixteen examples at once. Convolutions and pools want lanes;
//! kernels that treat all places alike follow their operands; all others want one example after another. What loops
//! touch stays as it is, and so does all of a program that wants channels side by side instead. It moves no other step and knows no offsets.

use std::collections::{BTreeMap, BTreeSet};

use crate::program::{Buffer, BufferId, Home, Kernel, Layout, Phase, Program, Step};

/// How a kernel takes its values per example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stance {
    /// In lanes.
    Wants,
    /// As its operands lie, if it can.
    Follows,
    /// One example after another.
    Refuses,
}

/// Gives every buffer its layout and adds the steps that turn values round.
pub fn lanes(program: &mut Program) {
    if program.has_channels_last() {
        return;
    }
    let tied = tied(program);
    let mut phases = std::mem::take(&mut program.phases);
    let mut assignment = Assignment { program, tied, turned: BTreeMap::new() };
    for at in 0..phases.len() {
        match &mut phases[at] {
            Phase::Shards(steps) => {
                let mut laid = Vec::with_capacity(steps.len());
                for step in std::mem::take(steps) {
                    assignment.shard_step(step, &mut laid);
                }
                assignment.results(&mut laid);
                *steps = laid;
            }
            Phase::Batch(steps) => {
                let mut turned = Vec::new();
                steps.iter_mut().for_each(|step| assignment.batch_step(step, &mut turned));
                let before = phases[..at].iter_mut().rev().find_map(|phase| match phase {
                    Phase::Shards(steps) => Some(steps),
                    Phase::Batch(_) => None,
                });
                // Only what a shard has computed lies in lanes, so there is one before wherever something is turned.
                if let Some(steps) = before {
                    steps.extend(turned);
                }
            }
        }
    }
    program.phases = phases;
}

/// The buffers that loops touch.
fn tied(program: &Program) -> BTreeSet<BufferId> {
    let steps = program.steps().filter(|step| step.within.is_some());
    steps.flat_map(|step| step.operands.iter().chain([&step.result])).map(|&id| program.whole(id)).collect()
}

struct Assignment<'a> {
    program: &'a mut Program,
    /// Buffers that loops touch.
    tied: BTreeSet<BufferId>,
    turned: BTreeMap<BufferId, BufferId>,
}

impl Assignment<'_> {
    /// Lays one step of a shard, and before it what it needs.
    fn shard_step(&mut self, mut step: Step, steps: &mut Vec<Step>) {
        let free = step.within.is_none() && !self.tied.contains(&step.result) && self.is_plain(step.result);
        let in_lanes = free
            && match stance(&step.kernel) {
                Stance::Wants => true,
                Stance::Follows => step.operands.iter().any(|&operand| self.is_laid(operand)) && self.can_follow(&step),
                Stance::Refuses => false,
            };
        if in_lanes {
            self.program.buffers[step.result.0 as usize].layout = Layout::Lanes;
        }
        self.adapt(&mut step, in_lanes, steps);
        steps.push(step);
    }

    /// Sees to it that a step of the batch finds what it sums as it wants it.
    fn batch_step(&mut self, step: &mut Step, before: &mut Vec<Step>) {
        let laid = |this: &Self| step.operands.iter().any(|&operand| this.is_laid(operand));
        let in_lanes = stance(&step.kernel) == Stance::Wants && laid(self) && self.can_follow(step);
        self.adapt(step, in_lanes, before);
        // Terms are products with the gradient, so lanes without an example count nothing once it is zero there.
        if let (Kernel::Convolution2dWeight(..), true, Some(&d_y)) = (&step.kernel, in_lanes, step.operands.get(1)) {
            let floats = self.program.buffer(d_y).floats;
            before.push(Step::new(Kernel::Clear(floats), Vec::new(), d_y, step.span));
        }
    }

    /// Turns results round that somebody else reads.
    fn results(&mut self, steps: &mut Vec<Step>) {
        for at in 0..self.program.results.len() {
            let (_, id) = self.program.results[at];
            if self.is_laid(id) && steps.iter().any(|step| step.result == id) {
                self.program.results[at].1 = self.turn(id, steps);
            }
        }
    }

    fn adapt(&mut self, step: &mut Step, in_lanes: bool, steps: &mut Vec<Step>) {
        for operand in &mut step.operands {
            if self.program.buffer(*operand).per_example && self.is_laid(*operand) != in_lanes {
                *operand = self.turn(*operand, steps);
            }
        }
    }

    /// The same value the other way round.
    fn turn(&mut self, id: BufferId, steps: &mut Vec<Step>) -> BufferId {
        if let Some(&turned) = self.turned.get(&id) {
            return turned;
        }
        let of = self.program.buffer(id);
        let (kernel, suffix, layout) = match of.layout {
            Layout::Lanes => (Kernel::Deinterleave(of.floats), "examples", Layout::default()),
            _ => (Kernel::Interleave(of.floats), "lanes", Layout::Lanes),
        };
        let name = self.program.free_name(&format!("{}_{suffix}", of.name));
        let span = of.span;
        let buffer = Buffer { name, layout, home: Home::Shard, offset: 0, ..of.clone() };
        let result = BufferId(self.program.buffers.len() as u32);
        self.program.buffers.push(buffer);
        steps.push(Step::new(kernel, vec![id], result, span));
        self.turned.insert(id, result);
        self.turned.insert(result, id);
        result
    }

    fn is_laid(&self, id: BufferId) -> bool {
        self.program.buffer(id).layout == Layout::Lanes
    }

    /// Whether nothing is known yet of how a value lies.
    fn is_plain(&self, id: BufferId) -> bool {
        let buffer = self.program.buffer(id);
        buffer.home == Home::Shard && buffer.layout == Layout::default()
    }

    /// Whether each operand can be turned, and none is repeated within an example.
    fn can_follow(&self, step: &Step) -> bool {
        step.operands.iter().enumerate().all(|(place, &id)| {
            let buffer = self.program.buffer(id);
            let view = step.kernel.expression(0).and_then(|(expression, _)| expression.views.get(place));
            let is_full = view.is_none_or(|view| view.inner == 1);
            let may_turn = matches!(buffer.layout, Layout::Lanes | Layout::Pixel);
            !buffer.per_example || is_full && may_turn && !matches!(buffer.home, Home::Step { .. })
        })
    }
}

/// How a kernel takes its values per example.
fn stance(kernel: &Kernel) -> Stance {
    match kernel {
        Kernel::Convolution2d(..)
        | Kernel::Convolution2dInput(..)
        | Kernel::Convolution2dWeight(_, 1)
        | Kernel::MaxPool2d(_, None)
        | Kernel::MaxPool2dGradient(_, None)
        | Kernel::AvgPool2d(_)
        | Kernel::AvgPool2dGradient(_) => Stance::Wants,
        Kernel::Pointwise(_)
        | Kernel::PointwiseSum(..)
        | Kernel::MaxPool2d(_, Some(_))
        | Kernel::MaxPool2dGradient(_, Some(_))
        | Kernel::Sum(_)
        | Kernel::Deviations(_)
        | Kernel::MaxReduce(_)
        | Kernel::Slice(_)
        | Kernel::Pad(_)
        | Kernel::Concat(..)
        | Kernel::Copy => Stance::Follows,
        _ => Stance::Refuses,
    }
}
