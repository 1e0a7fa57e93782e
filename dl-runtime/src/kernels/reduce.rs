//! Sums: over an axis of each example, over the batch, and the weighted mean of a loss or metric.
//!
//! Sums over the batch run over the examples of each shard and then over the shards in order; they are split
//! over elements, never over examples, so the bits do not depend on the number of threads.

use super::chunk::{filled, load, store};
use super::form::Form;
use crate::ExampleWeights;
use crate::segments::Segments;
use crate::simd::{Isa, Kernel, Lane, dispatch, isa};
use crate::team::Team;

/// The shape of a sum: an example of `x` is `[outer, reduced, inner]`, of `y` `[outer, inner]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Product of the dimensions before the reduced ones.
    pub outer: usize,
    /// Product of the reduced dimensions.
    pub reduced: usize,
    /// Product of the dimensions after them.
    pub inner: usize,
}

impl Sum {
    /// The same for examples that lie as a form says, all side by side as one.
    pub const fn in_form(self, form: Form) -> Self {
        Sum { inner: self.inner * form.lanes(), ..self }
    }

    /// The same over the steps of the sequences of `rows` examples that lie step by step, all rows of a step as one.
    pub const fn in_steps(self, rows: usize) -> Self {
        Sum { inner: self.inner * rows, ..self }
    }
}

/// `y[o, i] = Σ_r x[o, r, i]` in each example.
///
/// # Panics
/// If a slice is shorter than `n` examples.
pub fn sum(shape: &Sum, n: usize, x: &[f32], y: &mut [f32]) {
    sum_on(isa(), shape, n, x, y);
}

/// [`sum`] on a given instruction set.
pub(super) fn sum_on(isa: Isa, shape: &Sum, n: usize, x: &[f32], y: &mut [f32]) {
    let blocks = n * shape.outer;
    let y = &mut y[..blocks * shape.inner];
    let x = &x[..blocks * shape.reduced * shape.inner];
    if x.is_empty() {
        return y.fill(0.0);
    }
    dispatch(isa, Rows { shape, x, y });
}

/// `y[o, i] = max_r x[o, r, i]` in each example; NaN if there is one among them, −∞ if there is nothing.
///
/// # Panics
/// If a slice is shorter than `n` examples.
pub fn max_reduce(shape: &Sum, n: usize, x: &[f32], y: &mut [f32]) {
    let blocks = n * shape.outer;
    let y = &mut y[..blocks * shape.inner];
    let x = &x[..blocks * shape.reduced * shape.inner];
    if x.is_empty() {
        return y.fill(f32::NEG_INFINITY);
    }
    dispatch(isa(), Greatest { shape, x, y });
}

/// `y[i] = Σ_e x[e, i]` over `n` examples of `len` floats, such as the gradient of a bias.
///
/// # Panics
/// If `x` is not made of examples of `len` floats or has fewer than `n`, or `y` is shorter than `len`.
pub fn sum_batch(len: usize, n: usize, x: Segments<'_>, y: &mut [f32], team: &Team) {
    assert_eq!(x.example_len(), len, "floats of an example");
    let y = &mut y[..len];
    let body = |start: usize, part: &mut [f32]| dispatch(isa(), Batch { start, n, x, y: part });
    if len * n < WORTH_A_FORK {
        body(0, y);
    } else {
        team.split(y, SPLIT, body);
    }
}

/// The mean of one value per example, weighted: `Σ w·v / total`, in double precision.
///
/// # Panics
/// If there are fewer than `n` values or weights.
pub fn mean(n: usize, values: Segments<'_>, weights: ExampleWeights<'_>) -> f32 {
    let ExampleWeights { each, total } = weights;
    let weights = each.map(|weights| &weights[..n]);
    let mut sum = 0.0;
    for example in 0..n {
        let weight = weights.map_or(1.0, |weights| f64::from(weights[example]));
        sum += weight * f64::from(values.example(example)[0]);
    }
    (sum / f64::from(total)) as f32
}

/// `y[e] = w[first + e] / total` for the `rows` examples of a shard: what each example's loss counts in the mean.
/// Without weights every example counts 1.
///
/// # Panics
/// If there are fewer weights than `first + rows`, or `y` is shorter than `rows`.
pub fn example_weights(first: usize, rows: usize, weights: ExampleWeights<'_>, y: &mut [f32]) {
    let ExampleWeights { each, total } = weights;
    let y = &mut y[..rows];
    match each {
        None => y.fill(1.0 / total),
        Some(weights) => {
            for (y, weight) in y.iter_mut().zip(&weights[first..first + rows]) {
                *y = weight / total;
            }
        }
    }
}

/// `y[0] = 1 / n`: what one of `n` examples counts in a mean over the batch.
///
/// # Panics
/// If `y` is empty.
pub fn batch_share(n: usize, y: &mut [f32]) {
    y[0] = 1.0 / n as f32;
}

/// Floats below which a fork and join costs more than it saves.
const WORTH_A_FORK: usize = 1 << 15;

/// Floats that stay together when a batch sum is split: one cache line.
const SPLIT: usize = 16;

/// Rows that are summed before their sum is added to that of the others: long chains lose more to rounding.
const BLOCK: usize = 8;

/// Lanes summed side by side, so that an addition need not wait for the one before.
pub(super) const ABREAST: usize = 4;

/// Vectors of a row that are summed at a time, if it has so many.
const WIDTH: usize = 2 * ABREAST;

struct Rows<'a> {
    shape: &'a Sum,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Sum { reduced, inner, .. } = *self.shape;
        for (x, y) in self.x.chunks_exact(reduced * inner).zip(self.y.chunks_exact_mut(inner)) {
            if inner == 1 {
                y[0] = total(lane, x);
            } else if inner < WIDTH * V::LANES {
                narrow(lane, x, inner, y);
            } else {
                for (block, x) in x.chunks(BLOCK * inner).enumerate() {
                    columns(lane, x.chunks_exact(inner), 0, block > 0, y);
                }
            }
        }
    }
}

struct Greatest<'a> {
    shape: &'a Sum,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Greatest<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Sum { reduced, inner, .. } = *self.shape;
        let low = lane.splat(f32::NEG_INFINITY);
        for (x, y) in self.x.chunks_exact(reduced * inner).zip(self.y.chunks_exact_mut(inner)) {
            if inner == 1 {
                let chunks = x.chunks(V::LANES).map(|x| filled(lane, x.len()).select(load(lane, x), low));
                let greatest = chunks.fold(low, |greatest, x| greatest.max(x));
                y[0] = if greatest.not_equal(greatest).any() { f32::NAN } else { greatest.greatest() };
                continue;
            }
            for (strip, y) in y.chunks_mut(V::LANES).enumerate() {
                let rows = x.chunks_exact(inner).map(|row| load(lane, &row[strip * V::LANES..][..y.len()]));
                store(rows.fold(low, |greatest, x| greatest.max(x)), y);
            }
        }
    }
}

/// What is summed side by side, as one.
#[inline(always)]
pub(super) fn together<V: Lane>(sums: [V; ABREAST]) -> V {
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}

/// The sum of a row.
#[inline(always)]
pub(super) fn total<V: Lane>(lane: V, x: &[f32]) -> f32 {
    let mut sums = [lane; ABREAST];
    let mut chunks = x.chunks_exact(ABREAST * V::LANES);
    for x in chunks.by_ref() {
        for (sum, x) in sums.iter_mut().zip(x.chunks_exact(V::LANES)) {
            *sum = *sum + load(lane, x);
        }
    }
    for (sum, x) in sums.iter_mut().zip(chunks.remainder().chunks(V::LANES)) {
        *sum = *sum + load(lane, x);
    }
    together(sums).total()
}

/// Sums rows of a few floats element by element, some blocks at a time, so that an addition need not wait for the one before.
#[inline(always)]
fn narrow<V: Lane>(lane: V, x: &[f32], inner: usize, y: &mut [f32]) {
    for (strip, y) in y.chunks_mut(V::LANES).enumerate() {
        let mut total = lane;
        for blocks in x.chunks(ABREAST * BLOCK * inner) {
            let mut sums = [lane; ABREAST];
            for row in 0..BLOCK {
                for (sum, block) in sums.iter_mut().zip(blocks.chunks(BLOCK * inner)) {
                    if let Some(row) = block.get(row * inner..(row + 1) * inner) {
                        *sum = *sum + load(lane, &row[strip * V::LANES..][..y.len()]);
                    }
                }
            }
            for sum in sums.into_iter().take(blocks.len().div_ceil(BLOCK * inner)) {
                total = total + sum;
            }
        }
        store(total, y);
    }
}

/// Sums rows element by element, from element `start` on, as many as `y` has; adds them to y or writes them there.
#[inline(always)]
fn columns<'x, V: Lane>(
    lane: V,
    rows: impl Iterator<Item = &'x [f32]> + Clone,
    start: usize,
    accumulate: bool,
    y: &mut [f32],
) {
    let mut at = 0;
    while at + WIDTH * V::LANES <= y.len() {
        let mut sums = [lane; WIDTH];
        for row in rows.clone() {
            let row = &row[start + at..][..WIDTH * V::LANES];
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the slice holds WIDTH lanes.
                *sum = *sum + unsafe { lane.load(row.as_ptr().add(i * V::LANES)) };
            }
        }
        for (sum, y) in sums.into_iter().zip(y[at..].chunks_exact_mut(V::LANES)) {
            store(if accumulate { load(lane, y) + sum } else { sum }, y);
        }
        at += WIDTH * V::LANES;
    }
    for (strip, y) in y[at..].chunks_mut(V::LANES).enumerate() {
        let start = start + at + strip * V::LANES;
        let mut sum = lane;
        for row in rows.clone() {
            sum = sum + load(lane, &row[start..start + y.len()]);
        }
        store(if accumulate { load(lane, y) + sum } else { sum }, y);
    }
}

struct Batch<'a> {
    start: usize,
    n: usize,
    x: Segments<'a>,
    y: &'a mut [f32],
}

impl Kernel for Batch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { start, n, x, y } = self;
        y.fill(0.0);
        if y.is_empty() {
            return;
        }
        let most = x.shard_rows();
        for shard in 0..n.div_ceil(most) {
            let rows = most.min(n - shard * most);
            let rows = x.shard(shard, rows).chunks_exact(x.example_len());
            columns(lane, rows, start, true, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use crate::{Rng, SHARD, Shards, reference};
    use proptest::prelude::{prop_assert, proptest};

    fn numbers(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.next_u32() as f32 / u32::MAX as f32 - 0.5).collect()
    }

    /// Sums of `terms` numbers of at most ½ differ by their rounding.
    fn close(a: &[f32], b: &[f32], terms: usize) -> bool {
        let bound = 1e-7 * (1.0 + terms as f32);
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= bound)
    }

    fn compare(shape: &Sum, n: usize, seed: u64) {
        let x = numbers(n * shape.outer * shape.reduced * shape.inner, seed);
        let len = n * shape.outer * shape.inner;
        let (mut y, mut expected) = (vec![5.0; len + 2], vec![5.0; len + 2]);
        reference::sum(shape, n, &x, &mut expected);
        sum(shape, n, &x, &mut y);
        assert!(close(&y, &expected, shape.reduced), "{shape:?}: {y:?} {expected:?}");
        for &isa in available().iter().filter(|_| !x.is_empty()) {
            dispatch(isa, Rows { shape, x: &x, y: &mut y[..len] });
            assert!(close(&y, &expected, shape.reduced), "{shape:?}: {y:?} {expected:?}");
        }
    }

    fn compare_greatest(shape: &Sum, n: usize, seed: u64) {
        let mut x = numbers(n * shape.outer * shape.reduced * shape.inner, seed);
        let len = n * shape.outer * shape.inner;
        let (mut y, mut expected) = (vec![5.0; len + 2], vec![5.0; len + 2]);
        // Below 0, so that nothing outside of a row can win.
        x.iter_mut().for_each(|x| *x -= 1.0);
        if let Some(place) = (seed as usize).checked_rem(2 * x.len()).filter(|place| *place < x.len()) {
            x[place] = f32::NAN;
        }
        reference::max_reduce(shape, n, &x, &mut expected);
        max_reduce(shape, n, &x, &mut y);
        let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
        assert!(same(&y, &expected), "{shape:?}: {y:?} {expected:?}");
        for &isa in available().iter().filter(|_| !x.is_empty()) {
            dispatch(isa, Greatest { shape, x: &x, y: &mut y[..len] });
            assert!(same(&y, &expected), "{shape:?}: {y:?} {expected:?}");
        }
    }

    #[test]
    fn every_length_agrees_with_the_twin() {
        for len in (0..100).chain([1000]) {
            compare_greatest(&Sum { outer: 2, reduced: len, inner: 1 }, 2, len as u64);
            compare_greatest(&Sum { outer: 1, reduced: 3, inner: len }, 2, len as u64);
            compare(&Sum { outer: 2, reduced: len, inner: 1 }, 2, len as u64);
            compare(&Sum { outer: 1, reduced: 3, inner: len }, 2, len as u64);
        }
    }

    proptest! {
        #[test]
        fn sums_agree_with_the_twin(
            outer in 0..4_usize, reduced in 0..30_usize, inner in 0..50_usize, n in 0..3_usize, seed: u64,
        ) {
            compare(&Sum { outer, reduced, inner }, n, seed);
            compare_greatest(&Sum { outer, reduced, inner }, n, seed);
        }

        #[test]
        fn batch_sums_agree_with_the_twin_for_any_threads(
            len in 0..200_usize, n in 0..70_usize, examples in 1..17_usize, gap in 0..9_usize, seed: u64,
        ) {
            let shards = Shards { examples, floats: examples * len + 2 * gap };
            let arena = numbers(shards.room(n), seed);
            let x = Segments::of_shards(&arena, shards, gap, len);
            let (mut y, mut expected) = (vec![5.0; len + 2], vec![5.0; len + 2]);
            reference::sum_batch(len, n, x, &mut expected, &Team::serial());
            sum_batch(len, n, x, &mut y, &Team::serial());
            prop_assert!(close(&y, &expected, n), "{y:?} {expected:?}");
            for &isa in available() {
                let mut whole = vec![0.0; len];
                dispatch(isa, Batch { start: 0, n, x, y: &mut whole });
                prop_assert!(close(&whole, &expected[..len], n));
                let (start, mut part) = (len / 3, vec![0.0; len / 2]);
                dispatch(isa, Batch { start, n, x, y: &mut part });
                prop_assert!(part == whole[start..start + len / 2], "a part has other bits than the whole");
            }
        }

        #[test]
        fn means_agree_with_the_twin(n in 1..70_usize, seed: u64, weighted: bool) {
            let values = numbers(n, seed);
            let weights: Vec<f32> = numbers(n, seed ^ 1).iter().map(|w| w + 0.5).collect();
            let weights = weighted.then_some(&weights[..]);
            let weights = crate::check_weights(weights, n).unwrap_or(ExampleWeights::equal(1));
            let x = Segments::of_examples(&values, 1);
            let (found, expected) = (mean(n, x, weights), reference::mean(n, x, weights));
            prop_assert!((found - expected).abs() < 1e-6);
            // The weights of the examples are what the mean multiplies with.
            let mut by_shards = 0.0;
            for first in (0..n).step_by(SHARD) {
                let rows = SHARD.min(n - first);
                let (mut y, mut twin) = (vec![5.0; rows + 1], vec![5.0; rows + 1]);
                example_weights(first, rows, weights, &mut y);
                reference::example_weights(first, rows, weights, &mut twin);
                prop_assert!(close(&y, &twin, 1));
                by_shards += y.iter().zip(&values[first..first + rows]).map(|(w, v)| w * v).sum::<f32>();
            }
            prop_assert!((found - by_shards).abs() < 1e-5);
        }
    }

    #[test]
    fn batch_sums_are_the_same_bits_for_any_threads() {
        let (len, n) = (1000, 100);
        let x = numbers(len * n, 3);
        let x = Segments::of_examples(&x, len);
        let run = |threads| {
            let mut y = vec![0.0; len];
            sum_batch(len, n, x, &mut y, &Team::new(threads));
            y
        };
        assert!(len * n >= WORTH_A_FORK);
        for threads in [2, 3, 8] {
            assert!(run(threads) == run(1), "{threads} threads");
        }
    }

    #[test]
    fn a_mean_can_be_weighted() {
        let x = Segments::of_examples(&[1.0, 2.0, 6.0], 1);
        assert_eq!(mean(3, x, ExampleWeights::equal(3)), 3.0);
        let weights = ExampleWeights { each: Some(&[1.0, 0.0, 3.0]), total: 4.0 };
        assert_eq!(mean(3, x, weights), 4.75);
    }

    #[test]
    fn shares_of_a_batch_agree_with_the_twin() {
        for n in 1..100 {
            let (mut y, mut expected) = ([0.0; 2], [0.0; 2]);
            batch_share(n, &mut y);
            reference::batch_share(n, &mut expected);
            assert_eq!(y, expected);
        }
    }
}
