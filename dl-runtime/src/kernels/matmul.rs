//! Products of activations by weights.
//!
//! A weight [inputs, outputs] is first packed into panels of sixteen columns ([`Pack`]); [`matmul`] multiplies rows by the
//! panels, forward (`y = x W`) and, with the transposed panels, backward (`d_x = d_y Wᵀ`). [`matmul_unpacked`] takes the
//! weight as it is. Shapes are constants of the call; nothing is allocated.

use super::epilogue::{Ending, Epilogue};
use super::pack::{Aligned, Pack, copy_columns, turn};
use super::product::{
    COLUMNS, Every, Left, Right, Rows, Sink, Steps, Stride, begin, few_rows, packing_tile, panels_at_once, product,
    with_panels,
};
use crate::simd::{Isa, Kernel, Lane, Sixteen, dispatch, isa};

/// Steps of the depth that a tile runs through before the next tile's turn, so that the part of the panel in use
/// stays in the second-level cache.
const DEPTH: usize = 1024;
/// Floats of the rows that all panels meet before the next rows' turn, so that these stay in the second-level cache.
const BLOCK: usize = 96 * DEPTH;
/// Rows that tiles of six and of eight divide.
const TILES: usize = 24;
/// Steps of panels packed on the way for which a small place on the stack is enough.
const SHALLOW: usize = 64;
/// Rows that are multiplied while their panels are packed: a tile, of one panel or of two.
const FIRST: [usize; 2] = [6, 8];

/// Rows that are multiplied by a panel where it is, where there are registers enough for their sums.
const TALL: usize = 16;
/// Floats of such a weight at most, those of 4 MiB: a larger one comes from memory, which sees no order in the columns of a panel.
const LARGEST_TALL: usize = 1 << 20;

/// The shape of a matrix product for each example: x [rows, inputs] by [inputs, outputs] to y [rows, outputs].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatMul {
    /// Rows of an example; the rows of all examples together are one tall matrix.
    pub rows: usize,
    /// The length of a row of x.
    pub inputs: usize,
    /// The length of a row of y.
    pub outputs: usize,
}

/// `y = activation(x W + bias + residual)` for `n` examples, masked, with W packed. With the transposed panels of W it is `x Wᵀ`, where
/// `inputs` and `outputs` are those of this product.
///
/// # Panics
/// If x, the panels, y or what the epilogue reads are shorter than the shape says.
pub fn matmul(shape: &MatMul, n: usize, x: &[f32], panels: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
    matmul_on(isa(), shape, n, x, panels, epilogue, y);
}

/// [`matmul`] on a given instruction set.
pub(crate) fn matmul_on(
    isa: Isa,
    shape: &MatMul,
    n: usize,
    x: &[f32],
    panels: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let rows = n * shape.rows;
    let x = &x[..rows * shape.inputs];
    let panels = &panels[..Pack { inputs: shape.inputs, outputs: shape.outputs, transposed: false }.len()];
    let y = &mut y[..rows * shape.outputs];
    let product = Product { shape: *shape, rows, x, ending: epilogue.ending(shape.outputs, y), y: &mut *y };
    dispatch(isa, Packed { product, panels });
    epilogue.finish(isa, y);
}

/// A weight that lies where it is, and room for its panels.
#[derive(Debug, Clone, Copy)]
pub struct Either<'a> {
    /// Whether it is read where it is; then there are no panels.
    pub in_place: bool,
    /// The weight, `[inputs, outputs]`.
    pub weight: &'a [f32],
    /// Its panels.
    pub panels: &'a [f32],
}

/// [`matmul`] or [`matmul_unpacked`], which yield the same bits.
///
/// # Panics
/// As those.
pub fn matmul_either(shape: &MatMul, n: usize, x: &[f32], w: Either<'_>, epilogue: Epilogue<'_>, y: &mut [f32]) {
    if w.in_place {
        matmul_unpacked(shape, n, x, w.weight, false, epilogue, y);
    } else {
        matmul(shape, n, x, w.panels, epilogue, y);
    }
}

/// [`matmul`] with W as it is, for products that are worth no panels kept: `[inputs, outputs]`, or `[outputs, inputs]` if
/// `transposed`. Panels are packed on the stack, most of them while their first rows are multiplied.
///
/// # Panics
/// If x, the weight, y or what the epilogue reads are shorter than the shape says.
pub fn matmul_unpacked(
    shape: &MatMul,
    n: usize,
    x: &[f32],
    weight: &[f32],
    transposed: bool,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    matmul_unpacked_on(isa(), shape, n, x, (weight, transposed), epilogue, y);
}

/// [`matmul_unpacked`] on a given instruction set; with the weight, whether it is transposed.
pub(crate) fn matmul_unpacked_on(
    isa: Isa,
    shape: &MatMul,
    n: usize,
    x: &[f32],
    (weight, transposed): (&[f32], bool),
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let rows = n * shape.rows;
    let x = &x[..rows * shape.inputs];
    let weight = &weight[..shape.inputs * shape.outputs];
    let y = &mut y[..rows * shape.outputs];
    let product = Product { shape: *shape, rows, x, ending: epilogue.ending(shape.outputs, y), y: &mut *y };
    if shape.inputs <= SHALLOW {
        unpacked::<{ 2 * SHALLOW * COLUMNS }>(isa, product, weight, transposed);
    } else {
        unpacked::<{ 2 * DEPTH * COLUMNS }>(isa, product, weight, transposed);
    }
    epilogue.finish(isa, y);
}

/// [`matmul_unpacked`] with so many floats of the stack for two panels of `SHALLOW` steps or of `DEPTH`.
#[inline(never)]
fn unpacked<const FLOATS: usize>(isa: Isa, product: Product<'_>, weight: &[f32], transposed: bool) {
    let mut panels = Aligned::<FLOATS>::uninit();
    dispatch(isa, Unpacked { product, weight, transposed, panels: panels.as_mut_ptr() });
}

/// What every product of rows with a weight has; slices have exactly the lengths of the shape.
struct Product<'a> {
    shape: MatMul,
    rows: usize,
    x: &'a [f32],
    ending: Ending<'a>,
    y: &'a mut [f32],
}

/// A block of a product: some rows, a part of the depth, and the columns of a panel.
#[derive(Clone, Copy)]
struct Part {
    row: usize,
    rows: usize,
    start: usize,
    depth: usize,
    column: usize,
}

impl Product<'_> {
    /// The parts of the depth, of [`DEPTH`] steps; one, if empty, where there is none, since the epilogue is due all the same.
    fn depths(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let inputs = self.shape.inputs;
        (0..inputs.max(1)).step_by(DEPTH).map(move |start| (start, DEPTH.min(inputs - start)))
    }

    /// The blocks of rows of which so much of the depth is read at once; the last takes what would be too few for tiles.
    fn blocks(&self, depth: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let height = BLOCK / depth.max(DEPTH / 4) / TILES * TILES;
        let (rows, count) = (self.rows, (self.rows / height).max(1));
        (0..count).map(move |block| (block * height, if block + 1 == count { rows - block * height } else { height }))
    }

    /// The columns of y from `part.column` on, those of so many panels, as seen from the part's first row.
    ///
    /// # Safety
    /// The part must lie within the shape.
    #[inline(always)]
    unsafe fn sink(&mut self, part: Part, panels: usize) -> Rows<'_> {
        let MatMul { inputs, outputs, .. } = self.shape;
        let last = part.start + part.depth == inputs;
        Rows {
            // SAFETY: y holds rows · outputs floats.
            base: unsafe { self.y.as_mut_ptr().add(part.row * outputs + part.column) },
            row: outputs,
            columns: (panels * COLUMNS).min(outputs - part.column),
            accumulate: part.start > 0,
            ending: self.ending.if_last(last).from(part.column),
        }
    }

    /// The part's rows of x.
    ///
    /// # Safety
    /// The part must lie within the shape.
    #[inline(always)]
    unsafe fn left(&self, part: Part) -> Left<Stride, Every<1>> {
        let inputs = self.shape.inputs;
        // SAFETY: x holds rows · inputs floats.
        let base = unsafe { self.x.as_ptr().add(part.row * inputs + part.start) };
        Left { base, rows: Stride(inputs), steps: Every::<1> }
    }

    /// Up to three rows, several panels at once; `right` is asked for them by the column of the first and the start of the
    /// depth. Only the first `columns` columns are computed.
    ///
    /// # Safety
    /// `right` must lead to `depth` steps of whole panels for all columns below `columns`, a multiple of sixteen or all.
    #[inline(always)]
    unsafe fn few_rows<W: Sixteen, B: Steps>(
        &mut self,
        lane: W,
        columns: usize,
        right: impl Fn(usize, usize) -> Right<B>,
    ) {
        for (start, depth) in self.depths() {
            let mut column = 0;
            while column < columns {
                let panels = (columns - column).div_ceil(COLUMNS);
                let part = Part { row: 0, rows: self.rows, start, depth, column };
                let right = right(column, start);
                macro_rules! tiles {
                    ($rows:literal: [$($panels:literal)*]) => {
                        match panels {
                            // SAFETY: the caller's promise, for that many rows and panels.
                            $($panels.. => unsafe { self.few_panels::<W, B, $rows, $panels>(lane, part, right) },)*
                            _ => return,
                        }
                    };
                }
                macro_rules! by_rows {
                    ($one:tt $two:tt $three:tt) => {
                        match self.rows {
                            1 => tiles!(1: $one),
                            2 => tiles!(2: $two),
                            3 => tiles!(3: $three),
                            _ => return,
                        }
                    };
                }
                let panels = match const { W::HEIGHT } {
                    8 => by_rows!([8 6 4 3 2 1] [8 6 4 3 2 1] [6 4 3 2 1]),
                    6 => by_rows!([6 5 4 3 2 1] [3 2 1] [1]),
                    _ => by_rows!([1][1][1]),
                };
                column += panels * COLUMNS;
            }
        }
    }

    /// `R` rows by `P` panels; returns P.
    ///
    /// # Safety
    /// As for [`few_rows`], and the part must lie within the shape.
    #[inline(always)]
    unsafe fn few_panels<W: Sixteen, B: Steps, const R: usize, const P: usize>(
        &mut self,
        lane: W,
        part: Part,
        right: Right<B>,
    ) -> usize {
        // SAFETY: the caller's promise.
        let (left, sink) = unsafe { (self.left(part), self.sink(part, P)) };
        lane.apart(FewPanels::<B, R, P> { depth: part.depth, left, right, sink });
        P
    }

    /// Writes the first rows of P panels of a part.
    ///
    /// # Safety
    /// The part must lie within the shape.
    #[inline(always)]
    unsafe fn write<W: Sixteen, const R: usize, const P: usize>(&mut self, part: Part, acc: [[W; R]; P]) {
        // SAFETY: the caller's promise.
        unsafe {
            let sink = self.sink(part, P);
            for (p, acc) in acc.into_iter().enumerate() {
                sink.write(0, p, acc);
            }
        }
    }

    /// A part by P panels.
    ///
    /// # Safety
    /// The part must lie within the shape and `right` lead to its depth.
    #[inline(always)]
    unsafe fn panels<W: Sixteen, B: Steps, const P: usize>(&mut self, lane: W, part: Part, right: Right<B>) {
        // SAFETY: the caller's promise.
        unsafe {
            let left = self.left(part);
            product::<W, Stride, Every<1>, B, Rows<'_>, P>(
                lane,
                part.rows,
                part.depth,
                left,
                right,
                self.sink(part, P),
            );
        }
    }
}

/// `R` rows by `P` panels, all of which exist.
struct FewPanels<'a, B, const R: usize, const P: usize> {
    depth: usize,
    left: Left<Stride, Every<1>>,
    right: Right<B>,
    sink: Rows<'a>,
}

impl<B: Steps, const R: usize, const P: usize> Kernel for FewPanels<'_, B, R, P> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { depth, left, right, sink } = self;
        let lane = lane.sixteen();
        // SAFETY: the rows and the panels exist.
        unsafe {
            let acc = begin::<_, _, R, P>(lane, &sink, 0);
            let acc = few_rows::<_, B, R, P>(lane, depth, left, right, acc);
            for (p, acc) in acc.into_iter().enumerate() {
                sink.write(0, p, acc);
            }
        }
    }
}

/// The arguments of [`matmul`].
struct Packed<'a> {
    product: Product<'a>,
    panels: &'a [f32],
}

impl Kernel for Packed<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let lane = lane.sixteen();
        let Self { product, panels } = self;
        packed(lane, product, panels);
    }
}

/// [`matmul`] over vectors of sixteen.
#[inline(always)]
fn packed<W: Sixteen>(lane: W, mut product: Product<'_>, panels: &[f32]) {
    let MatMul { inputs, outputs, .. } = product.shape;
    let right = |column: usize, start: usize| {
        // SAFETY: the panel at `column`, a multiple of 16, starts at column · inputs and holds inputs · 16 floats.
        let base = unsafe { panels.as_ptr().add(column * inputs + start * COLUMNS) };
        Right { base, steps: Every::<COLUMNS>, pitch: inputs * COLUMNS }
    };
    if product.rows <= 3 {
        // SAFETY: the panels hold all columns, `inputs` · 16 floats apart.
        return unsafe { product.few_rows(lane, outputs, right) };
    }
    for (start, depth) in product.depths() {
        for (row, rows) in product.blocks(depth) {
            let mut column = 0;
            while column < outputs {
                let part = Part { row, rows, start, depth, column };
                // SAFETY: the part lies within the shape, and the panels hold start + depth ≤ inputs steps.
                unsafe {
                    with_panels!(
                        W,
                        outputs - column,
                        product.panels::<W, Every<COLUMNS>>(lane, part, right(column, start))
                    )
                }
                column += panels_at_once::<W>(outputs - column) * COLUMNS;
            }
        }
    }
}

/// The arguments of [`matmul_unpacked`].
struct Unpacked<'a> {
    product: Product<'a>,
    weight: &'a [f32],
    transposed: bool,
    /// Room for two panels of `DEPTH` steps, or of `inputs` if these are fewer.
    panels: *mut f32,
}

impl Kernel for Unpacked<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        self.over(lane.sixteen());
    }
}

impl Unpacked<'_> {
    /// [`matmul_unpacked`] over vectors of sixteen.
    #[inline(always)]
    fn over<W: Sixteen>(mut self, lane: W) {
        let outputs = self.product.shape.outputs;
        let few = self.product.rows <= 3;
        let whole = self.whole();
        if few {
            let weight = self.weight;
            // SAFETY: sixteen columns from each multiple of 16 below `whole` on lie side by side in the rows.
            unsafe { self.product.few_rows(lane, whole, |column, start| in_place(weight, outputs, column, start)) }
        }
        let tall = const { W::TALL } && self.product.rows == TALL && self.weight.len() <= LARGEST_TALL;
        if tall {
            // SAFETY: as above; these are all rows.
            unsafe { self.tall_panels(lane, whole) }
        }
        for (start, depth) in self.product.depths() {
            for (row, rows) in self.product.blocks(depth) {
                let mut column = if few || tall { whole } else { 0 };
                while column < outputs {
                    let part = Part { row, rows, start, depth, column };
                    // SAFETY: the part lies within the shape; there is room for two panels of its depth.
                    unsafe {
                        with_panels!(W, outputs - column, self.panels::<W>(lane, part));
                    }
                    column += panels_at_once::<W>(outputs - column) * COLUMNS;
                }
            }
        }
    }

    /// The columns of whole panels of rows that lie as they are read: they can be multiplied where they are.
    fn whole(&self) -> usize {
        if self.transposed { 0 } else { self.product.shape.outputs / COLUMNS * COLUMNS }
    }

    /// [`TALL`] rows, which are all there are, by the panels of the first `whole` columns, where they are.
    ///
    /// # Safety
    /// So many columns must lie side by side in the rows of the weight, a multiple of sixteen.
    #[inline(always)]
    unsafe fn tall_panels<W: Sixteen>(&mut self, lane: W, whole: usize) {
        for (start, depth) in self.product.depths() {
            for column in (0..whole).step_by(COLUMNS) {
                let part = Part { row: 0, rows: TALL, start, depth, column };
                let right = in_place(self.weight, self.product.shape.outputs, column, start);
                // SAFETY: the part lies within the shape, and `right` leads to the panel's depth.
                unsafe { self.product.few_panels::<W, Stride, TALL, 1>(lane, part, right) };
            }
        }
    }

    /// A part by P panels.
    ///
    /// # Safety
    /// The part must lie within the shape.
    #[inline(always)]
    unsafe fn panels<W: Sixteen, const P: usize>(&mut self, lane: W, part: Part) {
        let panels = self.panels;
        let MatMul { inputs, outputs, .. } = self.product.shape;
        let Part { row, rows, start, depth, column } = part;
        let first = FIRST[P - 1];
        let packed = Right { base: panels.cast_const(), steps: Every::<COLUMNS>, pitch: depth * COLUMNS };
        let in_place = in_place(self.weight, outputs, column, start);
        // SAFETY: the part lies within the shape; there is room for P ≤ 2 panels of `depth` steps, which they hold once they are packed.
        unsafe {
            let part = if column + P * COLUMNS > self.whole() {
                for p in 0..P {
                    let (panel, column) = (panels.add(p * depth * COLUMNS), column + p * COLUMNS);
                    let width = COLUMNS.min(outputs - column);
                    if self.transposed {
                        let columns = &self.weight[column * inputs..][..width * inputs];
                        turn(lane.eight(), columns, inputs, start..start + depth, panel);
                    } else {
                        let rows = &self.weight[start * outputs..][..depth * outputs];
                        copy_columns(lane, rows, outputs, column..column + width, panel);
                    }
                }
                part
            } else if rows < 2 * first {
                return self.product.panels::<W, Stride, P>(lane, part, in_place);
            } else {
                let (left, right) = (self.product.left(part), in_place);
                if const { P == 1 } {
                    let acc = begin::<W, Rows<'_>, { FIRST[0] }, P>(lane, &self.product.sink(part, P), 0);
                    let acc = packing_tile::<W, { FIRST[0] }, P>(lane, depth, left, right, panels, acc);
                    self.product.write(part, acc);
                } else {
                    let acc = begin::<W, Rows<'_>, { FIRST[1] }, P>(lane, &self.product.sink(part, P), 0);
                    let acc = packing_tile::<W, { FIRST[1] }, P>(lane, depth, left, right, panels, acc);
                    self.product.write(part, acc);
                }
                Part { row: row + first, rows: rows - first, ..part }
            };
            self.product.panels::<W, Every<COLUMNS>, P>(lane, part, packed);
        }
    }
}

/// Panels of a weight of rows of `outputs` floats from a column and a row on, where they are.
#[inline(always)]
fn in_place(weight: &[f32], outputs: usize, column: usize, start: usize) -> Right<Stride> {
    Right { base: weight.as_ptr().wrapping_add(start * outputs + column), steps: Stride(outputs), pitch: COLUMNS }
}

#[cfg(test)]
mod tests {
    use super::super::matmul_weights::matmul_weights_on;
    use super::super::pack::pack_on;
    use super::*;
    use crate::simd::available;
    use crate::{Activation, Rng, Segments, Shards, Team, matmul_weights, pack, reference};
    use proptest::prelude::*;

    fn values(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.next_u32() as f32 / 2f32.powi(31) - 1.0).collect()
    }

    /// Random values below 1 in magnitude, summed in single precision: k additions, each rounded by at most half an ulp
    /// of a partial sum, which grows like √k; and the rounding of the result.
    fn tolerance(k: usize) -> f32 {
        let k = k as f32 + 4.0;
        k.sqrt() * k * 2f32.powi(-24) + 4e-7
    }

    fn close(found: &[f32], expected: &[f32], tolerance: f32, what: &dyn std::fmt::Debug) {
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() <= tolerance, "{what:?} at {i}: {found} for {expected} ± {tolerance}");
        }
    }

    fn same_bits(a: &[f32], b: &[f32]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
    }

    const ACTIVATIONS: [Activation; 4] =
        [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh];

    fn check(shape: MatMul, n: usize, seed: u64) {
        let MatMul { rows, inputs, outputs } = shape;
        let x = values(n * rows * inputs, seed);
        let weight = values(inputs * outputs, seed + 1);
        let bias = values(outputs, seed + 2);
        let layout = Pack { inputs, outputs, transposed: false };
        let mut panels = vec![];
        for transposed in [true, false] {
            let layout = Pack { transposed, ..layout };
            let mut expected_panels = vec![0.0; layout.len()];
            panels = vec![f32::NAN; layout.len() + 3];
            reference::pack(&layout, &weight, &mut expected_panels);
            for isa in available() {
                panels.fill(f32::NAN);
                pack_on(*isa, &layout, &weight, &mut panels);
                assert_eq!(panels[..layout.len()], expected_panels);
                assert!(panels[layout.len()..].iter().all(|panel| panel.is_nan()), "{layout:?} writes past the end");
            }
        }

        let activation = ACTIVATIONS[seed as usize % 4];
        let (residual, mask) = (values(n * rows * outputs, seed + 3), values(n * rows * outputs, seed + 4));
        let epilogue = Epilogue {
            bias: (!seed.is_multiple_of(3)).then_some(&bias[..]),
            residual: (seed % 5 < 2).then_some(&residual[..]),
            activation,
            // A mask is for the gradient of what a relu made, so no other activation comes with one.
            mask: (seed % 7 < 3 && seed % 4 < 2).then_some(&mask[..]),
            ..Epilogue::NONE
        };
        let mut expected = vec![0.0; n * rows * outputs];
        reference::matmul(&shape, n, &x, &panels, epilogue, &mut expected);
        let d_y = &expected;
        let back = Pack { transposed: true, ..layout };
        let mut back_panels = vec![f32::NAN; back.len()];
        pack(&back, &weight, &mut back_panels, &Team::serial());
        let back_shape = MatMul { rows, inputs: outputs, outputs: inputs };
        let mut d_x_expected = vec![0.0; x.len()];
        reference::matmul(&back_shape, n, d_y, &back_panels, Epilogue::NONE, &mut d_x_expected);
        let (x_seen, d_y_seen) = (Segments::of_examples(&x, rows * inputs), Segments::of_examples(d_y, rows * outputs));
        let mut d_weight_expected = vec![0.0; weight.len()];
        reference::matmul_weights(&shape, n, x_seen, d_y_seen, &mut d_weight_expected, &Team::serial());
        let scale = d_y.iter().fold(1.0, |scale: f32, y| scale.max(y.abs()));
        // What was found before with multiplication and addition in one.
        let mut fused: Option<[Vec<f32>; 3]> = None;
        for isa in available() {
            let what = (isa, shape, n, seed);
            let mut y = vec![f32::NAN; expected.len() + 3];
            matmul_on(*isa, &shape, n, &x, &panels, epilogue, &mut y);
            assert!(y[expected.len()..].iter().all(|y| y.is_nan()), "{what:?} writes past the end");
            close(&y[..expected.len()], &expected, tolerance(inputs), &what);
            let mut unpacked = vec![f32::NAN; expected.len() + 3];
            matmul_unpacked_on(*isa, &shape, n, &x, (&weight, false), epilogue, &mut unpacked);
            assert!(same_bits(&unpacked, &y), "{what:?}: other bits unpacked");
            let mut d_x = vec![f32::NAN; x.len()];
            matmul_unpacked_on(*isa, &back_shape, n, d_y, (&weight, true), Epilogue::NONE, &mut d_x);
            let unpacked = std::mem::replace(&mut d_x, vec![f32::NAN; x.len()]);
            matmul_on(*isa, &back_shape, n, d_y, &back_panels, Epilogue::NONE, &mut d_x);
            close(&d_x, &d_x_expected, scale * tolerance(outputs), &what);
            assert!(same_bits(&unpacked, &d_x), "{what:?}: other bits unpacked and transposed");
            let mut d_weight = vec![f32::NAN; weight.len()];
            matmul_weights_on(*isa, &shape, n, x_seen, d_y_seen, &mut d_weight, &Team::serial());
            close(&d_weight, &d_weight_expected, scale * tolerance(n * rows), &what);
            if *isa != Isa::Scalar {
                let found = [y, d_x, d_weight];
                if let Some(before) = &fused {
                    let same = before.iter().zip(&found).all(|(before, found)| same_bits(before, found));
                    assert!(same, "{what:?}: other bits than the set before");
                }
                fused = Some(found);
            }
        }
    }

    #[test]
    fn every_remainder_of_rows_inputs_and_outputs() {
        for m in (1..=14).chain([16, 17]) {
            for outputs in (1..=18).chain([31, 32, 33]) {
                for inputs in [1, 2, 3, 5, 8] {
                    check(MatMul { rows: 1, inputs, outputs }, m, (m * outputs + inputs) as u64);
                }
            }
        }
    }

    #[test]
    fn depths_and_batches_longer_than_a_block() {
        check(MatMul { rows: 1, inputs: DEPTH + 1, outputs: 17 }, 7, 1);
        check(MatMul { rows: 3, inputs: 2 * DEPTH, outputs: 3 }, 2, 4);
        // Blocks of 384 rows of little depth, of 96 rows of all that is read at once.
        for (inputs, block) in [(5, 384), (DEPTH, 96)] {
            for rows in [block - 1, block, block + 1, 2 * block + 7] {
                check(MatMul { rows: 1, inputs, outputs: 17 }, rows, 5);
            }
        }
        for inputs in [SHALLOW - 1, SHALLOW, SHALLOW + 1] {
            check(MatMul { rows: 1, inputs, outputs: 33 }, 17, 9);
        }
        // Rows that meet panels where they are, of weights up to a size.
        for outputs in [LARGEST_TALL / (2 * DEPTH), LARGEST_TALL / (2 * DEPTH) + 1] {
            check(MatMul { rows: 1, inputs: 2 * DEPTH, outputs }, TALL, 12);
        }
        // Gradients of at most 64 rows and columns read x where it is.
        for (rows, outputs) in [(64, 64), (64, 65), (65, 64), (63, 10)] {
            check(MatMul { rows: 1, inputs: 21, outputs }, rows, 10);
        }
        // Gradients: the depth, the columns and the rows of a block are 128, 512 (or more) and 256.
        check(MatMul { rows: 1, inputs: 257, outputs: 530 }, 129, 11);
        check(MatMul { rows: 9, inputs: 49, outputs: 18 }, 2 * 256 / 9 + 1, 6);
        check(MatMul { rows: 1, inputs: 96, outputs: 273 }, 257, 7);
        check(MatMul { rows: 1, inputs: 7, outputs: 1100 }, 64, 8);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_its_twin(rows in 1usize..6, inputs in 1usize..120, outputs in 1usize..70, n in 1usize..40, seed in 0u64..1000) {
            check(MatMul { rows, inputs, outputs }, n, seed);
        }

        /// The same bits for any number of threads, any splitting of the examples, and from shards.
        #[test]
        fn bits_do_not_depend_on_the_partition(
            inputs in prop_oneof![4 => 1usize..100, 1 => 250usize..270],
            // With many columns the threads share those.
            outputs in prop_oneof![4 => 1usize..50, 1 => 250usize..550],
            n in 1usize..40, examples in 1usize..17, threads in 2usize..5,
        ) {
            let shape = MatMul { rows: 2, inputs, outputs };
            let (x, d_y) = (values(n * 2 * inputs, 1), values(n * 2 * outputs, 2));
            let panels = values(Pack { inputs, outputs, transposed: false }.len(), 3);
            let mut whole = vec![0.0; n * 2 * outputs];
            matmul(&shape, n, &x, &panels, Epilogue::NONE, &mut whole);
            let mut pieces = vec![0.0; n * 2 * outputs];
            let first = n / 3;
            matmul(&shape, first, &x, &panels, Epilogue::NONE, &mut pieces);
            matmul(&shape, n - first, &x[first * 2 * inputs..], &panels, Epilogue::NONE, &mut pieces[first * 2 * outputs..]);
            prop_assert_eq!(&whole, &pieces);

            let (x_len, d_y_len) = (2 * inputs, 2 * outputs);
            let shards = Shards { examples, floats: examples * (x_len + d_y_len) };
            let mut arena = vec![f32::NAN; shards.room(n)];
            for e in 0..n {
                let shard = &mut arena[e / examples * shards.floats..];
                shard[e % examples * x_len..][..x_len].copy_from_slice(&x[e * x_len..][..x_len]);
                shard[examples * x_len + e % examples * d_y_len..][..d_y_len].copy_from_slice(&d_y[e * d_y_len..][..d_y_len]);
            }
            let mut one = vec![f32::NAN; inputs * outputs];
            matmul_weights(&shape, n, Segments::of_examples(&x, x_len), Segments::of_examples(&d_y, d_y_len), &mut one, &Team::serial());
            let mut many = vec![f32::NAN; inputs * outputs];
            let (x, d_y) = (Segments::of_shards(&arena, shards, 0, x_len), Segments::of_shards(&arena, shards, examples * x_len, d_y_len));
            matmul_weights(&shape, n, x, d_y, &mut many, &Team::new(threads));
            prop_assert_eq!(&one, &many);
        }
    }

    #[test]
    fn either_way_takes_what_it_is_told() {
        let shape = MatMul { rows: 1, inputs: 3, outputs: 17 };
        let (x, weight) = (values(12, 1), values(51, 2));
        let layout = Pack { inputs: 3, outputs: 17, transposed: false };
        let mut panels = vec![0.0; layout.len()];
        pack(&layout, &weight, &mut panels, &Team::serial());
        let mut expected = vec![0.0; 68];
        reference::matmul(&shape, 4, &x, &panels, Epilogue::NONE, &mut expected);
        for (in_place, weight, panels) in [(true, &weight[..], &[][..]), (false, &[][..], &panels[..])] {
            let mut y = vec![f32::NAN; 68];
            matmul_either(&shape, 4, &x, Either { in_place, weight, panels }, Epilogue::NONE, &mut y);
            close(&y, &expected, tolerance(3), &in_place);
        }
    }

    #[test]
    #[should_panic]
    fn a_short_operand_is_refused() {
        let shape = MatMul { rows: 1, inputs: 4, outputs: 2 };
        matmul(&shape, 2, &[0.0; 7], &[0.0; 64], Epilogue::NONE, &mut [0.0; 4]);
    }

    #[test]
    fn relu_keeps_nan() {
        let shape = MatMul { rows: 1, inputs: 1, outputs: 2 };
        let mut panels = [0.0; 16];
        pack(&Pack { inputs: 1, outputs: 2, transposed: false }, &[1.0, -1.0], &mut panels, &Team::serial());
        let epilogue = Epilogue { activation: Activation::Relu, ..Epilogue::NONE };
        for isa in available() {
            let mut y = [0.0; 4];
            matmul_on(*isa, &shape, 2, &[f32::NAN, 3.0], &panels, epilogue, &mut y);
            assert!(y[0].is_nan() && y[1].is_nan());
            assert_eq!(y[2..], [3.0, 0.0]);
        }
    }
}
