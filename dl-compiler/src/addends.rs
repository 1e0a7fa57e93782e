//! Lets shards sum by themselves what they add to the gradient of a convolution's weight.
//!
//! Before: `d_weight = convolution2d_weight (x, d_y)`, a step of the batch that reads all shards. After: each shard makes
//! `addend = convolution2d_weight_of_shard (x, d_y)` as soon as it has both, while caches hold them, and the batch adds these up. It is
//! worth that if the weight is small beside the images; others stay as they are. It moves no other step and knows no offsets.

use crate::program::{Buffer, BufferId, Convolution2dShape, Home, Kernel, Layout, Phase, Program, SHARD, Step};

/// An addend is at most this part of the images that it is summed from: what is added up later is little then.
const PART: usize = 8;

/// The most weights of a filter of which the runtime has addends.
const WEIGHTS: usize = 16 * 1024;

/// Gives the shards that come before a step of the batch their addends.
pub fn addends(program: &mut Program) {
    let mut phases = std::mem::take(&mut program.phases);
    for at in 1..phases.len() {
        let (before, phase) = phases.split_at_mut(at);
        let (Some(Phase::Shards(shards)), Some(Phase::Batch(batch))) = (before.last_mut(), phase.first_mut()) else {
            continue;
        };
        for step in batch {
            if let Some(shape) = suited(program, step) {
                let addend = addend(program, step);
                let operands = std::mem::take(&mut step.operands);
                let of_shard =
                    Step::new(Kernel::Convolution2dWeightOfShard(shape), operands.clone(), addend, step.span);
                insert(shards, of_shard);
                step.operands = operands.into_iter().chain([addend]).collect();
                step.kernel = Kernel::Convolution2dWeightOfBatch(shape);
            }
        }
    }
    program.phases = phases;
}

/// The convolution of a step that sums images in lanes, if its weight is small beside them.
fn suited(program: &Program, step: &Step) -> Option<Convolution2dShape> {
    let Kernel::Convolution2dWeight(shape, 1) = step.kernel else { return None };
    let operands = step.operands.iter().map(|&id| program.buffer(id));
    let in_lanes = |buffer: &Buffer| buffer.layout == Layout::Lanes && buffer.home == Home::Shard;
    let images = operands.clone().all(in_lanes);
    let floats = operands.fold(0_usize, |floats, buffer| floats.saturating_add(buffer.floats));
    let weight = program.buffer(step.result).floats;
    let fits = weight <= floats.saturating_mul(SHARD / PART) && weight <= shape.filters.saturating_mul(WEIGHTS);
    (images && fits).then_some(shape)
}

/// Where each shard keeps its addend to a step's result.
fn addend(program: &mut Program, step: &Step) -> BufferId {
    let of = program.buffer(step.result);
    let name = program.free_name(&format!("{}_addend", of.name));
    let buffer = Buffer { name, home: Home::Shard, per_example: false, offset: 0, ..of.clone() };
    let id = BufferId(program.buffers.len() as u32);
    program.buffers.push(buffer);
    id
}

/// Adds a step of shards as soon as its operands are there, lanes without an example being cleared of the gradient first.
fn insert(steps: &mut Vec<Step>, step: Step) {
    let clears = |other: &Step| matches!(other.kernel, Kernel::Clear(_));
    let is_operand = |other: &Step| step.operands.iter().any(|&id| other.results().any(|result| result == id));
    let mut place = steps.iter().rposition(|other| is_operand(other) && !clears(other)).map_or(0, |last| last + 1);
    if let Some(clear) = steps.iter().rposition(|other| is_operand(other) && clears(other)) {
        let clear = steps.remove(clear);
        steps.insert(place, clear);
        place += 1;
    }
    // A loop is not left in its midst.
    while steps.get(place).is_some_and(|other| other.within.is_some()) {
        place += 1;
    }
    steps.insert(place, step);
}
