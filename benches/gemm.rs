//! Times single-precision matrix products of given shapes on one core, one JSON line for each way we have to compute one.
//!
//! `cargo bench --bench gemm -- [--seconds S] [NAME]`. `benches/compare_gemm.py` runs it in turn with other libraries. Ways:
//! `prepared`, the right matrix in panels as a network keeps it; `packed on the way`, the right matrix as it is; and
//! `weight gradient`, both matrices as they are, the left one transposed. Pin the process to one core.

use std::time::Instant;

use dln::runtime as rt;
use dln::runtime::{Block, Epilogue, MatMul, Pack, Rng, Segments, Shards, Team};

/// Which matrices lie transposed in memory.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// y = a · b.
    NN,
    /// y = aᵀ · b: the gradient of a weight.
    TN,
    /// y = a · bᵀ: the gradient of an input.
    NT,
}
use Kind::{NN, NT, TN};

/// (name, m, n, k, kind): y [m, n] of depth k.
const CASES: &[(&str, usize, usize, usize, Kind)] = &[
    ("sq64", 64, 64, 64, NN),
    ("sq256", 256, 256, 256, NN),
    ("sq512", 512, 512, 512, NN),
    ("sq1024", 1024, 1024, 1024, NN),
    ("mlp-fwd1 b1", 1, 512, 784, NN),
    ("mlp-fwd1 b16", 16, 512, 784, NN),
    ("mlp-fwd1 b32", 32, 512, 784, NN),
    ("mlp-fwd1 b64", 64, 512, 784, NN),
    ("mlp-fwd1 b256", 256, 512, 784, NN),
    ("mlp-fwd2 b64", 64, 256, 512, NN),
    ("mlp-fwd3 b64", 64, 10, 256, NN),
    ("mlp-dw1 b64", 784, 512, 64, TN),
    ("mlp-dw2 b64", 512, 256, 64, TN),
    ("mlp-dw3 b64", 256, 10, 64, TN),
    ("mlp-dx2 b64", 64, 512, 256, NT),
    ("lenet-conv2 im2col b64", 16, 6400, 150, NN),
    ("lstm-step b16", 16, 1024, 256, NN),
    ("lstm-step b32", 32, 1024, 256, NN),
    ("gpt-ffn", 1024, 512, 128, NN),
    ("tiny4", 4, 4, 4, NN),
    ("tiny8", 8, 8, 8, NN),
    ("tiny16", 16, 16, 16, NN),
    ("tiny32", 32, 32, 32, NN),
    ("tiny10", 10, 10, 10, NN),
];

fn main() {
    let (mut seconds, mut wanted) = (0.3, String::new());
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            seconds = arguments.next().and_then(|value| value.parse().ok()).unwrap_or(seconds);
        } else {
            wanted = argument;
        }
    }
    for &(name, m, n, k, kind) in CASES {
        if !name.contains(&wanted) {
            continue;
        }
        let (a, b, mut y) = (values(m * k), values(k * n), values(m * n));
        let (a, b, y) = (a.as_slice(), b.as_slice(), y.as_mut_slice());
        let report = |way: &str, (median, fastest): (f64, f64)| {
            println!(
                "{{\"gemm\":\"{name}\",\"m\":{m},\"n\":{n},\"k\":{k},\"peer\":\"dln\",\"way\":\"{way}\",\"threads\":1,\
                 \"median_us\":{median:.3},\"min_us\":{fastest:.3},\"gflops\":{:.2}}}",
                2e-3 * (m * n * k) as f64 / median,
            );
        };
        if kind == TN {
            // Rows of examples in shards of sixteen, as a network has them.
            let (shape, shards) =
                (MatMul { rows: 1, inputs: m, outputs: n }, Shards { examples: 16, floats: 16 * (m + n) });
            let arena = values(shards.room(k));
            let x = Segments::of_shards(arena.as_slice(), shards, 0, m);
            let d_y = Segments::of_shards(arena.as_slice(), shards, 16 * m, n);
            let call = || rt::matmul_weights(&shape, k, x, d_y, y, &Team::serial());
            report("weight gradient", time(seconds, call));
            continue;
        }
        let shape = MatMul { rows: 1, inputs: k, outputs: n };
        let transposed = kind == NT;
        let (inputs, outputs) = if transposed { (n, k) } else { (k, n) };
        let layout = Pack { inputs, outputs, transposed };
        let mut panels = values(layout.len());
        rt::pack(&layout, b, panels.as_mut_slice(), &Team::serial());
        let call = || rt::matmul(&shape, m, a, panels.as_slice(), Epilogue::NONE, y);
        report("prepared", time(seconds, call));
        let call = || rt::matmul_unpacked(&shape, m, a, b, transposed, Epilogue::NONE, y);
        report("packed on the way", time(seconds, call));
    }
}

/// Median and fastest time of a call in microseconds: calls are timed by as many as take 20 µs.
fn time(seconds: f64, mut call: impl FnMut()) -> (f64, f64) {
    let mut micros = |calls: usize| {
        let start = Instant::now();
        for _ in 0..calls {
            call();
        }
        1e6 * start.elapsed().as_secs_f64() / calls as f64
    };
    micros(3);
    let calls = ((20.0 / micros(1).max(1e-2)) as usize).max(1);
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed().as_secs_f64() < seconds || times.len() < 15 {
        times.push(micros(calls));
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

/// Random floats between −2 and 2 at a multiple of a cache line.
fn values(len: usize) -> Block {
    let mut rng = Rng::new(len as u64);
    let mut block = Block::zeroed(len);
    for value in block.as_mut_slice() {
        *value = rng.next_u32() as f32 / 2f32.powi(30) - 2.0;
    }
    block
}
