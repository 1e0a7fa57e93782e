//! Maximum pooling of what a pointwise expression computes, without storing it: the prologue of a pool, such as the
//! normalization and the relu of what comes before.
//!
//! Some rows of windows are computed at a time, and pooled while the first-level cache holds them; for the gradient they are
//! computed again. Windows lie side by side, so forward and backward each compute a place once.

use super::super::form::Form;
use super::super::pack::Aligned;
use super::super::pointwise::{Laid, Operand, Pointwise, STRIP};
use super::{Forward, Maximum, MaximumGradient, Pool2d, lanes};
use crate::simd::{Isa, Kernel, Lane, dispatch, isa};
use std::marker::PhantomData;

/// Floats that are computed at a time.
const BLOCK: usize = 4096;

/// [`max_pool2d`](super::max_pool2d()) of the results of a function, named by a value of its type, for operands as in
/// [`pointwise`](crate::pointwise()).
///
/// # Panics
/// If the windows do not lie side by side or a row of them is too large to be computed at once
/// ([`Pool2d::takes_prologue`]), or a slice is shorter than `n` examples, or sixteen in [`Form::Lanes`].
#[inline]
pub fn pointwise_max_pool2d<F: Pointwise<N>, const N: usize>(
    _function: F,
    operands: [Operand<'_>; N],
    shape: &Pool2d,
    form: Form,
    n: usize,
    y: &mut [f32],
) {
    pointwise_max_pool2d_on::<F, N>(isa(), operands, shape, form, n, y);
}

/// [`max_pool2d_gradient`](super::max_pool2d_gradient()) with regard to the results of a function, for operands as in
/// [`pointwise`](crate::pointwise()). Overwrites `d_x`.
///
/// # Panics
/// As [`pointwise_max_pool2d`].
#[inline]
pub fn pointwise_max_pool2d_gradient<F: Pointwise<N>, const N: usize>(
    _function: F,
    operands: [Operand<'_>; N],
    shape: &Pool2d,
    form: Form,
    n: usize,
    d_y: &[f32],
    d_x: &mut [f32],
) {
    pointwise_max_pool2d_gradient_on::<F, N>(isa(), operands, shape, form, n, d_y, d_x);
}

/// [`pointwise_max_pool2d`] on a given instruction set.
#[inline]
fn pointwise_max_pool2d_on<F: Pointwise<N>, const N: usize>(
    isa: Isa,
    operands: [Operand<'_>; N],
    shape: &Pool2d,
    form: Form,
    n: usize,
    y: &mut [f32],
) {
    let blocks = Blocks::new(shape, form);
    let y = &mut y[..form.blocks(n) * shape.channels * blocks.output];
    if !y.is_empty() {
        dispatch(isa, Pooled { operands, blocks, y, function: PhantomData::<F> });
    }
}

/// [`pointwise_max_pool2d_gradient`] on a given instruction set.
#[inline]
fn pointwise_max_pool2d_gradient_on<F: Pointwise<N>, const N: usize>(
    isa: Isa,
    operands: [Operand<'_>; N],
    shape: &Pool2d,
    form: Form,
    n: usize,
    d_y: &[f32],
    d_x: &mut [f32],
) {
    let blocks = Blocks::new(shape, form);
    let planes = form.blocks(n) * shape.channels;
    let (d_y, d_x) = (&d_y[..planes * blocks.output], &mut d_x[..planes * blocks.input]);
    if d_y.is_empty() {
        return d_x.fill(0.0);
    }
    dispatch(isa, Gradient { operands, blocks, d_y, d_x, function: PhantomData::<F> });
}

impl Pool2d {
    /// Whether what is pooled can be computed on the way: the windows lie side by side, and a row of them is not too large.
    pub const fn takes_prologue(&self) -> bool {
        let ([rows, columns], [down, right]) = (self.kernel, self.stride);
        let apart = rows == down && columns == right && self.padding[0] == 0 && self.padding[1] == 0;
        // Sixteen examples may lie side by side.
        match self.width.checked_mul(rows) {
            Some(floats) => apart && floats <= BLOCK / crate::SHARD,
            None => false,
        }
    }
}

/// How planes fall into rows of windows, some at a time.
#[derive(Clone, Copy)]
struct Blocks<'a> {
    shape: &'a Pool2d,
    form: Form,
    /// Floats of a plane of what is pooled, and of a plane of results.
    input: usize,
    output: usize,
    /// Floats of a row of windows, with those right of the last of them.
    row: usize,
}

impl<'a> Blocks<'a> {
    fn new(shape: &'a Pool2d, form: Form) -> Self {
        assert!(shape.takes_prologue(), "{shape:?} takes no prologue");
        let [input, output] = [shape.input_plane(), shape.output_plane()].map(|plane| plane * form.lanes());
        let row = shape.kernel[0] * shape.width * form.lanes();
        Self { shape, form, input, output, row }
    }

    /// Computes the rows of some planes block by block and calls `body` with each: the pool of it, what it pools, and where that
    /// and its results start among all.
    #[inline(always)]
    fn each<V: Lane, F: Pointwise<N>, const N: usize>(
        self,
        lane: V,
        operands: [Operand<'_>; N],
        planes: usize,
        mut body: impl FnMut(&Pool2d, &[f32], [usize; 2]),
    ) {
        let (rows, columns) = (self.shape.output_height(), self.shape.output_width() * self.form.lanes());
        let at_once = (BLOCK / self.row).min(rows);
        let (mut laid, mut block) = (Laid::new(operands), Aligned::<BLOCK>::uninit());
        let block = block.zeros(at_once * self.row);
        for plane in 0..planes {
            for first in (0..rows).step_by(at_once) {
                let count = at_once.min(rows - first);
                let start = plane * self.input + first * self.row;
                let x = &mut block[..count * self.row];
                for (strip, x) in x.chunks_mut(STRIP).enumerate() {
                    laid.eval::<V, F>(lane, start + strip * STRIP, x);
                }
                let pool = Pool2d { channels: 1, height: count * self.shape.kernel[0], ..*self.shape };
                body(&pool, x, [start, plane * self.output + first * columns]);
            }
        }
    }
}

/// The arguments of [`pointwise_max_pool2d`].
struct Pooled<'a, F, const N: usize> {
    operands: [Operand<'a>; N],
    blocks: Blocks<'a>,
    y: &'a mut [f32],
    function: PhantomData<F>,
}

impl<F: Pointwise<N>, const N: usize> Kernel for Pooled<'_, F, N> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { operands, blocks, y, .. } = self;
        let planes = y.len() / blocks.output;
        blocks.each::<V, F, N>(lane, operands, planes, |shape, x, [_, to]| {
            let pitch = shape.output_plane() * blocks.form.lanes();
            let y = &mut y[to..to + pitch];
            match blocks.form {
                Form::Examples => lane.apart(Forward { shape, n: 1, x, y, pitch, window: Maximum }),
                Form::Lanes => lane.apart(lanes::Forward::<Maximum> { shape, x, y, pitch, window: PhantomData }),
            }
        });
    }
}

/// The arguments of [`pointwise_max_pool2d_gradient`].
struct Gradient<'a, F, const N: usize> {
    operands: [Operand<'a>; N],
    blocks: Blocks<'a>,
    d_y: &'a [f32],
    d_x: &'a mut [f32],
    function: PhantomData<F>,
}

impl<F: Pointwise<N>, const N: usize> Kernel for Gradient<'_, F, N> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { operands, blocks, d_y, d_x, .. } = self;
        blocks.each::<V, F, N>(lane, operands, d_y.len() / blocks.output, |shape, x, [from, to]| {
            let d_x = &mut d_x[from..from + x.len()];
            let d_y = &d_y[to..][..shape.output_plane() * blocks.form.lanes()];
            match blocks.form {
                Form::Examples => lane.apart(MaximumGradient { shape, n: 1, x, d_y, d_x }),
                Form::Lanes => lane.apart(lanes::MaximumGradient { shape, x, d_y, d_x }),
            }
        });
        // Last rows that fill no window.
        let covered = blocks.shape.output_height() * blocks.row;
        d_x.chunks_exact_mut(blocks.input).for_each(|plane| plane[covered..].fill(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::pointwise::pointwise_on;
    use crate::reference;
    use crate::simd::available;
    use proptest::prelude::*;

    /// relu((x − mean) · scale)
    struct Normalized;
    impl Pointwise<3> for Normalized {
        #[inline(always)]
        fn eval<V: Lane>([x, mean, scale]: [V; 3]) -> V {
            ((x - mean) * scale).relu()
        }
    }

    /// Few different values, so that windows hold ties.
    fn values(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = crate::Rng::new(seed);
        (0..len).map(|_| rng.below(16) as f32 / 8.0 - 1.0).collect()
    }

    /// Both against the twins of pools, for an image computed before.
    fn check(shape: &Pool2d, n: usize, seed: u64) {
        for (isa, form) in available().iter().flat_map(|isa| [(*isa, Form::Examples), (*isa, Form::Lanes)]) {
            let [input, output] =
                [shape.input_plane(), shape.output_plane()].map(|plane| form.floats(n, shape.channels * plane));
            let (x, d_y) = (values(input, seed), values(output, seed ^ 1));
            let (mean, scale) = (values(shape.channels, seed ^ 2), values(shape.channels, seed ^ 3));
            let inner = (shape.input_plane() * form.lanes()).max(1);
            let repeated = |values| Operand::new(values, inner, shape.channels);
            let operands = [Operand::full(&x), repeated(&mean), repeated(&scale)];
            let mut image = vec![0.0; input];
            pointwise_on::<Normalized, 3>(isa, operands, &mut image);
            let (mut y, mut expected) = (vec![9.0; output + 1], vec![9.0; output + 1]);
            reference::max_pool2d(shape, form, n, &image, &mut expected);
            pointwise_max_pool2d_on::<Normalized, 3>(isa, operands, shape, form, n, &mut y);
            assert_eq!(y, expected, "{isa:?} {form:?} {shape:?} {n}");
            let (mut d_x, mut expected) = (vec![9.0; input + 1], vec![9.0; input + 1]);
            reference::max_pool2d_gradient(shape, form, n, &image, &d_y, &mut expected);
            pointwise_max_pool2d_gradient_on::<Normalized, 3>(isa, operands, shape, form, n, &d_y, &mut d_x);
            assert_eq!(d_x, expected, "{isa:?} {form:?} {shape:?} {n}");
        }
    }

    #[test]
    fn planes_of_many_blocks_and_windows_of_any_size() {
        let plane = Pool2d { channels: 3, height: 0, width: 0, kernel: [2; 2], stride: [2; 2], padding: [0; 2] };
        for (height, width) in [(32, 32), (33, 31), (70, 128), (1, 9), (9, 1), (2, 127)] {
            check(&Pool2d { height, width, ..plane }, 2, 5);
        }
        for kernel in [[1, 1], [3, 3], [1, 4], [5, 2], [7, 7]] {
            check(&Pool2d { height: 37, width: 30, kernel, stride: kernel, ..plane }, 1, 6);
        }
    }

    #[test]
    fn what_takes_no_prologue_is_known() {
        let shape = Pool2d { channels: 1, height: 9, width: 128, kernel: [2; 2], stride: [2; 2], padding: [0; 2] };
        assert!(shape.takes_prologue());
        assert!(!Pool2d { width: 129, ..shape }.takes_prologue());
        assert!(!Pool2d { stride: [1, 2], ..shape }.takes_prologue());
        assert!(!Pool2d { padding: [0, 1], ..shape }.takes_prologue());
        assert!(!Pool2d { width: usize::MAX, ..shape }.takes_prologue());
    }

    #[test]
    #[should_panic = "takes no prologue"]
    fn windows_that_overlap_are_refused() {
        let shape = Pool2d { channels: 1, height: 4, width: 4, kernel: [2; 2], stride: [1; 2], padding: [0; 2] };
        let operands = [Operand::full(&[0.0; 16]), Operand::new(&[0.0], 1, 1), Operand::new(&[1.0], 1, 1)];
        pointwise_max_pool2d(Normalized, operands, &shape, Form::Examples, 1, &mut [0.0; 9]);
    }

    #[test]
    #[should_panic]
    fn short_slices_are_refused() {
        let shape = Pool2d { channels: 1, height: 4, width: 4, kernel: [2; 2], stride: [2; 2], padding: [0; 2] };
        let operands = [Operand::full(&[0.0; 31]), Operand::new(&[0.0], 1, 1), Operand::new(&[1.0], 1, 1)];
        pointwise_max_pool2d(Normalized, operands, &shape, Form::Examples, 2, &mut [0.0; 8]);
    }

    proptest! {
        #[test]
        fn agree_with_pools_of_what_is_stored(
            channels in 1usize..4, height in 1usize..20, width in 1usize..40,
            rows in 1usize..4, columns in 1usize..4, n in 0usize..3, seed: u64,
        ) {
            let kernel = [rows, columns];
            check(&Pool2d { channels, height, width, kernel, stride: kernel, padding: [0; 2] }, n, seed);
        }
    }
}
