//! The gradient of the weight by Winograd's minimal filtering, for sixteen examples side by side: 36 products take the
//! place of 144, as they do forward (Lavin and Gray, 2015).
//!
//! ```text
//! d_g = Gᵀ [Σ (A d_y Aᵀ) ⊙ (Bᵀ d B)] G
//! ```
//!
//! summed over the tiles of all examples. Each of the 36 places is a product of matrices, filters × (tiles · 16) by
//! (tiles · 16) × channels, so channels, and filters, are turned side by side before they are transformed. The sums of some
//! filters by some channels at all places are kept for the whole batch, and transformed back at its end.

#![expect(clippy::needless_range_loop, reason = "iterators of arrays of vectors are not always inlined")]

use super::super::pack::Aligned;
use super::super::product::{COLUMNS, Every, Left, Right, Sums, panels_at_once, product, with_panels};
use super::winograd::{IN, OUT, PLACES, transformed};
use super::{Convolution2d, Gradient};
use crate::segments::SHARD;
use crate::simd::{Kernel, Lane, Sixteen};
use std::ops::Range;

/// Channels at a time.
const CHANNELS: usize = 32;
/// Filters at a time.
const FILTERS: usize = 32;
/// Tiles at a time, side by side.
const TILES: usize = 2;
/// Steps of the products of so many tiles.
const DEPTH: usize = TILES * COLUMNS;
/// Floats from one place of the transformed pixels to the next: sixteen more than they are, so that the places do not fight
/// for the same sets of the cache.
const X_PLACE: usize = CHANNELS * DEPTH + COLUMNS;
/// The same of the transformed gradients.
const Y_PLACE: usize = FILTERS * DEPTH + COLUMNS;
/// Floats of the sums of a place.
const SUMS_PLACE: usize = FILTERS * CHANNELS;
/// Pixels of a tile's row, of so many tiles side by side.
const WIDTH: usize = TILES * OUT + IN - OUT;
/// Floats of sixteen channels of sixteen examples.
const BLOCK: usize = COLUMNS * COLUMNS;

/// Adds to whole filters of d_weight.
pub(super) struct Weight<'a>(pub(super) Gradient<'a>);

/// Where the kernel keeps what it makes: places on the stack, which are too large to be moved.
#[derive(Clone, Copy)]
struct Scratch {
    /// The pixels at hand: for each, sixteen channels of each example.
    turned: *mut f32,
    /// For each place panels of sixteen channels, with a step for each tile and example.
    x: *mut f32,
    /// For each place a step for each tile and example, of all filters.
    d_y: *mut f32,
    /// For each place filters by channels.
    sums: *mut f32,
}

/// Planes of sixteen examples side by side.
#[derive(Clone, Copy)]
struct Planes<'a> {
    floats: &'a [f32],
    height: usize,
    width: usize,
}

impl Kernel for Weight<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        const { assert!(COLUMNS == SHARD) };
        self.over(lane.sixteen());
    }
}

impl Weight<'_> {
    #[inline(always)]
    fn over<W: Sixteen>(mut self, lane: W) {
        let mut turned = Aligned::<{ IN * WIDTH * BLOCK }>::uninit();
        let mut x = Aligned::<{ PLACES * X_PLACE }>::uninit();
        let mut d_y = Aligned::<{ PLACES * Y_PLACE }>::uninit();
        let mut sums = Aligned::<{ PLACES * SUMS_PLACE }>::uninit();
        let scratch =
            Scratch { turned: turned.as_mut_ptr(), x: x.as_mut_ptr(), d_y: d_y.as_mut_ptr(), sums: sums.as_mut_ptr() };
        let channels = self.0.shape.channels;
        let filters = self.0.part.len() / (channels * 9);
        for filter in (0..filters).step_by(FILTERS) {
            let filters = filter..filters.min(filter + FILTERS);
            for channel in (0..channels).step_by(CHANNELS) {
                let channels = channel..channels.min(channel + CHANNELS);
                // SAFETY: `scratch` leads to as much room as its fields say.
                unsafe {
                    self.sum(lane, &filters, &channels, scratch);
                    self.write(lane, &filters, &channels, scratch);
                }
            }
        }
    }

    /// The sums of some filters of the part by some channels, over the batch.
    ///
    /// # Safety
    /// `scratch` must lead to the room that the kernel's arrays have.
    #[inline(always)]
    unsafe fn sum<W: Sixteen>(&self, lane: W, filters: &Range<usize>, channels: &Range<usize>, scratch: Scratch) {
        let Convolution2d { height, width, padding, .. } = self.0.shape;
        let [lines, columns] = [self.0.shape.output_height(), self.0.shape.output_width()];
        let Scratch { turned, x, d_y, sums } = scratch;
        for shard in 0..self.0.n.div_ceil(SHARD) {
            let pixels = Planes { floats: self.0.x.shard(shard, SHARD), height, width };
            let gradients = Planes { floats: self.0.d_y.shard(shard, SHARD), height: lines, width: columns };
            for line in (0..lines).step_by(OUT) {
                for column in (0..columns).step_by(TILES * OUT) {
                    let tiles = (columns - column).div_ceil(OUT).min(TILES);
                    let corner = [line, column].map(|at| at as isize);
                    for (panel, first) in channels.clone().step_by(COLUMNS).enumerate() {
                        let some = first..channels.end.min(first + COLUMNS);
                        let corner = [corner[0] - padding[0] as isize, corner[1] - padding[1] as isize];
                        // SAFETY: there is room for IN · WIDTH pixels, and for 36 places of DEPTH steps of the panel.
                        unsafe {
                            pixels.turn(lane, some, corner, [IN, tiles * OUT + IN - OUT], turned);
                            transform_pixels(lane, turned, tiles, x.add(panel * DEPTH * COLUMNS));
                        }
                    }
                    for first in filters.clone().step_by(COLUMNS) {
                        let some = self.0.first + first..self.0.first + filters.end.min(first + COLUMNS);
                        // SAFETY: there is room for OUT · TILES · OUT pixels, and for 36 places of DEPTH steps of FILTERS.
                        unsafe {
                            gradients.turn(lane, some, corner, [OUT, tiles * OUT], turned);
                            transform_gradients(lane, turned, tiles, d_y.add(first - filters.start));
                        }
                    }
                    let depth = tiles * COLUMNS;
                    for place in 0..PLACES {
                        let mut panel = 0;
                        while panel < channels.len() {
                            let left = channels.len() - panel;
                            let sums = Sums {
                                base: sums.wrapping_add(place * SUMS_PLACE + panel),
                                row: CHANNELS,
                                columns: left.next_multiple_of(COLUMNS),
                                accumulate: shard > 0 || line > 0 || column > 0,
                            };
                            let base = x.wrapping_add(place * X_PLACE + panel * DEPTH).cast_const();
                            let right = Right { base, steps: Every::<COLUMNS>, pitch: DEPTH * COLUMNS };
                            let base = d_y.wrapping_add(place * Y_PLACE).cast_const();
                            let rows = Left { base, rows: Every::<1>, steps: Every::<FILTERS> };
                            // SAFETY: the place holds tiles · 16 steps of the filters and of the panels, and sums of them.
                            unsafe {
                                with_panels!(
                                    W,
                                    left,
                                    product::<W, Every<1>, Every<FILTERS>, Every<COLUMNS>, Sums>(
                                        lane,
                                        filters.len(),
                                        depth,
                                        rows,
                                        right,
                                        sums
                                    )
                                );
                            }
                            panel += panels_at_once::<W>(left) * COLUMNS;
                        }
                    }
                }
            }
        }
    }

    /// Transforms the sums back and adds them to the part.
    ///
    /// # Safety
    /// `scratch` must lead to the sums of these filters and channels.
    #[inline(always)]
    unsafe fn write<W: Sixteen>(&mut self, lane: W, filters: &Range<usize>, channels: &Range<usize>, scratch: Scratch) {
        let sums = scratch.sums.cast_const();
        for (row, filter) in filters.clone().enumerate() {
            for first in channels.clone().step_by(COLUMNS) {
                let mut taps = [[0.0; COLUMNS]; 9];
                // SAFETY: the sums of the filter hold sixteen floats for each panel of channels at each place.
                unsafe {
                    let sums = sums.add(row * CHANNELS + first - channels.start);
                    weights(lane, sums, &mut taps);
                }
                let width = COLUMNS.min(channels.end - first);
                let to = &mut self.0.part[(filter * self.0.shape.channels + first) * 9..][..width * 9];
                for (channel, to) in to.chunks_exact_mut(9).enumerate() {
                    for (to, tap) in to.iter_mut().zip(&taps) {
                        *to += tap[channel];
                    }
                }
            }
        }
    }
}

impl Planes<'_> {
    /// Turns pixels from a corner on, which may lie outside: for each, row by row, come sixteen planes of each example,
    /// with zeros for what does not exist.
    ///
    /// # Safety
    /// `to` must be writable for 256 floats for each pixel.
    #[inline(always)]
    unsafe fn turn<W: Sixteen>(
        &self,
        lane: W,
        planes: Range<usize>,
        [top, left]: [isize; 2],
        [rows, columns]: [usize; 2],
        to: *mut f32,
    ) {
        let Self { floats, height, width } = *self;
        let plane_len = height * width * COLUMNS;
        let floats = &floats[planes.start * plane_len..planes.end * plane_len];
        let count = planes.len();
        for row in 0..rows {
            for column in 0..columns {
                let to = to.wrapping_add((row * columns + column) * BLOCK);
                let [line, at] = [top + row as isize, left + column as isize];
                let mut block = [lane.splat(0.0); COLUMNS];
                if (0..height as isize).contains(&line) && (0..width as isize).contains(&at) {
                    let from = floats.as_ptr().wrapping_add((line as usize * width + at as usize) * COLUMNS);
                    for plane in 0..COLUMNS {
                        if plane < count {
                            // SAFETY: the pixel lies within each of the planes.
                            block[plane] = unsafe { lane.load(from.add(plane * plane_len)) };
                        }
                    }
                    block = W::transpose(block);
                }
                for example in 0..COLUMNS {
                    // SAFETY: the caller's promise.
                    unsafe { block[example].store(to.add(example * COLUMNS)) }
                }
            }
        }
    }
}

/// Bᵀ d B of each tile and example.
///
/// # Safety
/// `turned` must hold the pixels of so many tiles, and `to` be writable for a vector at each of 36 places for each tile and
/// example.
#[inline(always)]
unsafe fn transform_pixels<W: Sixteen>(lane: W, turned: *const f32, tiles: usize, to: *mut f32) {
    let width = tiles * OUT + IN - OUT;
    for tile in 0..tiles {
        for example in 0..COLUMNS {
            let mut d = [[lane; IN]; IN];
            for i in 0..IN {
                for j in 0..IN {
                    let pixel = i * width + tile * OUT + j;
                    // SAFETY: the caller's promise.
                    d[i][j] = unsafe { lane.load(turned.add(pixel * BLOCK + example * COLUMNS)) };
                }
            }
            // SAFETY: the caller's promise.
            unsafe { transformed(&d, to.add((tile * COLUMNS + example) * COLUMNS), X_PLACE) }
        }
    }
}

/// A d_y Aᵀ of each tile and example.
///
/// # Safety
/// As for [`transform_pixels`].
#[inline(always)]
unsafe fn transform_gradients<W: Sixteen>(lane: W, turned: *const f32, tiles: usize, to: *mut f32) {
    for tile in 0..tiles {
        for example in 0..COLUMNS {
            let mut by_columns = [[lane; OUT]; IN];
            for j in 0..OUT {
                let mut column = [lane; OUT];
                for i in 0..OUT {
                    let pixel = (i * tiles + tile) * OUT + j;
                    // SAFETY: the caller's promise.
                    column[i] = unsafe { lane.load(turned.add(pixel * BLOCK + example * COLUMNS)) };
                }
                let column = spread(column);
                for i in 0..IN {
                    by_columns[i][j] = column[i];
                }
            }
            let to = to.wrapping_add((tile * COLUMNS + example) * FILTERS);
            for i in 0..IN {
                let row = spread(by_columns[i]);
                for j in 0..IN {
                    // SAFETY: the caller's promise.
                    unsafe { row[j].store(to.add((i * IN + j) * Y_PLACE)) }
                }
            }
        }
    }
}

/// A by a column.
#[inline(always)]
fn spread<W: Sixteen>(y: [W; OUT]) -> [W; IN] {
    let (two, four) = (y[0].splat(2.0), y[0].splat(4.0));
    let (even, odd) = (y[0] + y[2], y[1] + y[3]);
    let (far_even, far_odd) = (four.mul_add(y[2], y[0]), two * four.mul_add(y[3], y[1]));
    [y[0], even + odd, even - odd, far_even + far_odd, far_even - far_odd, y[3]]
}

/// Gᵀ m G of sixteen channels.
///
/// # Safety
/// Sixteen floats of m must be readable at each of 36 places.
#[inline(always)]
unsafe fn weights<W: Sixteen>(lane: W, m: *const f32, taps: &mut [[f32; COLUMNS]; 9]) {
    let mut by_columns = [[lane; IN]; 3];
    for j in 0..IN {
        let mut column = [lane; IN];
        for i in 0..IN {
            // SAFETY: the caller's promise.
            column[i] = unsafe { lane.load(m.add((i * IN + j) * SUMS_PLACE)) };
        }
        let column = gathered(column);
        for i in 0..3 {
            by_columns[i][j] = column[i];
        }
    }
    for i in 0..3 {
        let row = gathered(by_columns[i]);
        for j in 0..3 {
            // SAFETY: a tap has sixteen floats.
            unsafe { row[j].store(taps[i * 3 + j].as_mut_ptr()) }
        }
    }
}

/// Gᵀ by a column.
#[inline(always)]
fn gathered<W: Sixteen>(m: [W; IN]) -> [W; 3] {
    let factor = |value: f32| m[0].splat(value);
    let (near, nearer) = (m[1] + m[2], m[2] - m[1]);
    let (far, farther) = (m[3] + m[4], m[3] - m[4]);
    let sixth = factor(1.0 / 6.0);
    [
        factor(0.25).mul_add(m[0], factor(1.0 / 24.0).mul_add(far, -(sixth * near))),
        sixth.mul_add(nearer, factor(1.0 / 12.0) * farther),
        sixth.mul_add(far - near, m[5]),
    ]
}
