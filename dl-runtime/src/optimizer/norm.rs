//! Euclidean norms of gradients, with the same bits for any number of threads.

use super::pass::UNIT;
use crate::kernels::{ABREAST, squares};
use crate::simd::{Kernel, Lane, dispatch, isa};
use crate::team::Team;

/// The norm of some floats. `parts` is for parts of the sum: one float for each [`UNIT`] of them, or more.
///
/// Each unit is summed by itself in double precision, then the units in their order.
pub(super) fn norm(values: &[f32], parts: &mut [f32], team: &Team) -> f64 {
    let parts = &mut parts[..values.len().div_ceil(UNIT)];
    team.split(parts, 1, |first, parts| {
        for (unit, part) in values[first * UNIT..].chunks(UNIT).zip(parts) {
            // The root, since the square of a float may be none.
            *part = dispatch(isa(), Norm(unit)) as f32;
        }
    });
    parts.iter().map(|&part| f64::from(part) * f64::from(part)).sum::<f64>().sqrt()
}

/// The norm of one unit.
struct Norm<'a>(&'a [f32]);

impl Kernel for Norm<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<V: Lane>(self, _: V) -> f64 {
        squares(self.0.chunks(ABREAST)).iter().sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_those_of_a_plain_sum() {
        for len in (0..40).chain([UNIT - 1, UNIT, UNIT + 1, 3 * UNIT + 77]) {
            let values: Vec<f32> = (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.37).collect();
            let expected = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let mut parts = vec![0.0; len.div_ceil(UNIT)];
            let found = norm(&values, &mut parts, &Team::serial());
            assert!((found - expected).abs() <= 1e-6 * expected, "{found} instead of {expected}");
            for threads in [2, 3] {
                assert_eq!(norm(&values, &mut parts, &Team::new(threads)).to_bits(), found.to_bits());
            }
        }
    }

    #[test]
    fn norms_of_large_numbers_do_not_overflow_and_nan_is_kept() {
        let norm = |values: &[f32]| norm(values, &mut [0.0], &Team::serial());
        assert!((norm(&[3e30, 4e30]) / 5e30 - 1.0).abs() < 1e-6);
        assert!(norm(&[1.0, f32::NAN]).is_nan());
        assert_eq!(norm(&[1.0, f32::NEG_INFINITY]), f64::INFINITY);
    }
}
