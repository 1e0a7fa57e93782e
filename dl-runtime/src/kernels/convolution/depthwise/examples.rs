//! Depthwise convolutions of one example after another: a vector is some pixels of a row, and tiles lie along columns.
//!
//! The rows that some rows of results meet are copied to the stack, with zeros on both sides, so that vectors of a row need
//! no care of its ends; with stride 2 the even columns of a row lie before the odd ones, and every tap meets neighbours.
//! The gradient of the input is one such convolution for each residue of the position modulo the stride; those of two
//! horizontal ones are computed side by side and leave as pairs.

use super::super::axis::Axis;
use super::super::{Convolution2d, Gradient};
use super::{Along, LINES, Line, Place, Sums, TAPS, Tap, Tiles, VECTOR, most, tiles, with_results, with_tile};
use crate::kernels::chunk::{load, store};
use crate::kernels::epilogue::{Ending, PlaneEnding};
use crate::kernels::pack::Aligned;
use crate::simd::{Kernel, Lane};
use std::ops::Range;

/// Floats of the block on the stack.
const BLOCK: usize = 8 * 1024;
/// Rows of results at a time at least: what they meet is copied once for all of them.
const FEWEST: usize = 4;
/// Floats that rows of the block are a multiple of: those of the longest vector.
const ALIGNED: usize = 16;

/// How rows lie in the block.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Positions before the first column.
    left: usize,
    /// Floats of a row, or of its even columns.
    part: usize,
    /// Whether there are two parts.
    halved: bool,
    /// Rows of results of one residue at a time.
    lines: usize,
    /// Where the first of them meets the source first, and the last of its taps is, before the stride.
    window: [isize; 2],
    /// Rows of the source from one result to the next.
    stride: usize,
    /// Rows of the source.
    height: usize,
}

impl Layout {
    /// The layout of rows for results of all residues along both axes; none if a row is too long for the block.
    fn new(vertical: &[Axis], horizontal: &[Axis], planes: usize) -> Option<Self> {
        let stride = horizontal[0].stride;
        if stride > 2 || vertical.iter().chain(horizontal).any(|axis| axis.taps > TAPS) {
            return None;
        }
        let window = |axes: &[Axis]| {
            let first = axes.iter().map(|axis| axis.offset).min().unwrap_or(0);
            let last = axes.iter().map(|axis| axis.offset + (axis.taps.max(1) - 1) as isize * axis.dilation as isize);
            [first, last.max().unwrap_or(0)]
        };
        let [first, last] = window(horizontal);
        let left = first.min(0).unsigned_abs().div_ceil(stride).next_multiple_of(ALIGNED);
        let columns = horizontal[0].source.div_ceil(stride).next_multiple_of(ALIGNED);
        let reach = last.max(0) as usize / stride + 1 + horizontal[0].outputs.next_multiple_of(ALIGNED);
        let part = (left + columns.max(reach)).next_multiple_of(ALIGNED);
        let window = window(vertical);
        let outputs = vertical[0].outputs;
        let mut layout = Layout {
            left,
            part,
            halved: stride == 2,
            lines: outputs,
            window,
            stride: vertical[0].stride,
            height: vertical[0].source,
        };
        let most = BLOCK / planes / layout.pitch();
        let more = (window[1] - window[0] + 1) as usize;
        if layout.height > most {
            layout.lines = (most.checked_sub(more)? / layout.stride + 1).min(outputs);
            layout.lines = outputs.div_ceil(outputs.div_ceil(layout.lines));
        }
        (layout.lines >= outputs.min(FEWEST)).then_some(layout)
    }

    /// Floats of a row.
    fn pitch(&self) -> usize {
        self.part * (1 + usize::from(self.halved))
    }

    /// Floats of the block that a plane takes.
    fn held(&self) -> usize {
        let window = (self.window[1] - self.window[0] + 1) as usize;
        ((self.lines - 1) * self.stride + window).min(self.height) * self.pitch()
    }

    /// Rows of the source that some results of all residues meet.
    fn met(&self, lines: &Range<usize>) -> Range<usize> {
        let at = |line: usize, shift: isize| ((line * self.stride) as isize + shift).clamp(0, self.height as isize);
        let start = at(lines.start, self.window[0]) as usize;
        start..(at(lines.end - 1, self.window[1] + 1) as usize).max(start)
    }

    /// Copies rows of a plane to the start of the block, whose other columns are 0.
    #[inline(always)]
    fn copy<V: Lane>(&self, lane: V, plane: &[f32], width: usize, rows: &Range<usize>, block: &mut [f32]) {
        let plane = &plane[rows.start * width..rows.end * width];
        for (from, to) in plane.chunks_exact(width).zip(block.chunks_exact_mut(self.pitch())) {
            if self.halved {
                let (even, odd) = to.split_at_mut(self.part);
                let (even, odd) = (&mut even[self.left..], &mut odd[self.left..]);
                for at in (0..width).step_by(2 * V::LANES) {
                    let (front, back) = from[at..].split_at((width - at).min(V::LANES));
                    let (first, second) = load(lane, front).deinterleave(load(lane, back));
                    store(first, &mut even[at / 2..]);
                    store(second, &mut odd[at / 2..]);
                }
            } else {
                for at in (0..width).step_by(V::LANES) {
                    store(load(lane, &from[at..]), &mut to[self.left + at..]);
                }
            }
        }
    }

    /// The taps of an axis across, `weights` from one tap of the kernel to the next.
    fn taps(&self, axis: &Axis, weights: usize) -> ([Tap; TAPS], usize) {
        let mut taps = [Tap::default(); TAPS];
        for (number, tap) in taps[..axis.taps].iter_mut().enumerate() {
            let position = axis.offset + (number * axis.dilation) as isize;
            let parts = 1 + isize::from(self.halved);
            let column = position.div_euclid(parts) + self.left as isize;
            let pixels = position.rem_euclid(parts) as usize * self.part + column as usize;
            *tap = Tap { position: 0, pixels, weight: axis.tap(number) * weights };
        }
        (taps, axis.taps)
    }
}

/// A convolution, or the gradient of its input, for `n` examples; slices have exactly their lengths, none is empty.
pub(in super::super) struct Correlation<'a> {
    pub(in super::super) plan: Plan,
    pub(in super::super) shape: Convolution2d,
    /// Source planes of a group.
    pub(in super::super) planes: usize,
    /// Planes of results of a group.
    pub(in super::super) rows: usize,
    pub(in super::super) source: &'a [f32],
    pub(in super::super) panels: &'a [f32],
    /// What is done to the sums; its bias has a float for each plane of results.
    pub(in super::super) ending: Ending<'a>,
    pub(in super::super) y: &'a mut [f32],
}

/// How a correlation is computed.
#[derive(Clone, Copy)]
pub(in super::super) struct Plan {
    /// Vertical and horizontal, for each residue of the position of a result.
    axes: [[Axis; 2]; 2],
    /// How many residues there are, vertically and horizontally.
    residues: [usize; 2],
    layout: Layout,
}

impl Plan {
    /// The plan of a convolution, or of the gradient of its input; none if it is not computed here.
    pub(in super::super) fn new(shape: &Convolution2d, backward: bool) -> Option<Self> {
        if !super::suits(shape) || shape.stride.iter().any(|stride| *stride > 2) {
            return None;
        }
        let mut axes = shape.axes().map(|axis| [axis; 2]);
        let mut residues = [1, 1];
        if backward {
            residues = [0, 1].map(|i| axes[i][0].source.min(axes[i][0].stride));
            axes = axes.map(|[axis, _]| [0, 1].map(|residue| axis.backward(residue.min(axis.stride - 1))));
        }
        let planes = if backward { shape.filters / shape.groups } else { 1 };
        let [vertical, horizontal] = [0, 1].map(|i| &axes[i][..residues[i]]);
        let layout = Layout::new(vertical, horizontal, planes)?;
        Some(Plan { axes, residues, layout })
    }
}

impl Kernel for Correlation<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(mut self, lane: V) {
        let Plan { axes: [vertical, horizontal], residues, layout } = self.plan;
        let (pitch, width) = (layout.pitch(), horizontal[0].source);
        let source_len = vertical[0].source * width;
        let held = layout.held();
        let mut block = Aligned::<BLOCK>::uninit();
        let block = block.zeros(self.planes * held);
        // The panel of a group is one tile of filters, whose weights lie side by side.
        let step = self.planes * self.rows;
        let [kernel_height, kernel_width] = self.shape.kernel;
        let panel_len = kernel_height * kernel_width * step;
        let across = horizontal.map(|axis| layout.taps(&axis, step));
        for (index, source) in self.source.chunks_exact(self.planes * source_len).enumerate() {
            let group = index % self.shape.groups;
            let panel = &self.panels[group * panel_len..][..panel_len];
            for first in (0..vertical[0].outputs).step_by(layout.lines) {
                let lines = first..(first + layout.lines).min(vertical[0].outputs);
                let rows = layout.met(&lines);
                for (from, to) in source.chunks_exact(source_len).zip(block.chunks_exact_mut(held)) {
                    layout.copy(lane, from, width, &rows, to);
                }
                for row in 0..self.rows {
                    for axis in &vertical[..residues[0]] {
                        let band = Band {
                            lines: lines.start.min(axis.outputs)..lines.end.min(axis.outputs),
                            axis: *axis,
                            line: Line {
                                pixels: block.as_ptr().wrapping_sub(rows.start * pitch),
                                weights: panel[row..].as_ptr(),
                                each: false,
                                planes: self.planes,
                                plane: [held, self.rows],
                                across: &[],
                                across_len: 1,
                                along: Along::new(axis, pitch, kernel_width * step),
                            },
                            across: [0, 1].map(|i| &across[i].0[..across[i].1]),
                        };
                        // SAFETY: the block holds the rows that these lines meet, of all planes and with zeros on both
                        // sides; the panel a weight for each tap, plane and row.
                        unsafe { self.band(lane, &band, index * self.rows + row, group * self.rows + row) }
                    }
                }
            }
        }
    }
}

/// Some lines of results of one vertical residue.
struct Band<'a> {
    lines: Range<usize>,
    axis: Axis,
    /// What their tiles read, but for the taps across.
    line: Line<'a>,
    /// Taps across, for each horizontal residue.
    across: [&'a [Tap]; 2],
}

impl Correlation<'_> {
    /// Some lines of a plane of y, whose bias has a number of its own.
    ///
    /// # Safety
    /// The lines must be readable as the band says.
    #[inline(always)]
    unsafe fn band<V: Lane>(&mut self, lane: V, band: &Band<'_>, plane: usize, bias: usize) {
        let Plan { axes: [vertical, horizontal], residues, layout } = &self.plan;
        let (axis, width) = (band.axis, horizontal[0].len);
        let ending = self.ending.of_plane(bias);
        let every = band.line.along.every();
        // What is written past the end of a row belongs to rows whose turn is yet to come.
        let in_order = axis.step == 1 && every == 1 && layout.lines >= vertical[0].outputs;
        let paired = residues[1] == 2;
        let columns = horizontal[0].outputs;
        for residue in 0..every {
            let (along, shift) = band.line.along.of_residue(residue);
            let line = Line { pixels: band.line.pixels.wrapping_add(shift), along, ..band.line };
            let lines = [band.lines.start, band.lines.end].map(|line| line.saturating_sub(residue).div_ceil(every));
            if lines[0] == lines[1] {
                continue;
            }
            for Tiles { first, size, count } in tiles(most::<V>(), lines[1] - lines[0]) {
                for tile in 0..count {
                    let first = lines[0] + first + tile * size;
                    let row = plane * axis.len + axis.place(residue + first * every);
                    let y = &mut self.y[row * width..];
                    let room = if in_order && !paired { y.len() } else { 0 };
                    let apart = every * axis.step * width;
                    let tile = Tile { y: y.as_mut_ptr(), apart, count: width, room, ending };
                    let rows = Rows { lines: band.across.map(|across| Line { across, ..line }), first, columns, tile };
                    // SAFETY: the caller's promise; the rows hold `width` floats.
                    unsafe {
                        if paired {
                            with_results!(1, size, pairs::<V>(lane, rows));
                        } else {
                            with_tile!(size, along.shared(), write::<V>(lane, rows));
                        }
                    }
                }
            }
        }
    }
}

/// Some rows of results, as many as a tile has.
struct Rows<'a> {
    /// What each horizontal residue reads.
    lines: [Line<'a>; 2],
    /// The number of the first.
    first: usize,
    /// Results of a row, of one residue.
    columns: usize,
    /// Where the tile at column 0 goes.
    tile: Tile,
}

impl Rows<'_> {
    /// The tile from a column on, which lies so many floats from the start of its row.
    #[inline(always)]
    fn at(&self, column: usize, start: usize) -> (Tile, Place) {
        let Tile { y, count, room, .. } = self.tile;
        let (y, count, room) = (y.wrapping_add(start), count - start, room.saturating_sub(start));
        (Tile { y, count, room, ..self.tile }, Place { along: self.first, across: 0, pixels: column })
    }
}

/// C rows of results.
///
/// # Safety
/// The lines must be readable as they say; of the rows, `count` floats and those of the room must be writable.
#[inline(always)]
unsafe fn write<V: Lane, const C: usize, const S: usize>(lane: V, rows: Rows<'_>) {
    lane.apart(Write::<C, S>(rows));
}

/// The arguments of [`write`], whose promises are kept.
struct Write<'a, const C: usize, const S: usize>(Rows<'a>);

impl<const C: usize, const S: usize> Kernel for Write<'_, C, S> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let columns = self.0.columns;
        for column in (0..columns).step_by(V::LANES) {
            // The last vector of a row steps back to end with it.
            let column = column.min(columns.saturating_sub(V::LANES));
            let (tile, place) = self.0.at(column, column);
            // SAFETY: what was promised to `write`.
            unsafe { tile.write::<V, C, S>(lane, &self.0.lines[0], place) }
        }
    }
}

/// C rows of results of two residues in turn.
///
/// # Safety
/// As [`write`].
#[inline(always)]
unsafe fn pairs<V: Lane, const C: usize, const S: usize>(lane: V, rows: Rows<'_>) {
    lane.apart(Pairs::<C, S>(rows));
}

/// The arguments of [`pairs`], whose promises are kept.
struct Pairs<'a, const C: usize, const S: usize>(Rows<'a>);

impl<const C: usize, const S: usize> Kernel for Pairs<'_, C, S> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        for column in (0..self.0.columns).step_by(V::LANES) {
            let (tile, place) = self.0.at(column, 2 * column);
            // SAFETY: what was promised to `pairs`.
            unsafe { tile.write_pairs::<V, C, S>(lane, &self.0.lines, place) }
        }
    }
}

/// Where the results of a tile go.
#[derive(Clone, Copy)]
struct Tile {
    y: *mut f32,
    /// Floats from one row to the next.
    apart: usize,
    /// Floats that are left of each row.
    count: usize,
    /// Floats from the first row on that may be written, though they belong to others; 0 if none may.
    room: usize,
    ending: PlaneEnding,
}

impl Tile {
    /// # Safety
    /// The line must be readable as it says; of C rows, `count` floats and those of the room must be writable.
    #[inline(always)]
    unsafe fn write<V: Lane, const C: usize, const S: usize>(&self, lane: V, line: &Line<'_>, place: Place) {
        // SAFETY: the caller's promise.
        unsafe {
            let acc = line.tile::<V, C, S>(lane, place);
            for i in 0..C {
                self.put(i * self.apart, self.count, acc[i]);
            }
        }
    }

    /// The results of two residues in turn.
    ///
    /// # Safety
    /// As [`write`](Self::write).
    #[inline(always)]
    unsafe fn write_pairs<V: Lane, const C: usize, const S: usize>(
        &self,
        lane: V,
        [even, odd]: &[Line<'_>; 2],
        place: Place,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let (even, odd) = (even.tile::<V, C, S>(lane, place), odd.tile::<V, C, S>(lane, place));
            for i in 0..C {
                let (first, second) = even[i].interleave(odd[i]);
                self.put(i * self.apart, self.count, first);
                if self.count > V::LANES {
                    self.put(i * self.apart + V::LANES, self.count - V::LANES, second);
                }
            }
        }
    }

    /// # Safety
    /// `count` floats from place `at` on must be writable, and the floats of the room.
    #[inline(always)]
    unsafe fn put<V: Lane>(&self, at: usize, count: usize, result: V) {
        let y = self.y.wrapping_add(at);
        // SAFETY: the caller's promise.
        unsafe {
            if count >= V::LANES || at + V::LANES <= self.room {
                self.ending.store(y, result);
            } else {
                self.ending.store_first(y, count, result);
            }
        }
    }
}

/// Writes some kernels of d_weight.
pub(in super::super) struct Weight<'a> {
    pub(in super::super) plan: Plan,
    pub(in super::super) of: Gradient<'a>,
}

impl Kernel for Weight<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Plan { axes: [[vertical, _], [horizontal, _]], layout, .. } = self.plan;
        let (pitch, width) = (layout.pitch(), horizontal.outputs);
        let (source_len, output_len) = (vertical.source * horizontal.source, vertical.outputs * width);
        let filters = self.of.shape.filters / self.of.shape.groups;
        let taps = vertical.taps * horizontal.taps;
        let (across, count) = layout.taps(&horizontal, 1);
        let along = Along::new(&vertical, pitch, horizontal.taps);
        let every = along.every();
        let (mut block, mut sums) = (Aligned::<BLOCK>::uninit(), Aligned::<{ TAPS * TAPS * VECTOR }>::uninit());
        let block = block.zeros(layout.held());
        for (filter, part) in (self.of.first..).zip(self.of.part.chunks_exact_mut(taps)) {
            let sums = sums.zeros(taps * VECTOR);
            for example in 0..self.of.n {
                let x = &self.of.x.example(example)[filter / filters * source_len..][..source_len];
                let d_y = &self.of.d_y.example(example)[filter * output_len..][..output_len];
                for first in (0..vertical.outputs).step_by(layout.lines) {
                    let lines = first..(first + layout.lines).min(vertical.outputs);
                    let rows = layout.met(&lines);
                    layout.copy(lane, x, horizontal.source, &rows, block);
                    for residue in 0..every.min(lines.len()) {
                        let first = along.first.wrapping_add((lines.start + residue) * vertical.stride);
                        // Results that are missing in the last tile meet no rows but those at hand.
                        let (along, shift) = Along { first, len: rows.end, ..along }.of_residue(0);
                        for some in across[..count].chunks(LINES) {
                            let sums = Sums {
                                pixels: block.as_ptr().wrapping_sub(rows.start * pitch).wrapping_add(shift),
                                d_y: d_y[(lines.start + residue) * width..].as_ptr(),
                                lines: width.div_ceil(V::LANES),
                                line: [0, V::LANES, V::LANES],
                                start: 0,
                                across: some,
                                across_len: 1,
                                along,
                                results: (lines.len() - residue).div_ceil(every),
                                d_y_apart: every * width,
                                last: width - (width - 1) / V::LANES * V::LANES,
                                sums: sums.as_mut_ptr(),
                            };
                            // SAFETY: the block holds the rows that these lines meet, with zeros on both sides, d_y the
                            // lines, and `sums` a vector for each tap.
                            unsafe { sums.add(lane) }
                        }
                    }
                }
            }
            for (sum, vector) in part.iter_mut().zip(sums.chunks_exact(VECTOR)) {
                // SAFETY: the chunk has as many floats as any vector.
                *sum = unsafe { lane.load(vector.as_ptr()) }.total();
            }
        }
    }
}
