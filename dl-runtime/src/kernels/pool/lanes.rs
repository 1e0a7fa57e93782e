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
        d_x.fill(0.0);
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
                    store(load(lane, d_x, at + half) + first.select(d_y, zero), d_x, at + half);
                    d_y = first.select(zero, d_y);
                });
            }
        });
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
        d_x.fill(0.0);
        windows(self.shape, self.shape.output_plane() * SHARD, |window| {
            let share = lane.splat(1.0 / window.count.max(1) as f32);
            for half in window.halves::<V>() {
                let share = load(lane, d_y, window.output + half) * share;
                window.each(|at| store(load(lane, d_x, at + half) + share, d_x, at + half));
            }
        });
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
