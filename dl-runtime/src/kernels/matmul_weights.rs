//! The gradient of a weight: `d_W = Σ xᵀ d_y` over the rows of all examples.
//!
//! The depth of this product is the batch, which lies in pieces, one in each shard. Both operands are packed block by block
//! on the stack: d_y into panels of sixteen columns, x into tiles as high as the microkernel's. Every sum is taken over
//! blocks of a constant number of rows, in order, whoever computes it.

use super::matmul::MatMul;
use super::pack::Aligned;
use super::product::{COLUMNS, Left, Right, Stride, Sums, panels_at_once, product, tile_height, with_panels};
use crate::simd::{Isa, Kernel, Lane, Sixteen, Vector, dispatch, isa};
use crate::{Segments, Team};

/// Rows of the examples that are summed up at a time: the panels of d_y at hand then take a third of the first-level cache.
const DEPTH: usize = 128;
/// Rows of d_weight whose x is packed at a time.
const HEIGHT: usize = 96;
/// Steps that a tile of x has room for besides its own.
const SPARE: usize = 2;
/// Floats for panels of d_y. Each has room for a step more, lest all begin in the same set of the cache.
const PANELS: usize = (DEPTH + 1) * 512;

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
        dispatch(isa, Weights { shape: *shape, n, x, d_y, first: start / outputs, part });
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

impl Weights<'_> {
    /// [`matmul_weights`] over vectors of sixteen.
    #[inline(always)]
    fn over<W: Sixteen>(self, lane: W) {
        let MatMul { rows, inputs, outputs } = self.shape;
        let x = Tall { segments: self.x, rows, columns: inputs };
        let d_y = Tall { segments: self.d_y, rows, columns: outputs };
        let total = self.n * rows;
        let part_inputs = self.part.len() / outputs;
        let mut tiles = Aligned::<{ (DEPTH + SPARE) * HEIGHT + 8 }>::uninit();
        let mut panels = Aligned::<PANELS>::uninit();
        let (tiles, panels) = (tiles.as_mut_ptr(), panels.as_mut_ptr());
        // The columns come first, so that their sums stay in the second-level cache from one block of rows to the next.
        let columns_at_once = PANELS / (DEPTH.min(total) + 1) / COLUMNS * COLUMNS;
        for column in (0..outputs).step_by(columns_at_once) {
            let width = columns_at_once.min(outputs - column);
            for start in (0..total).step_by(DEPTH) {
                let depth = DEPTH.min(total - start);
                // SAFETY: width rounded up to whole panels, times depth + 1, is at most PANELS.
                unsafe { pack_panels(lane, d_y.rows(start, depth), column, width, depth, panels) }
                for input in (0..part_inputs).step_by(HEIGHT) {
                    let height = HEIGHT.min(part_inputs - input);
                    // SAFETY: `tiles` has room for (depth + SPARE) · HEIGHT floats and eight; the panels hold `width` columns of
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
                            let base = panels.add(panel * (depth + 1)).cast_const();
                            let right = Right { base, steps: Stride(COLUMNS), pitch: (depth + 1) * COLUMNS };
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
        // SAFETY: the tile of rows row..row + count starts at row · (depth + SPARE); the sums have those rows.
        unsafe {
            let left = Left { base: tiles.add(row * (depth + SPARE)), row: 1, steps: Stride(count) };
            let sums = Sums { base: sums.base.add(row * sums.row), ..sums };
            product::<W, Stride, Stride, Sums, P>(lane, count, depth, left, right, &sums);
        }
        row += count;
    }
}

/// Packs columns of rows into panels of sixteen, with zeros beside the last.
///
/// # Safety
/// The rows must hold the columns, and `panels` must have room for whole panels of `depth` + 1 steps.
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
                let to = panels.add(column * (depth + 1) + k * COLUMNS);
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
/// The rows must hold the columns, and `tiles` must have room for height · (depth + SPARE) + 8 floats.
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
    let highest = tile_height::<W>(usize::MAX);
    let mut whole = 0;
    while whole + highest <= height && tile_height::<W>(height - whole) == highest {
        whole += highest;
    }
    for (k, row) in rows {
        let row = &row[first..];
        assert!(height <= row.len());
        macro_rules! copy {
            ($column:ident, $count:ident) => {
                // SAFETY: `count` ≤ 8 columns from `column` on are within the row. Eight floats are written, of which those past the
                // step belong to later steps, which are written later, or lie in the tile's two steps to spare; of tiles of fewer than
                // three, which are the last, in the room behind them.
                unsafe {
                    let (from, to) = (row.as_ptr().add($column), tiles.add($column * (depth + SPARE) + k * $count));
                    if $column + 8 <= row.len() {
                        lane.load(from).store(to);
                    } else {
                        lane.load_first(from, $count).store(to);
                    }
                }
            };
        }
        let mut column = 0;
        while column < whole {
            copy!(column, highest);
            column += highest;
        }
        while column < height {
            let count = tile_height::<W>(height - column);
            copy!(column, count);
            column += count;
        }
    }
}
