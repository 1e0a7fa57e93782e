//! Products of matrices: activations by weights, and the gradient of the weights.
//!
//! A weight [inputs, outputs] is first packed into panels of sixteen columns ([`Pack`], [`pack`]); [`matmul`]
//! multiplies rows by the panels, forward (`y = x W`) and, with the transposed panels, backward (`d_x = d_y Wᵀ`).
//! [`matmul_weights`] sums `xᵀ d_y` over the batch. Shapes are constants of the call; nothing is allocated.

use super::epilogue::Epilogue;
use super::product::{COLUMNS, Left, Right, Rows, Stride, product};
use crate::simd::{Isa, Kernel, Lane, copy, dispatch, isa};
use crate::{Segments, Team};
use std::ops::Range;

/// Steps of the depth that a tile runs through before the next tile's turn, so that the part of the panel in use
/// stays in the second-level cache.
const DEPTH: usize = 1024;
/// Examples' rows that [`matmul_weights`] sums up at a time.
const BATCH: usize = 128;
/// Inputs that [`matmul_weights`] has at hand on its stack.
const INPUTS: usize = 48;

/// The shape of a matrix product for each example: x [rows, inputs] by [inputs, outputs] to y [rows, outputs].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatMul {
    /// Rows of an example; the rows of all examples together are one tall matrix.
    pub rows: usize,
    /// The length of a row of x.
    pub inputs: usize,
    /// The length of a row of y.
    pub outputs: usize,
}

/// How a weight [inputs, outputs], row by row, lies in panels of sixteen columns, padded with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    /// Rows of the weight.
    pub inputs: usize,
    /// Columns of the weight.
    pub outputs: usize,
    /// Whether the panels are of the transposed weight, as `d_y Wᵀ` needs them: panel p holds, for each output, the
    /// inputs 16p to 16p + 15; else, for each input, the outputs 16p to 16p + 15.
    pub transposed: bool,
}

impl Pack {
    /// Depth and columns of the packed matrix.
    const fn depth_and_columns(&self) -> (usize, usize) {
        if self.transposed { (self.outputs, self.inputs) } else { (self.inputs, self.outputs) }
    }

    /// How many floats the panels take.
    pub const fn len(&self) -> usize {
        let (depth, columns) = self.depth_and_columns();
        columns.next_multiple_of(COLUMNS) * depth
    }

    /// Whether the panels are empty.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Packs a weight [inputs, outputs] into panels.
///
/// # Panics
/// If the weight is shorter than inputs · outputs, or `panels` shorter than [`Pack::len`].
pub fn pack(pack: &Pack, weight: &[f32], panels: &mut [f32]) {
    let (depth, columns) = pack.depth_and_columns();
    let weight = &weight[..pack.inputs * pack.outputs];
    let panels = &mut panels[..pack.len()];
    if weight.is_empty() {
        return;
    }
    for (p, panel) in panels.chunks_exact_mut(depth * COLUMNS).enumerate() {
        let first = p * COLUMNS;
        let width = COLUMNS.min(columns - first);
        if pack.transposed {
            if width < COLUMNS {
                panel.fill(0.0);
            }
            for (column, row) in weight[first * depth..].chunks_exact(depth).take(width).enumerate() {
                for (place, value) in panel.chunks_exact_mut(COLUMNS).zip(row) {
                    place[column] = *value;
                }
            }
        } else {
            for (place, row) in panel.chunks_exact_mut(COLUMNS).zip(weight.chunks_exact(columns)) {
                place[..width].copy_from_slice(&row[first..first + width]);
                place[width..].fill(0.0);
            }
        }
    }
}

/// `y = activation(x W + bias)` for `n` examples, with W packed. With the transposed panels of W it is `x Wᵀ`, where
/// `inputs` and `outputs` are those of this product.
///
/// # Panics
/// If x, the panels, the bias or y are shorter than the shape says.
pub fn matmul(shape: &MatMul, n: usize, x: &[f32], panels: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
    matmul_on(isa(), shape, n, x, panels, epilogue, y);
}

/// [`matmul`] on a given instruction set.
pub(crate) fn matmul_on(
    isa: Isa,
    shape: &MatMul,
    n: usize,
    x: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let rows = n * shape.rows;
    let x = &x[..rows * shape.inputs];
    let panels = &panels[..Pack { inputs: shape.inputs, outputs: shape.outputs, transposed: false }.len()];
    let bias = epilogue.bias.map(|bias| &bias[..shape.outputs]);
    let y = &mut y[..rows * shape.outputs];
    let floor = epilogue.floor();
    dispatch(isa, Forward { shape: *shape, rows, x, panels, bias, floor, y: &mut *y });
    epilogue.finish(isa, y);
}

/// The arguments of [`matmul`]; slices have exactly the lengths of the shape.
struct Forward<'a> {
    shape: MatMul,
    rows: usize,
    x: &'a [f32],
    panels: &'a [f32],
    bias: Option<&'a [f32]>,
    floor: f32,
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let MatMul { inputs, outputs, .. } = self.shape;
        let mut column = 0;
        while column < outputs {
            let columns = COLUMNS.min(outputs - column);
            let mut start = 0;
            loop {
                let depth = DEPTH.min(inputs - start);
                let last = start + depth == inputs;
                // SAFETY: x holds rows · inputs floats, the panel at `column` holds inputs · 16, y rows · outputs, the
                // bias outputs, all by the slicing in `matmul_on`; start + depth ≤ inputs, column + columns ≤ outputs.
                unsafe {
                    let sink = Rows {
                        base: self.y.as_mut_ptr().wrapping_add(column),
                        row: outputs,
                        columns,
                        accumulate: start > 0,
                        bias: self.bias.filter(|_| last).map(|bias| &bias[column..]),
                        floor: if last { self.floor } else { f32::NEG_INFINITY },
                    };
                    let left = Left { base: self.x.as_ptr().add(start), row: inputs, steps: Stride(1) };
                    let panel = self.panels.as_ptr().add(column * inputs + start * COLUMNS);
                    let right = Right { base: panel, steps: Stride(COLUMNS) };
                    product(lane, self.rows, depth, left, right, &sink);
                }
                start += depth;
                if last {
                    break;
                }
            }
            column += columns;
        }
    }
}

/// `d_weight = Σ xᵀ d_y` over the rows of `n` examples, overwritten: x has rows · inputs floats for each example, d_y
/// rows · outputs, d_weight is [inputs, outputs]. The team shares the rows of d_weight; the order of each sum is that
/// of the examples, so the bits do not depend on the number of threads.
///
/// # Panics
/// If an operand is shorter than the shape says.
pub fn matmul_weights(shape: &MatMul, n: usize, x: Segments<'_>, d_y: Segments<'_>, d_weight: &mut [f32], team: &Team) {
    matmul_weights_on(isa(), shape, n, x, d_y, d_weight, team);
}

/// [`matmul_weights`] on a given instruction set.
pub(crate) fn matmul_weights_on(
    isa: Isa,
    shape: &MatMul,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &mut [f32],
    team: &Team,
) {
    let MatMul { rows, inputs, outputs } = *shape;
    assert!(x.example_len() >= rows * inputs, "x has {} floats of {rows} × {inputs}", x.example_len());
    assert!(d_y.example_len() >= rows * outputs, "d_y has {} floats of {rows} × {outputs}", d_y.example_len());
    let d_weight = &mut d_weight[..inputs * outputs];
    if n * rows == 0 || d_weight.is_empty() {
        d_weight.fill(0.0);
        return;
    }
    team.split(d_weight, outputs, |start, part| {
        dispatch(isa, Weights { shape: *shape, n, x, d_y, first: start / outputs, part });
    });
}

/// The arguments of [`matmul_weights`] for the rows of d_weight from `first` on that `part` holds.
struct Weights<'a> {
    shape: MatMul,
    n: usize,
    x: Segments<'a>,
    d_y: Segments<'a>,
    first: usize,
    part: &'a mut [f32],
}

/// The rows of all examples as one matrix.
struct Tall<'a> {
    segments: Segments<'a>,
    rows: usize,
    columns: usize,
}

impl Tall<'_> {
    /// Copies a block to rows of `pitch` floats.
    #[inline(always)]
    fn gather<V: Lane>(&self, lane: V, rows: Range<usize>, columns: Range<usize>, pitch: usize, to: &mut [f32]) {
        for (row, to) in rows.zip(to.chunks_exact_mut(pitch)) {
            let from = &self.segments.example(row / self.rows)[row % self.rows * self.columns..][..self.columns];
            let from = &from[columns.clone()];
            let to = &mut to[..from.len()];
            // SAFETY: both slices have from.len() floats.
            unsafe { copy(lane, from.as_ptr(), to.as_mut_ptr(), from.len()) }
        }
    }
}

/// Floats at a multiple of a cache line.
#[repr(align(64))]
struct Aligned<const N: usize>([f32; N]);

impl Kernel for Weights<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let MatMul { rows, inputs, outputs } = self.shape;
        let x = Tall { segments: self.x, rows, columns: inputs };
        let d_y = Tall { segments: self.d_y, rows, columns: outputs };
        let total = self.n * rows;
        let part_inputs = self.part.len() / outputs;
        let mut lefts = Aligned([0.0; BATCH * INPUTS]);
        let mut rights = Aligned([0.0; BATCH * COLUMNS]);
        let mut start = 0;
        while start < total {
            let depth = BATCH.min(total - start);
            let mut input = 0;
            while input < part_inputs {
                let height = INPUTS.min(part_inputs - input);
                let columns = self.first + input..self.first + input + height;
                x.gather(lane, start..start + depth, columns, INPUTS, &mut lefts.0);
                let mut column = 0;
                while column < outputs {
                    let columns = COLUMNS.min(outputs - column);
                    d_y.gather(lane, start..start + depth, column..column + columns, COLUMNS, &mut rights.0);
                    // SAFETY: `lefts` holds depth rows of `INPUTS` floats, of which `height` are used; `rights` depth
                    // rows of 16; `part` holds part_inputs · outputs floats, input + height ≤ part_inputs and
                    // column + columns ≤ outputs.
                    unsafe {
                        let sink = Rows {
                            base: self.part.as_mut_ptr().add(input * outputs + column),
                            row: outputs,
                            columns,
                            accumulate: start > 0,
                            bias: None,
                            floor: f32::NEG_INFINITY,
                        };
                        let left = Left { base: lefts.0.as_ptr(), row: 1, steps: Stride(INPUTS) };
                        let right = Right { base: rights.0.as_ptr(), steps: Stride(COLUMNS) };
                        product(lane, height, depth, left, right, &sink);
                    }
                    column += columns;
                }
                input += height;
            }
            start += depth;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::simd::available;
    use crate::{Activation, Rng};
    use proptest::prelude::*;

    fn values(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.next_u32() as f32 / 2f32.powi(31) - 1.0).collect()
    }

    /// Random values below 1 in magnitude, summed in single precision: k additions, each rounded by at most half an ulp
    /// of a partial sum, which grows like √k; and the rounding of the result.
    fn tolerance(k: usize) -> f32 {
        let k = k as f32 + 4.0;
        k.sqrt() * k * 2f32.powi(-24) + 4e-7
    }

    fn close(found: &[f32], expected: &[f32], tolerance: f32, what: &dyn std::fmt::Debug) {
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= tolerance, "{what:?} at {i}: {found} for {expected} ± {tolerance}");
        }
    }

    const ACTIVATIONS: [Activation; 4] =
        [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh];

    fn check(shape: MatMul, n: usize, seed: u64) {
        let MatMul { rows, inputs, outputs } = shape;
        let x = values(n * rows * inputs, seed);
        let weight = values(inputs * outputs, seed + 1);
        let bias = values(outputs, seed + 2);
        let layout = Pack { inputs, outputs, transposed: false };
        let (mut panels, mut expected_panels) = (vec![f32::NAN; layout.len()], vec![0.0; layout.len()]);
        pack(&layout, &weight, &mut panels);
        reference::pack(&layout, &weight, &mut expected_panels);
        assert_eq!(panels, expected_panels);

        let activation = ACTIVATIONS[seed as usize % 4];
        let epilogue = Epilogue { bias: (!seed.is_multiple_of(3)).then_some(&bias[..]), activation };
        let mut expected = vec![0.0; n * rows * outputs];
        reference::matmul(&shape, n, &x, &panels, epilogue, &mut expected);
        let d_y = &expected;
        let back = Pack { transposed: true, ..layout };
        let mut back_panels = vec![f32::NAN; back.len()];
        pack(&back, &weight, &mut back_panels);
        let back_shape = MatMul { rows, inputs: outputs, outputs: inputs };
        let mut d_x_expected = vec![0.0; x.len()];
        reference::matmul(&back_shape, n, d_y, &back_panels, Epilogue::NONE, &mut d_x_expected);
        let (x_seen, d_y_seen) = (Segments::of_examples(&x, rows * inputs), Segments::of_examples(d_y, rows * outputs));
        let mut d_weight_expected = vec![0.0; weight.len()];
        reference::matmul_weights(&shape, n, x_seen, d_y_seen, &mut d_weight_expected, &Team::serial());
        let scale = d_y.iter().fold(1.0, |scale: f32, y| scale.max(y.abs()));
        for isa in available() {
            let what = (isa, shape, n, seed);
            let mut y = vec![f32::NAN; expected.len() + 3];
            matmul_on(*isa, &shape, n, &x, &panels, epilogue, &mut y);
            assert!(y[expected.len()..].iter().all(|y| y.is_nan()), "{what:?} writes past the end");
            close(&y[..expected.len()], &expected, tolerance(inputs), &what);
            let mut d_x = vec![f32::NAN; x.len()];
            matmul_on(*isa, &back_shape, n, d_y, &back_panels, Epilogue::NONE, &mut d_x);
            close(&d_x, &d_x_expected, scale * tolerance(outputs), &what);
            let mut d_weight = vec![f32::NAN; weight.len()];
            matmul_weights_on(*isa, &shape, n, x_seen, d_y_seen, &mut d_weight, &Team::serial());
            close(&d_weight, &d_weight_expected, scale * tolerance(n * rows), &what);
        }
    }

    #[test]
    fn every_remainder_of_rows_inputs_and_outputs() {
        for m in (1..=14).chain([16, 17]) {
            for outputs in (1..=18).chain([31, 32, 33]) {
                for inputs in [1, 2, 3, 5, 8] {
                    check(MatMul { rows: 1, inputs, outputs }, m, (m * outputs + inputs) as u64);
                }
            }
        }
    }

    #[test]
    fn depths_and_batches_longer_than_a_block() {
        check(MatMul { rows: 1, inputs: DEPTH + 1, outputs: 17 }, 7, 1);
        check(MatMul { rows: 3, inputs: 2 * DEPTH, outputs: 3 }, 2, 4);
        check(MatMul { rows: 9, inputs: INPUTS + 1, outputs: 18 }, 2 * BATCH / 9 + 1, 6);
        check(MatMul { rows: 1, inputs: 2 * INPUTS, outputs: 16 }, BATCH + 1, 7);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_its_twin(rows in 1usize..6, inputs in 1usize..120, outputs in 1usize..70, n in 1usize..40, seed in 0u64..1000) {
            check(MatMul { rows, inputs, outputs }, n, seed);
        }

        /// The same bits for any number of threads, any splitting of the examples, and from shards.
        #[test]
        fn bits_do_not_depend_on_the_partition(inputs in 1usize..100, outputs in 1usize..50, n in 1usize..40, threads in 2usize..5) {
            let shape = MatMul { rows: 2, inputs, outputs };
            let (x, d_y) = (values(n * 2 * inputs, 1), values(n * 2 * outputs, 2));
            let panels = values(Pack { inputs, outputs, transposed: false }.len(), 3);
            let mut whole = vec![0.0; n * 2 * outputs];
            matmul(&shape, n, &x, &panels, Epilogue::NONE, &mut whole);
            let mut pieces = vec![0.0; n * 2 * outputs];
            let first = n / 3;
            matmul(&shape, first, &x, &panels, Epilogue::NONE, &mut pieces);
            matmul(&shape, n - first, &x[first * 2 * inputs..], &panels, Epilogue::NONE, &mut pieces[first * 2 * outputs..]);
            prop_assert_eq!(&whole, &pieces);

            let (x_len, d_y_len) = (2 * inputs, 2 * outputs);
            let shard_len = 16 * (x_len + d_y_len);
            let mut arena = vec![f32::NAN; n.div_ceil(16) * shard_len];
            for e in 0..n {
                let shard = &mut arena[e / 16 * shard_len..];
                shard[e % 16 * x_len..][..x_len].copy_from_slice(&x[e * x_len..][..x_len]);
                shard[16 * x_len + e % 16 * d_y_len..][..d_y_len].copy_from_slice(&d_y[e * d_y_len..][..d_y_len]);
            }
            let mut one = vec![f32::NAN; inputs * outputs];
            matmul_weights(&shape, n, Segments::of_examples(&x, x_len), Segments::of_examples(&d_y, d_y_len), &mut one, &Team::serial());
            let mut many = vec![f32::NAN; inputs * outputs];
            let (x, d_y) = (Segments::of_shards(&arena, shard_len, 0, x_len), Segments::of_shards(&arena, shard_len, 16 * x_len, d_y_len));
            matmul_weights(&shape, n, x, d_y, &mut many, &Team::new(threads));
            prop_assert_eq!(&one, &many);
        }
    }

    #[test]
    #[should_panic]
    fn a_short_operand_is_refused() {
        let shape = MatMul { rows: 1, inputs: 4, outputs: 2 };
        matmul(&shape, 2, &[0.0; 7], &[0.0; 64], Epilogue::NONE, &mut [0.0; 4]);
    }

    #[test]
    fn relu_keeps_nan() {
        let shape = MatMul { rows: 1, inputs: 1, outputs: 2 };
        let mut panels = [0.0; 16];
        pack(&Pack { inputs: 1, outputs: 2, transposed: false }, &[1.0, -1.0], &mut panels);
        let epilogue = Epilogue { bias: None, activation: Activation::Relu };
        for isa in available() {
            let mut y = [0.0; 4];
            matmul_on(*isa, &shape, 2, &[f32::NAN, 3.0], &panels, epilogue, &mut y);
            assert!(y[0].is_nan() && y[1].is_nan());
            assert_eq!(y[2..], [3.0, 0.0]);
        }
    }
}
