//! Sums of squared deviations: how far numbers lie from their mean.
//!
//! What comes in parts is put together by the formula of Chan, Golub and LeVeque ("Updating Formulae and a Pairwise
//! Algorithm for Computing Sample Variances", 1979), so that every number is read once from memory and large means cost
//! no digits. So convolutions find both moments of their results while the cache holds these ([`Moments`]).

use super::chunk::{filled, load, store};
use super::form::Form;
use super::reduce::{ABREAST, Sum, together, total};
use crate::simd::{Isa, Kernel, Lane, dispatch, isa};

/// Numbers of a lane at a time: the first-level cache holds them when their deviations are summed.
const PART: usize = 32;

/// Lanes that lie side by side.
const LANES: usize = Form::Lanes.lanes();

/// `y[o, i] = Σ_r (x[o, r, i] − mean_r x[o, r, i])²` in each example; 0 if there is nothing.
///
/// # Panics
/// If a slice is shorter than `n` examples.
pub fn deviations(shape: &Sum, n: usize, x: &[f32], y: &mut [f32]) {
    deviations_on(isa(), shape, n, x, y);
}

/// [`deviations`] on a given instruction set.
pub(super) fn deviations_on(isa: Isa, shape: &Sum, n: usize, x: &[f32], y: &mut [f32]) {
    let blocks = n * shape.outer;
    let y = &mut y[..blocks * shape.inner];
    let x = &x[..blocks * shape.reduced * shape.inner];
    if x.is_empty() {
        return y.fill(0.0);
    }
    dispatch(isa, Deviations { shape, x, y });
}

struct Deviations<'a> {
    shape: &'a Sum,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Deviations<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Sum { reduced, inner, .. } = *self.shape;
        for (x, y) in self.x.chunks_exact(reduced * inner).zip(self.y.chunks_exact_mut(inner)) {
            if inner == 1 {
                y[0] = of_row(lane, x);
                continue;
            }
            for (strip, y) in y.chunks_mut(V::LANES).enumerate() {
                let at = |row: usize| load(lane, &x[row * inner + strip * V::LANES..][..y.len()]);
                let [_, deviations] = in_parts(lane, [lane.splat(0.0); 2], 0, reduced, at);
                store(deviations, y);
            }
        }
    }
}

/// The sum of squared deviations of neighbouring floats, of which there are some.
#[inline(always)]
fn of_row<V: Lane>(lane: V, x: &[f32]) -> f32 {
    let mean = lane.splat(total(lane, x) / x.len() as f32);
    let mut sums = [lane.splat(0.0); ABREAST];
    for strips in x.chunks(ABREAST * V::LANES) {
        for (sum, strip) in sums.iter_mut().zip(strips.chunks(V::LANES)) {
            let deviation = (load(lane, strip) - mean) * filled(lane, strip.len());
            *sum = deviation.mul_add(deviation, *sum);
        }
    }
    together(sums).total()
}

/// The sum of some rows of columns, and that of the squared deviations from their mean.
#[inline(always)]
fn moments<V: Lane>(lane: V, [rows, columns]: [usize; 2], at: impl Fn(usize, usize) -> V) -> [V; 2] {
    let mut sums = [lane.splat(0.0); ABREAST];
    for row in 0..rows {
        for column in (0..columns).step_by(ABREAST) {
            for (i, sum) in sums.iter_mut().enumerate().take(columns - column) {
                *sum = *sum + at(row, column + i);
            }
        }
    }
    let sum = together(sums);
    let mean = sum * lane.splat(1.0 / (rows * columns) as f32);
    let mut sums = [lane.splat(0.0); ABREAST];
    for row in 0..rows {
        for column in (0..columns).step_by(ABREAST) {
            for (i, sum) in sums.iter_mut().enumerate().take(columns - column) {
                let deviation = at(row, column + i) - mean;
                *sum = deviation.mul_add(deviation, *sum);
            }
        }
    }
    [sum, together(sums)]
}

/// How the moments of so many numbers and of some more become one.
#[derive(Clone, Copy)]
pub(super) struct Joint {
    /// One divided by each count; 0 if there are none.
    shares: [f32; 2],
    /// What the squared distance of both means counts.
    between: f32,
}

impl Joint {
    #[inline(always)]
    pub(super) fn new(before: usize, added: usize) -> Self {
        let counts = [before, added].map(|count| count as f32);
        let share = |count: f32| if count > 0.0 { 1.0 / count } else { 0.0 };
        Joint { shares: counts.map(share), between: counts[0] * counts[1] / (counts[0] + counts[1]).max(1.0) }
    }

    /// The sums, and the sums of squared deviations, of both.
    #[inline(always)]
    fn of<V: Lane>(&self, so_far: [V; 2], added: [V; 2]) -> [V; 2] {
        let lane = added[0];
        let distance = added[0] * lane.splat(self.shares[1]) - so_far[0] * lane.splat(self.shares[0]);
        let between = distance * distance * lane.splat(self.between);
        [so_far[0] + added[0], so_far[1] + added[1] + between]
    }
}

/// The moments of `before` numbers and of `count` more.
#[inline(always)]
fn in_parts<V: Lane>(lane: V, mut so_far: [V; 2], before: usize, count: usize, at: impl Fn(usize) -> V) -> [V; 2] {
    for first in (0..count).step_by(PART) {
        let some = PART.min(count - first);
        let of_part = moments(lane, [1, some], |_, i| at(first + i));
        so_far = Joint::new(before + first, some).of(so_far, of_part);
    }
    so_far
}

/// Where sums go and the sums of squared deviations, one float of each for every plane and lane; null if nowhere.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    sums: *mut f32,
    deviations: *mut f32,
}

impl Moments {
    /// Nowhere.
    pub(super) const NONE: Self = Moments { sums: std::ptr::null_mut(), deviations: std::ptr::null_mut() };

    /// The moments of so many planes of sixteen lanes.
    ///
    /// # Panics
    /// If there is no room for them.
    pub(super) fn of_planes(planes: usize, [sums, deviations]: &mut [&mut [f32]; 2]) -> Self {
        let floats = planes * LANES;
        Moments { sums: sums[..floats].as_mut_ptr(), deviations: deviations[..floats].as_mut_ptr() }
    }

    /// Whether they go nowhere.
    #[inline(always)]
    pub(super) fn are_none(&self) -> bool {
        self.sums.is_null()
    }

    /// What is there of the lanes from number `at` on, if anything came before.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    #[inline(always)]
    unsafe fn load<V: Lane>(&self, lane: V, at: usize, is_first: bool) -> [V; 2] {
        if is_first {
            return [lane.splat(0.0); 2];
        }
        // SAFETY: the caller's promise.
        unsafe { [self.sums, self.deviations].map(|from| lane.load(from.add(at))) }
    }

    /// Takes in `count` results of the lanes from number `at` on, sixteen floats apart, after `before` others.
    ///
    /// # Safety
    /// The results must be readable, there must be as many planes and lanes as `at` and LANES say, and the slices that these
    /// were made of must not be used yet.
    #[inline(always)]
    pub(super) unsafe fn add<V: Lane>(&self, lane: V, at: usize, before: usize, y: *const f32, count: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let so_far = self.load(lane, at, before == 0);
            let [sum, deviations] = in_parts(lane, so_far, before, count, |i| lane.load(y.add(i * LANES)));
            sum.store(self.sums.add(at));
            deviations.store(self.deviations.add(at));
        }
    }

    /// The same of a tile: rows of columns, rows `pitch` floats apart, after others or not as `joint` says.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    #[inline(always)]
    pub(super) unsafe fn add_tile<V: Lane>(
        &self,
        lane: V,
        at: usize,
        joint: Joint,
        y: *const f32,
        counts: [usize; 2],
        pitch: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let of_tile = moments(lane, counts, |row, column| lane.load(y.add(row * pitch + column * LANES)));
            let [sum, deviations] = joint.of(self.load(lane, at, joint.shares[0] == 0.0), of_tile);
            sum.store(self.sums.add(at));
            deviations.store(self.deviations.add(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use crate::{Rng, reference};
    use proptest::prelude::*;

    /// Numbers around a mean that is far from 0, as the sums of a layer are.
    fn numbers(len: usize, mean: f32, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| mean + rng.next_u32() as f32 / u32::MAX as f32 - 0.5).collect()
    }

    fn compare(shape: &Sum, n: usize, mean: f32, seed: u64) {
        let x = numbers(n * shape.outer * shape.reduced * shape.inner, mean, seed);
        let len = n * shape.outer * shape.inner;
        let mut expected = vec![5.0; len + 2];
        reference::deviations(shape, n, &x, &mut expected);
        for &isa in available() {
            let mut y = vec![5.0; len + 2];
            deviations_on(isa, shape, n, &x, &mut y);
            for (found, expected) in y.iter().zip(&expected) {
                // The mean of a part, whose sum was rounded a dozen times, moves each deviation by as much, at most.
                let moved = 6.0 * mean.abs() * f32::EPSILON;
                let bound = 1e-6 * expected + shape.reduced as f32 * moved * (1.0 + moved) + 1e-7;
                assert!((found - expected).abs() <= bound, "{isa:?} {shape:?} around {mean}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn every_length_agrees_with_the_twin() {
        for len in (0..100).chain([1000]) {
            compare(&Sum { outer: 2, reduced: len, inner: 1 }, 2, 3.0, len as u64);
            compare(&Sum { outer: 1, reduced: 3, inner: len }, 2, 3.0, len as u64);
            compare(&Sum { outer: 2, reduced: len, inner: 16 }, 1, 3.0, len as u64);
        }
    }

    proptest! {
        #[test]
        fn deviations_agree_with_the_twin(
            outer in 0..4_usize, reduced in 0..90_usize, inner in 0..50_usize, n in 0..3_usize,
            mean in prop::sample::select(vec![0.0_f32, -1.0, 100.0, 5000.0]), seed: u64,
        ) {
            compare(&Sum { outer, reduced, inner }, n, mean, seed);
        }

        #[test]
        fn parts_of_planes_make_the_whole(
            parts in prop::collection::vec((1..5_usize, 1..60_usize), 1..9), mean in -20.0..20.0_f32, seed: u64,
        ) {
            let lanes = Form::Lanes.lanes();
            let counts: Vec<usize> = parts.iter().map(|(rows, columns)| rows * columns).collect();
            let x = numbers(counts.iter().sum::<usize>() * lanes, mean, seed);
            let shape = Sum { outer: 1, reduced: x.len() / lanes, inner: lanes };
            let (mut sums, mut expected) = (vec![0.0; lanes], vec![0.0; lanes]);
            reference::sum(&shape, 1, &x, &mut sums);
            reference::deviations(&shape, 1, &x, &mut expected);
            for &isa in available() {
                let mut found = [vec![f32::NAN; 2 * lanes], vec![f32::NAN; 2 * lanes]];
                dispatch(isa, Parts { parts: &parts, x: &x, found: &mut found });
                for lane in 0..lanes {
                    let [sum, deviations] = [&found[0], &found[1]].map(|found| found[lanes + lane]);
                    prop_assert!((sum - sums[lane]).abs() <= 1e-5 * (1.0 + sums[lane].abs()));
                    prop_assert!((deviations - expected[lane]).abs() <= 1e-5 * (1.0 + expected[lane]));
                }
                prop_assert!(found.iter().all(|found| found[..lanes].iter().all(|other| other.is_nan())));
            }
        }
    }

    /// The moments of plane 1, which comes in parts.
    struct Parts<'a> {
        parts: &'a [(usize, usize)],
        x: &'a [f32],
        found: &'a mut [Vec<f32>; 2],
    }

    impl Kernel for Parts<'_> {
        type Output = ();
        fn run<V: Lane>(self, lane: V) {
            let lanes = Form::Lanes.lanes();
            let [sums, deviations] = self.found;
            let moments = Moments::of_planes(2, &mut [sums, deviations]);
            for first in (0..lanes).step_by(V::LANES) {
                let mut before = 0;
                for (number, &(rows, columns)) in self.parts.iter().enumerate() {
                    let count = rows * columns;
                    let x = self.x[before * lanes..][..count * lanes][first..].as_ptr();
                    let (at, joint) = (lanes + first, Joint::new(before, count));
                    // SAFETY: the part has rows of columns of sixteen lanes, and there are two planes.
                    unsafe {
                        if number % 2 == 0 {
                            moments.add(lane, at, before, x, count);
                        } else {
                            moments.add_tile(lane, at, joint, x, [rows, columns], columns * lanes);
                        }
                    }
                    before += count;
                }
            }
        }
    }
}
