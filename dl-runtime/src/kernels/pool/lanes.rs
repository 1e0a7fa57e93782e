//! Pooling of sixteen examples side by side: every pixel is two vectors, so windows of any kind are the same loop.

use super::{Axis, Pool2d, Window};
use crate::segments::SHARD;
use crate::simd::{Kernel, Lane};
use std::marker::PhantomData;

/// The maximum or the average of each window.
pub(super) struct Forward<'a, W> {
    pub(super) shape: &'a Pool2d,
    pub(super) x: &'a [f32],
    pub(super) y: &'a mut [f32],
    /// Floats from one plane of y to the next.
    pub(super) pitch: usize,
    pub(super) window: PhantomData<W>,
}

impl<W: Window> Kernel for Forward<'_, W> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let [x_len, _] = self.shape.lens_in_lanes();
        let (x, y) = (&self.x[..x_len], self.y);
        if self.shape.is_halving() {
            return halve::<V, W>(lane, self.shape, self.pitch, x, y);
        }
        windows(self.shape, self.pitch, |window| {
            let share = lane.splat(1.0 / window.count.max(1) as f32);
            for half in window.halves::<V>() {
                let mut joined = lane.splat(W::START);
                window.each(|at| joined = W::join(joined, load(lane, x, at + half)));
                store(if W::AVERAGES { joined * share } else { joined }, y, window.output + half);
            }
        });
    }
}

/// Windows of 2×2 at stride 2 without padding, the most frequent ones: an odd last row or column belongs to none.
#[inline(always)]
fn halve<V: Lane, W: Window>(lane: V, shape: &Pool2d, pitch: usize, x: &[f32], y: &mut [f32]) {
    let row = shape.width * SHARD;
    let half_row = shape.width / 2 * SHARD;
    let share = lane.splat(1.0 / 4.0);
    // Planes of a single row or column have no window.
    if half_row * pitch == 0 {
        return;
    }
    for (x, y) in x.chunks_exact(shape.height * row).zip(y.chunks_mut(pitch)) {
        for (x, y) in x.chunks_exact(2 * row).zip(y.chunks_exact_mut(half_row)) {
            let (upper, lower) = x.split_at(row);
            let pairs = upper.chunks_exact(PAIR).zip(lower.chunks_exact(PAIR));
            for ((upper, lower), y) in pairs.zip(y.chunks_exact_mut(SHARD)) {
                for half in (0..SHARD).step_by(V::LANES) {
                    let above = W::join(load(lane, upper, half), load(lane, upper, SHARD + half));
                    let below = W::join(load(lane, lower, half), load(lane, lower, SHARD + half));
                    let joined = W::join(above, below);
                    store(if W::AVERAGES { joined * share } else { joined }, y, half);
                }
            }
        }
    }
}

/// Two pixels of a row.
const PAIR: usize = 2 * SHARD;

/// Each window's gradient to its first maximum.
pub(super) struct MaximumGradient<'a> {
    pub(super) shape: &'a Pool2d,
    pub(super) x: &'a [f32],
    pub(super) d_y: &'a [f32],
    pub(super) d_x: &'a mut [f32],
}

impl Kernel for MaximumGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let [x_len, y_len] = self.shape.lens_in_lanes();
        let (x, d_y, d_x) = (&self.x[..x_len], &self.d_y[..y_len], &mut self.d_x[..x_len]);
        let lie = Lie::of(self.shape);
        if lie == Lie::SideBySide && self.shape.kernel == [2, 2] {
            return halve_gradient(lane, self.shape.width, x, d_y, d_x);
        }
        lie.clear(d_x);
        let zero = lane.splat(0.0);
        windows(self.shape, self.shape.output_plane() * SHARD, |window| {
            for half in window.halves::<V>() {
                let mut greatest = lane.splat(f32::NEG_INFINITY);
                window.each(|at| greatest = greatest.max(load(lane, x, at + half)));
                let is_nan = greatest.not_equal(greatest);
                // What the window has left to give.
                let mut d_y = load(lane, d_y, window.output + half);
                window.each(|at| {
                    let value = load(lane, x, at + half);
                    let first = is_nan.select(value.not_equal(value), value.equal(greatest));
                    lie.add(first.select(d_y, zero), d_x, at + half);
                    d_y = first.select(zero, d_y);
                });
            }
        });
    }
}

/// The gradient of windows of 2×2 side by side, the most frequent ones, in rows of `width` pixels.
#[inline(always)]
fn halve_gradient<V: Lane>(lane: V, width: usize, x: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    let row = width * SHARD;
    let zero = lane.splat(0.0);
    let rows = x.chunks_exact(2 * row).zip(d_x.chunks_exact_mut(2 * row)).zip(d_y.chunks_exact(row / 2));
    for ((x, d_x), d_y) in rows {
        let ([upper, lower], [to_upper, to_lower]) = (x.split_at(row).into(), d_x.split_at_mut(row).into());
        let pairs = upper.chunks_exact(PAIR).zip(lower.chunks_exact(PAIR));
        let to = to_upper.chunks_exact_mut(PAIR).zip(to_lower.chunks_exact_mut(PAIR));
        for (((upper, lower), (to_upper, to_lower)), d_y) in pairs.zip(to).zip(d_y.chunks_exact(SHARD)) {
            for half in (0..SHARD).step_by(V::LANES) {
                let [a, b] = [load(lane, upper, half), load(lane, upper, SHARD + half)];
                let [c, d] = [load(lane, lower, half), load(lane, lower, SHARD + half)];
                let greatest = a.max(b).max(c.max(d));
                let is_nan = greatest.not_equal(greatest);
                // What the window has left to give.
                let mut left = load(lane, d_y, half);
                macro_rules! give {
                    ($($value:ident to $row:ident at $at:expr;)*) => {$(
                        let first = is_nan.select($value.not_equal($value), $value.equal(greatest));
                        store(first.select(left, zero), $row, $at);
                        left = first.select(zero, left);
                    )*};
                }
                give! {
                    a to to_upper at half;
                    b to to_upper at SHARD + half;
                    c to to_lower at half;
                }
                let first = is_nan.select(d.not_equal(d), d.equal(greatest));
                store(first.select(left, zero), to_lower, SHARD + half);
            }
        }
    }
}

/// Each window's gradient shared equally.
pub(super) struct AverageGradient<'a> {
    pub(super) shape: &'a Pool2d,
    pub(super) d_y: &'a [f32],
    pub(super) d_x: &'a mut [f32],
}

impl Kernel for AverageGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let [x_len, y_len] = self.shape.lens_in_lanes();
        let (d_y, d_x) = (&self.d_y[..y_len], &mut self.d_x[..x_len]);
        let lie = Lie::of(self.shape);
        lie.clear(d_x);
        windows(self.shape, self.shape.output_plane() * SHARD, |window| {
            let share = lane.splat(1.0 / window.count.max(1) as f32);
            for half in window.halves::<V>() {
                let share = load(lane, d_y, window.output + half) * share;
                window.each(|at| lie.add(share, d_x, at + half));
            }
        });
    }
}

/// How windows lie, which decides what becomes of a pixel's gradient.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    /// A pixel may be in several of them: what they give adds up.
    Across,
    /// A pixel is in one of them at most.
    Apart,
    /// A pixel is in one of them: all that is written is written once.
    SideBySide,
}

impl Lie {
    fn of(shape: &Pool2d) -> Self {
        let Pool2d { height, width, kernel, stride, padding, .. } = *shape;
        if kernel[0] > stride[0] || kernel[1] > stride[1] {
            Lie::Across
        } else if kernel == stride && padding == [0, 0] && height % kernel[0] == 0 && width % kernel[1] == 0 {
            Lie::SideBySide
        } else {
            Lie::Apart
        }
    }

    /// Zeros for the pixels of no window, or what the first of several adds to.
    #[inline(always)]
    fn clear(self, d_x: &mut [f32]) {
        if self != Lie::SideBySide {
            d_x.fill(0.0);
        }
    }

    /// What a window gives to sixteen pixels, or some of them.
    #[inline(always)]
    fn add<V: Lane>(self, given: V, d_x: &mut [f32], at: usize) {
        store(if self == Lie::Across { load(given, d_x, at) + given } else { given }, d_x, at);
    }
}

/// A window of one plane.
struct Place {
    /// Where its result lies in y.
    output: usize,
    /// How many pixels it has that are no padding.
    count: usize,
    /// Where the first of them lies in x.
    first: usize,
    rows: usize,
    columns: usize,
    /// Floats from one row to the next.
    pitch: usize,
}

impl Place {
    /// Where the vectors of a pixel start.
    #[inline(always)]
    fn halves<V: Lane>(&self) -> impl Iterator<Item = usize> + use<V> {
        const { assert!(SHARD.is_multiple_of(V::LANES)) };
        (0..SHARD).step_by(V::LANES)
    }

    /// The pixels in row-major order.
    #[inline(always)]
    fn each(&self, mut body: impl FnMut(usize)) {
        for row in 0..self.rows {
            for column in 0..self.columns {
                body(self.first + row * self.pitch + column * SHARD);
            }
        }
    }
}

/// Calls `body` for each window of each plane; planes of y are `plane` floats apart.
#[inline(always)]
fn windows(shape: &Pool2d, plane: usize, mut body: impl FnMut(Place)) {
    let [vertical, horizontal] = Axis::pair(shape);
    let pitch = shape.width * SHARD;
    for channel in 0..shape.channels {
        let mut output = channel * plane;
        for row in 0..vertical.windows {
            let rows = vertical.inside(row);
            let start = channel * shape.height * pitch + rows.start * pitch;
            for column in 0..horizontal.windows {
                let columns = horizontal.inside(column);
                let (rows, first) = (rows.len(), start + columns.start * SHARD);
                let columns = columns.len();
                body(Place { output, count: rows * columns, first, rows, columns, pitch });
                output += SHARD;
            }
        }
    }
}

#[inline(always)]
fn load<V: Lane>(lane: V, from: &[f32], at: usize) -> V {
    let from = &from[at..at + V::LANES];
    // SAFETY: the slice has LANES floats.
    unsafe { lane.load(from.as_ptr()) }
}

#[inline(always)]
fn store<V: Lane>(value: V, to: &mut [f32], at: usize) {
    let to = &mut to[at..at + V::LANES];
    // SAFETY: the slice has LANES floats.
    unsafe { value.store(to.as_mut_ptr()) }
}
