//! One fused pass over flat buffers: gradients and the buffers of a rule enter, the buffers leave changed.
//!
//! A [`Formula`] says what becomes of one vector of each; [`run`] walks all of them side by side, split over the threads
//! of a team. Every element stands alone, so the bits do not depend on the split.

use crate::simd::{Kernel, Lane, dispatch, isa};
use crate::team::Team;
use std::ops::Range;

/// What becomes of the parameters (the first of the buffers) and of the slots (the others) by one step.
pub(super) trait Formula<const BUFFERS: usize>: Copy + Sync {
    /// The buffers after the step, from the gradients and the buffers before it. It must be `#[inline(always)]`.
    fn apply<V: Lane>(self, gradient: V, buffers: [V; BUFFERS]) -> [V; BUFFERS];
}

/// Gradients as an update reads them: `min(max(values · scale, −limit), limit)`, NaN staying NaN.
#[derive(Debug, Clone, Copy)]
pub struct Gradients<'a> {
    /// The gradients, or their sum over several steps.
    pub values: &'a [f32],
    /// What they are multiplied by.
    pub scale: f32,
    /// The largest absolute value they may have then.
    pub limit: f32,
}

impl<'a> Gradients<'a> {
    /// Gradients as they are.
    pub const fn new(values: &'a [f32]) -> Self {
        Self { values, scale: 1.0, limit: f32::INFINITY }
    }
}

/// Floats that are worth a thread.
pub(super) const UNIT: usize = 4096;

/// How a pass is dealt to threads.
#[derive(Debug, Clone, Copy)]
pub struct Dealing<'a> {
    pub(super) team: &'a Team,
    /// What is dealt by itself, so that each thread has its part of every large tensor, the one that it computes the gradient
    /// of and packs: nearby caches hold it still. In order, and together all that is updated.
    pub(super) blocks: &'a [Range<usize>],
}

/// Runs a formula over all elements.
///
/// # Panics
/// If the buffers and the gradients differ in length, or the blocks overlap or leave them.
pub(super) fn run<const BUFFERS: usize>(
    formula: impl Formula<BUFFERS>,
    gradients: Gradients<'_>,
    buffers: [&mut [f32]; BUFFERS],
    dealing: Dealing<'_>,
) {
    let values = gradients.values;
    for buffer in &buffers {
        assert_eq!(buffer.len(), values.len(), "one gradient, one parameter and one number of each slot");
    }
    dealing.team.split_blocks(buffers, dealing.blocks, UNIT, |start, buffers| {
        let len = buffers.first().map_or(0, |buffer| buffer.len());
        let gradients = Gradients { values: &values[start..start + len], ..gradients };
        dispatch(isa(), Pass { formula, gradients, buffers });
    });
}

/// −1, 0 or 1 by the sign; NaN stays.
#[inline(always)]
pub(super) fn sign<V: Lane>(x: V) -> V {
    let zero = x.splat(0.0);
    x.not_equal(x).select(x, x.greater(zero) - x.less(zero))
}

/// `sign(x) · max(|x| − threshold, 0)`, the proximal operator of the absolute value; NaN stays.
#[inline(always)]
pub(super) fn shrink<V: Lane>(x: V, threshold: V) -> V {
    sign(x) * (x.abs() - threshold).relu()
}

/// A formula over one part of the buffers.
struct Pass<'a, F, const BUFFERS: usize> {
    formula: F,
    gradients: Gradients<'a>,
    buffers: [&'a mut [f32]; BUFFERS],
}

impl<F: Formula<BUFFERS>, const BUFFERS: usize> Kernel for Pass<'_, F, BUFFERS> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { formula, gradients: Gradients { values, scale, limit }, mut buffers } = self;
        let len = values.len();
        let (from, mut to) = (values.as_ptr(), [std::ptr::null_mut(); BUFFERS]);
        for (to, buffer) in to.iter_mut().zip(&mut buffers) {
            assert_eq!(buffer.len(), len, "buffers of one length");
            *to = buffer.as_mut_ptr();
        }
        let (scale, low, high) = (lane.splat(scale), lane.splat(-limit), lane.splat(limit));
        // A macro, since a closure need not be inlined, and then is not compiled for the instruction set.
        macro_rules! step {
            ($at:expr, $load:ident($($count:expr)?), $store:ident) => {{
                let at = $at;
                let mut vectors = [lane; BUFFERS];
                // SAFETY: the vector, or so many of its floats, lies within the gradients and, as they are of one length
                // and borrowed exclusively, within each buffer.
                unsafe {
                    let gradient = lane.$load(from.add(at) $(, $count)?);
                    for (vector, to) in vectors.iter_mut().zip(to) {
                        *vector = lane.$load(to.add(at) $(, $count)?);
                    }
                    vectors = formula.apply((gradient * scale).at_most(high).at_least(low), vectors);
                    for (vector, to) in vectors.into_iter().zip(to) {
                        vector.$store(to.add(at) $(, $count)?);
                    }
                }
            }};
        }
        let whole = len - len % V::LANES;
        for at in (0..whole).step_by(V::LANES) {
            step!(at, load(), store);
        }
        if whole < len {
            step!(whole, load_first(len - whole), store_first);
        }
    }
}
