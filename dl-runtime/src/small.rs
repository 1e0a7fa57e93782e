//! Kernels of small layers that are trained a few examples at a time: plain loops whose lengths are constants.
//!
//! A kernel proper checks, chooses an instruction set and arranges tiles and panels, which takes longer than the few hundred
//! multiplications of such a layer. These become part of the function that calls them, with the instructions that the
//! crate of the network is compiled for. Multiplications and additions are rounded one by one, so the bits are the same
//! whatever these are. The arguments are those of the kernels of the same names.

use super::kernels::{Activation, Epilogue, Operand, Pointwise, Sum};
use super::segments::Segments;
use super::simd::Scalar;

/// `y = activation(x W + bias + residual)` for `rows` rows, masked, with W as it is: `[INPUTS, OUTPUTS]`.
///
/// # Panics
/// If x, the weight, y or what the epilogue reads are shorter than that.
#[inline]
pub fn matmul<const INPUTS: usize, const OUTPUTS: usize>(
    rows: usize,
    x: &[f32],
    weight: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let weight = matrix::<INPUTS, OUTPUTS>(weight);
    let bias = epilogue.bias.map_or([0.0; OUTPUTS], |bias| *row(bias, 0));
    for i in 0..rows {
        let mut sums = [0.0; OUTPUTS];
        for (x, weight) in row::<INPUTS>(x, i).iter().zip(weight) {
            for (sum, weight) in sums.iter_mut().zip(weight) {
                *sum += x * weight;
            }
        }
        for (sum, bias) in sums.iter_mut().zip(bias) {
            *sum += bias;
        }
        finish(&epilogue, i, &mut sums);
        *row_mut(y, i) = sums;
    }
    epilogue.finish(super::isa(), &mut y[..rows * OUTPUTS]);
}

/// `d_x = d_y Wᵀ` for `rows` rows, with W as it is: `[INPUTS, OUTPUTS]`. Of the epilogue, residual and mask are heeded.
///
/// # Panics
/// If d_y, the weight, d_x or what the epilogue reads are shorter than that.
#[inline]
pub fn matmul_transposed<const INPUTS: usize, const OUTPUTS: usize>(
    rows: usize,
    d_y: &[f32],
    weight: &[f32],
    epilogue: Epilogue<'_>,
    d_x: &mut [f32],
) {
    let weight = matrix::<INPUTS, OUTPUTS>(weight);
    for i in 0..rows {
        let d_y = row::<OUTPUTS>(d_y, i);
        let mut sums = [0.0; INPUTS];
        for (sum, weight) in sums.iter_mut().zip(weight) {
            *sum = weight.iter().zip(d_y).map(|(weight, d_y)| weight * d_y).sum();
        }
        finish(&epilogue, i, &mut sums);
        *row_mut(d_x, i) = sums;
    }
}

/// `d_weight = Σ xᵀ d_y` over the `rows` rows of each of `n` examples, overwritten: `[INPUTS, OUTPUTS]`.
///
/// # Panics
/// If x, d_y or d_weight are shorter than that.
#[inline]
pub fn matmul_weights<const INPUTS: usize, const OUTPUTS: usize>(
    rows: usize,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &mut [f32],
) {
    let d_weight = &mut d_weight[..INPUTS * OUTPUTS];
    let mut is_first = true;
    for example in 0..n {
        let (x, d_y) = (x.example(example), d_y.example(example));
        for i in 0..rows {
            let (x, d_y) = (row::<INPUTS>(x, i), row::<OUTPUTS>(d_y, i));
            for (sums, x) in d_weight.as_chunks_mut::<OUTPUTS>().0.iter_mut().zip(x) {
                for (sum, d_y) in sums.iter_mut().zip(d_y) {
                    let product = x * d_y;
                    *sum = if is_first { product } else { *sum + product };
                }
            }
            is_first = false;
        }
    }
    if is_first {
        d_weight.fill(0.0);
    }
}

/// `y[i] = Σ_e x[e, i]` over `n` examples of `LEN` floats.
///
/// # Panics
/// If x or y are shorter than that.
#[inline]
pub fn sum_batch<const LEN: usize>(n: usize, x: Segments<'_>, y: &mut [f32]) {
    let mut sums = [0.0; LEN];
    for example in 0..n {
        for (sum, x) in sums.iter_mut().zip(row::<LEN>(x.example(example), 0)) {
            *sum += x;
        }
    }
    *row_mut(y, 0) = sums;
}

/// Applies a function to the operands, element by element.
///
/// # Panics
/// If an operand made by [`Operand::full`] is shorter than y.
#[inline(always)]
pub fn pointwise<F: Pointwise<N>, const N: usize>(_function: F, operands: [Operand<'_>; N], y: &mut [f32]) {
    let len = y.len();
    let (whole, rest) = y.as_chunks_mut::<EIGHT>();
    let (whole_len, rest_len) = (len - rest.len(), rest.len());
    for (place, y) in whole.iter_mut().enumerate() {
        *y = eight::<F, N>(&operands, place * EIGHT, EIGHT);
    }
    if rest_len > 0 {
        for (y, value) in rest.iter_mut().zip(eight::<F, N>(&operands, whole_len, rest_len)) {
            *y = value;
        }
    }
}

/// `y[o, i] = Σ_r F(x)[o, r, i]` in each of `n` examples.
///
/// # Panics
/// If an operand made by [`Operand::full`] or y is shorter than the shape says.
#[inline(always)]
pub fn pointwise_sum<F: Pointwise<N>, const N: usize>(
    _function: F,
    operands: [Operand<'_>; N],
    shape: &Sum,
    n: usize,
    y: &mut [f32],
) {
    let Sum { outer, reduced, inner } = *shape;
    let y = &mut y[..n * outer * inner];
    y.fill(0.0);
    for (block, y) in y.chunks_exact_mut(inner.max(1)).enumerate() {
        let len = reduced * inner;
        for start in (0..len).step_by(EIGHT) {
            let count = EIGHT.min(len - start);
            let terms = eight::<F, N>(&operands, block * len + start, count);
            for (place, term) in terms.iter().enumerate().take(count) {
                y[(start + place) % inner] += term;
            }
        }
    }
}

/// Adds the residual of a row to its sums, applies relu, and lets pass what the mask says.
#[inline(always)]
fn finish<const LEN: usize>(epilogue: &Epilogue<'_>, index: usize, sums: &mut [f32; LEN]) {
    if let Some(residual) = epilogue.residual {
        for (sum, residual) in sums.iter_mut().zip(row::<LEN>(residual, index)) {
            *sum += residual;
        }
    }
    if epilogue.activation == Activation::Relu {
        for sum in sums.iter_mut() {
            *sum = if *sum < 0.0 { 0.0 } else { *sum };
        }
    }
    if let Some(mask) = epilogue.mask {
        for (sum, mask) in sums.iter_mut().zip(row::<LEN>(mask, index)) {
            *sum = if *mask > 0.0 { *sum } else { 0.0 };
        }
    }
}

/// Floats of the lane that expressions are computed with.
const EIGHT: usize = 8;

/// The `count` results from `start` on; what is behind them means nothing.
#[inline(always)]
fn eight<F: Pointwise<N>, const N: usize>(operands: &[Operand<'_>; N], start: usize, count: usize) -> [f32; EIGHT] {
    let mut lanes = [Scalar::of([0.0; EIGHT]); N];
    for (lane, operand) in lanes.iter_mut().zip(operands) {
        let mut values = [0.0; EIGHT];
        if operand.inner == 1 && start + count <= operand.len {
            for (value, x) in values.iter_mut().zip(&operand.values[start..start + count]) {
                *value = *x;
            }
        } else {
            for (place, value) in values.iter_mut().enumerate().take(count) {
                let element = (start + place) / operand.inner;
                *value = operand.values[if element < operand.len { element } else { operand.place(element) }];
            }
        }
        *lane = Scalar::of(values);
    }
    F::eval(lanes).values()
}

/// A row of a matrix of rows of `LEN` floats.
#[inline]
fn row<const LEN: usize>(floats: &[f32], index: usize) -> &[f32; LEN] {
    &floats.as_chunks::<LEN>().0[index]
}

/// A row of a matrix of rows of `LEN` floats.
#[inline]
fn row_mut<const LEN: usize>(floats: &mut [f32], index: usize) -> &mut [f32; LEN] {
    &mut floats.as_chunks_mut::<LEN>().0[index]
}

/// Floats as a matrix.
#[inline]
fn matrix<const ROWS: usize, const COLUMNS: usize>(floats: &[f32]) -> &[[f32; COLUMNS]; ROWS] {
    crate::view(&floats[..ROWS * COLUMNS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Lane;
    use crate::{MatMul, Pack, Rng, Shards, Team, reference};
    use proptest::prelude::*;

    fn values(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.next_u32() as f32 / 2f32.powi(31) - 1.0).collect()
    }

    fn close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{found} for {expected}");
        }
    }

    /// All products of a layer against their twins; nothing is written past the end.
    fn products<const INPUTS: usize, const OUTPUTS: usize>(
        rows: usize,
        n: usize,
        activation: Activation,
        biased: bool,
    ) {
        let (x, weight, bias) = (values(n * rows * INPUTS, 1), values(INPUTS * OUTPUTS, 2), values(OUTPUTS, 3));
        let shape = MatMul { rows, inputs: INPUTS, outputs: OUTPUTS };
        let (residual, mask) = (values(n * rows * OUTPUTS, 5), values(n * rows * OUTPUTS, 6));
        let has_mask = matches!(activation, Activation::Identity | Activation::Relu);
        let epilogue = Epilogue {
            bias: biased.then_some(&bias[..]),
            residual: biased.then_some(&residual[..]),
            activation,
            mask: (has_mask && n > 2).then_some(&mask[..]),
            ..Epilogue::NONE
        };
        let layout = Pack { inputs: INPUTS, outputs: OUTPUTS, transposed: false };
        let mut panels = vec![0.0; layout.len()];
        reference::pack(&layout, &weight, &mut panels);
        let mut expected = vec![0.0; n * rows * OUTPUTS];
        reference::matmul(&shape, n, &x, &panels, epilogue, &mut expected);
        let mut y = vec![f32::NAN; expected.len() + 3];
        matmul::<INPUTS, OUTPUTS>(n * rows, &x, &weight, epilogue, &mut y);
        assert!(y.split_off(expected.len()).iter().all(|y| y.is_nan()));
        close(&y, &expected);

        let d_y = values(n * rows * OUTPUTS, 4);
        let layout = Pack { transposed: true, ..layout };
        let mut panels = vec![0.0; layout.len()];
        reference::pack(&layout, &weight, &mut panels);
        let back = MatMul { rows, inputs: OUTPUTS, outputs: INPUTS };
        let mask = values(x.len(), 7);
        let epilogue = Epilogue { mask: biased.then_some(&mask[..]), ..Epilogue::NONE };
        let mut expected = vec![0.0; x.len()];
        reference::matmul(&back, n, &d_y, &panels, epilogue, &mut expected);
        let mut d_x = vec![f32::NAN; x.len() + 3];
        matmul_transposed::<INPUTS, OUTPUTS>(n * rows, &d_y, &weight, epilogue, &mut d_x);
        assert!(d_x.split_off(x.len()).iter().all(|d_x| d_x.is_nan()));
        close(&d_x, &expected);

        // The operands of gradients lie in shards of two examples.
        let shard = |len: usize| Shards { examples: 2, floats: 2 * len + 5 };
        let sharded = |flat: &[f32], len: usize| {
            let mut arena = vec![f32::NAN; shard(len).room(n)];
            for (example, flat) in flat.chunks(len).enumerate() {
                let start = example / 2 * shard(len).floats + 3 + example % 2 * len;
                arena[start..start + len].copy_from_slice(flat);
            }
            arena
        };
        let (x_len, d_y_len) = (rows * INPUTS, rows * OUTPUTS);
        let (x_shards, d_y_shards) = (sharded(&x, x_len), sharded(&d_y, d_y_len));
        let x_seen = Segments::of_shards(&x_shards, shard(x_len), 3, x_len);
        let d_y_seen = Segments::of_shards(&d_y_shards, shard(d_y_len), 3, d_y_len);
        let mut expected = vec![0.0; weight.len()];
        reference::matmul_weights(&shape, n, x_seen, d_y_seen, &mut expected, &Team::serial());
        let mut d_weight = vec![f32::NAN; weight.len() + 3];
        matmul_weights::<INPUTS, OUTPUTS>(rows, n, x_seen, d_y_seen, &mut d_weight);
        assert!(d_weight.split_off(weight.len()).iter().all(|d_weight| d_weight.is_nan()));
        close(&d_weight, &expected);

        if rows == 1 {
            let mut expected = vec![0.0; OUTPUTS];
            reference::sum_batch(OUTPUTS, n, d_y_seen, &mut expected, &Team::serial());
            let mut sums = vec![f32::NAN; OUTPUTS + 3];
            sum_batch::<OUTPUTS>(n, d_y_seen, &mut sums);
            assert!(sums.split_off(OUTPUTS).iter().all(|sum| sum.is_nan()));
            close(&sums, &expected);
        }
    }

    /// (a + 1) · b.
    struct Product;
    impl Pointwise<2> for Product {
        #[inline(always)]
        fn eval<V: Lane>([a, b]: [V; 2]) -> V {
            (a + a.splat(1.0)) * b
        }
    }

    proptest! {
        #[test]
        fn products_agree_with_their_twins(rows in 1usize..4, n in 1usize..6, activation in 0usize..4, biased: bool) {
            let activation =
                [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh][activation];
            products::<6, 64>(rows, n, activation, biased);
            products::<64, 8>(rows, n, activation, biased);
            products::<8, 4>(rows, n, activation, biased);
            products::<1, 1>(rows, n, activation, biased);
            products::<5, 17>(rows, n, activation, biased);
            products::<33, 3>(rows, n, activation, biased);
        }

        #[test]
        fn expressions_agree_with_their_twins(
            n in 1usize..4, outer in 1usize..3, reduced in 1usize..20, inner in 1usize..20, repeated in 0usize..3,
        ) {
            let shape = Sum { outer, reduced, inner };
            let places = outer * reduced * inner;
            let (a, b) = (values(n * places, 1), values(n * places, 2));
            let b = match repeated {
                0 => Operand::full(&b),
                1 => Operand::new(&b, places, n),
                _ => Operand::new(&b, 1, inner),
            };
            let operands = [Operand::full(&a), b];
            let mut terms = vec![0.0; n * places];
            reference::pointwise(Product, operands, &mut terms);
            let mut y = vec![f32::NAN; terms.len()];
            pointwise(Product, operands, &mut y);
            prop_assert_eq!(&y, &terms);
            let mut expected = vec![0.0; n * outer * inner];
            reference::sum(&shape, n, &terms, &mut expected);
            let mut y = vec![f32::NAN; expected.len() + 3];
            pointwise_sum(Product, operands, &shape, n, &mut y);
            prop_assert!(y.split_off(expected.len()).iter().all(|y| y.is_nan()));
            close(&y, &expected);
        }
    }

    #[test]
    fn a_gradient_of_no_example_is_zero() {
        let mut d_weight = [f32::NAN; 6];
        let none = Segments::of_examples(&[], 2);
        matmul_weights::<2, 3>(1, 0, none, Segments::of_examples(&[], 3), &mut d_weight);
        assert_eq!(d_weight, [0.0; 6]);
    }

    #[test]
    #[should_panic]
    fn a_short_operand_is_refused() {
        matmul::<4, 2>(2, &[0.0; 7], &[0.0; 8], Epilogue::NONE, &mut [0.0; 4]);
    }

    #[test]
    fn relu_keeps_nan() {
        let epilogue = Epilogue { activation: Activation::Relu, ..Epilogue::NONE };
        let mut y = [0.0; 4];
        matmul::<1, 2>(2, &[f32::NAN, 3.0], &[1.0, -1.0], epilogue, &mut y);
        assert!(y[0].is_nan() && y[1].is_nan());
        assert_eq!(y[2..], [3.0, 0.0]);
    }
}
