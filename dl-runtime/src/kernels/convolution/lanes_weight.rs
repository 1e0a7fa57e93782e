//! The gradient of the weight with sixteen examples side by side: products of rows of pixels by rows of pixels.
//!
//! For one tap, the pixels that a row of results meets are as contiguous as the row of d_y. Rows of x are copied to the
//! stack, some channels and result rows at a time, with zeros for padding and with the columns of each residue modulo the
//! stride side by side; then all taps of a channel are starts in one block, and a sum runs over the rows of d_y and of the
//! block in step, a chain for each lane, before it is added up. The order depends on the shape alone.

#![expect(clippy::needless_range_loop, reason = "iterators of arrays of vectors are not always inlined")]

use super::super::product::COLUMNS;
use super::Convolution2d;
use crate::Segments;
use crate::segments::SHARD;
use crate::simd::{Kernel, Lane, Vector};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Floats of the block on the stack.
const BLOCK: usize = 24 * 1024;
/// Results of a filter at a time: those of four filters stay in the first-level cache.
const RESULTS: usize = 64;
/// Sums of a filter at a time.
const SUMS: usize = 512;

/// Adds to the floats of d_weight from `start` on that `part` holds: whole kernels.
pub(super) struct Weight<'a> {
    pub(super) shape: Convolution2d,
    /// Examples.
    pub(super) n: usize,
    pub(super) x: Segments<'a>,
    pub(super) d_y: Segments<'a>,
    pub(super) start: usize,
    pub(super) part: &'a mut [f32],
}

/// What is summed at a time; a function of the shape alone, so that the order of the sums is.
struct Plan {
    /// Rows and columns of results.
    results: [usize; 2],
    /// Rows and columns of taps: all or one.
    taps: [usize; 2],
    /// Channels.
    channels: usize,
}

/// Neighbouring filters of a group, by neighbouring channels of it.
#[derive(Clone)]
struct Pairs {
    filters: Range<usize>,
    channels: Range<usize>,
}

/// The stack of the kernel.
#[repr(align(64))]
struct Scratch {
    block: [MaybeUninit<f32>; BLOCK],
    /// Where the pixels of each sum start in the block.
    starts: [usize; SUMS],
    /// Where each sum belongs, from the filter's first weight of the first channel.
    places: [usize; SUMS],
}

impl Kernel for Weight<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(mut self, lane: V) {
        const { assert!(COLUMNS.is_multiple_of(V::LANES) && COLUMNS == SHARD) };
        let mut scratch =
            Scratch { block: [const { MaybeUninit::uninit() }; BLOCK], starts: [0; SUMS], places: [0; SUMS] };
        let plan = self.plan();
        let Convolution2d { channels, filters, kernel, groups, .. } = self.shape;
        let (channels, filters) = (channels / groups, filters / groups);
        let outputs = [self.shape.output_height(), self.shape.output_width()];
        let kernel_len = kernel[0] * kernel[1];
        let (first, end) = (self.start / kernel_len, (self.start + self.part.len()) / kernel_len);
        for shard in 0..self.n.div_ceil(SHARD) {
            for [rows, columns] in blocks(outputs, plan.results) {
                for taps in blocks(kernel, plan.taps) {
                    let mut pair = first;
                    while pair < end {
                        // Whole filters of one group, or a part of one filter.
                        let (filter, channel) = (pair / channels, pair % channels);
                        let whole = ((end - pair) / channels).min(filters - filter % filters);
                        let all = if channel == 0 && whole > 0 {
                            Pairs { filters: filter..filter + whole, channels: 0..channels }
                        } else {
                            Pairs { filters: filter..filter + 1, channels: channel..channels.min(channel + end - pair) }
                        };
                        pair += all.filters.len() * all.channels.len();
                        for channel in all.channels.clone().step_by(plan.channels) {
                            let some = channel..(channel + plan.channels).min(all.channels.end);
                            let pairs = Pairs { channels: some, ..all.clone() };
                            self.add(lane, shard, &[rows.clone(), columns.clone()], &taps, &pairs, &mut scratch);
                        }
                    }
                }
            }
        }
    }
}

/// All blocks of at most `size` of a grid.
fn blocks(grid: [usize; 2], size: [usize; 2]) -> impl Iterator<Item = [Range<usize>; 2]> {
    let along =
        move |axis: usize| (0..grid[axis]).step_by(size[axis]).map(move |at| at..(at + size[axis]).min(grid[axis]));
    along(0).flat_map(move |rows| along(1).map(move |columns| [rows.clone(), columns]))
}

impl Weight<'_> {
    fn plan(&self) -> Plan {
        let Convolution2d { channels, kernel, groups, .. } = self.shape;
        let outputs = [self.shape.output_height(), self.shape.output_width()];
        let even = |len: usize, most: usize| len.div_ceil(len.div_ceil(most));
        let width = even(outputs[1], RESULTS);
        let mut results = [even(outputs[0], (RESULTS / width).max(1)), width];
        let mut taps = kernel;
        if kernel[0] * kernel[1] > SUMS || self.held([1, 1], kernel) > BLOCK {
            taps = [1, 1];
        }
        while self.held(results, taps) > BLOCK {
            let axis = usize::from(results[0] == 1);
            results[axis] = results[axis].div_ceil(2);
        }
        let room = (BLOCK / self.held(results, taps)).min(SUMS / (taps[0] * taps[1]));
        Plan { results, taps, channels: even(channels / groups, room) }
    }

    /// Positions of x along an axis from the first that so many results meet to the last.
    fn extent(&self, axis: usize, results: usize, taps: usize) -> usize {
        (results - 1) * self.shape.stride[axis] + (taps - 1) * self.shape.dilation[axis] + 1
    }

    /// Columns of a row of the block: those of one residue after those of another.
    fn residue_len(&self, results: usize, taps: usize) -> usize {
        self.extent(1, results, taps).div_ceil(self.shape.stride[1])
    }

    /// Floats of the block for each channel.
    fn held(&self, results: [usize; 2], taps: [usize; 2]) -> usize {
        self.extent(0, results[0], taps[0]) * self.residue_len(results[1], taps[1]) * self.shape.stride[1] * COLUMNS
    }

    /// Adds the products of some results and taps of one shard.
    #[inline(always)]
    fn add<V: Lane>(
        &mut self,
        lane: V,
        shard: usize,
        results: &[Range<usize>; 2],
        taps: &[Range<usize>; 2],
        pairs: &Pairs,
        scratch: &mut Scratch,
    ) {
        let Convolution2d { channels, height, width, filters, kernel, stride, padding, dilation, groups, .. } =
            self.shape;
        let (channels, filters) = (channels / groups, filters / groups);
        let [rows, columns] = [0, 1].map(|axis| self.extent(axis, results[axis].len(), taps[axis].len()));
        let residue_len = self.residue_len(results[1].len(), taps[1].len());
        let pitch = residue_len * stride[1] * COLUMNS;
        let held = rows * pitch;
        assert!(
            pairs.channels.len() * held <= BLOCK,
            "a block of {pairs_len} × {held}",
            pairs_len = pairs.channels.len()
        );
        // Where the block starts, as if the source had its padding.
        let first = [0, 1].map(|axis| results[axis].start * stride[axis] + taps[axis].start * dilation[axis]);
        let group = pairs.filters.start / filters;
        let plane_len = height * width * COLUMNS;
        let x = self.x.shard(shard, SHARD);
        let x = &x[(group * channels + pairs.channels.start) * plane_len..][..pairs.channels.len() * plane_len];
        let block = scratch.block.as_mut_ptr().cast::<f32>();
        let sixteen = lane.sixteen();
        for (channel, plane) in x.chunks_exact(plane_len).enumerate() {
            for row in 0..rows {
                let line = (first[0] + row).checked_sub(padding[0]).filter(|line| *line < height);
                let line = line.map(|line| &plane[line * width * COLUMNS..][..width * COLUMNS]);
                for residue in 0..stride[1].min(columns) {
                    let to = block.wrapping_add(channel * held + row * pitch + residue * residue_len * COLUMNS);
                    for at in 0..(columns - residue).div_ceil(stride[1]) {
                        let column = first[1] + residue + at * stride[1];
                        let from = column.checked_sub(padding[1]).filter(|column| *column < width);
                        // SAFETY: a row of x has 16 floats for each column; the block holds `held` floats for each
                        // channel, and at < residue_len.
                        unsafe {
                            let pixel = match (line, from) {
                                (Some(line), Some(column)) => sixteen.load(line.as_ptr().add(column * COLUMNS)),
                                _ => sixteen.splat(0.0),
                            };
                            pixel.store(to.add(at * COLUMNS));
                        }
                    }
                }
            }
        }
        let mut sums = 0;
        for channel in 0..pairs.channels.len() {
            for row in 0..taps[0].len() {
                for column in 0..taps[1].len() {
                    let right = column * dilation[1];
                    let at = right % stride[1] * residue_len + right / stride[1];
                    scratch.starts[sums] = channel * held + row * dilation[0] * pitch + at * COLUMNS;
                    let tap = (taps[0].start + row) * kernel[1] + taps[1].start + column;
                    scratch.places[sums] = channel * kernel[0] * kernel[1] + tap;
                    sums += 1;
                }
            }
        }
        let [output_height, output_width] = [self.shape.output_height(), self.shape.output_width()];
        let output_len = output_height * output_width * COLUMNS;
        let d_y = self.d_y.shard(shard, SHARD);
        let kernel_len = kernel[0] * kernel[1];
        for some in shares(pairs.filters.clone(), 4) {
            let from = (results[0].start * output_width + results[1].start) * COLUMNS;
            let d_y = &d_y[some.start * output_len..some.end * output_len][from..];
            let place = (some.start * channels + pairs.channels.start) * kernel_len - self.start;
            let dots = Dots {
                lines: results[0].len(),
                depth: results[1].len() * COLUMNS,
                left: d_y.as_ptr(),
                left_row: output_len,
                left_line: output_width * COLUMNS,
                right: block,
                right_line: stride[0] * pitch,
                starts: &scratch.starts[..sums],
                sums: self.part[place..].as_mut_ptr(),
                sums_row: channels * kernel_len,
                places: &scratch.places[..sums],
            };
            // SAFETY: d_y holds the results of the filters of the share; from each start, the block holds the pixels that
            // they meet at that tap, `lines` rows apart by the stride; the part holds the sums of these pairs.
            unsafe { dots.run(lane, some.len()) }
        }
    }
}

/// A range in as few parts of at most `most` as it takes, of sizes that differ by one at most.
fn shares(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = range.len().div_ceil(most);
    (0..parts).map(move |part| {
        let bound = |part: usize| range.start + part * range.len() / parts;
        bound(part)..bound(part + 1)
    })
}

/// Sums of products of several lines each: `sums[i · sums_row + places[j]] += Σ left[i][k] · right[starts[j]][k]`.
struct Dots<'a> {
    /// Lines of an operand's row.
    lines: usize,
    /// Floats of a line that are multiplied, a multiple of 16.
    depth: usize,
    left: *const f32,
    /// Floats from one row to the next.
    left_row: usize,
    /// Floats from one line to the next.
    left_line: usize,
    right: *const f32,
    right_line: usize,
    starts: &'a [usize],
    sums: *mut f32,
    sums_row: usize,
    places: &'a [usize],
}

impl Dots<'_> {
    /// # Safety
    /// All lines of `rows` rows and from all starts must be readable, and the sums writable.
    #[inline(always)]
    unsafe fn run<V: Lane>(&self, lane: V, rows: usize) {
        for some in shares(0..self.starts.len(), [1, 8, 6, 4, 3][rows]) {
            let column = some.start;
            // SAFETY: the caller's promise; `some` lies within the starts.
            unsafe {
                match (rows, some.len()) {
                    (4, 3) => self.tile::<V, 4, 3>(lane, column),
                    (4, 2) => self.tile::<V, 4, 2>(lane, column),
                    (4, _) => self.tile::<V, 4, 1>(lane, column),
                    (3, 4) => self.tile::<V, 3, 4>(lane, column),
                    (3, 3) => self.tile::<V, 3, 3>(lane, column),
                    (3, 2) => self.tile::<V, 3, 2>(lane, column),
                    (3, _) => self.tile::<V, 3, 1>(lane, column),
                    (2, 6) => self.tile::<V, 2, 6>(lane, column),
                    (2, 5) => self.tile::<V, 2, 5>(lane, column),
                    (2, 4) => self.tile::<V, 2, 4>(lane, column),
                    (2, 3) => self.tile::<V, 2, 3>(lane, column),
                    (2, 2) => self.tile::<V, 2, 2>(lane, column),
                    (2, _) => self.tile::<V, 2, 1>(lane, column),
                    (_, 8) => self.tile::<V, 1, 8>(lane, column),
                    (_, 7) => self.tile::<V, 1, 7>(lane, column),
                    (_, 6) => self.tile::<V, 1, 6>(lane, column),
                    (_, 5) => self.tile::<V, 1, 5>(lane, column),
                    (_, 4) => self.tile::<V, 1, 4>(lane, column),
                    (_, 3) => self.tile::<V, 1, 3>(lane, column),
                    (_, 2) => self.tile::<V, 1, 2>(lane, column),
                    _ => self.tile::<V, 1, 1>(lane, column),
                }
            }
        }
    }

    /// # Safety
    /// As [`run`](Self::run), for MR rows and columns `column..column + NT`.
    #[inline(always)]
    unsafe fn tile<V: Lane, const MR: usize, const NT: usize>(&self, lane: V, column: usize) {
        let mut acc = [[lane.splat(0.0); NT]; MR];
        let mut right = [self.right; NT];
        // SAFETY: the caller's promise; all accesses are within the lines.
        unsafe {
            for (j, right) in right.iter_mut().enumerate() {
                *right = self.right.add(*self.starts.get_unchecked(column + j));
            }
            for line in 0..self.lines {
                let left = self.left.add(line * self.left_line);
                let mut k = 0;
                while k < self.depth {
                    // The shorter side stays in registers while the other goes by.
                    if MR < NT {
                        let mut a = [lane; MR];
                        for i in 0..MR {
                            a[i] = lane.load(left.add(i * self.left_row + k));
                        }
                        for j in 0..NT {
                            let b = lane.load(right[j].add(k));
                            for i in 0..MR {
                                acc[i][j] = a[i].mul_add(b, acc[i][j]);
                            }
                        }
                    } else {
                        let mut b = [lane; NT];
                        for j in 0..NT {
                            b[j] = lane.load(right[j].add(k));
                        }
                        for i in 0..MR {
                            let a = lane.load(left.add(i * self.left_row + k));
                            for j in 0..NT {
                                acc[i][j] = a.mul_add(b[j], acc[i][j]);
                            }
                        }
                    }
                    k += V::LANES;
                }
                for right in &mut right {
                    *right = right.wrapping_add(self.right_line);
                }
            }
            for (i, acc) in acc.iter().enumerate() {
                for (j, acc) in acc.iter().enumerate() {
                    *self.sums.add(i * self.sums_row + *self.places.get_unchecked(column + j)) += acc.total();
                }
            }
        }
    }
}
