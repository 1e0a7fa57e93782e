//! Pooling: planes enter, the maximum or the average of each window leaves, and the gradients of both.
//!
//! ```text
//! 5 3 1                           8 5
//! 8 2 5  max, 2×2, stride 1  →    9 5
//! 9 4 3
//! ```
//!
//! Padding counts as not there: it never wins a maximum and does not dilute an average. A window wholly within
//! padding has the maximum −∞, the average 0 and no gradient. A NaN in a window is its maximum. Windows of 2×2 at
//! stride 2 have a way of their own (`halve.rs`); others go by vectors of windows of a row ([`rows`]), those further apart than
//! two columns tap by tap. Examples side by side go vector by vector, whatever the window ([`lanes`]). What is pooled may be
//! computed on the way ([`prologue`]). Windows are not dilated.

mod lanes;
mod prologue;
mod rows;

pub use prologue::{pointwise_max_pool2d, pointwise_max_pool2d_gradient};

use std::marker::PhantomData;
use std::ops::Range;

use super::chunk::{load, store};
use super::form::Form;
use super::halve::{halve_plane, halve_plane_average_gradient, halve_plane_maximum_gradient};
use crate::segments::SHARD;
use crate::simd::{Isa, Kernel, Lane, dispatch, isa};
use rows::Rows;

/// The shape of a pooling: `x` is `[n, channels, height, width]`, `y` is
/// `[n, channels, output_height, output_width]`. Pairs are vertical, horizontal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2d {
    /// Planes of an example.
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
    /// Size of a window, at least 1.
    pub kernel: [usize; 2],
    /// Distance of windows, at least 1.
    pub stride: [usize; 2],
    /// Rows and columns added on each side.
    pub padding: [usize; 2],
}

impl Pool2d {
    /// Rows of an output plane.
    pub const fn output_height(&self) -> usize {
        windows(self.height, self.kernel[0], self.stride[0], self.padding[0])
    }

    /// Columns of an output plane.
    pub const fn output_width(&self) -> usize {
        windows(self.width, self.kernel[1], self.stride[1], self.padding[1])
    }

    const fn input_plane(&self) -> usize {
        self.height * self.width
    }

    const fn output_plane(&self) -> usize {
        self.output_height() * self.output_width()
    }

    /// Floats of x and y that sixteen examples take.
    fn lens_in_lanes(&self) -> [usize; 2] {
        [self.input_plane(), self.output_plane()].map(|plane| self.channels * plane * SHARD)
    }

    const fn is_halving(&self) -> bool {
        matches!((self.kernel, self.stride, self.padding), ([2, 2], [2, 2], [0, 0]))
    }
}

/// `y` = the maximum of each window of `x`, for the `n` examples of a shard; in [`Form::Lanes`] all sixteen.
///
/// # Panics
/// If a slice is shorter than `n` examples, or sixteen.
pub fn max_pool2d(shape: &Pool2d, form: Form, n: usize, x: &[f32], y: &mut [f32]) {
    pool_on(isa(), shape, form, n, x, y, Maximum);
}

/// `d_x` = the gradient of [`max_pool2d`]: each window's goes to its first maximum in row-major order. Overwrites.
///
/// # Panics
/// As [`max_pool2d`].
pub fn max_pool2d_gradient(shape: &Pool2d, form: Form, n: usize, x: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    maximum_gradient_on(isa(), shape, form, n, x, d_y, d_x);
}

/// `y` = the average of each window of `x`, for the `n` examples of a shard; in [`Form::Lanes`] all sixteen.
///
/// # Panics
/// As [`max_pool2d`].
pub fn avg_pool2d(shape: &Pool2d, form: Form, n: usize, x: &[f32], y: &mut [f32]) {
    pool_on(isa(), shape, form, n, x, y, Average);
}

/// `d_x` = the gradient of [`avg_pool2d`]: each window's is shared equally. Overwrites.
///
/// # Panics
/// As [`max_pool2d`].
pub fn avg_pool2d_gradient(shape: &Pool2d, form: Form, n: usize, d_y: &[f32], d_x: &mut [f32]) {
    average_gradient_on(isa(), shape, form, n, d_y, d_x);
}

fn pool_on<W: Window>(isa: Isa, shape: &Pool2d, form: Form, n: usize, x: &[f32], y: &mut [f32], window: W) {
    let pitch = shape.output_plane() * form.lanes();
    match form {
        Form::Examples => dispatch(isa, Forward { shape, n, x, y, pitch, window }),
        Form::Lanes => dispatch(isa, lanes::Forward::<W> { shape, x, y, pitch, window: PhantomData }),
    }
}

/// The maxima of one example, or of sixteen side by side, to planes of y that are `pitch` floats apart.
pub(super) fn max_pool2d_apart(isa: Isa, shape: &Pool2d, form: Form, x: &[f32], y: &mut [f32], pitch: usize) {
    match form {
        Form::Examples => dispatch(isa, Forward { shape, n: 1, x, y, pitch, window: Maximum }),
        Form::Lanes => dispatch(isa, lanes::Forward::<Maximum> { shape, x, y, pitch, window: PhantomData }),
    }
}

fn maximum_gradient_on(isa: Isa, shape: &Pool2d, form: Form, n: usize, x: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    match form {
        Form::Examples => dispatch(isa, MaximumGradient { shape, n, x, d_y, d_x }),
        Form::Lanes => dispatch(isa, lanes::MaximumGradient { shape, x, d_y, d_x }),
    }
}

fn average_gradient_on(isa: Isa, shape: &Pool2d, form: Form, n: usize, d_y: &[f32], d_x: &mut [f32]) {
    match form {
        Form::Examples => dispatch(isa, AverageGradient { shape, n, d_y, d_x }),
        Form::Lanes => dispatch(isa, lanes::AverageGradient { shape, d_y, d_x }),
    }
}

const fn windows(size: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    let padded = size + 2 * padding;
    if padded < kernel { 0 } else { (padded - kernel) / stride + 1 }
}

/// One axis of a pooling.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    windows: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Axis {
    fn pair(shape: &Pool2d) -> [Self; 2] {
        let axis = |i: usize, size, windows| {
            let (kernel, stride, padding) = (shape.kernel[i], shape.stride[i], shape.padding[i]);
            Self { size, windows, kernel, stride, padding }
        };
        [axis(0, shape.height, shape.output_height()), axis(1, shape.width, shape.output_width())]
    }

    /// The positions of a window that are not padding.
    #[inline(always)]
    fn inside(&self, window: usize) -> Range<usize> {
        let start = window * self.stride;
        let end = (start + self.kernel).saturating_sub(self.padding).min(self.size);
        start.saturating_sub(self.padding).min(end)..end
    }

    /// The windows whose tap of that number is not padding, and the position of it in the first of them.
    #[inline(always)]
    fn tap(&self, tap: usize) -> (Range<usize>, usize) {
        let start = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (self.size + self.padding).saturating_sub(tap).div_ceil(self.stride).min(self.windows);
        (start.min(end)..end, (start * self.stride + tap).saturating_sub(self.padding))
    }
}

/// Whether `b` takes the maximum from `a`: it is greater, or the first NaN.
#[inline(always)]
fn beats(b: f32, a: f32) -> bool {
    // Bitwise, so that it stays free of branches.
    (b > a) | (b.is_nan() & !a.is_nan())
}

/// What a forward pass makes of a window.
pub(super) trait Window: Copy {
    /// The value of a window of nothing.
    const START: f32;
    /// Whether the joined elements are divided by their number.
    const AVERAGES: bool;
    /// Two values into one.
    fn join<V: Lane>(a: V, b: V) -> V;
}

#[derive(Clone, Copy)]
struct Maximum;

impl Window for Maximum {
    const START: f32 = f32::NEG_INFINITY;
    const AVERAGES: bool = false;
    #[inline(always)]
    fn join<V: Lane>(a: V, b: V) -> V {
        a.max(b)
    }
}

#[derive(Clone, Copy)]
struct Average;

impl Window for Average {
    const START: f32 = 0.0;
    const AVERAGES: bool = true;
    #[inline(always)]
    fn join<V: Lane>(a: V, b: V) -> V {
        a + b
    }
}

struct Forward<'a, W> {
    shape: &'a Pool2d,
    n: usize,
    x: &'a [f32],
    y: &'a mut [f32],
    /// Floats from one plane of y to the next.
    pitch: usize,
    window: W,
}

impl<W: Window> Kernel for Forward<'_, W> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { shape, n, x, y, pitch, window } = self;
        let planes = n * shape.channels;
        let (input, output) = (shape.input_plane(), shape.output_plane());
        if planes * input * output == 0 {
            return;
        }
        let (x, y) = (&x[..planes * input], &mut y[..(planes - 1) * pitch + output]);
        if !shape.is_halving()
            && let Some(rows) = Rows::new(shape)
        {
            return rows.forward(lane, window, x, y, pitch);
        }
        for (x, y) in x.chunks_exact(input).zip(y.chunks_mut(pitch)) {
            let y = &mut y[..output];
            if shape.is_halving() {
                halve_plane(lane, window, shape.width, x, y);
            } else {
                pool_plane(lane, window, Axis::pair(shape), x, y);
            }
        }
    }
}

/// One plane, tap by tap along the rows.
#[inline(always)]
fn pool_plane<V: Lane, W: Window>(lane: V, window: W, [vertical, horizontal]: [Axis; 2], x: &[f32], y: &mut [f32]) {
    y.fill(W::START);
    for (row, y) in y.chunks_exact_mut(horizontal.windows).enumerate() {
        let rows = vertical.inside(row);
        for x in x[rows.start * horizontal.size..rows.end * horizontal.size].chunks_exact(horizontal.size) {
            for tap in 0..horizontal.kernel {
                let (windows, first) = horizontal.tap(tap);
                if !windows.is_empty() {
                    join_tap(lane, window, horizontal.stride, &x[first..], &mut y[windows]);
                }
            }
        }
        if W::AVERAGES {
            for (column, y) in y.iter_mut().enumerate() {
                *y /= (rows.len() * horizontal.inside(column).len()).max(1) as f32;
            }
        }
    }
}

/// Joins every `stride`-th element of `x` to the elements of `y`.
#[inline(always)]
fn join_tap<V: Lane, W: Window>(lane: V, _: W, stride: usize, x: &[f32], y: &mut [f32]) {
    for (index, y) in y.chunks_mut(V::LANES).enumerate() {
        let x = &x[index * V::LANES * stride..];
        let next = match stride {
            1 => load(lane, &x[..y.len()]),
            2 => {
                let (front, back) = x.split_at(x.len().min(V::LANES));
                load(lane, front).deinterleave(load(lane, back)).0
            }
            _ => {
                let mut strided = [0.0; 16];
                strided.iter_mut().zip(x.iter().step_by(stride)).take(y.len()).for_each(|(to, x)| *to = *x);
                load(lane, &strided[..y.len()])
            }
        };
        store(W::join(load(lane, y), next), y);
    }
}

struct MaximumGradient<'a> {
    shape: &'a Pool2d,
    n: usize,
    x: &'a [f32],
    d_y: &'a [f32],
    d_x: &'a mut [f32],
}

impl Kernel for MaximumGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { shape, n, x, d_y, d_x } = self;
        let planes = n * shape.channels;
        let (input, output) = (shape.input_plane(), shape.output_plane());
        let (x, d_x) = (&x[..planes * input], &mut d_x[..planes * input]);
        let d_y = &d_y[..planes * output];
        if input == 0 || output == 0 {
            return d_x.fill(0.0);
        }
        if !shape.is_halving()
            && let Some(rows) = Rows::new(shape)
        {
            return rows.maximum_gradient(lane, x, d_y, d_x);
        }
        let planes = x.chunks_exact(input).zip(d_y.chunks_exact(output)).zip(d_x.chunks_exact_mut(input));
        for ((x, d_y), d_x) in planes {
            if shape.is_halving() {
                halve_plane_maximum_gradient(lane, shape.width, x, d_y, d_x);
            } else {
                d_x.fill(0.0);
                let [vertical, horizontal] = Axis::pair(shape);
                for (row, d_y) in d_y.chunks_exact(horizontal.windows).enumerate() {
                    for (column, &d_y) in d_y.iter().enumerate() {
                        let (rows, columns) = (vertical.inside(row), horizontal.inside(column));
                        if let Some(at) = first_maximum(x, shape.width, rows, columns) {
                            d_x[at] += d_y;
                        }
                    }
                }
            }
        }
    }
}

/// Where the first maximum of a window lies; nowhere in a window of nothing.
#[inline(always)]
fn first_maximum(x: &[f32], width: usize, rows: Range<usize>, columns: Range<usize>) -> Option<usize> {
    let mut best = rows.start * width + columns.start;
    for row in rows.clone() {
        for at in row * width + columns.start..row * width + columns.end {
            if beats(x[at], x[best]) {
                best = at;
            }
        }
    }
    (!rows.is_empty() && !columns.is_empty()).then_some(best)
}

struct AverageGradient<'a> {
    shape: &'a Pool2d,
    n: usize,
    d_y: &'a [f32],
    d_x: &'a mut [f32],
}

impl Kernel for AverageGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { shape, n, d_y, d_x } = self;
        let planes = n * shape.channels;
        let (input, output) = (shape.input_plane(), shape.output_plane());
        let (d_y, d_x) = (&d_y[..planes * output], &mut d_x[..planes * input]);
        if input == 0 || output == 0 {
            return d_x.fill(0.0);
        }
        if !shape.is_halving()
            && let Some(rows) = Rows::new(shape)
        {
            return rows.average_gradient(lane, d_y, d_x);
        }
        let [vertical, horizontal] = Axis::pair(shape);
        for (d_y, d_x) in d_y.chunks_exact(output).zip(d_x.chunks_exact_mut(input)) {
            if shape.is_halving() {
                halve_plane_average_gradient(lane, shape.width, d_y, d_x);
                continue;
            }
            d_x.fill(0.0);
            for (row, d_y) in d_y.chunks_exact(horizontal.windows).enumerate() {
                let rows = vertical.inside(row);
                for (column, &d_y) in d_y.iter().enumerate() {
                    let columns = horizontal.inside(column);
                    let share = d_y / (rows.len() * columns.len()).max(1) as f32;
                    for row in rows.clone() {
                        for d_x in &mut d_x[row * shape.width..][columns.clone()] {
                            *d_x += share;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::simd::available;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

    fn plane(height: usize, width: usize, kernel: usize, stride: usize) -> Pool2d {
        Pool2d { channels: 1, height, width, kernel: [kernel; 2], stride: [stride; 2], padding: [0; 2] }
    }

    #[test]
    fn the_glossary_example() {
        let x = [5.0, 3.0, 1.0, 8.0, 2.0, 5.0, 9.0, 4.0, 3.0];
        let mut y = [f32::NAN; 4];
        max_pool2d(&plane(3, 3, 2, 1), Form::Examples, 1, &x, &mut y);
        assert_eq!(y, [8.0, 5.0, 9.0, 5.0]);
        avg_pool2d(&plane(3, 3, 2, 1), Form::Examples, 1, &x, &mut y);
        assert_eq!(y, [4.5, 2.75, 5.75, 3.5]);
        let mut d_x = [f32::NAN; 9];
        max_pool2d_gradient(&plane(3, 3, 2, 1), Form::Examples, 1, &x, &[1.0, 10.0, 100.0, 1000.0], &mut d_x);
        assert_eq!(d_x, [0.0, 0.0, 0.0, 1.0, 0.0, 1010.0, 100.0, 0.0, 0.0]);
    }

    #[test]
    fn the_first_maximum_gets_the_gradient() {
        let mut d_x = [f32::NAN; 8];
        let x = [3.0, 3.0, -1.0, -1.0, 3.0, 3.0, -1.0, 0.0];
        max_pool2d_gradient(&plane(2, 4, 2, 2), Form::Examples, 1, &x, &[1.0, 2.0], &mut d_x);
        assert_eq!(d_x, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]);
    }

    #[test]
    fn padding_never_wins_and_does_not_dilute() {
        let shape = Pool2d { padding: [1; 2], ..plane(2, 2, 2, 2) };
        assert_eq!((shape.output_height(), shape.output_width()), (2, 2));
        let (x, mut y) = ([-4.0, -3.0, -2.0, -1.0], [0.0; 4]);
        max_pool2d(&shape, Form::Examples, 1, &x, &mut y);
        assert_eq!(y, x);
        avg_pool2d(&shape, Form::Examples, 1, &x, &mut y);
        assert_eq!(y, x);
    }

    #[test]
    fn windows_of_padding_alone_are_harmless() {
        let shape = Pool2d { padding: [3; 2], ..plane(1, 1, 1, 3) };
        let mut y = [0.0; 9];
        max_pool2d(&shape, Form::Examples, 1, &[7.0], &mut y);
        assert_eq!((y[4], y[0], y[8]), (7.0, f32::NEG_INFINITY, f32::NEG_INFINITY));
        avg_pool2d(&shape, Form::Examples, 1, &[7.0], &mut y);
        assert_eq!(y, [0.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0]);
        let mut d_x = [f32::NAN];
        max_pool2d_gradient(&shape, Form::Examples, 1, &[7.0], &[1.0; 9], &mut d_x);
        assert_eq!(d_x, [1.0]);
        avg_pool2d_gradient(&shape, Form::Examples, 1, &[1.0; 9], &mut d_x);
        assert_eq!(d_x, [1.0]);
        // A window larger than the padded plane: nothing comes out.
        let shape = plane(2, 2, 3, 1);
        assert_eq!((shape.output_height(), shape.output_width()), (0, 0));
        let mut d_x = [f32::NAN; 4];
        max_pool2d(&shape, Form::Examples, 1, &[1.0; 4], &mut []);
        max_pool2d_gradient(&shape, Form::Examples, 1, &[1.0; 4], &[], &mut d_x);
        assert_eq!(d_x, [0.0; 4]);
    }

    #[test]
    #[should_panic]
    fn short_slices_are_refused() {
        max_pool2d(&plane(4, 4, 2, 2), Form::Examples, 2, &[0.0; 31], &mut [0.0; 8]);
    }

    fn shapes() -> impl Strategy<Value = Pool2d> {
        let pair = |range: std::ops::Range<usize>| (range.clone(), range).prop_map(|(a, b)| [a, b]);
        let any_shape = (1..4_usize, 1..9_usize, 1..40_usize, pair(1..6), pair(1..4), pair(0..4)).prop_map(
            |(channels, height, width, kernel, stride, padding)| Pool2d {
                channels,
                height,
                width,
                kernel,
                stride,
                padding,
            },
        );
        (any_shape, any::<bool>()).prop_map(|(shape, halving)| match halving {
            true => Pool2d { kernel: [2; 2], stride: [2; 2], padding: [0; 2], ..shape },
            false => shape,
        })
    }

    /// Few different values, so that windows hold ties, and a NaN or an infinity at times.
    fn numbers(len: usize, seed: u64, strange: bool) -> Vec<f32> {
        let mut rng = crate::Rng::new(seed);
        let number = |_| match rng.below(40) {
            0 if strange => f32::NAN,
            1 if strange => f32::NEG_INFINITY,
            2 if strange => f32::INFINITY,
            k => k as f32 / 8.0 - 2.0,
        };
        (0..len).map(number).collect()
    }

    fn same_bits(a: &[f32], b: &[f32]) -> bool {
        a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())) && a.len() == b.len()
    }

    fn close(a: &[f32], b: &[f32]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5) && a.len() == b.len()
    }

    /// Maxima and averages, and both gradients, against their twins; the numbers of maxima may be strange.
    fn check(shape: &Pool2d, n: usize, seed: u64, strange: bool) {
        for (isa, form) in available().iter().flat_map(|isa| [(*isa, Form::Examples), (*isa, Form::Lanes)]) {
            let what = (isa, form, shape, n, seed);
            let [input, output] =
                [shape.input_plane(), shape.output_plane()].map(|plane| form.floats(n, shape.channels * plane));
            let (x, d_y) = (numbers(input, seed, strange), numbers(output, seed ^ 1, false));
            let (mut y, mut expected) = (vec![9.0; output + 1], vec![9.0; output + 1]);
            let (mut d_x, mut d_expected) = (vec![9.0; input + 1], vec![9.0; input + 1]);
            reference::max_pool2d(shape, form, n, &x, &mut expected);
            pool_on(isa, shape, form, n, &x, &mut y, Maximum);
            assert!(same_bits(&y, &expected), "{what:?}: {y:?} {expected:?}");
            reference::max_pool2d_gradient(shape, form, n, &x, &d_y, &mut d_expected);
            maximum_gradient_on(isa, shape, form, n, &x, &d_y, &mut d_x);
            assert!(close(&d_x, &d_expected), "{what:?}: {d_x:?} {d_expected:?}");
            let x = numbers(input, seed, false);
            reference::avg_pool2d(shape, form, n, &x, &mut expected);
            pool_on(isa, shape, form, n, &x, &mut y, Average);
            assert!(close(&y, &expected), "{what:?}: {y:?} {expected:?}");
            reference::avg_pool2d_gradient(shape, form, n, &d_y, &mut d_expected);
            average_gradient_on(isa, shape, form, n, &d_y, &mut d_x);
            assert!(close(&d_x, &d_expected), "{what:?}: {d_x:?} {d_expected:?}");
        }
    }

    #[test]
    fn planes_larger_than_the_stack() {
        for ([height, width], [stride, down]) in [[60, 300], [700, 5], [9, 700], [5, 3000], [3, 9000]]
            .into_iter()
            .flat_map(|size| [[1, 1], [2, 2], [1, 3], [2, 1]].map(|stride| (size, stride)))
        {
            let shape = Pool2d { channels: 2, stride: [down, stride], padding: [1; 2], ..plane(height, width, 3, 1) };
            check(&shape, 1, 7, width % 7 == 0);
        }
        check(&Pool2d { padding: [8, 2], ..plane(40, 40, 17, 1) }, 1, 8, false);
        check(&Pool2d { padding: [40, 50], ..plane(4, 6, 3, 2) }, 2, 9, true);
    }

    #[test]
    fn the_first_pixel_of_infinities_gets_the_gradient() {
        let shape = Pool2d { padding: [1; 2], ..plane(2, 2, 3, 2) };
        let mut d_x = [f32::NAN; 4];
        for low in [f32::NEG_INFINITY, f32::NAN] {
            max_pool2d_gradient(&shape, Form::Examples, 1, &[low; 4], &[5.0], &mut d_x);
            assert_eq!(d_x, [5.0, 0.0, 0.0, 0.0]);
        }
    }

    proptest! {
        #[test]
        fn agree_with_their_twins(shape in shapes(), n in 1..3_usize, seed: u64, strange: bool) {
            check(&shape, n, seed, strange);
        }

        /// ⟨pool(x), d_y⟩ = ⟨x, gradient(d_y)⟩: averaging is linear, and taking a maximum is where it is taken.
        #[test]
        fn gradients_are_adjoint(shape in shapes(), seed: u64) {
            // A window of padding alone has the maximum −∞.
            let padding = [0, 1].map(|i| shape.padding[i].min(shape.kernel[i] / 2));
            let shape = Pool2d { padding, ..shape };
            let (input, output) = (shape.channels * shape.input_plane(), shape.channels * shape.output_plane());
            let (x, d_y) = (numbers(input, seed, false), numbers(output, seed ^ 1, false));
            let (mut y, mut d_x) = (vec![0.0; output], vec![0.0; input]);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            max_pool2d(&shape, Form::Examples, 1, &x, &mut y);
            max_pool2d_gradient(&shape, Form::Examples, 1, &x, &d_y, &mut d_x);
            prop_assert!((dot(&y, &d_y) - dot(&x, &d_x)).abs() < 1e-3);
            avg_pool2d(&shape, Form::Examples, 1, &x, &mut y);
            avg_pool2d_gradient(&shape, Form::Examples, 1, &d_y, &mut d_x);
            prop_assert!((dot(&y, &d_y) - dot(&x, &d_x)).abs() < 1e-3);
        }

        #[test]
        fn taps_and_windows_agree(size in 1..12_usize, kernel in 1..5_usize, stride in 1..5_usize, padding in 0..4_usize) {
            let axis = Axis { size, windows: windows(size, kernel, stride, padding), kernel, stride, padding };
            for window in 0..axis.windows {
                let by_taps: Vec<usize> = (0..kernel)
                    .map(|tap| (axis.tap(tap), tap))
                    .filter(|((windows, _), _)| windows.contains(&window))
                    .map(|((windows, first), _)| first + (window - windows.start) * stride)
                    .collect();
                prop_assert_eq!(by_taps, axis.inside(window).collect::<Vec<_>>());
            }
        }
    }
}
