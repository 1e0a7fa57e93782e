//! Chooses how many examples make a shard, the unit that is dealt to threads.
//!
//! A product reads all of its matrix for each shard, so a shard should have many rows; a batch should fall into many
//! shards, so that every thread gets one. Where images lie side by side a shard is as wide as the lanes. Elsewhere the
//! examples of a sequence bring many rows each, and few of them are enough, as are images whose channels come last. It changes no
//! step.

use crate::program::{Kernel, Layout, Phase, Program, SHARD, Step};

/// With so many rows, reading the matrix of a product is a small part of multiplying by it.
const ROWS: usize = 128;

/// Floats of which a second-level cache holds some times as many.
const CACHE: usize = 64 * 1024;

/// Gives programs that share their shards as many examples in one as any of them wants.
pub fn shards<'a>(programs: impl IntoIterator<Item = &'a mut Program>) {
    let mut programs: Vec<&mut Program> = programs.into_iter().collect();
    let most = programs.iter().filter_map(|program| examples(program)).max().unwrap_or(SHARD);
    programs.iter_mut().for_each(|program| program.shard_examples = most);
}

/// What one program wants, a power of two; nothing if it has no products, as the evaluation of a network without losses.
fn examples(program: &Program) -> Option<usize> {
    if program.has_channels_last() {
        return Some(cached(program));
    }
    // Multiplications for an example, and the numbers of the matrices that they read.
    let (mut products, mut matrices) = (0_u128, 0_u128);
    for step in program.phases.iter().filter(|phase| matches!(phase, Phase::Shards(_))).flat_map(Phase::steps) {
        if program.buffer(step.result).layout == Layout::Lanes {
            return Some(SHARD);
        }
        let times = repetitions(program, step.within);
        match &step.kernel {
            Kernel::MatMul(shape, ..) | Kernel::MatMulUnpacked(shape, ..) | Kernel::MatMulEither(shape, ..) => {
                let matrix = (shape.inputs * shape.outputs) as u128 * times;
                matrices += matrix;
                products += matrix * shape.rows as u128;
            }
            Kernel::Convolution2d(..) | Kernel::Convolution2dInput(..) => return Some(SHARD),
            _ => {}
        }
    }
    let rows = products.checked_div(matrices)?.clamp(1, ROWS as u128) as usize;
    Some((ROWS / rows).next_power_of_two().min(SHARD))
}

/// As many examples, a power of two, as leave what any step reads and writes in the second-level cache.
fn cached(program: &Program) -> usize {
    let floats = |step: &Step| {
        step.touched()
            .map(|id| program.buffer(id))
            .filter(|buffer| buffer.per_example)
            .map(|buffer| buffer.floats)
            .sum()
    };
    let most: usize = program.steps().map(floats).max().unwrap_or(1);
    let examples = (CACHE / most.max(1)).clamp(1, SHARD);
    1 << examples.ilog2()
}

/// How often a loop's body runs for an example.
fn repetitions(program: &Program, mut within: Option<usize>) -> u128 {
    let mut times = 1_u128;
    while let Some(scan) = within.and_then(|scan| program.scans.get(scan)) {
        times = times.saturating_mul(scan.length as u128);
        within = scan.parent;
    }
    times
}
