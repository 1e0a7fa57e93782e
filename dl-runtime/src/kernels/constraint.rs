//! What holds for a parameter after every step of training: a tensor enters and leaves on the nearest allowed values.
//!
//! Norms are those of each unit's incoming weights, summed in double precision in a fixed order. NaN stays NaN, so that
//! a diverging training is noticed.

use crate::simd::{Kernel, Lane, dispatch, isa};

/// How a tensor falls into units: it is `[outer, incoming, inner]`, and a unit has the `incoming` numbers of one outer
/// and one inner place. A matrix `[inputs, units]` has its columns, filters `[filters, channels, k…]` have themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Units {
    /// Product of the dimensions before the incoming ones.
    pub outer: usize,
    /// Product of the incoming dimensions.
    pub incoming: usize,
    /// Product of the dimensions after them.
    pub inner: usize,
}

/// Scales every unit whose Euclidean norm is above `max` down to it (Srebro and Shraibman, 2005).
///
/// # Panics
/// If `x` is not of that shape.
pub fn max_norm(units: &Units, max: f32, x: &mut [f32]) {
    let max = f64::from(max);
    scale(units, |norm| if norm > max { max / norm } else { 1.0 }, x);
}

/// Scales every unit to the Euclidean norm 1; one that is all zero has no direction and stays.
///
/// # Panics
/// If `x` is not of that shape.
pub fn unit_norm(units: &Units, x: &mut [f32]) {
    scale(units, |norm| if norm == 0.0 { 1.0 } else { 1.0 / norm }, x);
}

/// Scales every unit whose Euclidean norm lies outside `min … max` to the nearer end (Keras's `MinMaxNorm` at rate 1); one
/// that is all zero has no direction and stays.
///
/// # Panics
/// If `x` is not of that shape, or `min` is above `max`.
pub fn min_max_norm(units: &Units, min: f32, max: f32, x: &mut [f32]) {
    assert!(min <= max, "norms from {min} to {max}");
    let [min, max] = [min, max].map(f64::from);
    // As with all comparisons, NaN is neither below nor above.
    let kept = |norm: f64| norm == 0.0 || norm.is_nan() || (min..=max).contains(&norm);
    scale(units, |norm| if kept(norm) { 1.0 } else { norm.clamp(min, max) / norm }, x);
}

/// `x = max(x, 0)`
pub fn non_negative(x: &mut [f32]) {
    clip(0.0, f32::INFINITY, x);
}

/// `x = min(max(x, low), high)`
pub fn clip(low: f32, high: f32, x: &mut [f32]) {
    dispatch(isa(), Clip { low, high, x });
}

fn scale<F: Fn(f64) -> f64>(units: &Units, factor: F, x: &mut [f32]) {
    let Units { outer, incoming, inner } = *units;
    assert_eq!(x.len(), outer * incoming * inner, "a tensor of {units:?}");
    if !x.is_empty() {
        dispatch(isa(), Scale { units, factor, x });
    }
}

/// Units side by side whose squares are summed at once; within a unit that lies in one piece, partial sums.
pub(crate) const ABREAST: usize = 16;

struct Scale<'a, F> {
    units: &'a Units,
    factor: F,
    x: &'a mut [f32],
}

impl<F: Fn(f64) -> f64> Kernel for Scale<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, _: V) {
        let Self { units: &Units { incoming, inner, .. }, factor, x } = self;
        for block in x.chunks_exact_mut(incoming * inner) {
            if inner == 1 {
                let factor = factor(squares(block.chunks(ABREAST)).iter().sum::<f64>().sqrt()) as f32;
                block.iter_mut().for_each(|x| *x *= factor);
                continue;
            }
            for start in (0..inner).step_by(ABREAST) {
                let strip = start..(start + ABREAST).min(inner);
                let factors = squares(block.chunks_exact(inner).map(|row| &row[strip.clone()]));
                let factors = factors.map(|sum| factor(sum.sqrt()) as f32);
                for row in block.chunks_exact_mut(inner) {
                    row[strip.clone()].iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
                }
            }
        }
    }
}

/// The sums of squares down the columns of rows of at most [`ABREAST`].
#[inline(always)]
pub(crate) fn squares<'x>(rows: impl Iterator<Item = &'x [f32]>) -> [f64; ABREAST] {
    let mut sums = [0.0; ABREAST];
    for row in rows {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    sums
}

struct Clip<'a> {
    low: f32,
    high: f32,
    x: &'a mut [f32],
}

impl Kernel for Clip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, _: V) {
        let Self { low, high, x } = self;
        for x in x {
            let above = if *x < low { low } else { *x };
            *x = if above > high { high } else { above };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rng, reference};
    use proptest::prelude::{prop_assert, proptest};

    fn numbers(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.next_u32() as f32 / u32::MAX as f32 * 4.0 - 2.0).collect()
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6)
    }

    fn compare(units: &Units, seed: u64) {
        let x = numbers(units.outer * units.incoming * units.inner, seed);
        let (mut found, mut expected) = (x.clone(), x.clone());
        max_norm(units, 1.5, &mut found);
        reference::max_norm(units, 1.5, &mut expected);
        assert!(close(&found, &expected), "{units:?}");
        let (mut found, mut expected) = (x.clone(), x.clone());
        min_max_norm(units, 1.2, 2.5, &mut found);
        reference::min_max_norm(units, 1.2, 2.5, &mut expected);
        assert!(close(&found, &expected), "{units:?}");
        let (mut found, mut expected) = (x.clone(), x);
        unit_norm(units, &mut found);
        reference::unit_norm(units, &mut expected);
        assert!(close(&found, &expected), "{units:?}");
    }

    #[test]
    fn every_length_agrees_with_the_twin() {
        for len in (0..70).chain([1000]) {
            compare(&Units { outer: 3, incoming: len, inner: 1 }, len as u64);
            compare(&Units { outer: 1, incoming: 5, inner: len }, len as u64);
        }
    }

    proptest! {
        #[test]
        fn norms_agree_with_the_twin(outer in 0..4_usize, incoming in 0..40_usize, inner in 0..40_usize, seed: u64) {
            compare(&Units { outer, incoming, inner }, seed);
        }

        #[test]
        fn ranges_agree_with_the_twin(len in 0..100_usize, low in -2.0..0.0_f32, high in 0.0..2.0_f32, seed: u64) {
            let x = numbers(len, seed);
            let (mut found, mut expected) = (x.clone(), x.clone());
            clip(low, high, &mut found);
            reference::clip(low, high, &mut expected);
            prop_assert!(found == expected);
            let (mut found, mut expected) = (x.clone(), x);
            non_negative(&mut found);
            reference::non_negative(&mut expected);
            prop_assert!(found == expected);
        }
    }

    /// Columns (3, 4) and (6, 8) have the norms 5 and 10.
    #[test]
    fn columns_of_a_matrix_are_units() {
        let units = Units { outer: 1, incoming: 2, inner: 2 };
        let mut x = [3.0, 6.0, 4.0, 8.0];
        max_norm(&units, 5.0, &mut x);
        assert!(close(&x, &[3.0, 3.0, 4.0, 4.0]), "{x:?}");
        unit_norm(&units, &mut x);
        assert!(close(&x, &[0.6, 0.6, 0.8, 0.8]), "{x:?}");
    }

    /// Norms 5, 10 and 2.5 into 4 … 6; what lies between is the same to the bit.
    #[test]
    fn norms_are_kept_between_two_ends() {
        let units = Units { outer: 4, incoming: 2, inner: 1 };
        let mut x = [3.0, 4.0, 6.0, 8.0, 1.5, -2.0, 0.0, 0.0];
        min_max_norm(&units, 4.0, 6.0, &mut x);
        assert!(close(&x, &[3.0, 4.0, 3.6, 4.8, 2.4, -3.2, 0.0, 0.0]), "{x:?}");
        assert_eq!(x[..2], [3.0, 4.0]);
        let mut x = [f32::NAN, 1.0];
        min_max_norm(&Units { outer: 2, incoming: 1, inner: 1 }, 2.0, 2.0, &mut x);
        assert!(x[0].is_nan() && x[1] == 2.0);
    }

    #[test]
    fn zeros_stay_large_numbers_do_not_overflow_and_nan_is_kept() {
        let units = Units { outer: 3, incoming: 2, inner: 1 };
        let mut x = [0.0, 0.0, 3e30, 4e30, f32::NAN, 1.0];
        unit_norm(&units, &mut x);
        assert_eq!(x[..2], [0.0; 2]);
        assert!(close(&x[2..4], &[0.6, 0.8]), "{x:?}");
        assert!(x[4].is_nan());
        clip(-0.5, 0.5, &mut x);
        assert!(x[4].is_nan());
    }

    #[test]
    #[should_panic(expected = "a tensor of")]
    fn lengths_are_checked() {
        unit_norm(&Units { outer: 2, incoming: 2, inner: 2 }, &mut [0.0; 7]);
    }
}
