//! Pooling of one example after another: a vector is some windows that are neighbours in a row.
//!
//! Some rows of a plane are copied to the stack, with what never counts on both sides, so that vectors need no care of the
//! ends of a row; with stride 2 the even columns lie before the odd ones, and every tap of neighbouring windows is a run of
//! neighbours. Rows are joined before they are joined with each other. The gradients are gathered: every pixel asks the
//! windows that hold it, with stride 2 the even and the odd pixels of a row by themselves.

use super::super::chunk::{filled, load, store};
use super::super::pack::Aligned;
use super::{Axis, Maximum, Pool2d, Window, first_maximum};
use crate::simd::Lane;
use std::ops::Range;

/// Floats of each block on the stack.
const BLOCK: usize = 8 * 1024;
/// Columns of a window at most.
const TAPS: usize = 16;
/// Floats that rows of a block are a multiple of: those of the longest vector.
const ALIGNED: usize = 16;

/// Planes of one shape, and how their rows lie in blocks.
pub(super) struct Rows {
    vertical: Axis,
    horizontal: Axis,
    /// Pixels, each residue of the column modulo the stride by itself.
    pixels: Layout,
    /// Where each tap of the first window lies in a row of pixels.
    taps: [usize; TAPS],
    /// Windows.
    windows: Layout,
    /// For each residue of the column, the taps at which windows hold its first pixel, and how many they are.
    asked: [[Asked; TAPS]; 2],
    asked_count: [usize; 2],
    /// Rows of pixels, and of windows, that a block holds.
    most: [usize; 2],
    /// Rows of windows at a time, and rows of the gradient.
    at_once: [usize; 2],
}

/// A window that holds a pixel.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    /// Where it lies in a row of windows.
    place: usize,
    /// The column of its tap that the pixel is.
    tap: usize,
}

/// How a row lies in a block.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Places before the first.
    left: usize,
    /// Places in all, of one residue.
    part: usize,
    /// Residues.
    parts: usize,
}

impl Layout {
    /// A row of so many places, of which vectors of `vectors` neighbours are read, so many places on at least and at most.
    fn new(places: usize, vectors: usize, parts: usize, [least, most]: [isize; 2]) -> Self {
        let [places, vectors] = [places, vectors].map(|len| len.next_multiple_of(ALIGNED));
        let left = least.min(0).unsigned_abs().next_multiple_of(ALIGNED);
        let reach = vectors + most.max(0) as usize;
        Layout { left, part: left + places.max(reach).next_multiple_of(ALIGNED), parts }
    }

    fn pitch(&self) -> usize {
        self.part * self.parts
    }
}

impl Rows {
    /// None if windows are further apart than two columns, or wide, or rows too long for the stack.
    pub(super) fn new(shape: &Pool2d) -> Option<Self> {
        let [vertical, horizontal] = Axis::pair(shape);
        let Axis { size, windows, kernel, stride, padding } = horizontal;
        if stride > 2 || kernel > TAPS {
            return None;
        }
        let column = |tap: usize| tap as isize - padding as isize;
        let parts = stride as isize;
        let reach = [0, kernel - 1].map(|tap| column(tap).div_euclid(parts));
        let pixels = Layout::new(size.div_ceil(stride), windows, stride, reach);
        let mut taps = [0; TAPS];
        for (tap, place) in taps[..kernel].iter_mut().enumerate() {
            let residue = column(tap).rem_euclid(parts) as usize;
            *place = residue * pixels.part + (column(tap).div_euclid(parts) + pixels.left as isize) as usize;
        }
        let asked = [-column(kernel - 1), parts - 1 - column(0)].map(|place| place.div_euclid(parts));
        let windows = Layout::new(windows, size.div_ceil(stride), 1, asked);
        let (mut asked, mut asked_count) = ([[Asked::default(); TAPS]; 2], [0; 2]);
        for (residue, tap) in (0..stride).flat_map(|residue| (0..kernel).map(move |tap| (residue, tap))) {
            let window = residue as isize - column(tap);
            if window.rem_euclid(parts) == 0 {
                let place = (windows.left as isize + window.div_euclid(parts)) as usize;
                asked[residue][asked_count[residue]] = Asked { place, tap };
                asked_count[residue] += 1;
            }
        }
        let most = BLOCK / pixels.pitch().max(windows.part);
        let mut at_once = [vertical.windows, vertical.size];
        if vertical.size.max(vertical.windows) > most {
            // As many as have all their windows, or pixels, in a block.
            let lines = most.checked_sub(vertical.kernel)? / vertical.stride + 1;
            at_once = [lines.min(most), most.checked_sub(2 * vertical.kernel)? + 1];
        }
        let held = [vertical.size, vertical.windows].map(|rows| rows.min(most));
        (most > 0).then_some(Rows {
            vertical,
            horizontal,
            pixels,
            taps,
            windows,
            asked,
            asked_count,
            most: held,
            at_once,
        })
    }

    /// Floats of a block of pixels, and of a block of rows of windows of so many rows.
    fn floats(&self) -> [usize; 3] {
        let [pixels, lines] = self.most;
        [pixels * self.pixels.pitch(), pixels * self.windows.part, lines * self.windows.part]
    }

    /// The rows of pixels that some rows of windows hold.
    fn held(&self, lines: &Range<usize>) -> Range<usize> {
        if lines.is_empty() {
            return 0..0;
        }
        self.vertical.inside(lines.start).start..self.vertical.inside(lines.end - 1).end
    }

    /// The rows of windows that hold some of these rows of pixels.
    fn holding(&self, rows: &Range<usize>) -> Range<usize> {
        let Axis { windows, kernel, stride, padding, .. } = self.vertical;
        let end = ((rows.end - 1 + padding) / stride + 1).min(windows);
        (rows.start + padding + 1).saturating_sub(kernel).div_ceil(stride).min(end)..end
    }

    /// For each window of a row, one over its columns that are no padding.
    fn shares(&self, to: &mut [f32]) {
        for (window, share) in to[..self.horizontal.windows].iter_mut().enumerate() {
            *share = 1.0 / self.horizontal.inside(window).len().max(1) as f32;
        }
    }

    /// Copies rows of pixels to a block; places that have none hold `rest`.
    #[inline(always)]
    fn copy<V: Lane>(&self, lane: V, rest: f32, x: &[f32], rows: &Range<usize>, block: &mut [f32]) {
        let (width, Layout { left, part, parts }) = (self.horizontal.size, self.pixels);
        let x = &x[rows.start * width..rows.end * width];
        for (from, to) in x.chunks_exact(width).zip(block.chunks_exact_mut(part * parts)) {
            if parts == 1 {
                for at in (0..width).step_by(V::LANES) {
                    store(load_or(lane, rest, &from[at..]), &mut to[left + at..]);
                }
                continue;
            }
            let (even, odd) = to.split_at_mut(part);
            for at in (0..width).step_by(2 * V::LANES) {
                let (front, back) = from[at..].split_at((width - at).min(V::LANES));
                let (first, second) = load_or(lane, rest, front).deinterleave(load_or(lane, rest, back));
                store(first, &mut even[left + at / 2..]);
                store(second, &mut odd[left + at / 2..]);
            }
        }
    }

    /// Joins the taps of all windows within each of some rows of the block, to rows of `windows.part`.
    #[inline(always)]
    fn join_rows<V: Lane, W: Window>(&self, lane: V, _: W, rows: usize, pixels: &[f32], joined: &mut [f32]) {
        let rows = pixels.chunks_exact(self.pixels.pitch()).zip(joined.chunks_exact_mut(self.windows.part)).take(rows);
        for (pixels, joined) in rows {
            for column in (0..self.horizontal.windows).step_by(V::LANES) {
                let mut all = at(lane, pixels, self.taps[0] + column);
                for tap in &self.taps[1..self.horizontal.kernel] {
                    all = W::join(all, at(lane, pixels, tap + column));
                }
                store(all, &mut joined[column..]);
            }
        }
    }

    /// The joined pixels of the windows of a line from `column` on, whose rows are some of those joined.
    #[inline(always)]
    fn join<V: Lane, W: Window>(&self, lane: V, _: W, joined: &[f32], rows: Range<usize>, column: usize) -> V {
        let mut all = lane.splat(W::START);
        for row in rows {
            all = W::join(all, at(lane, joined, row * self.windows.part + column));
        }
        all
    }

    /// All planes of a forward pass; those of y are `pitch` floats apart.
    #[inline(always)]
    pub(super) fn forward<V: Lane, W: Window>(&self, lane: V, window: W, x: &[f32], y: &mut [f32], pitch: usize) {
        let Axis { windows, .. } = self.horizontal;
        let (mut pixels, mut joined) = (Aligned::<BLOCK>::uninit(), Aligned::<BLOCK>::uninit());
        let mut shares = Aligned::<BLOCK>::uninit();
        let [pixels_len, joined_len, _] = self.floats();
        let (pixels, joined, shares) =
            (pixels.zeros(pixels_len), joined.zeros(joined_len), shares.zeros(self.windows.part));
        if W::AVERAGES {
            self.shares(shares);
        } else {
            pixels.fill(W::START);
        }
        let [input, output] = [self.vertical.size * self.horizontal.size, self.vertical.windows * windows];
        for (plane, x) in x.chunks_exact(input).enumerate() {
            let y = &mut y[plane * pitch..];
            // Planes that are apart have other rows between them, which may be there already.
            let y = if pitch == output { y } else { &mut y[..output] };
            for first in (0..self.vertical.windows).step_by(self.at_once[0]) {
                let lines = first..(first + self.at_once[0]).min(self.vertical.windows);
                let rows = self.held(&lines);
                self.copy(lane, W::START, x, &rows, pixels);
                self.join_rows(lane, window, rows.len(), pixels, joined);
                for line in lines {
                    let inside = self.vertical.inside(line);
                    let inside = inside.start - rows.start.min(inside.start)..inside.end - rows.start.min(inside.end);
                    let share = lane.splat(1.0 / inside.len().max(1) as f32);
                    for column in (0..windows).step_by(V::LANES) {
                        // The last vector steps back to end with the row. What a shorter one writes past its end belongs
                        // to rows whose turn is yet to come.
                        let column = column.min(windows.saturating_sub(V::LANES));
                        let mut all = self.join(lane, window, joined, inside.clone(), column);
                        if W::AVERAGES {
                            all = all * (load(lane, &shares[column..]) * share);
                        }
                        store(all, &mut y[line * windows + column..]);
                    }
                }
            }
        }
    }

    /// All planes of the gradient of maxima.
    #[inline(always)]
    pub(super) fn maximum_gradient<V: Lane>(&self, lane: V, x: &[f32], d_y: &[f32], d_x: &mut [f32]) {
        let [mut pixels, mut joined, mut given, mut chosen] = [const { Aligned::<BLOCK>::uninit() }; 4];
        let [pixels_len, joined_len, len] = self.floats();
        let (pixels, joined) = (pixels.zeros(pixels_len), joined.zeros(joined_len));
        let (given, chosen) = (given.zeros(len), chosen.zeros(len));
        pixels.fill(f32::NEG_INFINITY);
        let windows = self.horizontal.windows;
        let [input, output] = [self.vertical.size * self.horizontal.size, self.vertical.windows * windows];
        let planes = x.chunks_exact(input).zip(d_y.chunks_exact(output));
        for (plane, (x, d_y)) in planes.enumerate() {
            for first in (0..self.vertical.size).step_by(self.at_once[1]) {
                let rows = first..(first + self.at_once[1]).min(self.vertical.size);
                let lines = self.holding(&rows);
                let held = self.held(&lines);
                self.copy(lane, f32::NEG_INFINITY, x, &held, pixels);
                self.join_rows(lane, Maximum, held.len(), pixels, joined);
                for (number, line) in lines.clone().enumerate() {
                    let place = number * self.windows.part + self.windows.left;
                    for column in (0..windows).step_by(V::LANES) {
                        let tap = self.first_maxima(lane, x, pixels, joined, held.start, line, column);
                        store(tap, &mut chosen[place + column..]);
                        store(
                            load(lane, &d_y[line * windows + column..(line + 1) * windows]),
                            &mut given[place + column..],
                        );
                    }
                }
                let gradient = Gradient { given, chosen };
                self.gather::<V, true>(lane, &rows, &lines, &gradient, &mut d_x[plane * input..]);
            }
        }
    }

    /// The number of the tap at which each window from `column` on of a line has its first maximum; −1 for windows of
    /// nothing.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "where the blocks begin")]
    fn first_maxima<V: Lane>(
        &self,
        lane: V,
        x: &[f32],
        pixels: &[f32],
        joined: &[f32],
        first_row: usize,
        line: usize,
        column: usize,
    ) -> V {
        let (Axis { kernel, windows, .. }, inside) = (self.horizontal, self.vertical.inside(line));
        let rows = inside.start - first_row.min(inside.start)..inside.end - first_row.min(inside.end);
        let greatest = self.join(lane, Maximum, joined, rows.clone(), column);
        // What is infinite or NaN is NaN times 0.
        let real = filled(lane, windows - column);
        if real.select(greatest * lane.splat(0.0), lane.splat(0.0)).any() {
            return self.strange_maxima(lane, x, line, column);
        }
        let mut chosen = lane.splat(-1.0);
        for row in rows.rev() {
            let number = (row + first_row + self.vertical.padding - line * self.vertical.stride) * kernel;
            for (tap, place) in self.taps[..kernel].iter().enumerate().rev() {
                let value = at(lane, pixels, row * self.pixels.pitch() + place + column);
                chosen = value.equal(greatest).select(lane.splat((number + tap) as f32), chosen);
            }
        }
        chosen
    }

    /// The same, window by window, with infinities and NaN.
    #[inline(never)]
    fn strange_maxima<V: Lane>(&self, lane: V, x: &[f32], line: usize, column: usize) -> V {
        let mut chosen = [-1.0; 16];
        let (vertical, horizontal) = (self.vertical, self.horizontal);
        for (chosen, window) in chosen.iter_mut().zip(column..horizontal.windows) {
            let (rows, columns) = (vertical.inside(line), horizontal.inside(window));
            if let Some(place) = first_maximum(x, horizontal.size, rows, columns) {
                let row = place / horizontal.size + vertical.padding - line * vertical.stride;
                let column = place % horizontal.size + horizontal.padding - window * horizontal.stride;
                *chosen = (row * horizontal.kernel + column) as f32;
            }
        }
        load(lane, &chosen)
    }

    /// All planes of the gradient of averages.
    #[inline(always)]
    pub(super) fn average_gradient<V: Lane>(&self, lane: V, d_y: &[f32], d_x: &mut [f32]) {
        let [mut given, mut shares] = [const { Aligned::<BLOCK>::uninit() }; 2];
        let [_, _, len] = self.floats();
        let (given, shares) = (given.zeros(len), shares.zeros(self.windows.part));
        self.shares(shares);
        let windows = self.horizontal.windows;
        let [input, output] = [self.vertical.size * self.horizontal.size, self.vertical.windows * windows];
        for (plane, d_y) in d_y.chunks_exact(output).enumerate() {
            for first in (0..self.vertical.size).step_by(self.at_once[1]) {
                let rows = first..(first + self.at_once[1]).min(self.vertical.size);
                let lines = self.holding(&rows);
                for (number, line) in lines.clone().enumerate() {
                    let share = lane.splat(1.0 / self.vertical.inside(line).len().max(1) as f32);
                    let place = number * self.windows.part + self.windows.left;
                    for column in (0..windows).step_by(V::LANES) {
                        let d_y = load(lane, &d_y[line * windows + column..(line + 1) * windows]);
                        store(d_y * (load(lane, &shares[column..]) * share), &mut given[place + column..]);
                    }
                }
                let gradient = Gradient { given, chosen: &[] };
                self.gather::<V, false>(lane, &rows, &lines, &gradient, &mut d_x[plane * input..]);
            }
        }
    }

    /// Writes rows of d_x: every pixel takes from the windows that hold it, which are some of these lines, what they give,
    /// or what those give that have chosen it.
    #[inline(always)]
    fn gather<V: Lane, const CHOSEN: bool>(
        &self,
        lane: V,
        rows: &Range<usize>,
        lines: &Range<usize>,
        gradient: &Gradient<'_>,
        d_x: &mut [f32],
    ) {
        let (width, stride) = (self.horizontal.size, self.horizontal.stride);
        for row in rows.clone() {
            let holding = self.holding(&(row..row + 1));
            let place = Place {
                line: holding.start.saturating_sub(lines.start),
                count: holding.len(),
                down: (row + self.vertical.padding).saturating_sub(holding.start * self.vertical.stride),
            };
            if stride == 1 {
                for column in (0..width).step_by(V::LANES) {
                    let column = column.min(width.saturating_sub(V::LANES));
                    let sum = self.ask::<V, CHOSEN>(lane, 0, &place, column, gradient);
                    store(sum, &mut d_x[row * width + column..]);
                }
                continue;
            }
            for column in (0..width.div_ceil(2)).step_by(V::LANES) {
                let even = self.ask::<V, CHOSEN>(lane, 0, &place, column, gradient);
                let odd = self.ask::<V, CHOSEN>(lane, 1, &place, column, gradient);
                let (first, second) = even.interleave(odd);
                let to = &mut d_x[row * width..(row + 1) * width][2 * column..];
                let (front, back) = to.split_at_mut(to.len().min(V::LANES));
                store(first, front);
                store(second, back);
            }
        }
    }

    /// What the pixels of a row take that are of one residue, from number `column` on.
    #[inline(always)]
    fn ask<V: Lane, const CHOSEN: bool>(
        &self,
        lane: V,
        residue: usize,
        place: &Place,
        column: usize,
        gradient: &Gradient<'_>,
    ) -> V {
        let zero = lane.splat(0.0);
        let mut sum = zero;
        for number in 0..place.count {
            let start = (place.line + number) * self.windows.part + column;
            let first = (place.down - number * self.vertical.stride) * self.horizontal.kernel;
            for asked in &self.asked[residue][..self.asked_count[residue]] {
                let given = at(lane, gradient.given, start + asked.place);
                if CHOSEN {
                    let chosen = at(lane, gradient.chosen, start + asked.place);
                    sum = sum + chosen.equal(lane.splat((first + asked.tap) as f32)).select(given, zero);
                } else {
                    sum = sum + given;
                }
            }
        }
        sum
    }
}

/// What windows give, and which of their taps they give it to; nothing if to all.
struct Gradient<'a> {
    given: &'a [f32],
    chosen: &'a [f32],
}

/// The lines of windows that hold a row.
struct Place {
    /// The first, in the block.
    line: usize,
    count: usize,
    /// The row of the first one's taps that it is.
    down: usize,
}

/// The first floats of a slice, as many as a lane holds; lanes past the end of the slice are `rest`.
#[inline(always)]
fn load_or<V: Lane>(lane: V, rest: f32, from: &[f32]) -> V {
    let vector = load(lane, from);
    if from.len() >= V::LANES { vector } else { filled(lane, from.len()).select(vector, lane.splat(rest)) }
}

/// A vector of a block.
#[inline(always)]
fn at<V: Lane>(lane: V, block: &[f32], place: usize) -> V {
    let floats = &block[place..place + V::LANES];
    // SAFETY: the slice holds as many floats as the vector.
    unsafe { lane.load(floats.as_ptr()) }
}
