//! The matrix-product core: `acc[P][MR] += broadcast(a[i][k]) × load(b[p][k])` over vectors of sixteen, and its counterpart
//! for gradients of weights, `acc[MR][NT] += load(a[i]) × load(b[j])` with lanes along the summed axis.
//!
//! Operands come as a base pointer and [`Steps`], which say where element k lies: evenly spaced, or by a table of
//! offsets. So packed panels, plain rows, transposed matrices and implicit im2col are one loop. Results leave through
//! a [`Sink`], which knows where they belong and what is done to them on the way.
//!
//! Every result is one chain of additions in the order of k, whatever the height of its tile, so how rows are dealt to
//! tiles, shards or threads cannot change a bit. Nothing here checks lengths: the kernels do, at their entrance.

#![expect(clippy::needless_range_loop, reason = "iterators of arrays of vectors are not always inlined")]

use super::epilogue::Ending;
use crate::simd::{Kernel, Lane, Sixteen, prefetch, prefetch_far};
use std::sync::atomic::{Ordering, compiler_fence};

/// Columns of a panel and of a tile.
pub(crate) const COLUMNS: usize = 16;

/// Where the k-th step of an operand lies, in floats from its base.
pub(crate) trait Steps: Copy {
    /// The offset of step `k`.
    ///
    /// # Safety
    /// `k` must be below the depth the steps were made for.
    unsafe fn at(self, k: usize) -> usize;
}

/// Evenly spaced steps.
#[derive(Clone, Copy)]
pub(crate) struct Stride(pub(crate) usize);

impl Steps for Stride {
    #[inline(always)]
    unsafe fn at(self, k: usize) -> usize {
        k * self.0
    }
}

/// Evenly spaced steps, whose distance is known when the loop is compiled: their places are then counted in the
/// instructions that read.
#[derive(Clone, Copy)]
pub(crate) struct Every<const FLOATS: usize>;

impl<const FLOATS: usize> Steps for Every<FLOATS> {
    #[inline(always)]
    unsafe fn at(self, k: usize) -> usize {
        k * FLOATS
    }
}

/// Steps by a table.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a>(pub(crate) &'a [usize]);

impl Steps for Table<'_> {
    #[inline(always)]
    unsafe fn at(self, k: usize) -> usize {
        // SAFETY: the caller guarantees k < depth, which is the table's length.
        unsafe { *self.0.get_unchecked(k) }
    }
}

/// The left operand: rows that are broadcast, float by float.
#[derive(Clone, Copy)]
pub(crate) struct Left<R, S> {
    /// Row 0, step 0.
    pub(crate) base: *const f32,
    /// Where the rows lie, evenly spaced.
    pub(crate) rows: R,
    /// Steps within a row.
    pub(crate) steps: S,
}

/// The right operand: panels of sixteen floats at each step.
#[derive(Clone, Copy)]
pub(crate) struct Right<S> {
    /// Column 0 of the first panel, step 0.
    pub(crate) base: *const f32,
    /// Steps.
    pub(crate) steps: S,
    /// Floats from one panel to the next.
    pub(crate) pitch: usize,
}

/// Where tiles of results go.
pub(crate) trait Sink {
    /// Told that rows `row..row + height` come next, so that their memory can be fetched in the meantime.
    #[inline(always)]
    fn expect(&self, row: usize, height: usize) {
        let _ = (row, height);
    }

    /// What the sums of rows `row..row + MR` of the sixteen columns of a panel start from.
    ///
    /// # Safety
    /// The rows and the panel must be within what the sink was made for.
    #[inline(always)]
    unsafe fn begin<W: Sixteen, const MR: usize>(&self, lane: W, row: usize, panel: usize) -> [W; MR] {
        let _ = (row, panel);
        [lane.splat(0.0); MR]
    }

    /// Takes rows `row..row + MR` of the sixteen columns of a panel.
    ///
    /// # Safety
    /// The rows and the panel must be within what the sink was made for.
    unsafe fn write<W: Sixteen, const MR: usize>(&self, row: usize, panel: usize, acc: [W; MR]);
}

/// The height of the next row tile when `rows` are left. Tiles of few rows cannot fill the multipliers. With many registers
/// tiles are of eight rows, and 9 to 15 become two of about one height; else they are of 6 and 4, with a 5 where those do
/// not suffice, and of fewer for 1, 2, 3 and 7 rows. Without special instructions they are of two.
#[inline(always)]
pub(crate) fn tile_height<W: Sixteen>(rows: usize) -> usize {
    match (W::HEIGHT, rows) {
        (8, 0..=8) => rows,
        (8, 9..=15) => rows.div_ceil(2),
        (8, _) => 8,
        (6, 0..=6) => rows,
        (6, 7 | 8) => 4,
        (6, 9 | 13) => 5,
        (6, _) => 6,
        _ => rows.min(2),
    }
}

/// How many neighbouring panels are multiplied at once when so many columns are left.
#[inline(always)]
pub(crate) fn panels_at_once<W: Sixteen>(columns: usize) -> usize {
    if const { W::TALL } && columns > COLUMNS { 2 } else { 1 }
}

/// Calls a function with as many panels as [`panels_at_once`] says, a constant, in place of `_`.
macro_rules! with_panels {
    ($W:ident, $columns:expr, $($function:ident).+::<$($parameter:ty),*>($($argument:expr),* $(,)?)) => {
        if const { <$W as $crate::simd::Sixteen>::TALL } && $crate::kernels::product::panels_at_once::<$W>($columns) == 2 {
            $($function).+::<$($parameter),*, 2>($($argument),*)
        } else {
            $($function).+::<$($parameter),*, 1>($($argument),*)
        }
    };
}
pub(crate) use with_panels;

/// `rows` by `P` panels of results of depth `depth`, tile by tile, into the sink.
///
/// # Safety
/// For all rows i below `rows` and steps k below `depth`, the float of `left` and the sixteen floats of each panel of
/// `right` must be readable, and the sink must accept the rows and panels.
#[inline(always)]
pub(crate) unsafe fn product<W: Sixteen, R: Steps, A: Steps, B: Steps, S: Sink, const P: usize>(
    lane: W,
    rows: usize,
    depth: usize,
    left: Left<R, A>,
    right: Right<B>,
    sink: S,
) {
    lane.apart(Product::<R, A, B, S, P> { rows, depth, left, right, sink });
}

/// The arguments of [`product`], whose promises are kept.
struct Product<R, A, B, S, const P: usize> {
    rows: usize,
    depth: usize,
    left: Left<R, A>,
    right: Right<B>,
    sink: S,
}

impl<R: Steps, A: Steps, B: Steps, S: Sink, const P: usize> Kernel for Product<R, A, B, S, P> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { rows, depth, left, right, sink } = self;
        // SAFETY: what was promised to `product`.
        unsafe { product_within::<_, R, A, B, S, P>(lane.sixteen(), rows, depth, left, right, &sink) }
    }
}

/// [`product`] within the function at hand, for what is itself [apart](crate::simd::Vector::apart).
///
/// # Safety
/// As [`product`].
#[inline(always)]
pub(crate) unsafe fn product_within<W: Sixteen, R: Steps, A: Steps, B: Steps, S: Sink, const P: usize>(
    lane: W,
    rows: usize,
    depth: usize,
    left: Left<R, A>,
    right: Right<B>,
    sink: &S,
) {
    let mut row = 0;
    while row < rows {
        let height = tile_height::<W>(rows - row);
        sink.expect(row, height);
        macro_rules! tiles {
            ($($height:literal)*) => {
                match height {
                    // SAFETY: the tile's rows are below `rows`; the rest is the caller's promise.
                    $($height => unsafe {
                        let acc = begin::<W, S, $height, P>(lane, sink, row);
                        let acc = tile::<W, R, A, B, $height, P>(lane, row, depth, left, right, acc);
                        for p in 0..P {
                            sink.write(row, p, acc[p]);
                        }
                    },)*
                    _ => return,
                }
            };
        }
        match const { W::HEIGHT } {
            8 => tiles!(8 7 6 5 4 3 2 1),
            6 => tiles!(6 5 4 3 2 1),
            _ => tiles!(2 1),
        }
        row += height;
    }
}

/// What the sums of `MR` rows by `P` panels start from.
///
/// # Safety
/// The sink must accept the rows and panels.
#[inline(always)]
pub(crate) unsafe fn begin<W: Sixteen, S: Sink, const MR: usize, const P: usize>(
    lane: W,
    sink: &S,
    row: usize,
) -> [[W; MR]; P] {
    let mut acc = [[lane; MR]; P];
    for (panel, acc) in acc.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *acc = unsafe { sink.begin(lane, row, panel) };
    }
    acc
}

/// The microkernel: MR rows by P panels, added to `acc`.
///
/// # Safety
/// As [`product`], for rows `row..row + MR`.
#[inline(always)]
unsafe fn tile<W: Sixteen, R: Steps, A: Steps, B: Steps, const MR: usize, const P: usize>(
    lane: W,
    row: usize,
    depth: usize,
    left: Left<R, A>,
    right: Right<B>,
    mut acc: [[W; MR]; P],
) -> [[W; MR]; P] {
    // SAFETY: only counts; the rows are those the caller vouches for.
    let a = left.base.wrapping_add(unsafe { left.rows.at(row) });
    // A macro, since a closure need not be inlined, and then is not compiled for the instruction set.
    macro_rules! step {
        ($k:expr) => {{
            let k = $k;
            if const { !W::TALL } {
                // What is read for a step stays behind the step before, or there are not registers enough for the sums.
                compiler_fence(Ordering::SeqCst);
            }
            // SAFETY: all offsets are those the caller vouches for.
            unsafe {
                let right_k = right.base.add(right.steps.at(k));
                let mut b = [lane; P];
                for p in 0..P {
                    b[p] = lane.load(right_k.add(p * right.pitch));
                }
                let a = a.add(left.steps.at(k));
                for i in 0..MR {
                    let a = lane.splat(*a.add(left.rows.at(i)));
                    for p in 0..P {
                        acc[p][i] = a.mul_add(b[p], acc[p][i]);
                    }
                }
            }
        }};
    }
    // Four steps a turn, so that the end of a short loop is foreseen.
    let mut k = 0;
    while k + 4 <= depth {
        step!(k);
        step!(k + 1);
        step!(k + 2);
        step!(k + 3);
        k += 4;
    }
    while k < depth {
        step!(k);
        k += 1;
    }
    acc
}

/// `MR` rows by `P` panels at once, added to `acc`, for so few rows that a single panel's sums would wait for each other.
///
/// # Safety
/// `depth` steps of each row of `left` and of each panel must be readable, and those of the panels be evenly spaced.
#[inline(always)]
pub(crate) unsafe fn few_rows<W: Sixteen, B: Steps, const MR: usize, const P: usize>(
    lane: W,
    depth: usize,
    left: Left<Stride, Every<1>>,
    right: Right<B>,
    mut acc: [[W; MR]; P],
) -> [[W; MR]; P] {
    // SAFETY: all offsets are those the caller vouches for.
    unsafe {
        for k in 0..depth {
            let a = |i: usize| left.base.add(left.rows.at(i) + left.steps.at(k));
            let b = |p: usize| {
                let b = right.base.add(right.steps.at(k) + p * right.pitch);
                // This may lie past the end, which evenly spaced steps do not have.
                prefetch(b.wrapping_add(right.steps.at(AHEAD)));
                b
            };
            // The shorter side waits in registers, or there are none left for the sums.
            if const { MR > P } {
                let mut panels = [lane; P];
                for (p, panel) in panels.iter_mut().enumerate() {
                    *panel = lane.load(b(p));
                }
                for i in 0..MR {
                    let a = lane.splat(*a(i));
                    for p in 0..P {
                        acc[p][i] = a.mul_add(panels[p], acc[p][i]);
                    }
                }
            } else {
                let mut rows = [lane; MR];
                for (i, row) in rows.iter_mut().enumerate() {
                    *row = lane.splat(*a(i));
                }
                for (p, acc) in acc.iter_mut().enumerate() {
                    let b = lane.load(b(p));
                    for (acc, a) in acc.iter_mut().zip(rows) {
                        *acc = a.mul_add(b, *acc);
                    }
                }
            }
        }
    }
    acc
}

/// The first `MR` rows by P panels of a right operand that is not packed yet, added to `acc`; packs it on the way.
///
/// # Safety
/// As [`product`] for `MR` rows; `panels` must have room for P times `depth · 16` floats.
#[inline(always)]
pub(crate) unsafe fn packing_tile<W: Sixteen, const MR: usize, const P: usize>(
    lane: W,
    depth: usize,
    left: Left<Stride, Every<1>>,
    right: Right<Stride>,
    panels: *mut f32,
    mut acc: [[W; MR]; P],
) -> [[W; MR]; P] {
    // SAFETY: all offsets are those the caller vouches for.
    unsafe {
        for k in 0..depth {
            let right_k = right.base.add(right.steps.at(k));
            let mut b = [lane; P];
            for p in 0..P {
                let from = right_k.add(p * right.pitch);
                prefetch_far(from.wrapping_add(AHEAD * right.steps.0));
                b[p] = lane.load(from);
                b[p].store(panels.add((p * depth + k) * COLUMNS));
            }
            let a = left.base.add(left.steps.at(k));
            for i in 0..MR {
                let a = lane.splat(*a.add(left.rows.at(i)));
                for p in 0..P {
                    acc[p][i] = a.mul_add(b[p], acc[p][i]);
                }
            }
        }
    }
    acc
}

/// Steps that are fetched ahead where the multipliers wait for memory.
const AHEAD: usize = 24;

/// Sums that lie in rows of a matrix, with nothing done to them.
pub(crate) struct Sums {
    /// The first sum of row 0.
    pub(crate) base: *mut f32,
    /// Floats from one row to the next.
    pub(crate) row: usize,
    /// How many columns there are; the others of a tile are dropped.
    pub(crate) columns: usize,
    /// Whether to add to what is there.
    pub(crate) accumulate: bool,
}

impl Sink for Sums {
    #[inline(always)]
    fn expect(&self, row: usize, height: usize) {
        for i in row..row + height {
            let row = self.base.wrapping_add(i * self.row);
            prefetch(row);
            if self.columns > COLUMNS {
                prefetch(row.wrapping_add(COLUMNS));
            }
            prefetch(row.wrapping_add(self.columns - 1));
        }
    }

    #[inline(always)]
    unsafe fn write<W: Sixteen, const MR: usize>(&self, row: usize, panel: usize, acc: [W; MR]) {
        let lane = acc[0];
        // SAFETY: `columns` floats of each row are writable by the caller's promise; masked accesses touch no others.
        unsafe {
            let base = self.base.add(row * self.row + panel * COLUMNS);
            let columns = self.columns - panel * COLUMNS;
            for (i, mut sum) in acc.into_iter().enumerate() {
                let y = base.add(i * self.row);
                if columns >= COLUMNS {
                    if self.accumulate {
                        sum = lane.load(y) + sum;
                    }
                    sum.store(y);
                } else {
                    if self.accumulate {
                        sum = lane.load_first(y, columns) + sum;
                    }
                    sum.store_first(y, columns);
                }
            }
        }
    }
}

/// Results that lie in rows of a matrix.
pub(crate) struct Rows<'a> {
    /// The first result of row 0.
    pub(crate) base: *mut f32,
    /// Floats from one row to the next.
    pub(crate) row: usize,
    /// How many columns there are; the others of a tile are dropped.
    pub(crate) columns: usize,
    /// Whether sums start from what is there: those of an earlier part of the depth.
    pub(crate) accumulate: bool,
    /// What is done to the sums; its bias has a float for each column.
    pub(crate) ending: Ending<'a>,
}

impl Sink for Rows<'_> {
    #[inline(always)]
    unsafe fn begin<W: Sixteen, const MR: usize>(&self, lane: W, row: usize, panel: usize) -> [W; MR] {
        let mut acc = [lane.splat(0.0); MR];
        if self.accumulate {
            let first = panel * COLUMNS;
            let count = COLUMNS.min(self.columns - first);
            for (i, acc) in acc.iter_mut().enumerate() {
                // SAFETY: `columns` floats of each row are readable by the caller's promise.
                *acc = unsafe { lane.load_first(self.base.add((row + i) * self.row + first), count) };
            }
        }
        acc
    }

    #[inline(always)]
    unsafe fn write<W: Sixteen, const MR: usize>(&self, row: usize, panel: usize, acc: [W; MR]) {
        let lane = acc[0];
        let first = panel * COLUMNS;
        let count = COLUMNS.min(self.columns - first);
        let Ending { bias, floor, beside, .. } = self.ending;
        let floor = lane.splat(floor);
        // SAFETY: `columns` floats of each row are writable by the caller's promise, and the bias, if any, holds as
        // many; masked accesses touch no others.
        unsafe {
            let bias = match bias {
                Some(bias) => lane.load_first(bias.as_ptr().add(first), count),
                None => lane.splat(0.0),
            };
            for (i, result) in acc.into_iter().enumerate() {
                let y = self.base.add((row + i) * self.row + first);
                if count == COLUMNS {
                    beside.finish(y, result + bias, floor).store(y);
                } else {
                    beside.finish_first(y, count, result + bias, floor).store_first(y, count);
                }
            }
        }
    }
}

/// Sums of products of rows: `sums[i * sums_row + j] += Σₖ left[i * left_row + k] · right[starts[j] + k]`.
///
/// A sum is taken in as many chains as a vector has lanes, added by halves, whatever tile it falls into.
#[derive(Clone, Copy)]
pub(crate) struct Dots<'a> {
    /// How many rows the left operand has.
    pub(crate) rows: usize,
    /// How many floats are multiplied.
    pub(crate) depth: usize,
    /// The left operand.
    pub(crate) left: *const f32,
    /// Floats from one of its rows to the next.
    pub(crate) left_row: usize,
    /// The right operand.
    pub(crate) right: *const f32,
    /// Where its rows start.
    pub(crate) starts: &'a [usize],
    /// What the sums are added to.
    pub(crate) sums: *mut f32,
    /// Floats from one row of sums to the next.
    pub(crate) sums_row: usize,
}

impl Dots<'_> {
    /// Computes all sums, in tiles of up to 4 × 3.
    ///
    /// # Safety
    /// `depth` floats of each row of both operands must be readable, and `starts.len()` sums of each row writable.
    #[inline(always)]
    pub(crate) unsafe fn add<V: Lane>(self, lane: V) {
        lane.apart(Added(self));
    }

    /// # Safety
    /// As [`Dots::add`], for rows `row..row + MR` and columns `column..column + NT`.
    #[inline(always)]
    unsafe fn tile<V: Lane, const MR: usize, const NT: usize>(&self, lane: V, row: usize, column: usize) {
        let mut acc = [[lane.splat(0.0); NT]; MR];
        let mut right = [self.right; NT];
        // SAFETY: all reads are of the first `depth` floats of rows, all writes to sums of the tile.
        unsafe {
            let left = self.left.add(row * self.left_row);
            for (j, right) in right.iter_mut().enumerate() {
                *right = self.right.add(*self.starts.get_unchecked(column + j));
            }
            let mut k = 0;
            while k + V::LANES <= self.depth {
                let mut b = [lane; NT];
                for (b, right) in b.iter_mut().zip(&right) {
                    *b = lane.load(right.add(k));
                }
                for (i, acc) in acc.iter_mut().enumerate() {
                    let a = lane.load(left.add(i * self.left_row + k));
                    for (acc, b) in acc.iter_mut().zip(&b) {
                        *acc = a.mul_add(*b, *acc);
                    }
                }
                k += V::LANES;
            }
            let rest = self.depth - k;
            if rest > 0 {
                for (i, acc) in acc.iter_mut().enumerate() {
                    let a = lane.load_first(left.add(i * self.left_row + k), rest);
                    for (acc, right) in acc.iter_mut().zip(&right) {
                        *acc = a.mul_add(lane.load_first(right.add(k), rest), *acc);
                    }
                }
            }
            for (i, acc) in acc.iter().enumerate() {
                let sums = self.sums.add((row + i) * self.sums_row + column);
                for (j, acc) in acc.iter().enumerate() {
                    *sums.add(j) += acc.total();
                }
            }
        }
    }
}

/// The arguments of [`Dots::add`], whose promises are kept.
struct Added<'a>(Dots<'a>);

impl Kernel for Added<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self(dots) = self;
        let mut column = 0;
        while column < dots.starts.len() {
            let width = match dots.starts.len() - column {
                4 => 2,
                rest => rest.min(3),
            };
            let mut row = 0;
            while row < dots.rows {
                let height = match dots.rows - row {
                    5 | 6 => 3,
                    rest => rest.min(4),
                };
                // SAFETY: the tile lies within the rows and columns promised to `add`.
                unsafe {
                    match (height, width) {
                        (4, 3) => dots.tile::<V, 4, 3>(lane, row, column),
                        (4, 2) => dots.tile::<V, 4, 2>(lane, row, column),
                        (4, _) => dots.tile::<V, 4, 1>(lane, row, column),
                        (3, 3) => dots.tile::<V, 3, 3>(lane, row, column),
                        (3, 2) => dots.tile::<V, 3, 2>(lane, row, column),
                        (3, _) => dots.tile::<V, 3, 1>(lane, row, column),
                        (2, 3) => dots.tile::<V, 2, 3>(lane, row, column),
                        (2, 2) => dots.tile::<V, 2, 2>(lane, row, column),
                        (2, _) => dots.tile::<V, 2, 1>(lane, row, column),
                        (_, 3) => dots.tile::<V, 1, 3>(lane, row, column),
                        (_, 2) => dots.tile::<V, 1, 2>(lane, row, column),
                        _ => dots.tile::<V, 1, 1>(lane, row, column),
                    }
                }
                row += height;
            }
            column += width;
        }
    }
}
