//! Convolutions on one core, as shares of what a loop of fused multiply-adds reaches in between.
//!
//! `cargo bench -p dl-runtime --bench convolution -- [SHAPE]`: for each shape and pass, the time of a shard of sixteen
//! examples (or of one example), by the fastest run and by the median, and the share of the peak that the direct method's
//! operations make of it, padding not counted. A method that saves operations passes 100 %.

use dl_runtime::{
    Block, Convolution2d, Epilogue, Filters, Form, Isa, Method, Pool2d, Segments, Team, avg_pool2d,
    avg_pool2d_gradient, convolution2d, convolution2d_input, convolution2d_weight, depthwise2d, isa, max_pool2d,
    max_pool2d_gradient, pack_filters,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| argument != "--bench").unwrap_or_default();
    let square = |channels, size, filters, kernel, padding| Convolution2d {
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
    };
    let depthwise = |channels, size, kernel| Convolution2d {
        groups: channels,
        ..square(channels, size, channels, kernel, kernel / 2)
    };
    let shapes = [
        ("lenet 1→6 5×5 @28", square(1, 28, 6, 5, 2)),
        ("lenet 6→16 5×5 @14", square(6, 14, 16, 5, 0)),
        ("3→32 3×3 @32", square(3, 32, 32, 3, 1)),
        ("1→16 3×3 @28", square(1, 28, 16, 3, 1)),
        ("4→4 3×3 @16", square(4, 16, 4, 3, 1)),
        ("8→8 3×3 @16", square(8, 16, 8, 3, 1)),
        ("16→16 3×3 @16", square(16, 16, 16, 3, 1)),
        ("32→32 3×3 @32", square(32, 32, 32, 3, 1)),
        ("32→64 3×3 @16", square(32, 16, 64, 3, 1)),
        ("64→64 3×3 @16", square(64, 16, 64, 3, 1)),
        ("128→128 3×3 @8", square(128, 8, 128, 3, 1)),
        ("64→64 3×3 stride 2 @16", Convolution2d { stride: [2; 2], ..square(64, 16, 64, 3, 1) }),
        ("32→64 1×1 @32", square(32, 32, 64, 1, 0)),
        ("64→128 1×1 @16", square(64, 16, 128, 1, 0)),
        ("96→24 1×1 @24", square(96, 24, 24, 1, 0)),
        ("24→144 1×1 @24", square(24, 24, 144, 1, 0)),
        ("128→128 1×1 @14", square(128, 14, 128, 1, 0)),
        ("256→256 1×1 @8", square(256, 8, 256, 1, 0)),
        ("512→512 1×1 @4", square(512, 4, 512, 1, 0)),
        ("depthwise 64 3×3 @16", depthwise(64, 16, 3)),
        ("depthwise 64 3×3 stride 2 @16", Convolution2d { stride: [2; 2], ..depthwise(64, 16, 3) }),
        ("depthwise 64→128 3×3 @16", Convolution2d { filters: 128, ..depthwise(64, 16, 3) }),
        ("depthwise 32 3×3 @32", depthwise(32, 32, 3)),
        (
            "depthwise 32 3×3 dilation 2 @32",
            Convolution2d { dilation: [2; 2], padding: [2; 2], ..depthwise(32, 32, 3) },
        ),
        ("depthwise 144 3×3 @24", depthwise(144, 24, 3)),
        ("depthwise 64 3×3 stride 2 @32", Convolution2d { stride: [2; 2], ..depthwise(64, 32, 3) }),
        ("depthwise 128 3×3 stride 2 @16", Convolution2d { stride: [2; 2], ..depthwise(128, 16, 3) }),
        ("depthwise 256 3×3 @8", depthwise(256, 8, 3)),
        ("depthwise 256 3×3 @7", depthwise(256, 7, 3)),
        ("depthwise 512 3×3 @4", depthwise(512, 4, 3)),
        ("depthwise 64 5×5 @14", depthwise(64, 14, 5)),
        ("depthwise 64 5×5 stride 2 @28", Convolution2d { stride: [2; 2], ..depthwise(64, 28, 5) }),
        ("depthwise 64 7×7 @14", depthwise(64, 14, 7)),
    ];
    for (name, shape) in shapes.iter().filter(|(name, _)| name.contains(&wanted)) {
        for (form, n) in [(Form::Lanes, 16), (Form::Examples, 1)] {
            for method in [Method::Direct, Method::Winograd] {
                let shape = Convolution2d { method, ..*shape };
                if method == Method::Direct || shape.is_winograd() {
                    passes(&format!("{name}, {form:?}, {method:?}"), &shape, form, n);
                }
            }
        }
    }
    let pools = [
        ("pool 2×2 stride 2 of 6 @28", 6, 28, 2, 2, 0),
        ("pool 3×3 stride 2 of 6 @28", 6, 28, 3, 2, 0),
        ("pool 3×3 stride 1 of 16 @32", 16, 32, 3, 1, 1),
        ("pool 3×3 stride 2 of 16 @32", 16, 32, 3, 2, 1),
        ("pool 3×3 stride 1 of 64 @14", 64, 14, 3, 1, 1),
        ("pool 3×3 stride 2 of 64 @14", 64, 14, 3, 2, 1),
    ];
    for (name, channels, size, kernel, stride, padding) in pools {
        if name.contains(&wanted) {
            let [kernel, stride, padding] = [kernel, stride, padding].map(|both| [both; 2]);
            let shape = Pool2d { channels, height: size, width: size, kernel, stride, padding };
            for form in [Form::Lanes, Form::Examples] {
                pool(&format!("{name}, {form:?}"), &shape, form);
            }
        }
    }
}

fn passes(name: &str, shape: &Convolution2d, form: Form, n: usize) {
    let places = shape.output_height() * shape.output_width();
    let (x_len, y_len) = (shape.channels * shape.height * shape.width, shape.filters * places);
    let weight = values(shape.filters * (shape.channels / shape.groups) * shape.kernel[0] * shape.kernel[1]);
    // Taps that lie in padding are no operations.
    let met = |axis: usize, source: usize, outputs: usize| {
        let meets = |output: usize, tap: usize| output * shape.stride[axis] + tap * shape.dilation[axis];
        let pairs = (0..outputs).flat_map(|output| (0..shape.kernel[axis]).map(move |tap| meets(output, tap)));
        pairs.filter(|at| (shape.padding[axis]..shape.padding[axis] + source).contains(at)).count()
    };
    let met = met(0, shape.height, shape.output_height()) * met(1, shape.width, shape.output_width());
    let operations = 2 * n * shape.filters * (shape.channels / shape.groups) * met;
    let [panels, transposed] = [false, true].map(|transposed| {
        let filters = Filters { shape: *shape, transposed };
        let mut panels = vec![0.0; filters.len()];
        pack_filters(&filters, Form::Examples, weight.as_slice(), &mut panels);
        panels
    });
    let lens = [16 * x_len, 16 * y_len, shape.filters, weight.as_slice().len()];
    let [x, d_y, bias, _] = &lens.map(values);
    let [d_x, y, _, d_weight] = &mut lens.map(values);
    let [x, d_y, bias] = [x, d_y, bias].map(Block::as_slice);
    let [d_x, y, d_weight] = [d_x, y, d_weight].map(Block::as_mut_slice);
    let epilogue = Epilogue { bias: Some(bias), ..Epilogue::NONE };
    report(name, "forward", operations, || convolution2d(shape, form, n, x, &panels, epilogue, y));
    if form == Form::Examples && shape.groups == shape.channels && shape.filters == shape.channels {
        let weight = weight.as_slice();
        report(name, "channels last", operations, || depthwise2d(shape, n, x, weight, epilogue, y));
    }
    report(name, "input", operations, || convolution2d_input(shape, form, n, d_y, &transposed, Epilogue::NONE, d_x));
    let (x, d_y) = (Segments::of_examples(x, x_len), Segments::of_examples(d_y, y_len));
    if shape.method == Method::Direct || form == Form::Lanes {
        let team = Team::serial();
        report(name, "weight", operations, || convolution2d_weight(shape, form, n, x, d_y, d_weight, &team));
    }
}

/// Sixteen examples in either form.
fn pool(name: &str, shape: &Pool2d, form: Form) {
    let places = shape.output_height() * shape.output_width();
    let (x_len, y_len) = (16 * shape.channels * shape.height * shape.width, 16 * shape.channels * places);
    let ([x, d_y], [d_x, y]) = (&[x_len, y_len].map(values), &mut [x_len, y_len].map(values));
    let ([x, d_y], [d_x, y]) = ([x, d_y].map(Block::as_slice), [d_x, y].map(Block::as_mut_slice));
    report(name, "maximum", 0, || max_pool2d(shape, form, 16, x, y));
    report(name, "its gradient", 0, || max_pool2d_gradient(shape, form, 16, x, d_y, d_x));
    report(name, "average", 0, || avg_pool2d(shape, form, 16, x, y));
    report(name, "its gradient", 0, || avg_pool2d_gradient(shape, form, 16, d_y, d_x));
}

/// Some numbers between −1 and 1.
fn values(len: usize) -> Block {
    let mut values = Block::zeroed(len);
    values
        .as_mut_slice()
        .iter_mut()
        .enumerate()
        .for_each(|(i, value)| *value = ((i * 7919) % 2003) as f32 / 1001.5 - 1.0);
    values
}

/// Runs a pass and the loop of multiply-adds in turn, and prints how they compare.
fn report(name: &str, pass: &str, operations: usize, mut run: impl FnMut()) {
    run();
    let (mut times, mut peaks) = (Vec::new(), Vec::new());
    let end = Instant::now() + Duration::from_millis(400);
    while Instant::now() < end || times.len() < 5 {
        let start = Instant::now();
        run();
        times.push(start.elapsed().as_secs_f64());
        peaks.push(peak());
    }
    let rate = |seconds: f64| operations as f64 / seconds;
    let [fastest, median] = ordered(times);
    // Of rates the fastest is the last.
    let [best_peak, median_peak] = ordered(peaks.into_iter().map(|rate| 1.0 / rate).collect()).map(|time| 1.0 / time);
    println!(
        "{name:45} {pass:12} {:9.1} µs fastest {:9.1} µs median {:6.1} % {:6.1} % of {:.0} GFLOP/s",
        1e6 * fastest,
        1e6 * median,
        100.0 * rate(fastest) / best_peak,
        100.0 * rate(median) / median_peak,
        best_peak / 1e9,
    );
}

/// The least and the median.
fn ordered(mut times: Vec<f64>) -> [f64; 2] {
    times.sort_unstable_by(f64::total_cmp);
    [times[0], times[times.len() / 2]]
}

/// Floating-point operations per second of a loop of multiply-adds in registers of the instruction set in use.
fn peak() -> f64 {
    const ROUNDS: usize = 4_000;
    /// A function of twelve chains of multiply-adds.
    #[cfg(target_arch = "x86_64")]
    macro_rules! rounds {
        ($name:ident $features:literal $splat:ident $multiply_add:ident $first:ident) => {
            #[target_feature(enable = $features)]
            fn $name() -> f32 {
                use std::arch::x86_64::*;
                let factor = black_box($splat(0.999));
                let mut sums = [$splat(1.0); 12];
                for _ in 0..ROUNDS {
                    for sum in &mut sums {
                        *sum = $multiply_add(*sum, factor, factor);
                    }
                }
                sums.into_iter().map(|sum| $first(sum)).sum()
            }
        };
    }
    #[cfg(target_arch = "x86_64")]
    rounds! { eight "avx2,fma" _mm256_set1_ps _mm256_fmadd_ps _mm256_cvtss_f32 }
    #[cfg(target_arch = "x86_64")]
    rounds! { sixteen "avx512f" _mm512_set1_ps _mm512_fmadd_ps _mm512_cvtss_f32 }
    let mut sums = [1.0_f32; 64];
    let factor = black_box(0.999_f32);
    let start = Instant::now();
    let lanes = match isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            // SAFETY: the instruction set is in use, so the machine has it.
            black_box(unsafe { sixteen() });
            12 * 16
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            // SAFETY: likewise.
            black_box(unsafe { eight() });
            12 * 8
        }
        _ => {
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = *sum * factor + factor;
                }
            }
            black_box(sums);
            64
        }
    };
    (ROUNDS * 2 * lanes) as f64 / start.elapsed().as_secs_f64()
}
