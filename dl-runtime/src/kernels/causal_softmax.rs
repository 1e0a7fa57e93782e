//! Softmax of scores of which each row sees a prefix: what a step of a sequence asks of the steps up to its own.
//!
//! What lies above the diagonal is not read, and zero in the result. A row is computed as by [`softmax`](super::softmax()).

use super::softmax::{exponentials, gradient, scale};
use crate::simd::{Isa, Kernel, Lane, dispatch, isa};

/// The shape of a causal softmax: an example is `[count, rows, columns]`; row i of each matrix sees the columns up to
/// number i.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CausalSoftmax {
    /// Matrices of an example.
    pub count: usize,
    /// Rows of a matrix.
    pub rows: usize,
    /// Length of a row, at least 1.
    pub columns: usize,
}

impl CausalSoftmax {
    /// Floats of `n` examples.
    const fn len(&self, n: usize) -> usize {
        n * self.count * self.rows * self.columns
    }

    /// How many columns each row of the matrices sees, row after row without end.
    fn seen(self) -> impl Iterator<Item = usize> {
        (0..self.rows).map(move |row| (row + 1).min(self.columns)).cycle()
    }
}

/// `y[i] = exp(x[i]) / Σ exp(x)` in what each row sees, 0 beyond.
///
/// # Panics
/// If a slice is shorter than `n` examples.
pub fn causal_softmax(shape: &CausalSoftmax, n: usize, x: &[f32], y: &mut [f32]) {
    causal_softmax_on(isa(), shape, n, x, y);
}

/// [`causal_softmax`] on a given instruction set.
fn causal_softmax_on(isa: Isa, shape: &CausalSoftmax, n: usize, x: &[f32], y: &mut [f32]) {
    let len = shape.len(n);
    dispatch(isa, Forward { shape: *shape, x: &x[..len], y: &mut y[..len] });
}

/// The gradient of [`causal_softmax`]: `d_x = y · (d_y − Σ d_y·y)` in what each row sees, 0 beyond.
///
/// # Panics
/// If a slice is shorter than `n` examples.
pub fn causal_softmax_gradient(shape: &CausalSoftmax, n: usize, y: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    causal_softmax_gradient_on(isa(), shape, n, y, d_y, d_x);
}

/// [`causal_softmax_gradient`] on a given instruction set.
fn causal_softmax_gradient_on(isa: Isa, shape: &CausalSoftmax, n: usize, y: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    let len = shape.len(n);
    dispatch(isa, Gradient { shape: *shape, y: &y[..len], d_y: &d_y[..len], d_x: &mut d_x[..len] });
}

struct Forward<'a> {
    shape: CausalSoftmax,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let columns = self.shape.columns.max(1);
        let rows = self.x.chunks_exact(columns).zip(self.y.chunks_exact_mut(columns));
        for ((x, y), seen) in rows.zip(self.shape.seen()) {
            let (y, beyond) = y.split_at_mut(seen);
            let (_, sum) = exponentials(lane, &x[..seen], y);
            scale(lane, 1.0 / sum, y);
            beyond.fill(0.0);
        }
    }
}

struct Gradient<'a> {
    shape: CausalSoftmax,
    y: &'a [f32],
    d_y: &'a [f32],
    d_x: &'a mut [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let columns = self.shape.columns.max(1);
        let rows = self.y.chunks_exact(columns).zip(self.d_y.chunks_exact(columns));
        for (((y, d_y), d_x), seen) in rows.zip(self.d_x.chunks_exact_mut(columns)).zip(self.shape.seen()) {
            let (d_x, beyond) = d_x.split_at_mut(seen);
            gradient(lane, &y[..seen], &d_y[..seen], d_x);
            beyond.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use crate::{Rng, reference};
    use proptest::prelude::proptest;

    /// Forward and backward against the twins on every instruction set; slices are longer than needed, and what no row
    /// sees is not a number.
    fn compare(shape: CausalSoftmax, n: usize, seed: u64, width: f32) {
        let len = shape.len(n);
        let mut rng = Rng::new(seed);
        let mut numbers = |width: f32| -> Vec<f32> {
            let mut numbers: Vec<f32> =
                (0..len).map(|_| (rng.next_u32() as f32 / u32::MAX as f32 - 0.5) * width).collect();
            for (row, seen) in numbers.chunks_exact_mut(shape.columns).zip(shape.seen()) {
                row[seen..].fill(f32::NAN);
            }
            numbers
        };
        let (x, d_y) = (numbers(width), numbers(4.0));
        let (mut y, mut d_x) = (vec![5.0; len + 3], vec![5.0; len + 3]);
        reference::causal_softmax(&shape, n, &x, &mut y);
        reference::causal_softmax_gradient(&shape, n, &y, &d_y, &mut d_x);
        // Rounding of the largest summand, and of a sum of which at most one is near 1.
        let bound = 1e-6 * (4.0 + (shape.columns as f32).sqrt());
        let close = |found: &[f32], expected: &[f32], bound: f32| {
            for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert!((found - expected).abs() < bound, "{shape:?} at {place}: {found} for {expected}");
            }
        };
        for &isa in available() {
            let (mut found, mut found_d_x) = (vec![5.0; len + 3], vec![5.0; len + 3]);
            causal_softmax_on(isa, &shape, n, &x, &mut found);
            close(&found, &y, bound);
            causal_softmax_gradient_on(isa, &shape, n, &y, &d_y, &mut found_d_x);
            close(&found_d_x, &d_x, 2.0 * bound);
        }
    }

    #[test]
    fn every_length_agrees_with_the_twins() {
        for columns in 1..=40 {
            for rows in [1, 3, columns, columns + 2] {
                compare(CausalSoftmax { count: 2, rows, columns }, 2, columns as u64, 10.0);
            }
        }
        compare(CausalSoftmax { count: 1, rows: 130, columns: 129 }, 1, 7, 10.0);
    }

    proptest! {
        #[test]
        fn random_shapes_agree_with_the_twins(
            count in 0..3_usize, rows in 0..30_usize, columns in 1..30_usize, n in 0..4_usize, seed: u64, width in 0.0..200.0_f32,
        ) {
            compare(CausalSoftmax { count, rows, columns }, n, seed, width);
        }
    }

    #[test]
    fn rows_of_equal_scores_share_what_they_see() {
        let mut y = [9.0; 6];
        causal_softmax(&CausalSoftmax { count: 1, rows: 3, columns: 2 }, 1, &[0.3; 6], &mut y);
        assert_eq!(y, [1.0, 0.0, 0.5, 0.5, 0.5, 0.5]);
    }
}
