//! Finds steps of training that are so small that calling a kernel takes longer than their arithmetic.
//!
//! Before: `hidden = matmul_unpacked 1×6×64 (x, weight)`. After: `hidden = small matmul_unpacked 1×6×64 (x, weight)`, which becomes a
//! loop of constant lengths within the function that calls it. How many examples come at a time, the `train` section says.
//! Loops over steps, windows and images in lanes stay with the kernels. It moves no step and knows no offsets.

use crate::model::Model;
use crate::ops::PointwiseFn;
use crate::program::{Activation, Home, Kernel, Layout, MatMulShape, Phase, Program, Step};

/// The most rows of a batch for whose sake no panels are made.
const FEW: usize = 3;

/// Floats of the largest weight of a small product.
const WEIGHT: usize = 4096;

/// The most numbers that a small step computes one by one.
const NUMBERS: usize = 256;

/// Whether a product has few rows, those of all examples of a batch of `train` together.
pub fn few_rows(model: &Model, rows: usize) -> bool {
    model.train.batch.saturating_mul(rows) <= FEW
}

/// Marks the small steps of a program that trains.
pub fn small(model: &Model, program: &mut Program) {
    if !few_rows(model, 1) {
        return;
    }
    let mut phases = std::mem::take(&mut program.phases);
    for phase in &mut phases {
        let (Phase::Shards(steps) | Phase::Batch(steps)) = phase;
        for step in steps {
            step.small = lies_plainly(program, step) && is_small(model, program, step);
        }
    }
    program.phases = phases;
}

/// Whether all that a step touches lies one example after another.
fn lies_plainly(program: &Program, step: &Step) -> bool {
    let mut touched = step.touched().map(|id| program.buffer(id));
    step.within.is_none()
        && touched.all(|buffer| {
            let is_piece = matches!(buffer.home, Home::Step { .. } | Home::Steps { .. } | Home::Window { .. });
            buffer.layout == Layout::Pixel && !is_piece
        })
}

fn is_small(model: &Model, program: &Program, step: &Step) -> bool {
    let fits = |shape: &MatMulShape| {
        let weight = shape.inputs.saturating_mul(shape.outputs);
        few_rows(model, shape.rows) && (1..=WEIGHT).contains(&weight)
    };
    let result = program.buffer(step.result);
    match &step.kernel {
        Kernel::MatMulUnpacked(shape, transposed, epilogue) => {
            let is_plain = match epilogue.activation {
                Activation::Identity => !(*transposed && epilogue.bias),
                Activation::Relu => !transposed,
                Activation::Sigmoid | Activation::Tanh => false,
            };
            fits(shape) && is_plain
        }
        Kernel::MatMulWeights(shape) => fits(shape),
        Kernel::SumBatch(len) => (1..=NUMBERS).contains(len),
        Kernel::Pointwise(_) | Kernel::PointwiseSum(..) => {
            step.kernel.expression(result.floats).is_some_and(|(expression, places)| {
                let mut functions = expression.instructions.iter().map(|instruction| instruction.function);
                places <= NUMBERS && !step.operands.is_empty() && functions.all(is_plain)
            })
        }
        _ => false,
    }
}

/// Whether a function is an instruction or a few.
fn is_plain(function: PointwiseFn) -> bool {
    use PointwiseFn::*;
    !matches!(function, Sigmoid | Tanh | Exp | Log | Erf | Softplus | Sin | Cos | Power)
}
