//! The gradient of a weight: `d_W = Σ xᵀ d_y` over the rows of all examples.
//!
//! The depth of this product is the batch, which lies in pieces, one in each shard. Both operands are packed block by block
//! on the stack: d_y into panels of sixteen columns, x into tiles as high as the microkernel's. Every sum is taken over
//! blocks of a constant number of rows, in order, whoever computes it. A product of few columns and few rows would take less
//! time than its packing: there only d_y is packed, and little of the stack is touched.

use super::matmul::MatMul;
use super::pack::Aligned;
use super::product::{
    COLUMNS, Left, Right, Steps, Stride, Sums, Table, panels_at_once, product, tile_height, with_panels,
};
use crate::simd::{Isa, Kernel, Lane, Sixteen, Vector, dispatch, isa};
use crate::{Segments, Team};

/// Rows of the examples that are summed up at a time: the panels of d_y at hand then take half of the first-level cache.
const DEPTH: usize = 256;
/// Rows of d_weight whose x is packed at a time, or more if the depth is less.
const HEIGHT: usize = 48;
/// Floats for panels of d_y.
const PANELS: usize = DEPTH * 256;
/// The most rows of the examples and the most columns of d_y of a product whose x is read where it is.
const SMALL: usize = 64;

/// `d_weight = Σ xᵀ d_y` over the rows of `n` examples, overwritten: x has rows · inputs floats for each example, d_y
/// rows · outputs, d_weight is [inputs, outputs]. The team shares the rows of d_weight; the order of each sum is that
/// of the examples, so the bits do not depend on the number of threads.
///
/// # Panics
/// If an operand is shorter than the shape says.
pub fn matmul_weights(shape: &MatMul, n: usize, x: Segments<'_>, d_y: Segments<'_>, d_weight: &mut [f32], team: &Team) {
    matmul_weights_on(isa(), shape, n, x, d_y, d_weight, team);
}

/// [`matmul_weights`] on a given instruction set.
pub(crate) fn matmul_weights_on(
    isa: Isa,
    shape: &MatMul,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &mut [f32],
    team: &Team,
) {
    let MatMul { rows, inputs, outputs } = *shape;
    assert!(x.example_len() >= rows * inputs, "x has {} floats of {rows} × {inputs}", x.example_len());
    assert!(d_y.example_len() >= rows * outputs, "d_y has {} floats of {rows} × {outputs}", d_y.example_len());
    let d_weight = &mut d_weight[..inputs * outputs];
    if n * rows == 0 || d_weight.is_empty() {
        d_weight.fill(0.0);
        return;
    }
    let body = |start: usize, part: &mut [f32]| {
        let weights = Weights { shape: *shape, n, x, d_y, first: start / outputs, part };
        if n * rows <= SMALL && outputs <= SMALL { dispatch(isa, Small(weights)) } else { dispatch(isa, weights) }
    };
    if n * rows * inputs * outputs < WORTH_A_FORK { body(0, d_weight) } else { team.split(d_weight, outputs, body) }
}

/// Multiply-adds below which a fork and join costs more than it saves.
const WORTH_A_FORK: usize = 1 << 17;

/// The arguments of [`matmul_weights`] for the rows of d_weight from `first` on that `part` holds.
struct Weights<'a> {
    shape: MatMul,
    n: usize,
    x: Segments<'a>,
    d_y: Segments<'a>,
    first: usize,
    part: &'a mut [f32],
}

/// The rows of all examples as one matrix.
struct Tall<'a> {
    segments: Segments<'a>,
    rows: usize,
    columns: usize,
}

impl<'a> Tall<'a> {
    /// `count` rows from `start` on, each with its place among them.
    #[inline(always)]
    fn rows(&self, start: usize, count: usize) -> impl Iterator<Item = (usize, &'a [f32])> {
        let (mut example, mut row) = (start / self.rows, start % self.rows);
        let mut floats = self.segments.example(example);
        (0..count).map(move |place| {
            if row == self.rows {
                (example, row) = (example + 1, 0);
                floats = self.segments.example(example);
            }
            row += 1;
            (place, &floats[(row - 1) * self.columns..][..self.columns])
        })
    }
}

impl Kernel for Weights<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        self.over(lane.sixteen());
    }
}

/// A product whose x is read where it is.
struct Small<'a>(Weights<'a>);

impl Kernel for Small<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        self.0.small(lane.sixteen());
    }
}

impl Weights<'_> {
    /// [`matmul_weights`] of at most [`SMALL`] rows and columns, over vectors of sixteen.
    #[inline(always)]
    fn small<W: Sixteen>(self, lane: W) {
        let MatMul { rows, inputs, outputs } = self.shape;
        let depth = self.n * rows;
        let x = Tall { segments: self.x, rows, columns: inputs };
        let d_y = Tall { segments: self.d_y, rows, columns: outputs };
        let mut panels = Aligned::<{ SMALL * SMALL }>::uninit();
        let panels = panels.as_mut_ptr();
        // SAFETY: `outputs` rounded up to whole panels, times depth, is at most SMALL · SMALL, a panel being narrower.
        unsafe { pack_panels(lane, d_y.rows(0, depth), 0, outputs, depth, panels) }
        let base = x.segments.example(0).as_ptr();
        let mut starts = [0; SMALL];
        for (k, row) in x.rows(0, depth) {
            starts[k] = (row.as_ptr() as usize - base as usize) / size_of::<f32>();
        }
        let left = Left { base: base.wrapping_add(self.first), row: 1, steps: Table(&starts[..depth]) };
        let height = self.part.len() / outputs;
        assert!(self.first + height <= inputs);
        let mut column = 0;
        while column < outputs {
            let columns = panels_at_once::<W>(outputs - column) * COLUMNS;
            let columns_left = outputs - column;
            let sums = Sums {
                base: self.part.as_mut_ptr().wrapping_add(column),
                row: outputs,
                columns: columns.min(columns_left),
                accumulate: false,
            };
            let base = panels.wrapping_add(column * depth).cast_const();
            let right = Right { base, steps: Stride(COLUMNS), pitch: depth * COLUMNS };
            // SAFETY: step k of the left operand is row k of x, which holds `inputs` floats; the panels hold `outputs` columns
            // of `depth` steps; `part` holds height · outputs floats.
            unsafe {
                with_panels!(W, columns_left, rows_by_panels::<W, Table<'_>>(lane, height, depth, left, right, sums))
            }
            column += columns;
        }
    }

    /// [`matmul_weights`] over vectors of sixteen.
    #[inline(always)]
    fn over<W: Sixteen>(self, lane: W) {
        let MatMul { rows, inputs, outputs } = self.shape;
        let x = Tall { segments: self.x, rows, columns: inputs };
        let d_y = Tall { segments: self.d_y, rows, columns: outputs };
        let total = self.n * rows;
        let part_inputs = self.part.len() / outputs;
        let mut tiles = Aligned::<{ DEPTH * HEIGHT }>::uninit();
        let mut panels = Aligned::<PANELS>::uninit();
        let (tiles, panels) = (tiles.as_mut_ptr(), panels.as_mut_ptr());
        for start in (0..total).step_by(DEPTH) {
            let depth = DEPTH.min(total - start);
            let height_at_once = DEPTH / depth * HEIGHT;
            let columns_at_once = PANELS / depth / COLUMNS * COLUMNS;
            for column in (0..outputs).step_by(columns_at_once) {
                let width = columns_at_once.min(outputs - column);
                // SAFETY: width rounded up to whole panels, times depth, is at most PANELS.
                unsafe { pack_panels(lane, d_y.rows(start, depth), column, width, depth, panels) }
                for input in (0..part_inputs).step_by(height_at_once) {
                    let height = height_at_once.min(part_inputs - input);
                    // SAFETY: `tiles` has room for DEPTH · HEIGHT ≥ depth · height floats; the panels hold `width` columns of
                    // `depth` steps; `part` holds part_inputs · outputs floats, input + height ≤ part_inputs and
                    // column + width ≤ outputs.
                    unsafe {
                        pack_tiles(lane, x.rows(start, depth), self.first + input, height, depth, tiles);
                        let mut panel = 0;
                        while panel < width {
                            let columns = panels_at_once::<W>(width - panel) * COLUMNS;
                            let sums = Sums {
                                base: self.part.as_mut_ptr().add(input * outputs + column + panel),
                                row: outputs,
                                columns: columns.min(width - panel),
                                accumulate: start > 0,
                            };
                            let base = panels.add(panel * depth).cast_const();
                            let right = Right { base, steps: Stride(COLUMNS), pitch: depth * COLUMNS };
                            with_panels!(W, width - panel, multiply::<W>(lane, height, depth, tiles, right, sums));
                            panel += columns;
                        }
                    }
                }
            }
        }
    }
}

/// P panels by all tiles.
///
/// # Safety
/// `tiles` must hold what [`pack_tiles`] made for `height` and `depth`; right and sums as for [`product`].
#[inline(always)]
unsafe fn multiply<W: Sixteen, const P: usize>(
    lane: W,
    height: usize,
    depth: usize,
    tiles: *const f32,
    right: Right<Stride>,
    sums: Sums,
) {
    let mut row = 0;
    while row < height {
        let count = tile_height::<W>(height - row);
        // SAFETY: the tile of rows row..row + count starts at row · depth; the sums have those rows.
        unsafe {
            let left = Left { base: tiles.add(row * depth), row: 1, steps: Stride(count) };
            let sums = Sums { base: sums.base.add(row * sums.row), ..sums };
            rows_by_panels::<W, Stride, P>(lane, count, depth, left, right, sums);
        }
        row += count;
    }
}

/// P panels by rows of a left operand.
///
/// # Safety
/// As for [`product`].
#[inline(always)]
unsafe fn rows_by_panels<W: Sixteen, A: Steps, const P: usize>(
    lane: W,
    height: usize,
    depth: usize,
    left: Left<A>,
    right: Right<Stride>,
    sums: Sums,
) {
    // SAFETY: the caller's promise.
    unsafe { product::<W, A, Stride, Sums, P>(lane, height, depth, left, right, &sums) }
}

/// Packs columns of rows into panels of sixteen, with zeros beside the last.
///
/// # Safety
/// The rows must hold the columns, and `panels` must have room for whole panels of `depth` steps.
#[inline(always)]
unsafe fn pack_panels<'a, W: Sixteen>(
    lane: W,
    rows: impl Iterator<Item = (usize, &'a [f32])>,
    first: usize,
    width: usize,
    depth: usize,
    panels: *mut f32,
) {
    for (k, row) in rows {
        let row = &row[first..first + width];
        let mut column = 0;
        // SAFETY: columns below `width` are within the row; floats k · 16 to k · 16 + 15 of a panel within its depth · 16.
        unsafe {
            while column < width {
                let to = panels.add(column * depth + k * COLUMNS);
                let from = row.as_ptr().add(column);
                let count = width - column;
                if count >= COLUMNS {
                    lane.load(from).store(to);
                } else {
                    lane.load_first(from, count).store(to);
                }
                column += COLUMNS;
            }
        }
    }
}

/// Packs columns of rows as tiles of the left operand: for each tile of [`tile_height`] columns, step after step.
///
/// # Safety
/// The rows must hold the columns, and `tiles` must have room for height · depth floats.
#[inline(always)]
unsafe fn pack_tiles<'a, W: Sixteen>(
    lane: W,
    rows: impl Iterator<Item = (usize, &'a [f32])>,
    first: usize,
    height: usize,
    depth: usize,
    tiles: *mut f32,
) {
    let lane = lane.eight();
    for (k, row) in rows {
        let row = &row[first..];
        assert!(height <= row.len());
        let mut column = 0;
        while column < height {
            let count = tile_height::<W>(height - column);
            // SAFETY: `count` ≤ 8 columns from `column` on are within the row, and `count` floats of the step within the tile.
            // Eight are written where what lies past the step belongs to later steps of the same tile.
            unsafe {
                let (from, to) = (row.as_ptr().add(column), tiles.add(column * depth + k * count));
                if k * count + 8 <= depth * count && column + 8 <= row.len() {
                    lane.load(from).store(to);
                } else {
                    lane.load_first(from, count).store_first(to, count);
                }
            }
            column += count;
        }
    }
}
