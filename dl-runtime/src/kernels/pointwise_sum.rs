//! Sums of what a pointwise expression computes, without storing it: means, variances, gradients of scales and biases.
//!
//! The expression runs strip by strip as in `pointwise`; every strip is added up while it is in the first-level cache.
//! The order of each sum is fixed by the shape.

use super::chunk::{load, store};
use super::pointwise::{Laid, Operand, Pointwise, STRIP};
use super::reduce::{Sum, total};
use crate::simd::{Isa, Kernel, Lane, dispatch, isa};
use std::marker::PhantomData;

/// `y[o, i] = Σ_r F(x)[o, r, i]` in each of `n` examples, for operands as in [`pointwise`](super::pointwise()): element
/// (o, r, i) of an example is one of `n` · outer · reduced · inner in a row.
///
/// # Panics
/// If an operand made by [`Operand::full`] or y is shorter than the shape says.
#[inline]
pub fn pointwise_sum<F: Pointwise<N>, const N: usize>(
    _function: F,
    operands: [Operand<'_>; N],
    shape: &Sum,
    n: usize,
    y: &mut [f32],
) {
    pointwise_sum_on::<F, N>(isa(), operands, shape, n, y);
}

/// [`pointwise_sum`] on a given instruction set.
#[inline]
fn pointwise_sum_on<F: Pointwise<N>, const N: usize>(
    isa: Isa,
    operands: [Operand<'_>; N],
    shape: &Sum,
    n: usize,
    y: &mut [f32],
) {
    let y = &mut y[..n * shape.outer * shape.inner];
    y.fill(0.0);
    if shape.reduced > 0 && shape.inner > 0 {
        dispatch(isa, Sums { operands, shape, y, function: PhantomData::<F> });
    }
}

/// The arguments of [`pointwise_sum`].
struct Sums<'a, F, const N: usize> {
    operands: [Operand<'a>; N],
    shape: &'a Sum,
    y: &'a mut [f32],
    function: PhantomData<F>,
}

impl<F: Pointwise<N>, const N: usize> Kernel for Sums<'_, F, N> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Sum { reduced, inner, .. } = *self.shape;
        let mut laid = Laid::new(self.operands);
        let mut strip = [0.0; STRIP];
        // As many whole rows as a strip holds, or parts of one row.
        let block = if inner <= STRIP { STRIP / inner * inner } else { STRIP };
        for (number, y) in self.y.chunks_exact_mut(inner).enumerate() {
            let (first, len) = (number * reduced * inner, reduced * inner);
            let mut at = 0;
            while at < len {
                // A part of a row ends with it.
                let column = at % inner;
                let count = if inner <= STRIP { block.min(len - at) } else { block.min(inner - column) };
                let terms = &mut strip[..count];
                laid.eval::<V, F>(lane, first + at, terms);
                match inner {
                    1 => y[0] += total(lane, terms),
                    _ if inner <= STRIP => rows(lane, terms, y),
                    _ => rows(lane, terms, &mut y[column..column + count]),
                }
                at += count;
            }
        }
    }
}

/// Adds every row of terms to y.
#[inline(always)]
fn rows<V: Lane>(lane: V, terms: &[f32], y: &mut [f32]) {
    let inner = y.len();
    for (place, y) in y.chunks_mut(2 * V::LANES).enumerate() {
        let (low, high) = y.split_at_mut(V::LANES.min(y.len()));
        // A strip is summed by itself first: long chains lose more to rounding.
        let (mut sum, mut other) = (lane.splat(0.0), lane.splat(0.0));
        for row in terms.chunks_exact(inner) {
            let row = &row[place * 2 * V::LANES..];
            sum = sum + load(lane, &row[..low.len()]);
            other = other + load(lane, &row[low.len()..][..high.len()]);
        }
        store(load(lane, low) + sum, low);
        store(load(lane, high) + other, high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use proptest::prelude::*;

    /// (a − b)²
    struct SquaredDifference;
    impl Pointwise<2> for SquaredDifference {
        #[inline(always)]
        fn eval<V: Lane>([a, b]: [V; 2]) -> V {
            (a - b) * (a - b)
        }
    }

    fn values(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0).collect()
    }

    fn check(shape: Sum, n: usize) {
        let places = shape.outer * shape.reduced * shape.inner;
        let (a, b) = (values(n * places, 1), values(shape.outer, 2));
        let behind = shape.reduced * shape.inner;
        let mut expected = vec![0.0_f64; n * shape.outer * shape.inner];
        for (i, a) in a.iter().enumerate() {
            let difference = f64::from(*a) - f64::from(b[i / behind % shape.outer]);
            expected[i / behind * shape.inner + i % shape.inner] += difference * difference;
        }
        for isa in available() {
            let mut y = vec![f32::NAN; expected.len() + 1];
            let operands = [Operand::full(&a), Operand::new(&b, behind, shape.outer)];
            pointwise_sum_on::<SquaredDifference, 2>(*isa, operands, &shape, n, &mut y);
            for (i, (y, expected)) in y.iter().zip(&expected).enumerate() {
                let bound = 1e-6 * (1.0 + shape.reduced as f64);
                assert!((f64::from(*y) - expected).abs() <= bound, "{isa:?} {shape:?} {i}: {y} for {expected}");
            }
            assert!(y[expected.len()].is_nan());
        }
    }

    #[test]
    fn rows_shorter_and_longer_than_a_strip() {
        for inner in [1, 2, 7, 15, 16, 17, 31, 33, 511, 512, 513, 1025] {
            for reduced in [1, 2, 33, 700] {
                check(Sum { outer: 2, reduced, inner }, 1);
            }
        }
    }

    proptest! {
        #[test]
        fn sums_in_double_precision_agree(outer in 1usize..4, reduced in 1usize..80, inner in 1usize..80, n in 1usize..4) {
            check(Sum { outer, reduced, inner }, n);
        }
    }
}
