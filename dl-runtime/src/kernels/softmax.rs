//! Softmax and what is computed with it: rows of logits enter, probabilities, losses and their gradients leave.
//!
//! The maximum of a row is subtracted before the exponential, so nothing overflows (log-sum-exp). A row that holds
//! a NaN or +∞ gives NaN. Rows need not fill whole lanes; sums over a row have one order for each instruction set.

use super::chunk::{filled, load, store};
use crate::simd::{Kernel, Lane, dispatch, isa};

/// The shape of a softmax: an example is `[rows, classes]`; each row stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Softmax {
    /// Rows of an example.
    pub rows: usize,
    /// Length of a row, at least 1.
    pub classes: usize,
}

/// `y[i] = exp(x[i]) / Σ exp(x)` in each row.
///
/// # Panics
/// If a slice is shorter than `n` examples.
pub fn softmax(shape: &Softmax, n: usize, x: &[f32], y: &mut [f32]) {
    let len = n * shape.rows * shape.classes;
    dispatch(isa(), Forward { classes: shape.classes, x: &x[..len], y: &mut y[..len] });
}

/// The gradient of [`softmax`]: `d_x = y · (d_y − Σ d_y·y)` in each row.
///
/// # Panics
/// If a slice is shorter than `n` examples.
pub fn softmax_gradient(shape: &Softmax, n: usize, y: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    let len = n * shape.rows * shape.classes;
    dispatch(isa(), Gradient { classes: shape.classes, y: &y[..len], d_y: &d_y[..len], d_x: &mut d_x[..len] });
}

/// `loss[row] = ln Σ exp(logits) − logits[label]`, one for each row; `loss` and `labels` are `[n, rows]`.
///
/// # Panics
/// If a slice is shorter than `n` examples or a label is not below `classes`.
pub fn cross_entropy(shape: &Softmax, n: usize, logits: &[f32], labels: &[u32], loss: &mut [f32]) {
    let rows = n * shape.rows;
    let (labels, loss) = (&labels[..rows], &mut loss[..rows]);
    let logits = &logits[..rows * shape.classes];
    dispatch(isa(), CrossEntropy { classes: shape.classes, logits, labels, loss });
}

/// The gradient of [`cross_entropy`]: `d_logits = d_loss · (softmax(logits) − [i = label])` in each row.
///
/// # Panics
/// If a slice is shorter than `n` examples or a label is not below `classes`.
pub fn cross_entropy_gradient(
    shape: &Softmax,
    n: usize,
    logits: &[f32],
    labels: &[u32],
    d_loss: &[f32],
    d_logits: &mut [f32],
) {
    let rows = n * shape.rows;
    let (labels, d_loss) = (&labels[..rows], &d_loss[..rows]);
    let (logits, d_logits) = (&logits[..rows * shape.classes], &mut d_logits[..rows * shape.classes]);
    dispatch(isa(), CrossEntropyGradient { classes: shape.classes, logits, labels, d_loss, d_logits });
}

/// `y[i] = x[i] − ln Σ exp(x)` in each row.
///
/// # Panics
/// If a slice is shorter than `n` examples.
pub fn log_softmax(shape: &Softmax, n: usize, x: &[f32], y: &mut [f32]) {
    let len = n * shape.rows * shape.classes;
    dispatch(isa(), Logarithms { classes: shape.classes, x: &x[..len], y: &mut y[..len] });
}

/// `y[row]` = the place of the first greatest number of the row. A NaN counts as greatest.
///
/// # Panics
/// If a slice is shorter than `n` examples.
pub fn argmax(shape: &Softmax, n: usize, x: &[f32], y: &mut [f32]) {
    let rows = n * shape.rows;
    let (x, y) = (&x[..rows * shape.classes], &mut y[..rows]);
    y.fill(0.0);
    for (row, y) in x.chunks_exact(shape.classes.max(1)).zip(y) {
        *y = greatest_place(row) as f32;
    }
}

/// `y[row]` = 1 if the first greatest logit of the row is at its label, else 0. A NaN counts as greatest.
///
/// # Panics
/// If a slice is shorter than `n` examples.
pub fn accuracy(shape: &Softmax, n: usize, logits: &[f32], labels: &[u32], y: &mut [f32]) {
    let rows = n * shape.rows;
    let (labels, y) = (&labels[..rows], &mut y[..rows]);
    let logits = &logits[..rows * shape.classes];
    if shape.classes == 0 {
        return y.fill(0.0);
    }
    for ((row, &label), y) in logits.chunks_exact(shape.classes).zip(labels).zip(y) {
        *y = f32::from(greatest_place(row) == label as usize);
    }
}

/// The place of the first greatest number, as which a NaN counts.
fn greatest_place(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, &logit) in row.iter().enumerate() {
        if logit > row[best] || (logit.is_nan() && !row[best].is_nan()) {
            best = i;
        }
    }
    best
}

/// Writes `exp(x − greatest)` and returns the greatest and the sum of what was written.
#[inline(always)]
pub(super) fn exponentials<V: Lane>(lane: V, x: &[f32], y: &mut [f32]) -> (f32, f32) {
    let low = lane.splat(f32::NEG_INFINITY);
    let mut greatest = low;
    let mut chunks = x.chunks_exact(V::LANES);
    for x in chunks.by_ref() {
        greatest = load(lane, x).at_least(greatest);
    }
    let rest = chunks.remainder();
    let inside = filled(lane, rest.len());
    let last = inside.select(load(lane, rest), low);
    let greatest = last.at_least(greatest).greatest();

    let shift = lane.splat(greatest);
    let mut sum = lane;
    let whole = x.len() - rest.len();
    let (y, y_rest) = y.split_at_mut(whole);
    for (x, y) in x.chunks_exact(V::LANES).zip(y.chunks_exact_mut(V::LANES)) {
        let e = (load(lane, x) - shift).exp();
        store(e, y);
        sum = sum + e;
    }
    if !rest.is_empty() {
        let e = (last - shift).exp();
        store(e, y_rest);
        sum = sum + inside.select(e, lane);
    }
    (greatest, sum.total())
}

/// Multiplies a row.
#[inline(always)]
pub(super) fn scale<V: Lane>(lane: V, factor: f32, y: &mut [f32]) {
    let factor = lane.splat(factor);
    for y in y.chunks_mut(V::LANES) {
        store(load(lane, y) * factor, y);
    }
}

struct Forward<'a> {
    classes: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let classes = self.classes.max(1);
        for (x, y) in self.x.chunks_exact(classes).zip(self.y.chunks_exact_mut(classes)) {
            let (_, sum) = exponentials(lane, x, y);
            scale(lane, 1.0 / sum, y);
        }
    }
}

struct Gradient<'a> {
    classes: usize,
    y: &'a [f32],
    d_y: &'a [f32],
    d_x: &'a mut [f32],
}

impl Kernel for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let classes = self.classes.max(1);
        let rows = self.y.chunks_exact(classes).zip(self.d_y.chunks_exact(classes));
        for ((y, d_y), d_x) in rows.zip(self.d_x.chunks_exact_mut(classes)) {
            gradient(lane, y, d_y, d_x);
        }
    }
}

/// The gradient of one row, from its probabilities.
#[inline(always)]
pub(super) fn gradient<V: Lane>(lane: V, y: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    let mut dot = lane;
    for (y, d_y) in y.chunks(V::LANES).zip(d_y.chunks(V::LANES)) {
        dot = load(lane, y).mul_add(load(lane, d_y), dot);
    }
    let dot = lane.splat(dot.total());
    let chunks = y.chunks(V::LANES).zip(d_y.chunks(V::LANES));
    for ((y, d_y), d_x) in chunks.zip(d_x.chunks_mut(V::LANES)) {
        store(load(lane, y) * (load(lane, d_y) - dot), d_x);
    }
}

struct Logarithms<'a> {
    classes: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Logarithms<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let classes = self.classes.max(1);
        for (x, y) in self.x.chunks_exact(classes).zip(self.y.chunks_exact_mut(classes)) {
            let (greatest, sum) = exponentials(lane, x, y);
            let (shift, normalizer) = (lane.splat(greatest), lane.splat(sum.ln()));
            for (x, y) in x.chunks(V::LANES).zip(y.chunks_mut(V::LANES)) {
                store((load(lane, x) - shift) - normalizer, y);
            }
        }
    }
}

struct CrossEntropy<'a> {
    classes: usize,
    logits: &'a [f32],
    labels: &'a [u32],
    loss: &'a mut [f32],
}

impl Kernel for CrossEntropy<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let rows = self.logits.chunks_exact(self.classes.max(1));
        for ((row, &label), loss) in rows.zip(self.labels).zip(self.loss) {
            let low = lane.splat(f32::NEG_INFINITY);
            let chunks = || row.chunks(V::LANES).map(|chunk| filled(lane, chunk.len()).select(load(lane, chunk), low));
            let greatest = chunks().fold(low, |greatest, x| x.at_least(greatest)).greatest();
            let shift = lane.splat(greatest);
            let sum = chunks().fold(lane, |sum, x| sum + (x - shift).exp()).total();
            // The greatest is taken out of both terms, which would cancel otherwise.
            *loss = sum.ln() + (greatest - row[label as usize]);
        }
    }
}

struct CrossEntropyGradient<'a> {
    classes: usize,
    logits: &'a [f32],
    labels: &'a [u32],
    d_loss: &'a [f32],
    d_logits: &'a mut [f32],
}

impl Kernel for CrossEntropyGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let classes = self.classes.max(1);
        let rows = self.logits.chunks_exact(classes).zip(self.d_logits.chunks_exact_mut(classes));
        for (((row, d_row), &label), &d_loss) in rows.zip(self.labels).zip(self.d_loss) {
            let (_, sum) = exponentials(lane, row, d_row);
            scale(lane, d_loss / sum, d_row);
            d_row[label as usize] -= d_loss;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use crate::{Rng, reference};
    use proptest::prelude::{prop_assert, proptest};

    fn numbers(len: usize, seed: u64, width: f32) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| (rng.next_u32() as f32 / u32::MAX as f32 - 0.5) * width).collect()
    }

    /// Largest distance between two slices of one length.
    fn distance(a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() }).fold(0.0, |worst, d| match d.is_nan() {
            true => f32::INFINITY,
            false => d.max(worst),
        })
    }

    /// Forward and backward against the twins on every instruction set; slices are longer than needed.
    fn compare(shape: &Softmax, n: usize, seed: u64, width: f32) {
        let (rows, classes) = (n * shape.rows, shape.classes);
        let len = rows * classes;
        let (x, d_y, d_loss) = (numbers(len, seed, width), numbers(len, seed + 1, 4.0), numbers(rows, seed + 2, 4.0));
        let mut rng = Rng::new(seed);
        let labels: Vec<u32> = (0..rows).map(|_| rng.below(classes) as u32).collect();
        let blank = || vec![5.0; len + 3];

        let (mut y, mut d_x, mut d_logits) = (blank(), blank(), blank());
        let (mut loss, mut hits) = (vec![5.0; rows + 3], vec![5.0; rows + 3]);
        reference::softmax(shape, n, &x, &mut y);
        reference::softmax_gradient(shape, n, &y, &d_y, &mut d_x);
        reference::cross_entropy(shape, n, &x, &labels, &mut loss);
        reference::cross_entropy_gradient(shape, n, &x, &labels, &d_loss, &mut d_logits);
        reference::accuracy(shape, n, &x, &labels, &mut hits);

        // Rounding of the largest summand, and of a sum of `classes` terms of which at most one is near 1.
        let bound = 1e-6 * (4.0 + (classes as f32).sqrt());
        for &isa in available() {
            let (mut found, mut found_loss) = (blank(), vec![5.0; rows + 3]);
            dispatch(isa, Forward { classes, x: &x, y: &mut found[..len] });
            assert!(distance(&found, &y) < bound, "{found:?}\n{y:?}");
            dispatch(isa, Gradient { classes, y: &y[..len], d_y: &d_y, d_x: &mut found[..len] });
            assert!(distance(&found, &d_x) < 2.0 * bound, "{found:?}\n{d_x:?}");
            dispatch(isa, CrossEntropy { classes, logits: &x, labels: &labels, loss: &mut found_loss[..rows] });
            assert!(distance(&found_loss, &loss) < bound * width.max(1.0), "{found_loss:?}\n{loss:?}");
            let pass = CrossEntropyGradient {
                classes,
                logits: &x,
                labels: &labels,
                d_loss: &d_loss,
                d_logits: &mut found[..len],
            };
            dispatch(isa, pass);
            assert!(distance(&found, &d_logits) < 2.0 * bound, "{found:?}\n{d_logits:?}");
        }
        let mut found = vec![5.0; rows + 3];
        accuracy(shape, n, &x, &labels, &mut found);
        assert_eq!(found, hits);
        let (mut places, mut found) = (vec![5.0; rows + 3], vec![5.0; rows + 3]);
        reference::argmax(shape, n, &x, &mut places);
        argmax(shape, n, &x, &mut found);
        assert_eq!(found, places);
        let mut logarithms = blank();
        reference::log_softmax(shape, n, &x, &mut logarithms);
        for &isa in available() {
            let mut found = blank();
            dispatch(isa, Logarithms { classes, x: &x, y: &mut found[..len] });
            assert!(distance(&found, &logarithms) < bound * width.max(1.0), "{found:?}\n{logarithms:?}");
        }
    }

    #[test]
    fn every_length_agrees_with_the_twins() {
        for classes in (1..70).chain([96, 127, 128, 1000]) {
            compare(&Softmax { rows: 2, classes }, 3, classes as u64, 10.0);
        }
    }

    proptest! {
        #[test]
        fn random_shapes_agree_with_the_twins(
            rows in 1..4_usize, classes in 1..40_usize, n in 0..4_usize, seed in 0..1_000_000_u64, width in 0.0..200.0_f32,
        ) {
            compare(&Softmax { rows, classes }, n, seed, width);
        }

        #[test]
        fn probabilities_sum_to_one(classes in 1..100_usize, seed: u64, shift in -1e4..1e4_f32) {
            let x: Vec<f32> = numbers(classes, seed, 20.0).iter().map(|x| x + shift).collect();
            let mut y = vec![0.0; classes];
            softmax(&Softmax { rows: 1, classes }, 1, &x, &mut y);
            prop_assert!(y.iter().all(|y| (0.0..=1.0).contains(y)));
            prop_assert!((y.iter().map(|&y| f64::from(y)).sum::<f64>() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let shape = Softmax { rows: 1, classes: 3 };
        let mut y = [0.0; 3];
        softmax(&shape, 1, &[3e38, -3e38, 3e38], &mut y);
        assert_eq!(y, [0.5, 0.0, 0.5]);
        softmax(&shape, 1, &[f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY], &mut y);
        assert_eq!(y, [0.0, 1.0, 0.0]);
        softmax(&shape, 1, &[0.0, f32::NAN, 1.0], &mut y);
        assert!(y.iter().all(|y| y.is_nan()));
        let mut loss = [0.0];
        cross_entropy(&shape, 1, &[1000.0, 0.0, -1000.0], &[2], &mut loss);
        assert_eq!(loss, [2000.0]);
        cross_entropy(&shape, 1, &[1000.0, 0.0, -1000.0], &[0], &mut loss);
        assert_eq!(loss, [0.0]);
    }

    /// ln 10 for ten equal logits; 1 / 10 − target in the gradient.
    #[test]
    fn equal_logits_have_known_losses() {
        let shape = Softmax { rows: 1, classes: 10 };
        let (mut loss, mut d_logits) = ([0.0], [0.0; 10]);
        cross_entropy(&shape, 1, &[0.7; 10], &[4], &mut loss);
        assert!((f64::from(loss[0]) - 10_f64.ln()).abs() < 1e-6);
        cross_entropy_gradient(&shape, 1, &[0.7; 10], &[4], &[2.0], &mut d_logits);
        for (class, d) in d_logits.into_iter().enumerate() {
            let expected = if class == 4 { -1.8 } else { 0.2 };
            assert!((d - expected).abs() < 1e-6, "{d_logits:?}");
        }
    }

    #[test]
    fn the_first_greatest_counts() {
        let shape = Softmax { rows: 1, classes: 3 };
        let hit = |logits: [f32; 3], label| {
            let mut y = [9.0];
            accuracy(&shape, 1, &logits, &[label], &mut y);
            y[0]
        };
        assert_eq!(hit([1.0, 2.0, 2.0], 1), 1.0);
        assert_eq!(hit([1.0, 2.0, 2.0], 2), 0.0);
        assert_eq!(hit([1.0, f32::NAN, 2.0], 1), 1.0);
        assert_eq!(hit([f32::NEG_INFINITY; 3], 0), 1.0);
    }

    #[test]
    #[should_panic]
    fn a_label_past_the_classes_is_refused() {
        cross_entropy(&Softmax { rows: 1, classes: 3 }, 1, &[0.0; 6], &[3], &mut [0.0]);
    }
}
