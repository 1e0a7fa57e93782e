//! Convolution of sixteen examples side by side: `acc[filters][pixels] += broadcast(weight) × load(pixel)` over vectors of
//! sixteen examples.
//!
//! With lanes along the examples every pixel of every tap is one contiguous load, so kernel, stride, padding and dilation
//! only say *which* pixels are multiplied: a result at the border runs through the taps that exist there (*clipped
//! taps*), and no zero is multiplied. [`axis`](super::axis) says which these are; the gradient of the input is the same
//! computation, once for each residue of the position modulo the stride.
//!
//! Before a block of results is computed, the pixels it meets are copied to the stack, `[row][column][channel][16]`. So a
//! product runs over whole rows of taps and channels in sequence, and planes that lie a power of two apart do not fight
//! for the same places of the cache. With one channel they lie so already.

#![expect(clippy::needless_range_loop, reason = "iterators of arrays of vectors are not always inlined")]

use super::super::product::COLUMNS;
use super::axis::Axis;
use super::filters::tiles;
use crate::kernels::epilogue::Ending;
use crate::simd::{Kernel, Lane, Sixteen};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Floats of the block on the stack.
const BLOCK: usize = 24 * 1024;
/// Steps of a product at a time: the pixels of a result stay in the first-level cache while filters go by.
const STEPS: usize = 288;
/// The same for a few filters: the pixels of neighbouring results stay there.
const FEW_STEPS: usize = 72;
/// Floats of the rows that a row of results meets, if it is computed filter by filter.
const ROW: usize = 6 * 1024;
/// Floats of results that are computed before their moments are taken: they stay in the second-level cache.
const RESULTS: usize = 64 * 1024;
/// Pixels of a row at a time, if no pixel is met twice: fewer would be too few to read ahead.
const RUN: usize = 12;
/// Weights at a time: they stay in the second-level cache.
const WEIGHTS: usize = 48 * 1024;

/// Computes the results that `axes` say, of all groups; the others are left as they are.
pub(super) struct Correlation<'a> {
    /// Vertical and horizontal.
    pub(super) axes: [Axis; 2],
    /// Taps of the kernel from one row to the next.
    pub(super) kernel_width: usize,
    /// Taps of the kernel.
    pub(super) taps: usize,
    pub(super) groups: usize,
    /// Source planes of a group.
    pub(super) planes: usize,
    /// Planes of results of a group.
    pub(super) rows: usize,
    /// Planes of [height, width, 16].
    pub(super) source: &'a [f32],
    pub(super) panels: &'a [f32],
    /// What is done to the sums; its bias has a float for each plane of results.
    pub(super) ending: Ending<'a>,
    /// Places for the results, which need not hold any.
    pub(super) y: &'a mut [MaybeUninit<f32>],
}

/// Results that are computed from one block: a range along each axis.
type Span = [Range<usize>; 2];

/// Where the pixels lie that a block of results meets.
#[derive(Clone, Copy)]
struct Pixels {
    /// The pixel at position `origin` of the source.
    base: *const f32,
    origin: [usize; 2],
    /// Floats from one row, and from one column, to the next.
    pitch: [usize; 2],
}

/// The part of the sums at hand.
#[derive(Clone, Copy)]
struct Part {
    group: usize,
    /// The first channel.
    channel: usize,
    /// How many.
    channels: usize,
}

/// The steps of a product: `rows` rows of `runs` runs of `len` steps, 16 floats from one to the next.
#[derive(Clone, Copy)]
struct Steps {
    rows: usize,
    runs: usize,
    len: usize,
    /// Steps in the panel from one row to the next, and from one run to the next.
    panel: [usize; 2],
    /// Floats among the pixels, likewise.
    pixels: [usize; 2],
}

#[repr(align(64))]
struct Block([MaybeUninit<f32>; BLOCK]);

impl Kernel for Correlation<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        self.over(lane.sixteen());
    }
}

impl Correlation<'_> {
    /// Over vectors of sixteen.
    #[inline(always)]
    fn over<W: Sixteen>(mut self, lane: W) {
        let mut block = Block([const { MaybeUninit::uninit() }; BLOCK]);
        let [height, width] = [0, 1].map(|axis| self.axes[axis].outputs);
        if height * width == 0 {
            return;
        }
        let (channels, mut size) = self.plan();
        let floats_of_a_row = self.rows * width * COLUMNS;
        if !self.ending.moments.are_none() {
            size[0] = size[0].min((RESULTS / floats_of_a_row).max(1));
        }
        for group in 0..self.groups {
            let mut taken_in = 0;
            for row in (0..height).step_by(size[0]) {
                for column in (0..width).step_by(size[1]) {
                    let span = [row..(row + size[0]).min(height), column..(column + size[1]).min(width)];
                    for channel in (0..self.planes).step_by(channels) {
                        let part = Part { group, channel, channels: channels.min(self.planes - channel) };
                        let pixels = self.pixels(lane, part, &span, &mut block);
                        // SAFETY: `pixels` are those of the part and the span.
                        unsafe { self.compute(lane, part, &span, pixels) }
                    }
                }
                let rows = taken_in..(row + size[0]).min(height);
                if !self.ending.moments.are_none() && (rows.end == height || rows.len() * floats_of_a_row >= RESULTS) {
                    // SAFETY: these rows of all planes of the group have been computed.
                    unsafe { self.take_in(lane, group, rows.clone()) }
                    taken_in = rows.end;
                }
            }
        }
    }

    /// Adds rows of results, which have been written, to the moments of the planes of a group.
    ///
    /// # Safety
    /// The results must be there, of a convolution, whose rows follow each other; there must be moments of all planes.
    #[inline(always)]
    unsafe fn take_in<W: Sixteen>(&self, lane: W, group: usize, rows: Range<usize>) {
        let [height, width] = [0, 1].map(|axis| self.axes[axis].outputs);
        let (before, count) = (rows.start * width, rows.len() * width);
        for plane in group * self.rows..(group + 1) * self.rows {
            let y = self.y[(plane * height * width + before) * COLUMNS..][..count * COLUMNS].as_ptr();
            // SAFETY: the caller's promise; the slice holds `count` results of sixteen lanes.
            unsafe { self.ending.moments.add(lane, plane * COLUMNS, before, y.cast(), count) }
        }
    }

    /// Channels at a time, and how many results along each axis form a block.
    fn plan(&self) -> (usize, [usize; 2]) {
        let reach = |size: [usize; 2]| self.axes[0].reach(size[0]) * self.axes[1].reach(size[1]) * COLUMNS;
        let mut size = [1, 1];
        let steps = if self.rows < 4 { FEW_STEPS } else { STEPS };
        let channels = self.planes.min((steps / self.taps).max(1)).min(BLOCK / reach(size));
        if channels <= 1 {
            // Read in place.
            return (1, [0, 1].map(|axis| self.axes[axis].outputs));
        }
        let most = if self.taps == 1 { (RUN * channels * COLUMNS).clamp(ROW, BLOCK) } else { BLOCK };
        let fits = |size: [usize; 2]| reach(size) * channels <= most;
        loop {
            let grown = [0, 1].map(|axis| {
                let mut grown = size;
                grown[axis] += 1;
                (grown[axis] <= self.axes[axis].outputs && fits(grown)).then_some(grown)
            });
            size = match grown {
                [Some(taller), _] if size[0] < size[1] && self.taps > 1 => taller,
                [_, Some(wider)] => wider,
                [Some(taller), None] => taller,
                [None, None] => break,
            };
        }
        // Blocks of about one size.
        (
            channels,
            [0, 1].map(|axis| {
                let outputs = self.axes[axis].outputs;
                outputs.div_ceil(outputs.div_ceil(size[axis]))
            }),
        )
    }

    /// The pixels that the span meets in the planes of the part, copied to the block if there are several.
    #[inline(always)]
    fn pixels<W: Sixteen>(&self, lane: W, part: Part, span: &Span, block: &mut Block) -> Pixels {
        let [height, width] = [0, 1].map(|axis| self.axes[axis].source);
        let plane_len = height * width * COLUMNS;
        let planes = &self.source[(part.group * self.planes + part.channel) * plane_len..][..part.channels * plane_len];
        if part.channels == 1 {
            return Pixels { base: planes.as_ptr(), origin: [0, 0], pitch: [width * COLUMNS, COLUMNS] };
        }
        let [rows, columns] = [0, 1].map(|axis| self.axes[axis].met(&span[axis]));
        let pitch = [columns.len() * part.channels * COLUMNS, part.channels * COLUMNS];
        assert!(rows.len() * pitch[0] <= BLOCK, "a block of {} × {pitch:?}", rows.len());
        let to = block.0.as_mut_ptr().cast::<f32>();
        for (channel, plane) in planes.chunks_exact(plane_len).enumerate() {
            for (i, row) in rows.clone().enumerate() {
                let from = plane[(row * width + columns.start) * COLUMNS..][..columns.len() * COLUMNS].as_ptr();
                for column in 0..columns.len() {
                    // SAFETY: `from` holds 16 floats for each column; the block holds rows.len() · pitch[0] floats.
                    unsafe {
                        let from = from.add(column * COLUMNS);
                        let to = to.add(i * pitch[0] + column * pitch[1] + channel * COLUMNS);
                        lane.load(from).store(to);
                    }
                }
            }
        }
        Pixels { base: to, origin: [rows.start, columns.start], pitch }
    }

    /// Adds the part of the sums at hand to all results of the span.
    ///
    /// # Safety
    /// The pixels must be those that [`pixels`](Self::pixels) gives for the part and the span.
    #[inline(always)]
    unsafe fn compute<W: Sixteen>(&mut self, lane: W, part: Part, span: &Span, pixels: Pixels) {
        let [vertical, horizontal] = self.axes;
        let places = vertical.len * horizontal.len;
        let last = part.channel + part.channels == self.planes;
        // Neighbours that have all taps are computed in a row where what they meet stays in the first-level cache.
        let in_a_row = self.axes[0].reach(1) * pixels.pitch[0] <= ROW || self.rows < 4;
        let abreast = apart::<W>(TALLEST);
        let abreast = if self.taps == 1 { single_pixels(part.channels, abreast) } else { abreast };
        let mut rows = 0;
        while rows < self.rows {
            // As many tiles as the second-level cache holds the weights of, but one.
            let most = (WEIGHTS / (part.channels * self.taps)).max(1);
            let some = || tiles(rows..self.rows).take_while(|tile| tile.first < rows + most);
            for row in span[0].clone() {
                let down = vertical.taps_at(row);
                let mut column = span[1].start;
                while column < span[1].end {
                    let right = horizontal.taps_at(column);
                    let alike = horizontal.alike(column, span[1].end);
                    let alike = if in_a_row { alike } else { alike.min(abreast) };
                    let steps = self.steps(part, pixels, down.len(), right.len());
                    let met = [vertical.meets(row, down.start), horizontal.meets(column, right.start)];
                    let base =
                        [0, 1].map(|axis| met[axis].wrapping_sub(pixels.origin[axis]).wrapping_mul(pixels.pitch[axis]));
                    let base = pixels.base.wrapping_add(base[0]).wrapping_add(base[1]);
                    let tap = vertical.tap(down.start) * self.kernel_width + horizontal.tap(right.start);
                    let step = tap * self.planes + part.channel;
                    let place = vertical.place(row) * horizontal.len + horizontal.place(column);
                    for tile in some() {
                        let first = part.group * self.rows + tile.first;
                        let panel = first * self.taps * self.planes + step * tile.height;
                        let product = Product {
                            height: tile.height,
                            alike,
                            steps,
                            panel: self.panels.as_ptr().wrapping_add(panel),
                            pixels: base,
                            apart: horizontal.stride * pixels.pitch[1],
                            y: self.y.as_mut_ptr().cast::<f32>().wrapping_add((first * places + place) * COLUMNS),
                            plane: places * COLUMNS,
                            y_apart: horizontal.step * COLUMNS,
                            accumulate: part.channel > 0,
                            ending: self.ending.if_last(last).from(first),
                        };
                        // SAFETY: the steps are those of taps that exist at these places, so the panel and the pixels
                        // hold them; y holds `places` results of each filter.
                        unsafe { product.compute(lane) }
                    }
                    column += alike;
                }
            }
            rows = some().last().map_or(self.rows, |tile| tile.first + tile.height);
        }
    }

    /// The steps of a result that has so many taps along each axis.
    #[inline(always)]
    fn steps(&self, part: Part, pixels: Pixels, down: usize, right: usize) -> Steps {
        let [vertical, horizontal] = &self.axes;
        let in_sequence = horizontal.tap_step == 1 && horizontal.dilation == 1 && part.channels == self.planes;
        Steps {
            rows: down,
            runs: if in_sequence { right.min(1) } else { right },
            len: if in_sequence { right * part.channels } else { part.channels },
            panel: [vertical.tap_step * self.kernel_width * self.planes, horizontal.tap_step * self.planes],
            pixels: [vertical.dilation * pixels.pitch[0], horizontal.dilation * pixels.pitch[1]],
        }
    }
}

/// How many pixels of so many channels are taken by each tile of filters in turn, where tiles have so many: they stay in the
/// first-level cache meanwhile, and as many results of a filter leave in a row. Many channels take more of the cache.
fn single_pixels(channels: usize, abreast: usize) -> usize {
    let pixels = |floats: usize| floats / (channels * COLUMNS);
    let some = pixels(ROW).max(pixels(ROW + ROW / 2).min(2 * abreast)).max(1);
    if some > abreast { some - some % abreast } else { some }
}

/// Filters of the highest tile.
const TALLEST: usize = 6;

/// How many neighbouring results a tile of so many filters computes at a time, since few sums do not fill the multipliers.
#[inline(always)]
fn apart<W: Sixteen>(filters: usize) -> usize {
    let most = match const { W::HEIGHT } {
        8 => [1, 8, 6, 4, 4, 3, 3],
        6 => [1, 6, 3, 2, 1, 1, 1],
        _ => [1; 7],
    };
    most.get(filters).copied().unwrap_or(1)
}

/// A tile of filters by some neighbouring results.
struct Product<'a> {
    /// How many filters.
    height: usize,
    /// How many results.
    alike: usize,
    steps: Steps,
    panel: *const f32,
    /// What the first result meets at its first tap.
    pixels: *const f32,
    /// Floats to what the next result meets.
    apart: usize,
    /// The first result.
    y: *mut f32,
    /// Floats from one filter's to the next one's.
    plane: usize,
    /// Floats to the next result of a filter.
    y_apart: usize,
    /// Whether to add to what is there: earlier channels.
    accumulate: bool,
    /// What is done to the sums, from the first filter of the tile on.
    ending: Ending<'a>,
}

impl Kernel for Product<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        self.over(lane.sixteen());
    }
}

impl Product<'_> {
    /// # Safety
    /// The panel must be readable for all steps of `height` filters, the pixels for those of `alike` results, and as many
    /// results of each filter writable.
    #[inline(always)]
    unsafe fn compute<W: Sixteen>(self, lane: W) {
        lane.apart(self);
    }

    #[inline(always)]
    fn over<W: Sixteen>(self, lane: W) {
        let most = apart::<W>(self.height);
        let mut at = 0;
        while at < self.alike {
            let left = self.alike - at;
            // The last two times are of about one size.
            let some = if left > most && left < 2 * most { left.div_ceil(2) } else { left.min(most) };
            macro_rules! tiles {
                ($($height:literal $results:literal)*) => {
                    match (self.height, some) {
                        // SAFETY: what was promised to `compute`.
                        $(($height, $results) => unsafe { self.tile::<W, $height, $results>(lane, 0, at) },)*
                        _ => return,
                    }
                };
            }
            match const { W::HEIGHT } {
                8 => tiles!(6 1 6 2 6 3  5 1 5 2 5 3  4 1 4 2 4 3 4 4  3 1 3 2 3 3 3 4  2 1 2 2 2 3 2 4 2 5 2 6
                    1 1 1 2 1 3 1 4 1 5 1 6 1 7 1 8),
                6 => tiles!(6 1  5 1  4 1  3 1 3 2  2 1 2 2 2 3  1 1 1 2 1 3 1 4 1 5 1 6),
                _ => {
                    for filter in 0..self.height {
                        // SAFETY: what was promised to `compute`.
                        unsafe { self.tile::<W, 1, 1>(lane, filter, at) }
                    }
                }
            }
            at += some;
        }
    }

    /// The microkernel: MR filters by NR results of sixteen examples, from a filter and a result on.
    ///
    /// # Safety
    /// As [`compute`](Self::compute); these filters and results must exist.
    #[inline(always)]
    unsafe fn tile<W: Sixteen, const MR: usize, const NR: usize>(&self, lane: W, filter: usize, first: usize) {
        let mut acc = [[lane.splat(0.0); NR]; MR];
        let Steps { rows, runs, len, panel, pixels } = self.steps;
        for row in 0..rows {
            for run in 0..runs {
                let mut a = self.panel.wrapping_add((row * panel[0] + run * panel[1]) * self.height + filter);
                let mut b = self.pixels.wrapping_add(row * pixels[0] + run * pixels[1] + first * self.apart);
                for _ in 0..len {
                    // SAFETY: the caller's promise for this step.
                    unsafe {
                        // What few registers hold stays there, the rest goes by.
                        if MR <= 3 && NR > 1 {
                            let mut weights = [lane; MR];
                            for i in 0..MR {
                                weights[i] = lane.splat(*a.add(i));
                            }
                            for result in 0..NR {
                                let pixel = lane.load(b.add(result * self.apart));
                                for i in 0..MR {
                                    acc[i][result] = weights[i].mul_add(pixel, acc[i][result]);
                                }
                            }
                        } else {
                            let mut pixels = [lane; NR];
                            for result in 0..NR {
                                pixels[result] = lane.load(b.add(result * self.apart));
                            }
                            for i in 0..MR {
                                let a = lane.splat(*a.add(i));
                                for result in 0..NR {
                                    acc[i][result] = a.mul_add(pixels[result], acc[i][result]);
                                }
                            }
                        }
                    }
                    a = a.wrapping_add(self.height);
                    b = b.wrapping_add(COLUMNS);
                }
            }
        }
        // The loop below counts through a copy, or the sums would be on the stack from the start.
        let mut sums = [[lane; NR]; MR];
        for i in 0..MR {
            for result in 0..NR {
                sums[i][result] = acc[i][result];
            }
        }
        // Plain loops: the iterators of arrays are not always inlined.
        for i in 0..MR {
            let ending = self.ending.of_plane(filter + i);
            for result in 0..NR {
                let y = self.y.wrapping_add((filter + i) * self.plane + (first + result) * self.y_apart);
                let mut acc = sums[i][result];
                // SAFETY: the caller's promise for this result.
                unsafe {
                    if self.accumulate {
                        acc = lane.load(y) + acc;
                    }
                    ending.store(y, acc);
                }
            }
        }
    }
}
