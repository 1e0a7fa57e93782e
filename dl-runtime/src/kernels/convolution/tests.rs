//! Convolutions against their twins, by adjointness, by published examples, and bit against bit.

mod last;

use super::super::form::{clear, deinterleave, interleave};
use super::weight::{convolution2d_weight_of_batch_on, convolution2d_weight_of_shard_on, convolution2d_weight_on};
use super::*;
use crate::segments::{SHARD, Shards};
use crate::simd::available;
use crate::{Activation, Pool2d, Rng, Segments, Team, reference};
use proptest::prelude::*;

fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.next_u32() as f32 / 2f32.powi(31) - 1.0).collect()
}

fn square(channels: usize, size: usize, filters: usize, kernel: usize, padding: usize) -> Convolution2d {
    Convolution2d {
        channels,
        height: size,
        width: size,
        filters,
        kernel: [kernel; 2],
        stride: [1; 2],
        padding: [padding; 2],
        dilation: [1; 2],
        groups: 1,
        method: Method::Direct,
    }
}

/// Random values below 1 in magnitude, summed in single precision: k additions, each rounded by at most half an ulp of a
/// partial sum, which grows like √k; and the rounding of the result.
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

const ACTIVATIONS: [Activation; 4] = [Activation::Identity, Activation::Relu, Activation::Sigmoid, Activation::Tanh];

/// The panels of a weight, those of the forward product and those of the input gradient.
fn packed(shape: Convolution2d, weight: &[f32]) -> [Vec<f32>; 2] {
    [false, true].map(|transposed| {
        let filters = Filters { shape, transposed };
        let mut panels = vec![f32::NAN; filters.len()];
        pack_filters(&filters, Form::Examples, weight, &mut panels);
        panels
    })
}

/// What the lanes hold that have no example.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    First,
    Zero,
}

/// The examples of a batch in the shards of a form: of lanes, those without an example are 0 or the first.
fn shards(form: Form, n: usize, len: usize, x: &[f32], missing: Missing) -> Vec<f32> {
    let mut floats = vec![f32::NAN; n.div_ceil(SHARD) * SHARD * len];
    for first in (0..n).step_by(SHARD) {
        let rows = SHARD.min(n - first);
        interleave(form, rows, len, &x[first * len..], &mut floats[first * len..]);
        if missing == Missing::Zero {
            clear(form, rows, len, &mut floats[first * len..]);
        }
    }
    floats
}

/// What lies beside some results, and which of it is used.
struct Beside {
    len: usize,
    residual: Option<Vec<f32>>,
    mask: Option<Vec<f32>>,
}

impl Beside {
    /// `len` floats for each of `n` examples, of each kind or not, as the seed says.
    fn new(n: usize, len: usize, seed: u64) -> Beside {
        let some = |of: bool, seed| of.then(|| values(n * len, seed));
        Beside { len, residual: some(seed % 5 < 2, seed), mask: some(seed % 7 < 3, seed + 1) }
    }

    /// The shard of the examples from `first` on, in a form.
    fn shard(&self, form: Form, first: usize, n: usize) -> Beside {
        let shard = |all: &Option<Vec<f32>>| {
            all.as_ref().map(|all| shards(form, n, self.len, &all[first * self.len..], Missing::First))
        };
        Beside { len: self.len, residual: shard(&self.residual), mask: shard(&self.mask) }
    }

    fn epilogue<'a>(&'a self, of: Epilogue<'a>) -> Epilogue<'a> {
        Epilogue { residual: self.residual.as_deref(), mask: self.mask.as_deref(), ..of }
    }
}

/// All three kernels against their twins on all instruction sets and in both forms.
fn check(shape: Convolution2d, n: usize, seed: u64) {
    let [x_len, y_len, weight_len] = shape.lens();
    let (x, weight, bias) = (values(n * x_len, seed), values(weight_len, seed + 1), values(shape.filters, seed + 2));
    let d_y = values(n * y_len, seed + 3);
    let (y_beside, d_x_beside) = (Beside::new(n, y_len, seed + 4), Beside::new(n, x_len, seed + 6));
    // A mask is for the gradient of what a relu made, so no other activation comes with one.
    let activation = ACTIVATIONS[seed as usize % if y_beside.mask.is_some() { 2 } else { 4 }];
    let bias = (!seed.is_multiple_of(3)).then_some(&bias[..]);
    let epilogue = Epilogue { bias, activation, ..Epilogue::NONE };
    let plain = Convolution2d { method: Method::Direct, ..shape };
    let [panels, transposed] = packed(plain, &weight);
    for (transposed, panels) in [(false, &panels), (true, &transposed)] {
        let filters = Filters { shape: plain, transposed };
        let (mut expected, mut in_lanes) = (vec![f32::NAN; panels.len()], vec![9.0; panels.len()]);
        reference::pack_filters(&filters, Form::Examples, &weight, &mut expected);
        assert_eq!(panels, &expected, "panels of {shape:?}");
        pack_filters(&filters, Form::Lanes, &weight, &mut in_lanes);
        expected.fill(9.0);
        reference::pack_filters(&filters, Form::Lanes, &weight, &mut expected);
        assert_eq!(in_lanes, expected, "panels of {shape:?} in lanes");
    }
    let mut y_expected = vec![0.0; n * y_len];
    let of_y = y_beside.epilogue(epilogue);
    reference::convolution2d(&plain, Form::Examples, n, &x, &panels, of_y, &mut y_expected);
    let mut d_x_expected = vec![0.0; n * x_len];
    let of_d_x = d_x_beside.epilogue(Epilogue::NONE);
    reference::convolution2d_input(&plain, Form::Examples, n, &d_y, &transposed, of_d_x, &mut d_x_expected);
    let (x_seen, d_y_seen) = (Segments::of_examples(&x, x_len), Segments::of_examples(&d_y, y_len));
    let mut d_weight_expected = vec![0.0; weight_len];
    let team = Team::serial();
    reference::convolution2d_weight(&shape, Form::Examples, n, x_seen, d_y_seen, &mut d_weight_expected, &team);
    let [channels, filters] = [shape.channels, shape.filters].map(|count| count / shape.groups);
    let taps = shape.kernel[0] * shape.kernel[1];
    let [panels, transposed] = packed(shape, &weight);
    for (isa, form) in available().iter().flat_map(|isa| [(*isa, Form::Examples), (*isa, Form::Lanes)]) {
        let what = (isa, form, shape, n, seed);
        let x = shards(form, n, x_len, &x, Missing::First);
        let d_y = shards(form, n, y_len, &d_y, Missing::Zero);
        let (mut ys, mut d_xs) = (Vec::new(), Vec::new());
        for first in (0..n).step_by(SHARD) {
            let n = SHARD.min(n - first);
            let (y_beside, d_x_beside) = (y_beside.shard(form, first, n), d_x_beside.shard(form, first, n));
            let mut y = vec![f32::NAN; form.floats(n, y_len) + 3];
            let of_y = y_beside.epilogue(epilogue);
            convolution2d_on(isa, &shape, form, n, &x[first * x_len..], &panels, of_y, &mut y, None);
            check_moments(isa, &shape, form, n, [&x[first * x_len..], &panels], of_y, &y[..form.floats(n, y_len)]);
            assert!(y.iter().rev().take(3).all(|y| y.is_nan()), "{what:?} writes past the end");
            let mut d_x = vec![f32::NAN; form.floats(n, x_len) + 3];
            let of_d_x = d_x_beside.epilogue(Epilogue::NONE);
            convolution2d_input_on(isa, &shape, form, n, &d_y[first * y_len..], &transposed, of_d_x, &mut d_x);
            assert!(d_x.iter().rev().take(3).all(|d_x| d_x.is_nan()), "{what:?} writes past the end");
            for (all, len, some) in [(&mut ys, y_len, y), (&mut d_xs, x_len, d_x)] {
                let start = all.len();
                all.resize(start + n * len, f32::NAN);
                deinterleave(form, n, len, &some, &mut all[start..]);
            }
        }
        let (x_seen, d_y_seen) = (Segments::of_examples(&x, x_len), Segments::of_examples(&d_y, y_len));
        let mut d_weight = vec![f32::NAN; weight_len];
        convolution2d_weight_on(isa, &shape, form, n, x_seen, d_y_seen, &mut d_weight, &team);
        let mut addends = vec![f32::NAN; n.div_ceil(SHARD) * weight_len];
        for (shard, addend) in addends.chunks_exact_mut(weight_len).enumerate() {
            let rows = SHARD.min(n - shard * SHARD);
            let (x, d_y) = (&x[shard * SHARD * x_len..], &d_y[shard * SHARD * y_len..]);
            convolution2d_weight_of_shard_on(isa, &shape, form, rows, x, d_y, addend);
        }
        let mut added = vec![f32::NAN; weight_len];
        let addends = Segments::of_examples(&addends, weight_len);
        convolution2d_weight_of_batch_on(isa, &shape, form, n, x_seen, d_y_seen, Some(addends), &mut added, &team);
        // What one filter has is more than the stack holds only in the largest of these shapes.
        for threads in [1, 3].into_iter().filter(|_| channels * taps <= 16 * 1024) {
            let (mut shared, team) = (vec![f32::NAN; weight_len], Team::new(threads));
            convolution2d_weight_of_batch_on(isa, &shape, form, n, x_seen, d_y_seen, None, &mut shared, &team);
            assert!(shared == added, "{what:?} with {threads} threads");
        }
        let pixels = n * shape.output_height() * shape.output_width();
        for (name, found, expected, depth) in [
            ("y", &ys, &y_expected, channels * taps),
            ("d_x", &d_xs, &d_x_expected, filters * taps),
            ("d_weight", &d_weight, &d_weight_expected, pixels),
            ("d_weight of shards", &added, &d_weight_expected, pixels),
        ] {
            let greatest = expected.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
            let bound = if shape.is_winograd() { 1e-4 * greatest } else { tolerance(depth) };
            close(found, expected, bound, &(name, what));
        }
        let mut twin = vec![f32::NAN; weight_len];
        reference::convolution2d_weight(&shape, form, n, x_seen, d_y_seen, &mut twin, &team);
        assert_eq!(twin, d_weight_expected, "twins of both forms");
    }
}

/// The moments of a shard against those of its results, which are the same bits as without moments.
fn check_moments(
    isa: Isa,
    shape: &Convolution2d,
    form: Form,
    n: usize,
    [x, panels]: [&[f32]; 2],
    epilogue: Epilogue<'_>,
    expected: &[f32],
) {
    let len = form.floats(n, shape.filters);
    let (mut y, mut sums, mut squares) = (vec![f32::NAN; expected.len()], vec![9.0; len + 3], vec![9.0; len + 3]);
    let moments = Some([&mut sums[..], &mut squares[..]]);
    convolution2d_on(isa, shape, form, n, x, panels, epilogue, &mut y, moments);
    assert_eq!(y, expected, "{isa:?} {form:?} {shape:?}");
    let pixels = shape.output_height() * shape.output_width();
    let planes = Sum { outer: shape.filters, reduced: pixels, inner: 1 }.in_form(form);
    let (mut sums_expected, mut squares_expected) = (vec![9.0; len + 3], vec![9.0; len + 3]);
    reference::sum(&planes, form.blocks(n), expected, &mut sums_expected);
    reference::deviations(&planes, form.blocks(n), expected, &mut squares_expected);
    let greatest = expected.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
    let bound = 1e-6 * pixels as f32 * greatest;
    close(&sums, &sums_expected, bound, &("sums", isa, form, shape));
    close(&squares, &squares_expected, bound * greatest, &("squares", isa, form, shape));
}

/// Pooled results against those of twins of the convolution and of the pool, on all instruction sets and in both forms.
fn check_pooled(shape: Convolution2d, window: [usize; 2], n: usize, seed: u64) {
    assert!(shape.pools(window), "{shape:?} by {window:?}");
    let [x_len, y_len, weight_len] = shape.lens();
    let (x, weight, bias) = (values(n * x_len, seed), values(weight_len, seed + 1), values(shape.filters, seed + 2));
    let bias = (!seed.is_multiple_of(3)).then_some(&bias[..]);
    let epilogue = Epilogue { bias, activation: ACTIVATIONS[seed as usize % 4], ..Epilogue::NONE };
    let plain = Convolution2d { method: Method::Direct, ..shape };
    let [panels, _] = packed(plain, &weight);
    let mut whole = vec![0.0; n * y_len];
    reference::convolution2d(&plain, Form::Examples, n, &x, &panels, epilogue, &mut whole);
    let pool = Pool2d {
        channels: shape.filters,
        height: shape.output_height(),
        width: shape.output_width(),
        kernel: window,
        stride: window,
        padding: [0, 0],
    };
    let y_len = shape.filters * pool.output_height() * pool.output_width();
    let mut expected = vec![0.0; n * y_len];
    reference::max_pool2d(&pool, Form::Examples, n, &whole, &mut expected);
    let greatest = whole.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
    let taps = shape.channels * shape.kernel[0] * shape.kernel[1];
    let bound = if shape.is_winograd() { 1e-4 * greatest } else { tolerance(taps) };
    let [panels, _] = packed(shape, &weight);
    let epilogue = Epilogue { pool: Some(window), ..epilogue };
    for (isa, form) in available().iter().flat_map(|isa| [(*isa, Form::Examples), (*isa, Form::Lanes)]) {
        let x = shards(form, n, x_len, &x, Missing::First);
        let (mut y, mut found) = (vec![f32::NAN; form.floats(n, y_len) + 3], vec![f32::NAN; n * y_len]);
        convolution2d_on(isa, &shape, form, n, &x, &panels, epilogue, &mut y, None);
        let what = (isa, form, shape, window, n, seed);
        assert!(y.iter().rev().take(3).all(|y| y.is_nan()), "{what:?} writes past the end");
        deinterleave(form, n, y_len, &y, &mut found);
        close(&found, &expected, bound, &what);
    }
}

/// Groups of few examples have sixteen filters side by side, or fewer, where strides or small images make that the cheaper way.
#[test]
fn groups_of_few_examples() {
    let strided = |channels, size, filters, groups| Convolution2d {
        stride: [2; 2],
        groups,
        ..square(channels, size, filters, 3, 1)
    };
    for (seed, shape) in [strided(24, 9, 51, 3), strided(32, 8, 32, 2), strided(34, 7, 18, 2), strided(16, 6, 14, 2)]
        .into_iter()
        .enumerate()
    {
        check(shape, 2, seed as u64);
        check(Convolution2d { stride: [1; 2], height: 4, width: 4, ..shape }, 3, seed as u64);
    }
}

/// Weights transformed on every instruction set, against G g Gᵀ in double precision.
#[test]
fn transformed_weights_agree_with_the_definition() {
    let g = [
        [0.25, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    let shape = Convolution2d { method: Method::Winograd, ..square(7, 12, 11, 3, 1) };
    let weight = values(7 * 11 * 9, 5);
    for (isa, transposed) in available().iter().flat_map(|isa| [(*isa, false), (*isa, true)]) {
        let filters = Filters { shape, transposed };
        let mut panels = vec![f32::NAN; filters.len()];
        filters::pack_filters_on(isa, &filters, Form::Lanes, &weight, &mut panels);
        let (rows, planes) = if transposed { (7, 11) } else { (11, 7) };
        for tile in filters::tiles(0..rows) {
            let panel = &panels[tile.first * planes * 36..][..tile.height * planes * 36];
            for (at, found) in panel.iter().enumerate() {
                let (place, plane, row) =
                    (at / (tile.height * planes), at / tile.height % planes, tile.first + at % tile.height);
                let kernel = if transposed { plane * rows + row } else { row * planes + plane };
                let tap = |i: usize| f64::from(weight[kernel * 9 + if transposed { 8 - i } else { i }]);
                let terms = (0..9).map(|i| g[place / 6][i / 3] * tap(i) * g[place % 6][i % 3]);
                let expected: f64 = terms.sum();
                assert!(
                    (f64::from(*found) - expected).abs() <= 4e-7,
                    "{isa:?} {filters:?} at {at}: {found} for {expected}"
                );
            }
        }
    }
}

/// Single pixels of one example after another fill vectors, or do not; their channels fill blocks, or do not.
#[test]
fn single_pixels_of_few_examples() {
    for (seed, (channels, height, width, filters)) in
        [(3, 4, 16, 5), (20, 8, 8, 17), (130, 6, 8, 7), (300, 7, 16, 12), (16, 7, 7, 16), (9, 4, 8, 3), (1, 8, 8, 3)]
            .into_iter()
            .enumerate()
    {
        check(Convolution2d { height, width, ..square(channels, 1, filters, 1, 0) }, 2, seed as u64);
    }
}

#[test]
fn pooled_results_of_known_networks() {
    for (seed, window) in [[2, 2], [3, 3], [2, 1], [1, 4], [5, 7], [1, 1]].into_iter().enumerate() {
        check_pooled(square(1, 28, 6, 5, 2), window, 2, seed as u64);
        check_pooled(square(6, 14, 16, 5, 0), window, 3, seed as u64 + 1);
        check_pooled(Convolution2d { stride: [2; 2], ..square(3, 65, 12, 7, 3) }, window, 1, seed as u64 + 2);
    }
    for size in 4..20 {
        let shape = Convolution2d { method: Method::Winograd, ..square(9, size, 7, 3, size % 3) };
        check_pooled(shape, [2, 2], 3, size as u64);
        let shape = Convolution2d { width: 40 + size, channels: 64, ..shape };
        check_pooled(shape, [2, 2], 1, size as u64);
    }
    // A block holds one row of windows, or all of them.
    check_pooled(square(2, 32, 32, 5, 2), [2, 2], 1, 7);
    check_pooled(square(2, 5, 3, 2, 0), [2, 2], 9, 8);
}

#[test]
fn a_maximum_of_something_strange_is_strange() {
    let mut image = [0.0; 36];
    (image[0], image[35]) = (f32::NAN, f32::NEG_INFINITY);
    for (isa, method) in available().iter().flat_map(|isa| [(*isa, Method::Direct), (*isa, Method::Winograd)]) {
        let shape = Convolution2d { method, ..square(1, 6, 1, 3, 1) };
        let mut weight = [0.0; 9];
        weight[4] = 1.0;
        let [panels, _] = packed(shape, &weight);
        let mut y = [0.0; 9];
        let epilogue = Epilogue { pool: Some([2, 2]), ..Epilogue::NONE };
        convolution2d_on(isa, &shape, Form::Examples, 1, &image, &panels, epilogue, &mut y, None);
        assert!(y[0].is_nan(), "{isa:?} {method:?} {y:?}");
    }
}

#[test]
fn what_cannot_be_pooled_is_known() {
    let wide = |width| Convolution2d { width, height: 4, ..square(1, 0, 16, 1, 0) };
    assert!(wide(64).pools([2, 2]) && !wide(65).pools([2, 2]) && !wide(usize::MAX / 64).pools([2, 2]));
    assert!(!wide(64).pools([5, 1]) && !wide(64).pools([1, 65]) && !wide(64).pools([0, 1]));
    assert!(!Convolution2d { groups: 2, ..square(2, 4, 2, 3, 1) }.pools([2, 2]));
    let winograd = |channels| Convolution2d { method: Method::Winograd, ..square(channels, 8, 8, 3, 1) };
    assert!(winograd(64).pools([2, 2]) && !winograd(65).pools([2, 2]) && !winograd(64).pools([2, 1]));
}

#[test]
#[should_panic(expected = "pooled results beside a residual or a mask")]
fn pooled_results_have_nothing_beside_them() {
    let epilogue = Epilogue { residual: Some(&[0.0; 9]), pool: Some([3, 3]), ..Epilogue::NONE };
    convolution2d(&square(1, 3, 1, 1, 0), Form::Examples, 1, &[0.0; 9], &[0.0; 17], epilogue, &mut [0.0]);
}

#[test]
fn every_small_width_kernel_and_padding() {
    for width in 1..=20 {
        for kernel in 1..=5 {
            for padding in 0..=kernel + 1 {
                let shape = Convolution2d { height: 4, width, ..square(2, 0, 3, kernel, padding) };
                if shape.output_height() * shape.output_width() > 0 {
                    check(shape, 2, (width * kernel + padding) as u64);
                }
            }
        }
    }
}

#[test]
fn every_count_of_filters_and_channels() {
    for filters in 1..=20 {
        for channels in [1, 2, 5] {
            check(square(channels, 6, filters, 3, 1), 1, (filters + channels) as u64);
            check(square(filters, 6, channels, 2, 0), 2, (filters + channels) as u64);
        }
    }
}

#[test]
fn shapes_of_known_networks() {
    check(square(1, 28, 6, 5, 2), 3, 1);
    check(square(6, 14, 16, 5, 0), 3, 2);
    check(square(32, 17, 33, 3, 1), 1, 3);
    check(Convolution2d { stride: [2; 2], ..square(3, 33, 20, 7, 3) }, 1, 4);
    check(Convolution2d { stride: [2; 2], ..square(20, 9, 24, 1, 0) }, 2, 5);
    check(Convolution2d { groups: 12, ..square(12, 9, 24, 3, 1) }, 2, 6);
    check(Convolution2d { dilation: [2; 2], ..square(4, 12, 8, 3, 2) }, 2, 7);
}

#[test]
fn winograd_s_method_of_known_shapes() {
    for shape in [
        square(3, 32, 32, 3, 1),
        square(32, 16, 64, 3, 1),
        square(100, 7, 150, 3, 1),
        square(65, 4, 7, 3, 0),
        square(17, 13, 21, 3, 2),
    ] {
        check(Convolution2d { method: Method::Winograd, ..shape }, 3, 5);
    }
    // Small, and of so many weights that few examples are computed directly.
    check(Convolution2d { method: Method::Winograd, ..square(256, 7, 260, 3, 1) }, 1, 6);
    // Nothing but borders, and padding beyond them.
    for (size, padding) in (1..9).flat_map(|size| (0..5).map(move |padding| (size, padding))) {
        let shape = Convolution2d { method: Method::Winograd, ..square(2, size, 5, 3, padding) };
        if shape.output_height() > 0 {
            check(shape, 2, (size + padding) as u64);
        }
    }
}

#[test]
fn sums_and_rows_longer_than_a_block() {
    // More taps than a tile runs through at a time, in every plan.
    check(square(70, 5, 7, 3, 0), 2, 1);
    check(square(70, 5, 7, 3, 1), 2, 2);
    check(Convolution2d { stride: [2; 2], ..square(70, 5, 7, 3, 1) }, 2, 3);
    check(square(1, 25, 2, 24, 1), 1, 4);
    check(square(1, 20, 2, 17, 2), 1, 5);
    // Rows that the stack holds few of, or none.
    check(Convolution2d { height: 6, width: 700, ..square(3, 0, 2, 3, 1) }, 1, 6);
    check(Convolution2d { height: 3, width: 9000, ..square(1, 0, 1, 2, 1) }, 1, 7);
    check(Convolution2d { height: 3, width: 9000, ..square(1, 0, 1, 2, 0) }, 1, 8);
    // More filters than the input gradient holds.
    check(Convolution2d { stride: [2, 1], ..square(1, 5, 300, 2, 0) }, 1, 9);
}

#[test]
fn depthwise_ones_of_every_width() {
    let depthwise = |size, kernel| Convolution2d { groups: 3, ..square(3, size, 3, kernel, kernel / 2) };
    for (width, kernel) in (1..=20).flat_map(|width| [3, 5, 7].map(|kernel| (width, kernel))) {
        let shape = Convolution2d { width, ..depthwise(9, kernel) };
        for stride in [[1, 1], [2, 2], [1, 2], [2, 1], [3, 3]] {
            check(Convolution2d { stride, ..shape }, 2, width as u64);
        }
        for dilation in [2, 3] {
            check(Convolution2d { dilation: [dilation; 2], ..shape }, 2, width as u64);
        }
        check(Convolution2d { filters: 6, ..shape }, 2, width as u64);
    }
    for (width, stride, dilation) in
        (1..=20).flat_map(|width| [(width, 1, 1), (width, 2, 1), (width, 3, 1), (width, 1, 2)])
    {
        let shape = Convolution2d { width, groups: 20, ..square(20, 9, 20, 3, 1) };
        check(Convolution2d { stride: [stride; 2], dilation: [dilation; 2], ..shape }, 2, width as u64);
    }
    // Bands of rows of sixteen channels, and rows that the stack does not hold.
    for [height, width] in [[40, 60], [60, 40], [300, 5], [5, 300], [4, 800]] {
        for stride in [1, 2] {
            let shape = Convolution2d { height, width, groups: 17, ..square(17, 0, 17, 3, 1) };
            check(Convolution2d { stride: [stride; 2], ..shape }, 2, width as u64);
        }
    }
    // More rows than the stack holds, in order and not, and rows that it holds few of, or none.
    for [height, width] in [[40, 300], [500, 5], [9, 700], [5, 3000], [3, 9000]] {
        for (filters, stride) in [(3, 1), (6, 1), (3, 2), (6, 2)] {
            check(Convolution2d { height, width, filters, stride: [stride; 2], ..depthwise(1, 3) }, 1, width as u64);
        }
    }
}

#[test]
fn filters_side_by_side_of_planes_larger_than_the_stack() {
    // Rows that the stack holds some of, and channels.
    for (channels, size) in [(600, 7), (2100, 3), (40, 31)] {
        for (stride, dilation) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
            let shape = square(channels, size, 20, 3, 2);
            check(Convolution2d { stride: [stride; 2], dilation: [dilation; 2], ..shape }, 1, size as u64);
            check(Convolution2d { channels: 3, filters: channels, stride: [stride; 2], ..shape }, 1, size as u64);
        }
    }
    // Rows of results that the stack holds parts of.
    for (width, kernel, stride) in [(700, 3, 1), (1300, 9, 2), (2100, 20, 4), (600, 2, 3)] {
        let shape =
            Convolution2d { height: 1, width, kernel: [1, kernel], stride: [1, stride], ..square(5, 0, 20, 1, 0) };
        check(shape, 2, 1);
        check(Convolution2d { padding: [0, kernel / 2], ..shape }, 1, 2);
    }
    // From one pixel and back, and the strides from which on the input gradient is another kernel's.
    check(square(80, 7, 70, 7, 0), 2, 1);
    for stride in 2..=6 {
        check(Convolution2d { stride: [stride; 2], ..square(5, 17, 18, 3, 1) }, 3, 2);
        check(Convolution2d { stride: [stride, 1], ..square(17, 11, 33, 4, 2) }, 2, 3);
    }
    // No columns but padding.
    check(Convolution2d { height: 2, width: 1, ..square(9, 0, 17, 3, 4) }, 1, 4);
}

fn any_shape() -> impl Strategy<Value = Convolution2d> {
    let pairs = (1usize..5, 1usize..6, 1usize..4, 1usize..4, 0usize..4, 0usize..4, 1usize..3, 1usize..3);
    let counts = (1usize..4, 1usize..5, 1usize..8, 1usize..18, 1usize..24);
    (pairs, counts).prop_map(|(p, (groups, channels, filters, height, width))| Convolution2d {
        channels: groups * channels,
        height,
        width,
        filters: groups * filters,
        kernel: [p.0, p.1],
        stride: [p.2, p.3],
        padding: [p.4, p.5],
        dilation: [p.6, p.7],
        groups,
        method: Method::Direct,
    })
}

/// The same, mostly with stride 1.
fn any_dense_shape() -> impl Strategy<Value = Convolution2d> {
    any_shape().prop_map(|shape| Convolution2d { stride: [1; 2], ..shape })
}

/// Groups of one channel, with one filter or a few.
fn any_depthwise_shape() -> impl Strategy<Value = Convolution2d> {
    let pairs = (1usize..6, 1usize..8, 1usize..4, 1usize..4, 0usize..5, 0usize..5, 1usize..4, 1usize..4);
    // Few channels, and as many as vectors hold of them.
    let counts = (prop_oneof![1usize..4, 8usize..36], 1usize..5, 1usize..24, 1usize..40);
    (pairs, counts).prop_map(|(p, (channels, filters, height, width))| Convolution2d {
        height,
        width,
        kernel: [p.0, p.1],
        stride: [p.2, p.3],
        padding: [p.4, p.5],
        dilation: [p.6, p.7],
        groups: channels,
        ..square(channels, 0, channels * filters, 1, 0)
    })
}

/// Shapes that Winograd's method has.
fn any_winograd_shape() -> impl Strategy<Value = Convolution2d> {
    (1usize..9, 1usize..20, 1usize..20, 1usize..20, 0usize..4, 0usize..4).prop_filter_map(
        "no results",
        |(channels, filters, height, width, down, right)| {
            let square = square(channels, 0, filters, 3, 0);
            let shape = Convolution2d { height, width, padding: [down, right], method: Method::Winograd, ..square };
            (shape.output_height() * shape.output_width() > 0).then_some(shape)
        },
    )
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_its_twin(shape in any_shape(), n in 1usize..18, seed in 0u64..1000) {
        check(shape, n, seed);
    }

    #[test]
    fn pooled_results_agree_with_their_twins(
        shape in prop_oneof![any_shape(), any_dense_shape(), any_winograd_shape()],
        down in 1usize..5, right in 1usize..5, n in 1usize..17, seed in 0u64..1000,
    ) {
        let window = if shape.is_winograd() { [2, 2] } else { [down, right] };
        if shape.pools(window) {
            check_pooled(shape, window, n, seed);
        }
    }

    #[test]
    fn depthwise_ones_agree_with_their_twins(shape in any_depthwise_shape(), n in 1usize..18, seed in 0u64..1000) {
        check(shape, n, seed);
    }

    #[test]
    fn winograd_s_method_agrees_with_its_twin(shape in any_winograd_shape(), n in 1usize..18, seed in 0u64..1000) {
        check(shape, n, seed);
    }

    #[test]
    fn agrees_with_its_twin_at_stride_one(shape in any_dense_shape(), n in 1usize..18, seed in 0u64..1000) {
        check(shape, n, seed);
    }

    /// ⟨conv(x, w), y⟩ = ⟨x, input gradient of y⟩ = ⟨w, weight gradient of y⟩.
    #[test]
    fn gradients_are_adjoint(shape in prop_oneof![any_shape(), any_depthwise_shape()], dense: bool, lanes: bool, n in 1usize..4) {
        let shape = if dense { Convolution2d { stride: [1; 2], ..shape } } else { shape };
        let [x_len, y_len, weight_len] = shape.lens();
        let (x, w, d_y) = (values(n * x_len, 1), values(weight_len, 2), values(n * y_len, 3));
        let form = if lanes { Form::Lanes } else { Form::Examples };
        let (x, d_y) = (shards(form, n, x_len, &x, Missing::Zero), shards(form, n, y_len, &d_y, Missing::Zero));
        let (mut y, mut d_x, mut d_w) = (vec![0.0; d_y.len()], vec![0.0; x.len()], vec![0.0; weight_len]);
        let [panels, transposed] = packed(shape, &w);
        convolution2d(&shape, form, n, &x, &panels, Epilogue::NONE, &mut y);
        convolution2d_input(&shape, form, n, &d_y, &transposed, Epilogue::NONE, &mut d_x);
        let (x_seen, d_y_seen) = (Segments::of_examples(&x, x_len), Segments::of_examples(&d_y, y_len));
        convolution2d_weight(&shape, form, n, x_seen, d_y_seen, &mut d_w, &Team::serial());
        // Shards have room for sixteen examples.
        let [x, d_y, y, d_x] = [(x, x_len), (d_y, y_len), (y, y_len), (d_x, x_len)].map(|(floats, len)| {
            if form == Form::Lanes { floats } else { floats[..n * len].to_vec() }
        });
        let (by_y, by_x, by_w) = (dot(&y, &d_y), dot(&x, &d_x), dot(&w, &d_w));
        let tolerance = 1e-5 * (n * y_len) as f64 + 1e-4;
        prop_assert!((by_y - by_x).abs() < tolerance && (by_y - by_w).abs() < tolerance, "{by_y} {by_x} {by_w}");
    }

    /// The same bits for any number of threads and from shards of an arena, in either form.
    #[test]
    fn bits_do_not_depend_on_the_partition(
        shape in prop_oneof![any_shape(), any_depthwise_shape()], lanes: bool, n in 1usize..40, threads in 2usize..8,
    ) {
        let form = if lanes { Form::Lanes } else { Form::Examples };
        let [x_len, y_len, weight_len] = shape.lens();
        let x = shards(form, n, x_len, &values(n * x_len, 1), Missing::First);
        let d_y = shards(form, n, y_len, &values(n * y_len, 3), Missing::Zero);
        let shards = Shards { examples: SHARD, floats: SHARD * (x_len + y_len) };
        let mut arena = Vec::new();
        for shard in 0..n.div_ceil(SHARD) {
            arena.extend_from_slice(&x[shard * SHARD * x_len..][..SHARD * x_len]);
            arena.extend_from_slice(&d_y[shard * SHARD * y_len..][..SHARD * y_len]);
        }
        let (mut one, mut many) = (vec![f32::NAN; weight_len], vec![f32::NAN; weight_len]);
        let (x_seen, d_y_seen) = (Segments::of_examples(&x, x_len), Segments::of_examples(&d_y, y_len));
        convolution2d_weight(&shape, form, n, x_seen, d_y_seen, &mut one, &Team::serial());
        let x_seen = Segments::of_shards(&arena, shards, 0, x_len);
        let d_y_seen = Segments::of_shards(&arena, shards, SHARD * x_len, y_len);
        convolution2d_weight(&shape, form, n, x_seen, d_y_seen, &mut many, &Team::new(threads));
        prop_assert_eq!(&one, &many);
    }

    /// The bits of an example do not depend on the others of its shard, nor on which of them it is.
    #[test]
    fn bits_do_not_depend_on_the_other_examples(
        shape in prop_oneof![any_shape(), any_depthwise_shape(), any_winograd_shape()], lanes: bool, n in 2usize..16,
    ) {
        let form = if lanes { Form::Lanes } else { Form::Examples };
        let [x_len, y_len, weight_len] = shape.lens();
        let (x, w, d_y) = (values(n * x_len, 1), values(weight_len, 2), values(n * y_len, 3));
        let [panels, transposed] = packed(shape, &w);
        let run = |first: usize, n: usize| {
            let x = shards(form, n, x_len, &x[first * x_len..], Missing::First);
            let d_y = shards(form, n, y_len, &d_y[first * y_len..], Missing::Zero);
            let (mut y, mut d_x) = (vec![0.0; d_y.len()], vec![0.0; x.len()]);
            convolution2d(&shape, form, n, &x, &panels, Epilogue::NONE, &mut y);
            convolution2d_input(&shape, form, n, &d_y, &transposed, Epilogue::NONE, &mut d_x);
            let mut results = vec![0.0; n * (y_len + x_len)];
            deinterleave(form, n, y_len, &y, &mut results);
            deinterleave(form, n, x_len, &d_x, &mut results[n * y_len..]);
            results
        };
        let (whole, last) = (run(0, n), run(n - 1, 1));
        prop_assert_eq!(&whole[(n - 1) * y_len..n * y_len], &last[..y_len]);
        prop_assert_eq!(&whole[n * y_len + (n - 1) * x_len..], &last[y_len..]);
    }
}

#[test]
fn published_examples() {
    #[rustfmt::skip]
    let image = [
        128.0,  97.0,  53.0, 201.0, 198.0,
         35.0,  22.0,  25.0, 200.0, 195.0,
         37.0,  24.0,  28.0, 197.0, 182.0,
         33.0,  28.0,  92.0, 195.0, 179.0,
         31.0,  40.0, 100.0, 192.0, 177.0,
    ];
    for isa in available() {
        let mut y = [0.0; 9];
        let cross = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let [cross, _] = packed(square(1, 5, 1, 3, 0), &cross);
        convolution2d_on(*isa, &square(1, 5, 1, 3, 0), Form::Examples, 1, &image, &cross, Epilogue::NONE, &mut y, None);
        assert_eq!(y[0], 181.0);
        let mut y = [0.0; 16];
        let [diagonal, _] = packed(square(1, 5, 1, 2, 0), &[1.0, 0.0, 0.0, 1.0]);
        convolution2d_on(
            *isa,
            &square(1, 5, 1, 2, 0),
            Form::Examples,
            1,
            &image,
            &diagonal,
            Epilogue::NONE,
            &mut y,
            None,
        );
        assert_eq!(y[0], 150.0);
    }
}

#[test]
fn a_kernel_that_does_not_fit_gives_nothing() {
    let shape = square(1, 3, 2, 5, 0);
    assert_eq!((shape.output_height(), shape.output_width()), (0, 0));
    for (form, n) in [(Form::Examples, 1), (Form::Lanes, 16)] {
        convolution2d(&shape, form, 1, &vec![1.0; n * 9], &[1.0; 450], Epilogue::NONE, &mut []);
        let mut d_x = vec![1.0; n * 9];
        convolution2d_input(&shape, form, 1, &[], &[1.0; 850], Epilogue::NONE, &mut d_x);
        assert_eq!(d_x, vec![0.0; n * 9]);
        let mut d_weight = [1.0; 50];
        let (x, d_y) = (Segments::of_examples(&[1.0; 9], 9), Segments::of_examples(&[], 0));
        convolution2d_weight(&shape, form, 1, x, d_y, &mut d_weight, &Team::serial());
        assert_eq!(d_weight, [0.0; 50]);
    }
}

#[test]
#[should_panic(expected = "groups of")]
fn groups_that_do_not_divide_are_refused() {
    convolution2d(
        &Convolution2d { groups: 2, ..square(3, 4, 4, 1, 0) },
        Form::Examples,
        1,
        &[0.0; 48],
        &[0.0; 16],
        Epilogue::NONE,
        &mut [0.0; 64],
    );
}

#[test]
#[should_panic]
fn a_short_operand_is_refused() {
    convolution2d(&square(1, 4, 1, 2, 0), Form::Examples, 2, &[0.0; 31], &[0.0; 4], Epilogue::NONE, &mut [0.0; 18]);
}

#[test]
#[should_panic]
fn a_short_operand_in_lanes_is_refused() {
    convolution2d(&square(1, 4, 1, 2, 0), Form::Lanes, 2, &[0.0; 255], &[0.0; 4], Epilogue::NONE, &mut [0.0; 144]);
}
