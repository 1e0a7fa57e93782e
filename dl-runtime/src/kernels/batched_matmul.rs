//! Products of matrices of which each example has its own, such as attention's queries by keys and weights by values.
//!
//! The left matrix is read where it is, transposed or not. Sixteen columns of the right one at a time, or twice sixteen, are
//! read where they are too, if they lie side by side; a transposed one, or fewer columns, is first packed on the stack.
//!
//! Where one of the three matrices is lower triangular, as attention's weights that look back are, what lies above its
//! diagonal is left out, block by block: of `y` the columns past the last row of a block, of a sum the terms that are zero.

use std::ops::Range;

use super::pack::{Aligned, copy_columns, turn};
use super::product::{COLUMNS, Left, Right, Stride, Sums, panels_at_once, product, with_panels};
use crate::simd::{Isa, Kernel, Lane, Sixteen, dispatch, isa};

/// Steps of the depth that are packed at a time: 16 KiB of a panel.
const DEPTH: usize = 256;

/// Which matrix of a product is lower triangular, as it lies in memory: 0 above its diagonal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Triangle {
    /// None is known to be.
    #[default]
    None,
    /// The left one, which holds zeros there.
    Left,
    /// The right one, which holds zeros there.
    Right,
    /// The result: above its diagonal nothing is computed, and zeros are written.
    Result,
}

/// The shape of `count` products for each example: `[rows, inner]` by `[inner, columns]` to `[rows, columns]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchedMatMul {
    /// Products of an example.
    pub count: usize,
    /// Rows of a result.
    pub rows: usize,
    /// Columns of the left matrices, rows of the right ones.
    pub inner: usize,
    /// Columns of a result.
    pub columns: usize,
    /// Whether the left matrices lie transposed: `[inner, rows]`.
    pub transposed_a: bool,
    /// Whether the right matrices lie transposed: `[columns, inner]`.
    pub transposed_b: bool,
    /// Whether all examples have the same left matrices.
    pub shared_a: bool,
    /// Whether all examples have the same right matrices.
    pub shared_b: bool,
    /// Which of the matrices is lower triangular.
    pub triangle: Triangle,
}

impl BatchedMatMul {
    /// Floats of a, b and y for one example.
    const fn lens(&self) -> [usize; 3] {
        let Self { count, rows, inner, columns, .. } = *self;
        [count * rows * inner, count * inner * columns, count * rows * columns]
    }
}

/// `y = a · b` for each product of `n` examples.
///
/// # Panics
/// If a slice is shorter than the shape says.
pub fn batched_matmul(shape: &BatchedMatMul, n: usize, a: &[f32], b: &[f32], y: &mut [f32]) {
    batched_matmul_on(isa(), shape, n, a, b, y);
}

/// [`batched_matmul`] on a given instruction set.
fn batched_matmul_on(isa: Isa, shape: &BatchedMatMul, n: usize, a: &[f32], b: &[f32], y: &mut [f32]) {
    let [a_len, b_len, y_len] = shape.lens();
    let examples = |shared: bool| if shared { n.min(1) } else { n };
    let y = &mut y[..n * y_len];
    let (a, b) = (&a[..examples(shape.shared_a) * a_len], &b[..examples(shape.shared_b) * b_len]);
    if shape.inner == 0 {
        return y.fill(0.0);
    }
    dispatch(isa, Products { shape: *shape, n, a, b, y });
}

/// The arguments of [`batched_matmul`]; slices have exactly the lengths of the shape.
struct Products<'a> {
    shape: BatchedMatMul,
    n: usize,
    a: &'a [f32],
    b: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let lane = lane.sixteen();
        let BatchedMatMul { count, rows, inner, columns, shared_a, shared_b, .. } = self.shape;
        let mut panel = Panel::uninit();
        for place in 0..self.n * count {
            let of = |shared: bool| if shared { place % count } else { place };
            let a = &self.a[of(shared_a) * rows * inner..][..rows * inner];
            let b = &self.b[of(shared_b) * inner * columns..][..inner * columns];
            let y = &mut self.y[place * rows * columns..][..rows * columns];
            one(lane, &self.shape, a, b, y, &mut panel);
        }
    }
}

/// A packed part of the right matrix, of one panel or two.
type Panel = Aligned<{ 2 * DEPTH * COLUMNS }>;

/// One product; the slices have exactly the lengths of the shape.
#[inline(always)]
fn one<W: Sixteen>(lane: W, shape: &BatchedMatMul, a: &[f32], b: &[f32], y: &mut [f32], panel: &mut Panel) {
    let mut column = 0;
    while column < shape.columns {
        with_panels!(W, shape.columns - column, some_columns::<W>(lane, shape, a, b, y, panel, column));
        column += panels_at_once::<W>(shape.columns - column) * COLUMNS;
    }
}

/// Rows of a triangle that are multiplied at once, as far as the last of them reaches.
const BLOCK: usize = 16;

/// P panels of one product from a column on.
#[inline(always)]
fn some_columns<W: Sixteen, const P: usize>(
    lane: W,
    shape: &BatchedMatMul,
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
    panel: &mut Panel,
    column: usize,
) {
    let BatchedMatMul { rows, inner, columns, triangle, .. } = *shape;
    let (row, step) = if shape.transposed_a { (1, rows) } else { (inner, 1) };
    let width = (P * COLUMNS).min(columns - column);
    let in_place = !shape.transposed_b && width == P * COLUMNS;
    let block = if triangle == Triangle::Left { BLOCK } else { rows.max(1) };
    let top = if triangle == Triangle::Result { column.min(rows) } else { 0 };
    clear(y, columns, 0..top, |_| column..column + width);
    let mut start = 0;
    while start < inner {
        let depth = if in_place { inner } else { DEPTH.min(inner - start) };
        let right = if in_place {
            Right { base: b.as_ptr().wrapping_add(column), steps: Stride(columns), pitch: COLUMNS }
        } else {
            for p in 0..P {
                let (first, steps) = (column + p * COLUMNS, start..start + depth);
                let width = COLUMNS.min(columns - first);
                // SAFETY: there is room for two panels of DEPTH ≥ depth steps.
                unsafe {
                    let panel = panel.as_mut_ptr().add(p * depth * COLUMNS);
                    if shape.transposed_b {
                        turn(lane.eight(), &b[first * inner..][..width * inner], inner, steps, panel);
                    } else {
                        let rows = &b[start * columns..][..depth * columns];
                        copy_columns(lane, rows, columns, first..first + width, panel);
                    }
                }
            }
            Right { base: panel.as_mut_ptr().cast_const(), steps: Stride(COLUMNS), pitch: depth * COLUMNS }
        };
        for first in (top..rows).step_by(block) {
            let last = rows.min(first + block);
            let terms = terms(shape, first..last, column..column + width);
            if terms.is_empty() && start == 0 {
                clear(y, columns, first..last, |_| column..column + width);
            }
            let (from, to) = (terms.start.max(start), terms.end.min(start + depth));
            if from >= to {
                continue;
            }
            // SAFETY: a holds rows · inner floats, of which row i and step k < inner are at i · row + k · step; the right
            // operand is P panels of `depth` steps from step `start` on, or b, of which P times sixteen columns from
            // `column` on exist in each of its `inner` rows, and `from..to` is part of these steps; y holds rows · columns
            // floats, `first..last` are some of its rows, and column + width ≤ columns.
            unsafe {
                let left =
                    Left { base: a.as_ptr().add(first * row + from * step), rows: Stride(row), steps: Stride(step) };
                let right = Right { base: right.base.add((from - start) * right.steps.0), ..right };
                let base = y.as_mut_ptr().add(first * columns + column);
                let sink = Sums { base, row: columns, columns: width, accumulate: from > terms.start };
                product::<W, Stride, Stride, Stride, Sums, P>(lane, last - first, to - from, left, right, sink);
            }
        }
        start += depth;
    }
    if triangle == Triangle::Result {
        clear(y, columns, top..rows.min(column + width), |row| row + 1..column + width);
    }
}

/// The steps of the sums of some rows and columns at which not all terms are zero.
#[inline(always)]
fn terms(shape: &BatchedMatMul, rows: Range<usize>, columns: Range<usize>) -> Range<usize> {
    let inner = shape.inner;
    match shape.triangle {
        Triangle::Left if shape.transposed_a => rows.start..inner,
        Triangle::Left => 0..inner.min(rows.end),
        Triangle::Right if shape.transposed_b => 0..inner.min(columns.end),
        Triangle::Right => columns.start..inner,
        Triangle::None | Triangle::Result => 0..inner,
    }
}

/// Writes zeros into columns of some rows of `columns` floats.
#[inline(always)]
fn clear(y: &mut [f32], columns: usize, rows: Range<usize>, of: impl Fn(usize) -> Range<usize>) {
    for row in rows {
        y[row * columns..][..columns][of(row)].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::available;
    use crate::{Rng, reference};
    use proptest::prelude::*;

    fn values(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.next_u32() as f32 / 2f32.powi(31) - 1.0).collect()
    }

    /// Zeros above the diagonals of matrices of these sizes, which lie transposed or not.
    fn lower(matrices: &mut [f32], rows: usize, columns: usize, transposed: bool) {
        let (rows, columns) = if transposed { (columns, rows) } else { (rows, columns) };
        for (place, row) in matrices.chunks_exact_mut(columns.max(1)).enumerate() {
            row[columns.min(place % rows.max(1) + 1)..].fill(0.0);
        }
    }

    fn check(shape: BatchedMatMul, n: usize, seed: u64) {
        let [a_len, b_len, y_len] = shape.lens();
        let (mut a, mut b) = (values(n.max(1) * a_len, seed), values(n.max(1) * b_len, seed + 1));
        match shape.triangle {
            Triangle::Left => lower(&mut a, shape.rows, shape.inner, shape.transposed_a),
            Triangle::Right => lower(&mut b, shape.inner, shape.columns, shape.transposed_b),
            Triangle::Result | Triangle::None => {}
        }
        let (mut expected, len) = (vec![5.0; n * y_len + 3], n * y_len);
        reference::batched_matmul(&shape, n, &a, &b, &mut expected);
        // Rounding of the partial sums, which grow like the root of their number.
        let k = shape.inner as f32 + 4.0;
        let tolerance = k.sqrt() * k * 2f32.powi(-24) + 4e-7;
        for &isa in available() {
            let mut y = vec![5.0; len + 3];
            batched_matmul_on(isa, &shape, n, &a, &b, &mut y);
            for (place, (found, expected)) in y.iter().zip(&expected).enumerate() {
                let close = (found - expected).abs() <= tolerance;
                assert!(close, "{isa:?} {shape:?} at {place}: {found} for {expected}");
            }
            assert_eq!(y[len..], [5.0; 3], "{shape:?} writes past the end");
        }
    }

    fn shape(sizes: [usize; 4], flags: [bool; 4]) -> BatchedMatMul {
        let ([count, rows, inner, columns], [transposed_a, transposed_b, shared_a, shared_b]) = (sizes, flags);
        let triangle = Triangle::None;
        BatchedMatMul { count, rows, inner, columns, transposed_a, transposed_b, shared_a, shared_b, triangle }
    }

    const TRIANGLES: [Triangle; 4] = [Triangle::None, Triangle::Left, Triangle::Right, Triangle::Result];

    #[test]
    fn every_remainder_of_rows_and_columns() {
        for rows in (1..=14).chain([16, 17]) {
            for columns in (1..=18).chain([31, 32, 33]) {
                for flags in 0..4 {
                    let flags = [flags & 1 != 0, flags & 2 != 0, false, false];
                    check(shape([2, rows, 5, columns], flags), 2, (rows * columns) as u64);
                }
            }
        }
    }

    #[test]
    fn depths_longer_than_a_panel() {
        for flags in 0..4 {
            for triangle in TRIANGLES {
                let flags = [flags & 1 != 0, flags & 2 != 0, false, false];
                check(BatchedMatMul { triangle, ..shape([1, 3, 2 * DEPTH + 1, 17], flags) }, 1, 9);
                check(BatchedMatMul { triangle, ..shape([1, DEPTH + 35, DEPTH + 35, 17], flags) }, 1, 9);
            }
        }
    }

    #[test]
    fn triangles_of_every_size() {
        for triangle in TRIANGLES {
            for (rows, inner, columns) in (1..=5).chain([15, 16, 17, 31, 32, 33, 50]).flat_map(|long| {
                [
                    (long, long, 7),
                    (long, 7, long),
                    (7, long, long),
                    (long, long + 20, 35),
                    (long + 20, long, 35),
                    (35, long + 20, long),
                ]
            }) {
                for flags in 0..4 {
                    let flags = [flags & 1 != 0, flags & 2 != 0, false, false];
                    check(BatchedMatMul { triangle, ..shape([2, rows, inner, columns], flags) }, 2, rows as u64);
                }
            }
        }
    }

    /// [[1, 0], [3, 4]] · [[5, 6], [7, 8]], and of [[1, 2], [3, 4]] · [[5, 6], [7, 8]] the lower triangle.
    #[test]
    fn triangles_by_hand() {
        let product = |triangle, a: &[f32]| {
            let mut y = [9.0; 4];
            let shape = BatchedMatMul { triangle, ..shape([1, 2, 2, 2], [false; 4]) };
            batched_matmul(&shape, 1, a, &[5.0, 6.0, 7.0, 8.0], &mut y);
            y
        };
        assert_eq!(product(Triangle::Left, &[1.0, 0.0, 3.0, 4.0]), [5.0, 6.0, 43.0, 50.0]);
        assert_eq!(product(Triangle::Result, &[1.0, 2.0, 3.0, 4.0]), [19.0, 0.0, 43.0, 50.0]);
    }

    #[test]
    fn a_product_by_hand() {
        // [[1, 2], [3, 4]] · [[5, 6], [7, 8]] = [[19, 22], [43, 50]]
        let mut y = [0.0; 4];
        batched_matmul(&shape([1, 2, 2, 2], [false; 4]), 1, &[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], &mut y);
        assert_eq!(y, [19.0, 22.0, 43.0, 50.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn agrees_with_its_twin(
            sizes in (1..4_usize, 1..40_usize, 0..40_usize, 1..40_usize), flags in prop::array::uniform4(any::<bool>()),
            triangle in prop::sample::select(&TRIANGLES[..]), n in 0..4_usize, seed in 0..1000_u64,
        ) {
            check(BatchedMatMul { triangle, ..shape(sizes.into(), flags) }, n, seed);
        }
    }
}
