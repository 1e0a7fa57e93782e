//! Correlation with sixteen filters side by side: `acc[panels][results] += broadcast(pixel) × load(weights)`.
//!
//! Where the results of a row are few or what they meet lies apart, pixels do not fill vectors; filters do. As in
//! [`lanes`](super::super::lanes), a result at the border runs through the taps that exist there, and the gradient of the
//! input is the same computation, once for each residue of the place modulo the stride.
//!
//! The pixels that some rows of results meet are copied to the stack, `[row][column][channel]`, so that a product runs over
//! taps and channels in sequence. Results are gathered there too, `[row][column][filter]`, and leave as planes.

#![expect(clippy::needless_range_loop, reason = "iterators of arrays of vectors are not always inlined")]

use super::super::super::pack::Aligned;
use super::super::super::product::COLUMNS;
use super::super::axis::Axis;
use super::turn::{MARGIN, leave, leave_last, turn};
use crate::kernels::epilogue::Ending;
use crate::simd::{Kernel, Lane, Sixteen};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{Ordering, compiler_fence};

/// Floats of pixels on the stack.
const PIXELS: usize = 24 * 1024;
/// Floats of results on the stack.
const RESULTS: usize = 16 * 1024;
/// Panels whose results are on the stack together.
const PANELS: usize = 4;
/// Filters of these.
const FILTERS: usize = PANELS * COLUMNS;
/// The greatest stride of a gradient of the input.
const RESIDUES: usize = 4;
/// What turning sixteen floats costs, in products of vectors of sixteen.
const TURNING: usize = 12;

/// `y = max(source ⋆ weight + bias + residual, floor)`, masked, for `n` examples; slices have exactly their lengths, none is empty.
pub(in super::super) struct Abreast<'a> {
    pub(in super::super) plan: &'a Plan,
    pub(in super::super) n: usize,
    pub(in super::super) source: &'a [f32],
    /// For each sixteen filters their weights at each tap and source plane.
    pub(in super::super) panels: &'a [f32],
    /// What is done to the sums; its bias has a float for each plane of results.
    pub(in super::super) ending: Ending<'a>,
    /// Whether the results of a pixel lie side by side, and not those of a plane.
    pub(in super::super) last: bool,
    /// Places for the results, which need not hold any.
    pub(in super::super) y: &'a mut [MaybeUninit<f32>],
}

/// The axes of a correlation: one, or one for each residue.
#[derive(Clone, Copy)]
struct Residues {
    axes: [Axis; RESIDUES],
    count: usize,
}

impl Residues {
    /// The axis of some result, and its number there.
    #[inline(always)]
    fn of(&self, place: usize) -> (&Axis, usize) {
        (&self.axes[place % self.count], place / self.count)
    }

    fn all(&self) -> &[Axis] {
        &self.axes[..self.count]
    }
}

/// How a correlation is carried out; a function of the shape alone.
#[derive(Clone, Copy)]
pub(in super::super) struct Plan {
    backward: bool,
    vertical: Residues,
    horizontal: Residues,
    /// Taps of the kernel from one row to the next.
    kernel_width: usize,
    /// Taps of the kernel.
    taps: usize,
    /// Source planes.
    planes: usize,
    /// Planes of results.
    rows: usize,
    /// Zeros on the left and on the right of copied rows, which let results at the border have all taps; none if they are
    /// to have theirs alone.
    beside: Option<[usize; 2]>,
    /// Rows of results at a time.
    lines: usize,
    /// Columns of results at a time: all, or some of a single row.
    columns: usize,
    /// Source planes at a time.
    channels: usize,
}

impl Plan {
    /// None if the stack cannot hold what a row of results meets.
    pub(in super::super) fn new(
        axes: [Axis; 2],
        backward: bool,
        [kernel_width, taps]: [usize; 2],
        [planes, rows]: [usize; 2],
    ) -> Option<Self> {
        let residues = |axis: Axis| {
            if !backward {
                return Some(Residues { axes: [axis; RESIDUES], count: 1 });
            }
            let mut axes = [axis; RESIDUES];
            let count = axis.stride;
            axes.get_mut(..count)?.iter_mut().enumerate().for_each(|(residue, to)| *to = axis.backward(residue));
            Some(Residues { axes, count })
        };
        let (vertical, horizontal) = (residues(axes[0])?, residues(axes[1])?);
        let source = horizontal.axes[0].source;
        let mut beside = [0, 0];
        for axis in horizontal.all().iter().filter(|axis| axis.outputs * axis.taps > 0) {
            let last = ((axis.outputs - 1) * axis.stride + (axis.taps - 1) * axis.dilation) as isize + axis.offset;
            beside[0] = beside[0].max(-axis.offset);
            beside[1] = beside[1].max(last + 1 - source as isize);
        }
        let beside = beside.map(|count| count.max(0) as usize);
        let beside = (beside[0] + beside[1] <= source / 2 + 2).then_some(beside);
        let mut plan = Plan {
            backward,
            vertical,
            horizontal,
            kernel_width,
            taps,
            planes,
            rows,
            beside,
            lines: 1,
            columns: 1,
            channels: planes,
        };
        let (height, width) = (vertical.axes[0].len, horizontal.axes[0].len);
        let most = (RESULTS / (width * FILTERS)).clamp(1, height);
        plan.columns = width.min(RESULTS / FILTERS);
        let width = plan.width();
        if vertical.axes[0].source * width * planes <= PIXELS {
            plan.lines = height.div_ceil(height.div_ceil(most));
            return Some(plan);
        }
        let held = |lines: usize| {
            (0..height)
                .step_by(lines)
                .map(|first| plan.met(&(first..height.min(first + lines))).len())
                .max()
                .unwrap_or(0)
        };
        let mut lines = most;
        while lines > 1 && held(lines) * width * planes > PIXELS {
            lines /= 2;
        }
        let channels = (PIXELS / (held(lines) * width).max(1)).min(planes);
        (plan.lines, plan.channels) = (lines, channels);
        (channels > 0).then_some(plan)
    }

    /// Whether it is the gradient of the input.
    pub(in super::super) fn is_backward(&self) -> bool {
        self.backward
    }

    /// Floats of the source, planes of results, and floats of these.
    pub(in super::super) fn lens(&self) -> [usize; 3] {
        let results = self.vertical.axes[0].len * self.horizontal.axes[0].len;
        let pixels = self.vertical.axes[0].source * self.horizontal.axes[0].source;
        [pixels * self.planes, self.rows, results * self.rows]
    }

    /// What it costs for each example, in products of vectors of sixteen.
    pub(in super::super) fn cost(&self) -> usize {
        let results = self.vertical.axes[0].len * self.horizontal.axes[0].len;
        let pixels = self.vertical.axes[0].source * self.horizontal.axes[0].source;
        let (panels, depth) = (self.rows.div_ceil(COLUMNS), self.planes * self.taps);
        let turned = pixels * self.planes / COLUMNS + results * panels;
        results * panels * depth / (self.vertical.count * self.horizontal.count) + turned * TURNING
    }

    /// Columns of copied rows.
    fn width(&self) -> usize {
        let [left, right] = self.beside.unwrap_or([0, 0]);
        left + self.horizontal.axes[0].source + right
    }

    /// The rows of the source that some rows of results meet.
    fn met(&self, rows: &Range<usize>) -> Range<usize> {
        let (mut start, mut end) = (usize::MAX, 0);
        for row in rows.clone() {
            let (axis, output) = self.vertical.of(row);
            let taps = axis.taps_at(output);
            if !taps.is_empty() {
                start = start.min(axis.meets(output, taps.start));
                end = end.max(axis.meets(output, taps.end - 1) + 1);
            }
        }
        start.min(end)..end
    }
}

/// Source planes and the rows of them that are at hand.
struct Part {
    /// The first plane.
    channel: usize,
    /// How many.
    channels: usize,
    rows: Range<usize>,
}

impl Kernel for Abreast<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let y = self.y.as_mut_ptr().cast::<f32>();
        let (mut pixels, mut results) = (Aligned::<{ PIXELS + MARGIN }>::uninit(), Aligned::<RESULTS>::uninit());
        let (pixels, results) = (pixels.as_mut_ptr(), results.as_mut_ptr());
        let plan = self.plan;
        let (height, width) = (plan.vertical.axes[0].len, plan.horizontal.axes[0].len);
        let source_len = plan.vertical.axes[0].source * plan.horizontal.axes[0].source * plan.planes;
        let y_len = height * width * plan.rows;
        assert!(
            self.source.len() >= self.n * source_len && self.y.len() >= self.n * y_len,
            "slices of {} examples",
            self.n
        );
        for example in 0..self.n {
            let source = &self.source[example * source_len..][..source_len];
            for line in (0..height).step_by(plan.lines) {
                let lines = line..height.min(line + plan.lines);
                let rows = plan.met(&lines);
                assert!(rows.len() * plan.width() * plan.channels <= PIXELS, "{rows:?} of {} planes", plan.channels);
                assert!(lines.len() * plan.columns * FILTERS <= RESULTS, "{lines:?} of {} results", plan.columns);
                let filters = (0..plan.rows).step_by(FILTERS);
                let columns = (0..width).step_by(plan.columns);
                for (column, first) in columns.flat_map(|column| filters.clone().map(move |first| (column, first))) {
                    let columns = column..width.min(column + plan.columns);
                    for channel in (0..plan.planes).step_by(plan.channels) {
                        let channels = plan.channels.min(plan.planes - channel);
                        let part = Part { channel, channels, rows: rows.clone() };
                        // SAFETY: there is room for the pixels of `plan.lines` rows of results in `plan.channels` planes,
                        // and for as many results of 64 filters. The panels hold all weights of these filters, and y the
                        // results of all.
                        unsafe {
                            if first + column == 0 || channels < plan.planes {
                                self.copy(lane, source, &part, pixels);
                            }
                            self.multiply(lane, &part, [&lines, &columns], first, pixels, results);
                        }
                    }
                    let (y, pixel) = (y.wrapping_add(example * y_len), line * width + column);
                    let (filters, count) = (first..plan.rows.min(first + FILTERS), lines.len() * columns.len());
                    // SAFETY: all results of these filters have been computed, whose pixels are neighbours, and y has room for
                    // them.
                    unsafe {
                        if self.last {
                            let y = y.wrapping_add(pixel * plan.rows + first);
                            leave_last(lane.sixteen(), count, plan.rows, filters, FILTERS, results, self.ending, y);
                        } else {
                            let y = y.wrapping_add(pixel);
                            leave(lane, count, height * width, filters, FILTERS, results, self.ending, y);
                        }
                    }
                }
            }
        }
    }
}

impl Abreast<'_> {
    /// Copies the pixels of a part, `[row][column][channel]`.
    ///
    /// # Safety
    /// There must be room for them.
    #[inline(always)]
    unsafe fn copy<V: Lane>(&self, lane: V, source: &[f32], part: &Part, to: *mut f32) {
        let plan = self.plan;
        let (height, width) = (plan.vertical.axes[0].source, plan.horizontal.axes[0].source);
        let Part { channel, channels, ref rows } = *part;
        let planes = &source[channel * height * width..][..channels * height * width];
        match plan.beside {
            None | Some([0, 0]) => {
                // Rows follow each other on both sides.
                // SAFETY: the planes hold these rows; the caller's promise.
                unsafe {
                    turn(lane, planes, height * width, rows.start * width, rows.len() * width, channels, channels, to)
                }
            }
            Some([left, right]) => {
                let pitch = plan.width() * channels;
                for (number, row) in rows.clone().enumerate() {
                    let to = to.wrapping_add(number * pitch);
                    // SAFETY: the planes hold the row; the caller's promise.
                    unsafe {
                        std::ptr::write_bytes(to, 0, left * channels);
                        turn(
                            lane,
                            planes,
                            height * width,
                            row * width,
                            width,
                            channels,
                            channels,
                            to.add(left * channels),
                        );
                        std::ptr::write_bytes(to.add((left + width) * channels), 0, right * channels);
                    }
                }
            }
        }
    }

    /// Adds up the products of a part for some rows and columns of results of 64 filters from `first` on.
    ///
    /// # Safety
    /// The pixels must be those of the part, and there must be room for the results.
    #[inline(always)]
    unsafe fn multiply<V: Lane>(
        &self,
        lane: V,
        part: &Part,
        [lines, columns]: [&Range<usize>; 2],
        first: usize,
        pixels: *const f32,
        results: *mut f32,
    ) {
        let plan = self.plan;
        let panel_len = plan.taps * plan.planes * COLUMNS;
        let panels = (plan.rows - first).div_ceil(COLUMNS).min(PANELS);
        let all = &self.panels[first / COLUMNS * panel_len..][..panels * panel_len];
        let pitch = [plan.width() * part.channels, part.channels];
        for (line, row) in lines.clone().enumerate() {
            let (vertical, output) = plan.vertical.of(row);
            let down = vertical.taps_at(output);
            let met_row = if down.is_empty() { 0 } else { vertical.meets(output, down.start) - part.rows.start };
            for (residue, horizontal) in plan.horizontal.all().iter().enumerate() {
                let every = plan.horizontal.count;
                let [mut column, end] =
                    [columns.start, columns.end].map(|place| place.saturating_sub(residue).div_ceil(every));
                while column < end {
                    let (right, alike, met_column) = match plan.beside {
                        Some([left, _]) => {
                            let met = (column * horizontal.stride + left) as isize + horizontal.offset;
                            let met = if horizontal.taps == 0 { 0 } else { met as usize };
                            (0..horizontal.taps, end - column, met)
                        }
                        None => {
                            let right = horizontal.taps_at(column);
                            let met = if right.is_empty() { 0 } else { horizontal.meets(column, right.start) };
                            (right, horizontal.alike(column, end), met)
                        }
                    };
                    let tap = vertical.tap(down.start) * plan.kernel_width + horizontal.tap(right.start);
                    let in_sequence =
                        horizontal.tap_step == 1 && horizontal.dilation == 1 && part.channels == plan.planes;
                    let product = Product {
                        alike,
                        panels,
                        rows: if right.is_empty() { 0 } else { down.len() },
                        runs: if in_sequence { 1 } else { right.len() },
                        len: if in_sequence { right.len() * part.channels } else { part.channels },
                        panel_steps: [vertical.tap_step * plan.kernel_width, horizontal.tap_step]
                            .map(|taps| taps * plan.planes * COLUMNS),
                        pixel_steps: [vertical.dilation * pitch[0], horizontal.dilation * pitch[1]],
                        panel: all.as_ptr().wrapping_add((tap * plan.planes + part.channel) * COLUMNS),
                        panel_len,
                        pixels: pixels.wrapping_add(met_row * pitch[0] + met_column * pitch[1]),
                        apart: horizontal.stride * pitch[1],
                        y: results
                            .wrapping_add((line * columns.len() + horizontal.place(column) - columns.start) * FILTERS),
                        y_apart: horizontal.step * FILTERS,
                        accumulate: part.channel > 0,
                    };
                    // SAFETY: the steps are those of taps that exist at these places, or of zeros beside them.
                    unsafe { product.compute(lane) }
                    column += alike;
                }
            }
        }
    }
}

/// Some neighbouring results of up to four panels of filters.
struct Product {
    /// How many results.
    alike: usize,
    panels: usize,
    /// So many rows of so many runs of so many steps.
    rows: usize,
    runs: usize,
    len: usize,
    /// Floats of a panel, and of pixels, from one row to the next, and from one run to the next.
    panel_steps: [usize; 2],
    pixel_steps: [usize; 2],
    panel: *const f32,
    /// Floats from one panel to the next.
    panel_len: usize,
    /// What the first result meets at its first tap.
    pixels: *const f32,
    /// Floats to what the next result meets.
    apart: usize,
    /// The first result.
    y: *mut f32,
    /// Floats to the next result.
    y_apart: usize,
    /// Whether to add to what is there: earlier channels.
    accumulate: bool,
}

impl Kernel for Product {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        self.over(lane.sixteen());
    }
}

impl Product {
    /// # Safety
    /// The panels must be readable for all steps, the pixels for those of `alike` results, and as many results writable.
    #[inline(always)]
    unsafe fn compute<V: Lane>(self, lane: V) {
        lane.apart(self);
    }

    #[inline(always)]
    fn over<W: Sixteen>(self, lane: W) {
        let most = match const { W::HEIGHT } {
            8 if self.panels == 1 => 16,
            8 => 8,
            6 => 6,
            _ => 1,
        };
        let mut at = 0;
        while at < self.alike {
            let left = self.alike - at;
            // The last two times are of about one size.
            let some = if left > most && left < 2 * most { left.div_ceil(2) } else { left.min(most) };
            // As many panels as there are registers for their sums.
            let abreast = match const { W::HEIGHT } {
                8 if some <= 4 => 4,
                8 => 2,
                6 if some == 1 => 4,
                6 if some <= 3 => 2,
                _ => 1,
            };
            let mut panel = 0;
            while panel < self.panels {
                let left = self.panels - panel;
                let panels = if left >= abreast {
                    abreast
                } else if left >= 2 && abreast >= 2 {
                    2
                } else {
                    1
                };
                macro_rules! tiles {
                    ($($results:literal $panels:literal)*) => {
                        match (some, panels) {
                            // SAFETY: what was promised to `compute`.
                            $(($results, $panels) => unsafe { self.tile::<W, $results, $panels>(lane, at, panel) },)*
                            _ => return,
                        }
                    };
                }
                match const { W::HEIGHT } {
                    8 => tiles!(1 4 1 2 1 1  2 4 2 2 2 1  3 4 3 2 3 1  4 4 4 2 4 1  5 2 5 1  6 2 6 1  7 2 7 1  8 2 8 1
                        9 1  10 1  11 1  12 1  13 1  14 1  15 1  16 1),
                    6 => tiles!(1 4 1 2 1 1  2 2 2 1  3 2 3 1  4 1  5 1  6 1),
                    _ => tiles!(1 1),
                }
                panel += panels;
            }
            at += some;
        }
    }

    /// The microkernel: MR results from one on of P panels from one on.
    ///
    /// # Safety
    /// As [`compute`](Self::compute); these results and panels must exist.
    #[inline(always)]
    unsafe fn tile<W: Sixteen, const MR: usize, const P: usize>(&self, lane: W, first: usize, panel: usize) {
        let mut acc = [[lane.splat(0.0); MR]; P];
        let y = self.y.wrapping_add(first * self.y_apart + panel * COLUMNS);
        if self.accumulate {
            for p in 0..P {
                for i in 0..MR {
                    // SAFETY: the results of earlier channels are there.
                    acc[p][i] = unsafe { lane.load(y.add(i * self.y_apart + p * COLUMNS)) };
                }
            }
        }
        for row in 0..self.rows {
            for run in 0..self.runs {
                let at = row * self.panel_steps[0] + run * self.panel_steps[1] + panel * self.panel_len;
                let mut b = self.panel.wrapping_add(at);
                let at = row * self.pixel_steps[0] + run * self.pixel_steps[1] + first * self.apart;
                let mut a = self.pixels.wrapping_add(at);
                for _ in 0..self.len {
                    if const { !W::TALL } {
                        // What is read for a step stays behind the step before, or there are not registers enough.
                        compiler_fence(Ordering::SeqCst);
                    }
                    // SAFETY: the caller's promise for this step.
                    unsafe {
                        let mut weights = [lane; P];
                        for p in 0..P {
                            weights[p] = lane.load(b.add(p * self.panel_len));
                        }
                        for i in 0..MR {
                            let a = lane.splat(*a.add(i * self.apart));
                            for p in 0..P {
                                acc[p][i] = a.mul_add(weights[p], acc[p][i]);
                            }
                        }
                    }
                    a = a.wrapping_add(1);
                    b = b.wrapping_add(COLUMNS);
                }
            }
        }
        for p in 0..P {
            for i in 0..MR {
                // SAFETY: the caller's promise for this result.
                unsafe { acc[p][i].store(y.add(i * self.y_apart + p * COLUMNS)) }
            }
        }
    }
}
