//! Convolutions whose groups have one channel, *depthwise* ones (Howard et al., "MobileNets", 2017), and their gradients.
//!
//! With one channel there is nothing to sum but taps, and a product would load a vector for every multiply-add. So
//! some neighbouring results are computed at once, and every vector of pixels is loaded once for all of them that meet
//! it, at up to three taps in a row:
//!
//! ```text
//! pixels    p0 p1 p2 p3 p4 p5
//! results   r0 r1 r2 r3         r1 += w0 · p1 + w1 · p2 + w2 · p3
//! ```
//!
//! The axis along which results are neighbours is *along* the tile, the other *across*. In lanes ([`lanes`]) a vector is
//! one pixel of sixteen examples, and tiles lie along rows; of single images it is one of sixteen channels ([`channels`]), or
//! some pixels of a row, and tiles lie along columns ([`examples`]). What lies in padding is not multiplied: taps across it are passed over, and so are single
//! pixels along.

#![expect(clippy::needless_range_loop, reason = "iterators of arrays of vectors are not always inlined")]

pub(super) mod channels;
pub(super) mod examples;
pub(super) mod lanes;
pub(super) mod last;
mod plane;

use super::axis::Axis;
use crate::simd::{Kernel, Lane, Sixteen};

/// Taps along an axis at most.
const TAPS: usize = 32;
/// Filters of a group at most; more share their pixels in products.
const FILTERS: usize = 3;
/// Taps across a tile whose sums are taken at once.
const LINES: usize = 3;

/// Results of a tile at most: with many registers for vectors, with few, and without special instructions.
const fn most<V: Lane>() -> usize {
    match V::Sixteen::HEIGHT {
        8 => 8,
        6 => 4,
        _ => 1,
    }
}

/// Whether a convolution is computed here, in either form and direction.
pub(super) fn suits(shape: &super::Convolution2d) -> bool {
    let few = shape.filters / shape.groups <= FILTERS;
    shape.channels == shape.groups && few && shape.kernel.iter().all(|taps| *taps <= TAPS)
}

/// A tap across the tiles.
#[derive(Debug, Clone, Copy, Default)]
struct Tap {
    /// Where result 0 meets the source, modulo 2⁶⁴.
    position: usize,
    /// The same in floats.
    pixels: usize,
    /// Where its weight lies, or its sum.
    weight: usize,
}

/// The taps of an axis across, `pitch` floats from one position to the next and `weights` from one tap of the kernel to
/// the next.
fn taps_across(axis: &Axis, pitch: usize, weights: usize) -> ([Tap; TAPS], usize) {
    let mut taps = [Tap::default(); TAPS];
    for (number, tap) in taps[..axis.taps].iter_mut().enumerate() {
        let position = (axis.offset as usize).wrapping_add(number * axis.dilation);
        *tap = Tap { position, pixels: position.wrapping_mul(pitch), weight: axis.tap(number) * weights };
    }
    (taps, axis.taps)
}

/// The axis along the tiles.
#[derive(Debug, Clone, Copy)]
struct Along {
    taps: usize,
    /// Positions from what one result meets to what the next one meets.
    stride: usize,
    /// Positions from one tap to the next.
    dilation: usize,
    /// Where result 0 meets the source at the first tap, modulo 2⁶⁴.
    first: usize,
    /// Positions of the source.
    len: usize,
    /// Floats from one position to the next.
    apart: usize,
    /// Where the first tap has its weight, or its sum.
    weight: usize,
    /// Floats from one tap's to the next one's.
    weights: usize,
}

impl Along {
    fn new(axis: &Axis, apart: usize, weights: usize) -> Self {
        let Axis { taps, stride, dilation, source: len, .. } = *axis;
        let first = axis.offset as usize;
        Along {
            taps,
            stride,
            dilation,
            first,
            len,
            apart,
            weight: axis.tap(0) * weights,
            weights: axis.tap_step * weights,
        }
    }

    /// Results from one to the next of a tile: with dilation and without stride, those share pixels that lie so far apart.
    fn every(&self) -> usize {
        if self.stride == 1 { self.dilation } else { 1 }
    }

    /// The axis of the results `residue`, `residue + every`, …, without dilation, and the floats to its first position.
    fn of_residue(self, residue: usize) -> (Self, usize) {
        let every = self.every();
        if every == 1 {
            return (self, 0);
        }
        let first = self.first.wrapping_add(residue) as isize;
        let rest = first.rem_euclid(every as isize) as usize;
        let along = Along {
            dilation: 1,
            first: first.div_euclid(every as isize) as usize,
            len: self.len.saturating_sub(rest).div_ceil(every),
            apart: every * self.apart,
            ..self
        };
        (along, rest * self.apart)
    }

    /// The stride if neighbouring results meet the same pixels at neighbouring taps, else 0.
    fn shared(&self) -> usize {
        if self.dilation == 1 && self.stride <= 2 { self.stride } else { 0 }
    }

    /// How many taps are taken at once, when so many are left.
    #[inline(always)]
    const fn at_once(shared: usize, left: usize) -> usize {
        match left {
            _ if shared == 0 => 1,
            0..3 => left,
            _ => 3,
        }
    }
}

/// Calls a function with the number of results of a tile, as [`most`] allows, and what [`Along::shared`] says as constants.
macro_rules! with_tile {
    ($results:expr, $shared:expr, $($call:tt)*) => {
        match $shared {
            1 => with_results!(1, $results, $($call)*),
            2 => with_results!(2, $results, $($call)*),
            _ => with_results!(0, $results, $($call)*),
        }
    };
}
macro_rules! with_results {
    ($S:literal, $results:expr, $function:ident::<$V:ident>($($argument:expr),* $(,)?)) => {
        match $results {
            results if const { most::<$V>() >= 4 } => match results {
                1 => $function::<$V, 1, $S>($($argument),*),
                2 => $function::<$V, 2, $S>($($argument),*),
                3 => $function::<$V, 3, $S>($($argument),*),
                results if const { most::<$V>() == 8 } => match results {
                    4 => $function::<$V, 4, $S>($($argument),*),
                    5 => $function::<$V, 5, $S>($($argument),*),
                    6 => $function::<$V, 6, $S>($($argument),*),
                    7 => $function::<$V, 7, $S>($($argument),*),
                    _ => $function::<$V, 8, $S>($($argument),*),
                },
                _ => $function::<$V, 4, $S>($($argument),*),
            },
            _ => $function::<$V, 1, $S>($($argument),*),
        }
    };
}
use {with_results, with_tile};

/// Calls a function with the number of each pixel that a tile may meet in a row.
macro_rules! with_pixels {
    ($macro:ident) => {
        $macro! { 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 }
    };
}

/// A line of results, along which tiles are computed.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// The pixel at position 0 of both axes.
    pixels: *const f32,
    weights: *const f32,
    /// Whether a weight is a vector, which has one for each of sixteen channels side by side.
    each: bool,
    /// Planes that are summed.
    planes: usize,
    /// Floats from the pixels, and from the weights, of a plane to those of the next.
    plane: [usize; 2],
    across: &'a [Tap],
    /// Positions of the source across.
    across_len: usize,
    along: Along,
}

/// Where the first result of a tile lies.
#[derive(Clone, Copy)]
struct Place {
    /// Its number along.
    along: usize,
    /// Positions across from result 0.
    across: usize,
    /// Floats from the pixels it meets there.
    pixels: usize,
}

impl Line<'_> {
    /// C neighbouring results, each a vector. S is what [`Along::shared`] says.
    ///
    /// # Safety
    /// At all positions of the source that the results meet, as many floats as a vector has must be readable, and the
    /// weights of all taps.
    #[inline(always)]
    unsafe fn tile<V: Lane, const C: usize, const S: usize>(&self, lane: V, place: Place) -> [V; C] {
        let mut acc = [lane.splat(0.0); C];
        let along = self.along;
        let first = along.first.wrapping_add(place.along * along.stride);
        for plane in 0..self.planes {
            let pixels = self.pixels.wrapping_add(plane * self.plane[0]).wrapping_add(place.pixels);
            let weights = self.weights.wrapping_add(plane * self.plane[1] + along.weight);
            for tap in self.across {
                if tap.position.wrapping_add(place.across) >= self.across_len {
                    continue;
                }
                let (pixels, weights) = (pixels.wrapping_add(tap.pixels), weights.wrapping_add(tap.weight));
                let mut at = 0;
                while at < along.taps {
                    let some = Along::at_once(S, along.taps - at);
                    let first = first.wrapping_add(at * along.dilation);
                    let weights = weights.wrapping_add(at * along.weights);
                    // SAFETY: the caller's promise; there are `some` more taps.
                    unsafe {
                        match some {
                            3 => self.run::<V, C, S, 3>(lane, first, pixels, weights, &mut acc),
                            2 => self.run::<V, C, S, 2>(lane, first, pixels, weights, &mut acc),
                            _ => self.single(lane, first, pixels, weights, &mut acc),
                        }
                    }
                    at += some;
                }
            }
        }
        acc
    }

    /// A weight for all lanes, or for each.
    ///
    /// # Safety
    /// As many floats must be readable.
    #[inline(always)]
    unsafe fn weight<V: Lane>(&self, lane: V, at: *const f32) -> V {
        // SAFETY: the caller's promise.
        unsafe { if self.each { lane.load(at) } else { lane.splat(*at) } }
    }

    /// One tap of all results.
    ///
    /// # Safety
    /// As [`tile`](Self::tile).
    #[inline(always)]
    unsafe fn single<V: Lane, const C: usize>(
        &self,
        lane: V,
        first: usize,
        pixels: *const f32,
        weights: *const f32,
        acc: &mut [V; C],
    ) {
        let Along { stride, len, apart, .. } = self.along;
        // SAFETY: the caller's promise; positions are checked.
        unsafe {
            let weight = self.weight(lane, weights);
            for i in 0..C {
                let position = first.wrapping_add(i * stride);
                if position < len {
                    acc[i] = lane.load(pixels.wrapping_add(position * apart)).mul_add(weight, acc[i]);
                }
            }
        }
    }

    /// K taps in a row of all results.
    ///
    /// # Safety
    /// As [`tile`](Self::tile).
    #[inline(always)]
    unsafe fn run<V: Lane, const C: usize, const S: usize, const K: usize>(
        &self,
        lane: V,
        first: usize,
        pixels: *const f32,
        weights: *const f32,
        acc: &mut [V; C],
    ) {
        let Along { len, apart, weights: step, .. } = self.along;
        let pixels = pixels.wrapping_add(first.wrapping_mul(apart));
        let mut weight = [lane; K];
        // SAFETY: the caller's promise; positions are checked.
        unsafe {
            for k in 0..K {
                weight[k] = self.weight(lane, weights.add(k * step));
            }
            macro_rules! pixels {
                ($($at:literal)*) => {$(
                    if const { S > 0 && $at < (C - 1) * S + K } && first.wrapping_add($at) < len {
                        let pixel = lane.load(pixels.wrapping_add($at * apart));
                        for k in 0..K {
                            if $at >= k && ($at - k).is_multiple_of(S) && ($at - k) / S < C {
                                let i = ($at - k) / S;
                                acc[i] = pixel.mul_add(weight[k], acc[i]);
                            }
                        }
                    }
                )*};
            }
            with_pixels!(pixels);
        }
    }
}

/// Some taps of the gradient of a kernel: sums of products of pixels by results.
struct Sums<'a> {
    /// The pixel at position 0 of both axes.
    pixels: *const f32,
    d_y: *const f32,
    /// Lines of results.
    lines: usize,
    /// Positions across from what a line meets to what the next one does, the same in floats, and floats of d_y.
    line: [usize; 3],
    /// Positions across from what result 0 meets to what the first of these lines does.
    start: usize,
    /// At most [`LINES`].
    across: &'a [Tap],
    /// Positions of the source across.
    across_len: usize,
    along: Along,
    /// Results of a line.
    results: usize,
    /// Floats of d_y from one result to the next.
    d_y_apart: usize,
    /// How many floats of the vectors of the last line are results; the others count as 0.
    last: usize,
    /// A vector for each tap, [`VECTOR`] floats from one to the next.
    sums: *mut f32,
}

/// Floats that the vector of a sum takes.
const VECTOR: usize = 16;

impl Sums<'_> {
    /// Adds to the sums.
    ///
    /// # Safety
    /// At all positions of the source that the results meet, and of all results, as many floats as a vector has must be
    /// readable, of results of the last line `last`; the sums of all taps must be writable.
    #[inline(always)]
    unsafe fn add<V: Lane>(&self, lane: V) {
        let shared = self.along.shared();
        let mut at = 0;
        while at < self.along.taps {
            let some = Along::at_once(shared, self.along.taps - at);
            // There are `some` more taps.
            match (shared, some) {
                (1, 3) => lane.apart(SumsOfTaps::<1, 3> { sums: self, at }),
                (1, 2) => lane.apart(SumsOfTaps::<1, 2> { sums: self, at }),
                (2, 3) => lane.apart(SumsOfTaps::<2, 3> { sums: self, at }),
                (2, 2) => lane.apart(SumsOfTaps::<2, 2> { sums: self, at }),
                _ => lane.apart(SumsOfTaps::<0, 1> { sums: self, at }),
            }
            at += some;
        }
    }

    /// K taps along from tap `at` on.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    #[inline(always)]
    unsafe fn of_taps<V: Lane, const S: usize, const K: usize>(&self, lane: V, at: usize) {
        // Tiles of that size which leaves the fewest results missing in the last.
        let missing = |size: usize| self.results.next_multiple_of(size) - self.results;
        // SAFETY: the caller's promise.
        unsafe {
            match const { most::<V>() } {
                8 if missing(8) <= missing(7).min(missing(4)) => self.of_tiles::<V, 8, S, K>(lane, at),
                8 if missing(7) <= missing(4) => self.of_tiles::<V, 7, S, K>(lane, at),
                8 | 4 => self.of_tiles::<V, 4, S, K>(lane, at),
                _ => self.of_tiles::<V, 1, S, K>(lane, at),
            }
        }
    }

    /// The same by tiles of C results.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    #[inline(always)]
    unsafe fn of_tiles<V: Lane, const C: usize, const S: usize, const K: usize>(&self, lane: V, at: usize) {
        let along = self.along;
        let start = along.first.wrapping_add(at * along.dilation);
        let mut acc = [[lane.splat(0.0); K]; LINES];
        for line in 0..self.lines {
            let [across, pixels, d_y] = self.line.map(|step| line * step);
            let across = self.start.wrapping_add(across);
            let count = if line + 1 == self.lines { self.last } else { V::LANES };
            let mut result = 0;
            while result < self.results {
                let d_y = self.d_y.wrapping_add(d_y + result * self.d_y_apart);
                let left = self.results - result;
                let mut results = [lane.splat(0.0); C];
                // SAFETY: the caller's promise; results that are missing are not read.
                unsafe {
                    if left >= C && count == V::LANES {
                        for i in 0..C {
                            results[i] = lane.load(d_y.add(i * self.d_y_apart));
                        }
                    } else {
                        for i in 0..C {
                            if i < left {
                                results[i] = lane.load_first(d_y.wrapping_add(i * self.d_y_apart), count);
                            }
                        }
                    }
                }
                let first = start.wrapping_add(result * along.stride);
                macro_rules! lines {
                    ($($number:literal)*) => {$(
                        if let Some(tap) = self.across.get($number)
                            && tap.position.wrapping_add(across) < self.across_len
                        {
                            let pixels = self.pixels.wrapping_add(tap.pixels).wrapping_add(pixels);
                            // SAFETY: the caller's promise.
                            unsafe { self.run::<V, C, S, K>(lane, first, pixels, &results, &mut acc[$number]) }
                        }
                    )*};
                }
                // A loop over them would keep the sums in memory.
                lines!(0 1 2);
                result += C;
            }
        }
        for (tap, acc) in self.across.iter().zip(acc) {
            for k in 0..K {
                let place = tap.weight + along.weight + (at + k) * along.weights;
                let sum = self.sums.wrapping_add(place * VECTOR);
                // SAFETY: the caller's promise.
                unsafe { (lane.load(sum) + acc[k]).store(sum) }
            }
        }
    }

    /// Adds the products of a tile of results at one tap across and K along.
    ///
    /// # Safety
    /// As [`add`](Self::add).
    #[inline(always)]
    unsafe fn run<V: Lane, const C: usize, const S: usize, const K: usize>(
        &self,
        lane: V,
        first: usize,
        pixels: *const f32,
        results: &[V; C],
        acc: &mut [V; K],
    ) {
        let Along { stride, len, apart, .. } = self.along;
        // SAFETY: the caller's promise; positions are checked.
        unsafe {
            if const { S == 0 } {
                for i in 0..C {
                    let position = first.wrapping_add(i * stride);
                    if position < len {
                        acc[0] = lane.load(pixels.wrapping_add(position * apart)).mul_add(results[i], acc[0]);
                    }
                }
                return;
            }
            let pixels = pixels.wrapping_add(first.wrapping_mul(apart));
            macro_rules! pixels {
                ($($at:literal)*) => {$(
                    if const { S > 0 && $at < (C - 1) * S + K } && first.wrapping_add($at) < len {
                        let pixel = lane.load(pixels.wrapping_add($at * apart));
                        for k in 0..K {
                            if $at >= k && ($at - k).is_multiple_of(S) && ($at - k) / S < C {
                                acc[k] = pixel.mul_add(results[($at - k) / S], acc[k]);
                            }
                        }
                    }
                )*};
            }
            with_pixels!(pixels);
        }
    }
}

/// The arguments of [`Sums::of_taps`], whose promises are kept.
struct SumsOfTaps<'a, const S: usize, const K: usize> {
    sums: &'a Sums<'a>,
    at: usize,
}

impl<const S: usize, const K: usize> Kernel for SumsOfTaps<'_, S, K> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        // SAFETY: what was promised to `Sums::add`.
        unsafe { self.sums.of_taps::<V, S, K>(lane, self.at) }
    }
}

/// Tiles of a line, all of one size.
struct Tiles {
    /// The first result.
    first: usize,
    /// Results of a tile.
    size: usize,
    /// How many tiles.
    count: usize,
}

/// The tiles of a line of results, of sizes that differ by one at most: the larger ones, then the others.
#[inline(always)]
fn tiles(most: usize, results: usize) -> [Tiles; 2] {
    let count = results.div_ceil(most).max(1);
    let (size, larger) = (results / count, results % count);
    [
        Tiles { first: 0, size: size + 1, count: larger },
        Tiles { first: larger * (size + 1), size, count: count - larger },
    ]
}
