//! The gradient of a weight: `d_W = Σ xᵀ d_y` over the rows of all examples.
//!
//! The depth of this product is the batch, which lies in pieces, one in each shard. Both operands are packed block by block
//! on the stack: d_y into panels of sixteen columns, x into tiles as high as the microkernel's. Every sum is taken over
//! blocks of a constant number of rows, in order, whoever computes it. A product of few columns and few rows would take less
//! time than its packing: there only d_y is packed, and little of the stack is touched.

use std::ops::Range;

use super::matmul::MatMul;
use super::pack::Aligned;
use super::product::{
    COLUMNS, Every, Left, Right, Stride, Sums, Table, panels_at_once, product, product_within, tile_height, with_panels,
};
use crate::simd::{Isa, Kernel, Lane, Sixteen, Vector, dispatch, isa, prefetch};
use crate::team::Pointer;
use crate::{Segments, Team};

/// Rows of the examples that are summed up at a time: the panels of d_y at hand then take a third of the first-level cache.
const DEPTH: usize = 128;
/// Rows of d_weight whose x is packed at a time, once for all columns if there are no more.
const HEIGHT: usize = 256;
/// Floats for panels of d_y. Each has room for a step more, lest all begin in the same set of the cache.
const PANELS: usize = (DEPTH + 1) * 512;
/// The most rows of the examples and the most columns of d_y of a product whose x is read where it is.
const SMALL: usize = 64;

/// `d_weight = Σ xᵀ d_y` over the rows of `n` examples, overwritten: x has rows · inputs floats for each example, d_y
/// rows · outputs, d_weight is [inputs, outputs]. The team shares the rows of d_weight, or its columns; the order of each
/// sum is that of the examples, so the bits do not depend on the number of threads.
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
    // The threads write ranges of rows, or of columns, that do not overlap.
    let sums = Pointer::new(d_weight);
    let is_small = n * rows <= SMALL && outputs <= SMALL;
    let body = |inputs: Range<usize>, outputs: Range<usize>| {
        let weights = Weights { shape: *shape, n, x, d_y, inputs, outputs, sums };
        if is_small { dispatch(isa, Small(weights)) } else { dispatch(isa, weights) }
    };
    let threads = team.threads();
    if n * rows * inputs * outputs < WORTH_A_FORK {
        body(0..inputs, 0..outputs);
    } else if by_columns(shape, threads) {
        let panels = outputs.div_ceil(COLUMNS);
        team.ranges(panels, |panels| body(0..inputs, panels.start * COLUMNS..(panels.end * COLUMNS).min(outputs)));
    } else {
        team.ranges(inputs, |inputs| body(inputs, 0..outputs));
    }
}

/// Multiply-adds below which a fork and join costs more than it saves.
const WORTH_A_FORK: usize = 1 << 17;

/// Whether so many threads have less to pack if each takes columns of d_weight rather than rows. Who has rows packs all
/// of d_y, who has columns packs all of x; if there are many rows, x is packed once for each group of columns.
fn by_columns(shape: &MatMul, threads: usize) -> bool {
    let MatMul { inputs, outputs, .. } = *shape;
    let packed = |inputs: usize, outputs: usize| {
        let groups = if inputs > HEIGHT { outputs.div_ceil(PANELS / (DEPTH + 1)) } else { 1 };
        outputs + inputs * groups
    };
    let even = outputs.div_ceil(COLUMNS) >= 8 * threads;
    even && packed(inputs, outputs.div_ceil(threads)) < packed(inputs.div_ceil(threads), outputs)
}

/// The arguments of [`matmul_weights`] for some rows and columns of d_weight.
struct Weights<'a> {
    shape: MatMul,
    n: usize,
    x: Segments<'a>,
    d_y: Segments<'a>,
    inputs: Range<usize>,
    outputs: Range<usize>,
    sums: Pointer,
}

/// The rows of all examples as one matrix.
struct Tall<'a> {
    segments: Segments<'a>,
    rows: usize,
    columns: usize,
}

impl Tall<'_> {
    /// Where `count` rows from `start` on begin; what is behind them stays as it is.
    #[inline(always)]
    fn rows(&self, start: usize, count: usize, begins: &mut [*const f32; DEPTH]) {
        let (mut example, mut row) = (start / self.rows, start % self.rows);
        let mut floats = self.segments.example(example);
        for begin in &mut begins[..count] {
            if row == self.rows {
                (example, row) = (example + 1, 0);
                floats = self.segments.example(example);
            }
            *begin = floats[row * self.columns..][..self.columns].as_ptr();
            row += 1;
        }
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
        let (mut begins, mut starts) = ([std::ptr::null(); DEPTH], [0; SMALL]);
        let mut panels = Aligned::<{ (SMALL + 1) * SMALL }>::uninit();
        let panels = panels.as_mut_ptr();
        d_y.rows(0, depth, &mut begins);
        let (first, width) = (self.outputs.start, self.outputs.len());
        // SAFETY: the rows hold all columns; `width` rounded up to whole panels, times depth + 1, is at most the room, a panel
        // being narrower than SMALL.
        unsafe { pack_panels(lane, &begins[..depth], first, width, panels) }
        x.rows(0, depth, &mut begins);
        let base = begins[0];
        for (start, begin) in starts.iter_mut().zip(&begins[..depth]) {
            *start = (begin.addr() - base.addr()) / size_of::<f32>();
        }
        let left =
            Left { base: base.wrapping_add(self.inputs.start), rows: Every::<1>, steps: Table(&starts[..depth]) };
        let mut column = 0;
        while column < width {
            let columns_left = width - column;
            let columns = panels_at_once::<W>(columns_left) * COLUMNS;
            let sums = Sums {
                base: self.sums.start().wrapping_add(self.inputs.start * outputs + first + column),
                row: outputs,
                columns: columns.min(columns_left),
                accumulate: false,
            };
            let base = panels.wrapping_add(column * (depth + 1)).cast_const();
            let right = Right { base, steps: Every::<COLUMNS>, pitch: (depth + 1) * COLUMNS };
            let height = self.inputs.len();
            // SAFETY: step k of the left operand is row k of x, which holds `inputs` floats; the panels hold `width` columns of
            // `depth` steps; the sums of these rows and columns lie in d_weight, and are this thread's.
            unsafe {
                with_panels!(
                    W,
                    columns_left,
                    product::<W, Every<1>, Table<'_>, Every<COLUMNS>, Sums>(lane, height, depth, left, right, sums)
                );
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
        let mut tiles = Aligned::<{ DEPTH * HEIGHT }>::uninit();
        let mut panels = Aligned::<PANELS>::uninit();
        let (tiles, panels) = (tiles.as_mut_ptr(), panels.as_mut_ptr());
        let (mut rows_x, mut rows_d_y) = ([std::ptr::null(); DEPTH], [std::ptr::null(); DEPTH]);
        for start in (0..total).step_by(DEPTH) {
            let depth = DEPTH.min(total - start);
            x.rows(start, depth, &mut rows_x);
            d_y.rows(start, depth, &mut rows_d_y);
            let (rows_x, rows_d_y) = (&rows_x[..depth], &rows_d_y[..depth]);
            let columns_at_once = PANELS / (depth + 1) / COLUMNS * COLUMNS;
            for column in self.outputs.clone().step_by(columns_at_once) {
                let width = columns_at_once.min(self.outputs.end - column);
                // SAFETY: the rows hold all columns; width rounded up to whole panels, times depth + 1,
                // is at most PANELS.
                unsafe { pack_panels(lane, rows_d_y, column, width, panels) }
                for input in self.inputs.clone().step_by(HEIGHT) {
                    let height = HEIGHT.min(self.inputs.end - input);
                    // SAFETY: the rows hold all columns; `tiles` has room for depth · HEIGHT floats; the panels hold
                    // `width` columns of `depth` steps; d_weight holds inputs · outputs floats, input + height ≤ inputs
                    // and column + width ≤ outputs, and the places are this thread's.
                    unsafe {
                        if column == self.outputs.start || self.inputs.len() > HEIGHT {
                            pack_tiles(lane, rows_x, inputs, input, height, tiles);
                        }
                        let mut panel = 0;
                        while panel < width {
                            let columns = panels_at_once::<W>(width - panel) * COLUMNS;
                            let sums = Sums {
                                base: self.sums.start().add(input * outputs + column + panel),
                                row: outputs,
                                columns: columns.min(width - panel),
                                accumulate: start > 0,
                            };
                            let base = panels.add(panel * (depth + 1)).cast_const();
                            let right = Right { base, steps: Every::<COLUMNS>, pitch: (depth + 1) * COLUMNS };
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
/// `packed` must hold what [`pack_tiles`] made for `height` and `depth`; right and sums as for [`product`].
#[inline(always)]
unsafe fn multiply<W: Sixteen, const P: usize>(
    lane: W,
    height: usize,
    depth: usize,
    packed: *const f32,
    right: Right<Every<COLUMNS>>,
    sums: Sums,
) {
    lane.apart(Multiply::<P> { height, depth, packed, right, sums });
}

/// The arguments of [`multiply`], whose promises are kept.
struct Multiply<const P: usize> {
    height: usize,
    depth: usize,
    packed: *const f32,
    right: Right<Every<COLUMNS>>,
    sums: Sums,
}

impl<const P: usize> Kernel for Multiply<P> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        self.over(lane.sixteen());
    }
}

impl<const P: usize> Multiply<P> {
    #[inline(always)]
    fn over<W: Sixteen>(self, lane: W) {
        let Self { height, depth, packed, right, sums } = self;
        let mut row = 0;
        while row < height {
            let count = tile_height::<W>(height - row);
            // SAFETY: the tile of rows row..row + count starts at row · depth; the sums have those rows.
            unsafe {
                let left = Left { base: packed.add(row * depth), rows: Every::<1>, steps: Stride(count) };
                let sums = Sums { base: sums.base.add(row * sums.row), ..sums };
                product_within::<W, Every<1>, Stride, Every<COLUMNS>, Sums, P>(lane, count, depth, left, right, &sums);
            }
            row += count;
        }
    }
}

/// Rows that are packed side by side: what each of them adds to a panel or tile then makes whole cache lines in a row. The
/// rows after them are asked for meanwhile: a large batch lies in memory, and no machine foresees pieces of eight rows.
const TOGETHER: usize = 8;

/// Asks for the place of a row that is packed after those at hand.
#[inline(always)]
fn expect(rows: &[*const f32], row: usize, place: usize) {
    if let Some(next) = rows.get(row + TOGETHER) {
        prefetch(next.wrapping_add(place));
    }
}

/// Packs columns of rows into panels of sixteen, with zeros beside the last.
///
/// # Safety
/// The rows must hold the columns, and `panels` must have room for whole panels of one step more than
/// there are rows.
#[inline(always)]
unsafe fn pack_panels<W: Sixteen>(lane: W, rows: &[*const f32], first: usize, width: usize, panels: *mut f32) {
    for (group, some) in rows.chunks(TOGETHER).enumerate() {
        let mut column = 0;
        while column < width {
            let count = width - column;
            for (place, row) in some.iter().enumerate() {
                let k = group * TOGETHER + place;
                // SAFETY: columns below first + width are within the row; floats k · 16 to k · 16 + 15 of a panel within
                // its (depth + 1) · 16.
                unsafe {
                    let to = panels.add(column * (rows.len() + 1) + k * COLUMNS);
                    let from = row.add(first + column);
                    expect(rows, k, first + column);
                    if count >= COLUMNS {
                        lane.load(from).store(to);
                    } else {
                        lane.load_first(from, count).store(to);
                    }
                }
            }
            column += COLUMNS;
        }
    }
}

/// Packs columns of rows as tiles of the left operand: for each tile of [`tile_height`] columns, step after step.
///
/// # Safety
/// The rows must hold `columns` columns, those from `first` on among them, and `tiles` must have room for `height` floats
/// of each row.
#[inline(always)]
unsafe fn pack_tiles<W: Sixteen>(
    lane: W,
    rows: &[*const f32],
    columns: usize,
    first: usize,
    height: usize,
    tiles: *mut f32,
) {
    let depth = rows.len();
    let eight = lane.eight();
    for (group, some) in rows.chunks(TOGETHER).enumerate() {
        let mut column = 0;
        while column < height {
            let count = tile_height::<W>(height - column);
            for (place, row) in some.iter().enumerate() {
                let k = group * TOGETHER + place;
                expect(rows, k, first + column);
                // SAFETY: `count` ≤ 8 columns from `column` on are within the row, and `count` floats of the step within the
                // tile. Eight are written where what lies past the step belongs to later steps of the same tile.
                unsafe {
                    let (from, to) = (row.add(first + column), tiles.add(column * depth + k * count));
                    if k * count + 8 <= depth * count && first + column + 8 <= columns {
                        eight.load(from).store(to);
                    } else {
                        eight.load_first(from, count).store_first(to, count);
                    }
                }
            }
            column += count;
        }
    }
}
