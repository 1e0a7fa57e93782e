//! Times kernels on one core and prints one JSON line for each, with its share of the machine's limit.
//!
//! `cargo bench --bench kernels -- [NAME] [--seconds S] [--products]`; only cases whose name holds NAME, if one is given, and
//! only matrix products with `--products`, which `benches/compare_gemm.py` runs in turn with other libraries.
//! Before each sample a yardstick runs: a loop of fused multiply-adds for arithmetic, a copy of as many bytes for
//! everything else. `peak` and `copy` are shares of it, once by the fastest runs and once by the median of the pairs, so a
//! busy machine slows both. `cycles` are those of eight results, by the clock that the multiply-add loop implies. Pin the
//! process to one core.

use std::hint::black_box;
use std::time::{Duration, Instant};

use dln::runtime as rt;
use dln::runtime::{
    BatchedMatMul, Block, Epilogue, Gather, Lane, MatMul, Operand, Pack, Pointwise, Rng, Segments, Shards, Softmax,
    Sum, Team, Transpose, Triangle,
};

fn main() {
    let bench = Bench::from_arguments();
    products(&bench);
    weight_gradients(&bench);
    if bench.products_only {
        return;
    }
    packing(&bench);
    attention(&bench);
    elementary(&bench);
    memory(&bench);
    teams(&bench);
}

/// (name, m, n, k): y [m, n] = x [m, k] · w [k, n].
const PRODUCTS: &[(&str, usize, usize, usize)] = &[
    ("sq64", 64, 64, 64),
    ("sq256", 256, 256, 256),
    ("sq512", 512, 512, 512),
    ("sq1024", 1024, 1024, 1024),
    ("mlp-fwd1 b1", 1, 512, 784),
    ("mlp-fwd1 b2", 2, 512, 784),
    ("mlp-fwd1 b3", 3, 512, 784),
    ("mlp-fwd1 b16", 16, 512, 784),
    ("mlp-fwd1 b32", 32, 512, 784),
    ("mlp-fwd1 b64", 64, 512, 784),
    ("mlp-fwd1 b256", 256, 512, 784),
    ("mlp-fwd2 b1", 1, 256, 512),
    ("mlp-fwd2 b64", 64, 256, 512),
    ("mlp-fwd3 b64", 64, 10, 256),
    ("mlp-dx2 b64", 64, 512, 256),
    ("lstm-step b16", 16, 1024, 256),
    ("lstm-step b32", 32, 1024, 256),
    ("gpt-ffn", 1024, 512, 128),
    ("lenet-conv2 im2col b64", 16, 6400, 150),
    ("tiny4", 4, 4, 4),
    ("tiny8", 8, 8, 8),
    ("tiny10", 10, 10, 10),
    ("tiny16", 16, 16, 16),
    ("tiny32", 32, 32, 32),
];

fn products(bench: &Bench) {
    for &(name, m, n, k) in PRODUCTS {
        let shape = MatMul { rows: 1, inputs: k, outputs: n };
        let layout = Pack { inputs: k, outputs: n, transposed: false };
        let (x, weight) = (values(m * k), values(k * n));
        let (mut panels, mut y) = (values(layout.len()), values(m * n));
        rt::pack(&layout, weight.as_slice(), panels.as_mut_slice(), &Team::serial());
        let size = (m, n, k);
        bench.product(name, "prepared", size, || {
            rt::matmul(&shape, m, x.as_slice(), panels.as_slice(), Epilogue::NONE, y.as_mut_slice());
        });
        for (how, transposed) in [("unpacked", false), ("unpacked, transposed", true)] {
            bench.product(name, how, size, || {
                let (x, weight, y) = (x.as_slice(), weight.as_slice(), y.as_mut_slice());
                rt::matmul_unpacked(&shape, m, x, weight, transposed, Epilogue::NONE, y);
            });
        }
    }
}

/// (name, rows of an example, examples, inputs, outputs)
const WEIGHTS: &[(&str, usize, usize, usize, usize)] = &[
    ("mlp-dw1 b32", 1, 32, 784, 512),
    ("mlp-dw1 b64", 1, 64, 784, 512),
    ("mlp-dw1 b256", 1, 256, 784, 512),
    ("mlp-dw2 b64", 1, 64, 512, 256),
    ("mlp-dw3 b64", 1, 64, 256, 10),
    ("lstm-dw", 64, 32, 256, 1024),
    ("gpt-dw", 64, 16, 128, 512),
    ("gpt-dw back", 64, 16, 512, 128),
];

fn weight_gradients(bench: &Bench) {
    for &(name, rows, n, inputs, outputs) in WEIGHTS {
        let shape = MatMul { rows, inputs, outputs };
        let (x_len, d_y_len) = (rows * inputs, rows * outputs);
        let shards = Shards { examples: 16, floats: 16 * (x_len + d_y_len) + 16 };
        let arena = values(shards.room(n));
        let mut d_weight = values(inputs * outputs);
        let x = Segments::of_shards(arena.as_slice(), shards, 0, x_len);
        let d_y = Segments::of_shards(arena.as_slice(), shards, 16 * x_len, d_y_len);
        bench.product(name, "weight gradient", (inputs, outputs, n * rows), || {
            rt::matmul_weights(&shape, n, x, d_y, d_weight.as_mut_slice(), &Team::serial());
        });
    }
}

fn packing(bench: &Bench) {
    for (inputs, outputs) in [(784, 512), (256, 1024), (128, 512), (256, 10)] {
        for transposed in [false, true] {
            let layout = Pack { inputs, outputs, transposed };
            let (weight, mut panels) = (values(inputs * outputs), values(layout.len()));
            let name = format!("pack{} {inputs}x{outputs}", if transposed { " transposed" } else { "" });
            bench.pass(&name, weight.as_slice().len() + layout.len(), || {
                rt::pack(&layout, weight.as_slice(), panels.as_mut_slice(), &Team::serial());
            });
        }
    }
}

fn attention(bench: &Bench) {
    for (rows, inner, columns) in [(64, 32, 64), (64, 64, 32)] {
        for (transposed_a, transposed_b) in [(false, false), (false, true), (true, false)] {
            let count = 4;
            let shape = BatchedMatMul {
                count,
                rows,
                inner,
                columns,
                transposed_a,
                transposed_b,
                shared_a: false,
                shared_b: false,
                triangle: Triangle::None,
            };
            let (a, b) = (values(4 * count * rows * inner), values(4 * count * inner * columns));
            let mut y = values(4 * count * rows * columns);
            let flag = |transposed| if transposed { "T" } else { "N" };
            let name = format!("attention {rows}x{inner}x{columns} {}{}", flag(transposed_a), flag(transposed_b));
            bench.product(&name, "batched", (4 * count * rows, columns, inner), || {
                rt::batched_matmul(&shape, 4, a.as_slice(), b.as_slice(), y.as_mut_slice());
            });
        }
    }
}

/// Defines a pointwise expression.
macro_rules! expression {
    ($name:ident $count:literal [$($x:ident)*] $body:expr) => {
        struct $name;
        impl Pointwise<$count> for $name {
            #[inline(always)]
            fn eval<V: Lane>([$($x),*]: [V; $count]) -> V {
                $body
            }
        }
    };
}
expression!(Exp 1 [x] x.exp());
expression!(Log 1 [x] x.log());
expression!(Tanh 1 [x] x.tanh());
expression!(Sigmoid 1 [x] x.sigmoid());
expression!(Softplus 1 [x] x.softplus());
expression!(Erf 1 [x] x.erf());
expression!(Sin 1 [x] x.sin());
expression!(Cos 1 [x] x.cos());
expression!(Relu 1 [x] x.relu());
expression!(AddMul 3 [a b c] a * b + c);
expression!(Mask 2 [y d_y] y.greater(y.splat(0.0)) * d_y);

fn elementary(bench: &Bench) {
    let len = 2048;
    let x = values(len);
    let positive: Vec<f32> = x.as_slice().iter().map(|x| x.abs() + 0.01).collect();
    let mut y = values(len);
    macro_rules! function {
        ($name:literal, $function:expr, $x:expr) => {
            bench.function($name, len, || rt::pointwise($function, [Operand::full($x)], y.as_mut_slice()));
        };
    }
    function!("exp", Exp, x.as_slice());
    function!("log", Log, &positive);
    function!("tanh", Tanh, x.as_slice());
    function!("sigmoid", Sigmoid, x.as_slice());
    function!("softplus", Softplus, x.as_slice());
    function!("erf", Erf, x.as_slice());
    function!("sin", Sin, x.as_slice());
    function!("cos", Cos, x.as_slice());
}

fn memory(bench: &Bench) {
    for (level, len) in [("L1", 2_000), ("L2", 30_000), ("L3", 500_000)] {
        let (a, b, c) = (values(len), values(len), values(len));
        let mut y = values(len);
        bench.pass(&format!("relu {level}"), 2 * len, || {
            rt::pointwise(Relu, [Operand::full(a.as_slice())], y.as_mut_slice());
        });
        bench.pass(&format!("relu mask {level}"), 3 * len, || {
            rt::pointwise(Mask, [a.as_slice(), b.as_slice()].map(Operand::full), y.as_mut_slice());
        });
        bench.pass(&format!("a*b+c {level}"), 4 * len, || {
            let operands = [a.as_slice(), b.as_slice(), c.as_slice()].map(Operand::full);
            rt::pointwise(AddMul, operands, y.as_mut_slice());
        });
    }
    for (rows, classes) in [(64, 10), (256, 64), (128, 512), (64, 8192)] {
        let shape = Softmax { rows: 1, classes };
        let (x, d_y, labels) = (values(rows * classes), values(rows * classes), vec![3_u32; rows]);
        let (mut y, mut loss, d_loss) = (values(rows * classes), values(rows), values(rows));
        let len = rows * classes;
        bench.pass(&format!("softmax {rows}x{classes}"), 2 * len, || {
            rt::softmax(&shape, rows, x.as_slice(), y.as_mut_slice());
        });
        bench.pass(&format!("softmax_gradient {rows}x{classes}"), 3 * len, || {
            rt::softmax_gradient(&shape, rows, x.as_slice(), d_y.as_slice(), y.as_mut_slice());
        });
        bench.pass(&format!("cross_entropy {rows}x{classes}"), len, || {
            rt::cross_entropy(&shape, rows, x.as_slice(), &labels, loss.as_mut_slice());
        });
        bench.pass(&format!("cross_entropy_gradient {rows}x{classes}"), 2 * len, || {
            rt::cross_entropy_gradient(&shape, rows, x.as_slice(), &labels, d_loss.as_slice(), y.as_mut_slice());
        });
    }
    for (outer, reduced, inner) in [(256, 512, 1), (1024, 32, 1), (64, 64, 128), (256, 16, 8)] {
        let x = values(outer * reduced * inner);
        let mut y = values(outer * inner);
        let shape = Sum { outer, reduced, inner };
        let len = outer * (reduced + 1) * inner;
        bench.pass(&format!("sum {outer}x{reduced}x{inner}"), len, || {
            rt::sum(&shape, 1, x.as_slice(), y.as_mut_slice());
        });
    }
    for (n, len) in [(64, 512), (256, 512), (32, 65_536)] {
        let x = values(n * len);
        let mut y = values(len);
        bench.pass(&format!("sum_batch {n}x{len}"), (n + 1) * len, || {
            let x = Segments::of_examples(x.as_slice(), len);
            rt::sum_batch(len, n, x, y.as_mut_slice(), &Team::serial());
        });
    }
    for (rows, columns) in [(64, 32), (512, 784), (1000, 1000)] {
        let x = values(rows * columns);
        let mut y = values(rows * columns);
        let shape = Transpose { dims: &[columns, rows], strides: &[1, columns] };
        bench.pass(&format!("transpose {rows}x{columns}"), 2 * rows * columns, || {
            rt::transpose(&shape, 1, x.as_slice(), y.as_mut_slice());
        });
    }
    let shape = Transpose { dims: &[4, 64, 32], strides: &[32, 128, 1] };
    let (x, mut y) = (values(16 * 8192), values(16 * 8192));
    bench.pass("transpose heads 64x4x32", 2 * 16 * 8192, || {
        rt::transpose(&shape, 16, x.as_slice(), y.as_mut_slice());
    });
    let shape = Gather { rows: 96, width: 128, count: 64, steps: 1 };
    let (table, mut y) = (values(96 * 128), values(16 * 64 * 128));
    let mut rng = Rng::new(1);
    let indices: Vec<u32> = (0..16 * 64).map(|_| rng.below(96) as u32).collect();
    bench.pass("gather 1024x128", 2 * 1024 * 128, || {
        rt::gather(&shape, 16, table.as_slice(), &indices, y.as_mut_slice());
    });
    let mut d_table = values(96 * 128);
    bench.pass("gather_gradient 1024x128", 2 * 1024 * 128, || {
        let d_y = Segments::of_examples(y.as_slice(), 64 * 128);
        rt::gather_gradient(&shape, 16, &indices, d_y, d_table.as_mut_slice(), &Team::serial());
    });
}

/// A fork and a join of two threads that do nothing, one after another and after a gap. Not to be pinned to one core.
fn teams(bench: &Bench) {
    let team = Team::new(2);
    let mut floats = [0.0; 2];
    bench.fork("team", 0, || team.split(&mut floats, 1, |_, part| part[0] += 1.0));
    bench.fork("team after 50 µs", 50, || team.split(&mut floats, 1, |_, part| part[0] += 1.0));
    if bench.wants("fork rayon")
        && let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(2).build()
    {
        pool.install(|| {
            bench.fork("rayon", 0, || _ = rayon::broadcast(|_| black_box(1)));
            bench.fork("rayon after 50 µs", 50, || _ = rayon::broadcast(|_| black_box(1)));
        });
    }
}

/// How many multiply-adds of a lane the yardstick runs for a lane of results.
const CHAIN: usize = 12 * 1_000;

/// Twelve chains of multiply-adds, enough to fill two pipes of four cycles' latency.
struct MultiplyAdds;
impl Pointwise<1> for MultiplyAdds {
    #[inline(always)]
    fn eval<V: Lane>([x]: [V; 1]) -> V {
        let (factor, addend) = (x * x.splat(0.999), x * x.splat(1e-6));
        let mut chains = [x; 12];
        for _ in 0..CHAIN / 12 {
            for chain in &mut chains {
                *chain = chain.mul_add(factor, addend);
            }
        }
        chains.into_iter().fold(x, |sum, chain| sum + chain)
    }
}

struct Bench {
    name: Option<String>,
    time: Duration,
    products_only: bool,
}

/// Pairs of times, in seconds: of the case and of its yardstick.
struct Pairs(Vec<(f64, f64)>);

impl Bench {
    /// Reads the command line; `cargo bench` adds `--bench`.
    fn from_arguments() -> Self {
        let mut bench = Bench { name: None, time: Duration::from_millis(200), products_only: false };
        let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            if argument == "--seconds" {
                let seconds = arguments.next().and_then(|value| value.parse().ok());
                bench.time =
                    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(bench.time);
            } else if argument == "--products" {
                bench.products_only = true;
            } else {
                bench.name = Some(argument);
            }
        }
        bench
    }

    fn wants(&self, case: &str) -> bool {
        self.name.as_deref().is_none_or(|name| case.contains(name))
    }

    /// A product of `size` = (m, n, k), by the multiply-add loop.
    fn product(&self, name: &str, how: &str, (m, n, k): (usize, usize, usize), body: impl FnMut()) {
        if !self.wants(&format!("{name} {how}")) {
            return;
        }
        let work = (m * n * k) as f64;
        let pairs = self.pairs(body, multiply_adds);
        let (fastest, median) = pairs.shares(work, multiply_adds_per_call());
        println!(
            "{{\"gemm\":\"{name}\",\"how\":\"{how}\",\"m\":{m},\"n\":{n},\"k\":{k},\"peer\":\"dln\",\"threads\":1,{},\
             \"gflops\":{:.2},\"peak_fastest\":{fastest:.3},\"peak_median\":{median:.3}}}",
            pairs.times(),
            2e-9 * work / pairs.median(),
        );
    }

    /// A pass that reads and writes so many floats, by a copy of half as many.
    fn pass(&self, name: &str, floats: usize, body: impl FnMut()) {
        if !self.wants(name) {
            return;
        }
        let (from, mut to) = (values(floats / 2), values(floats / 2));
        let pairs = self.pairs(body, || to.as_mut_slice().copy_from_slice(black_box(from.as_slice())));
        let (fastest, median) = pairs.shares(1.0, 1.0);
        println!(
            "{{\"kernel\":\"{name}\",{},\"gbs\":{:.1},\"copy_fastest\":{fastest:.3},\"copy_median\":{median:.3}}}",
            pairs.times(),
            4e-9 * floats as f64 / pairs.median(),
        );
    }

    /// An elementary function of so many floats, in cycles for eight of them.
    fn function(&self, name: &str, floats: usize, body: impl FnMut()) {
        if !self.wants(name) {
            return;
        }
        let pairs = self.pairs(body, multiply_adds);
        // Two multiply-adds of a vector a cycle; a machine of other width is measured by the same unit.
        let lanes = if rt::isa() == rt::Isa::Avx512 { 16.0 } else { 8.0 };
        let (fastest, median) = pairs.shares(1.0, multiply_adds_per_call() / (2.0 * lanes));
        let (fastest, median) = (8.0 / floats as f64 / fastest, 8.0 / floats as f64 / median);
        println!(
            "{{\"function\":\"{name}\",{},\"cycles_fastest\":{fastest:.1},\"cycles_median\":{median:.1}}}",
            pairs.times(),
        );
    }

    /// A fork and join, each after so many microseconds of other work.
    fn fork(&self, who: &str, gap: u64, mut body: impl FnMut()) {
        if !self.wants(&format!("fork {who}")) {
            return;
        }
        let mut pairs = Vec::new();
        let start = Instant::now();
        while start.elapsed() < self.time || pairs.len() < 15 {
            let (inner, gap) = if gap == 0 { (20, Duration::ZERO) } else { (1, Duration::from_micros(gap)) };
            let work = Instant::now();
            while work.elapsed() < gap {}
            pairs.push((seconds(inner, &mut body), 0.0));
        }
        println!("{{\"fork\":\"{who}\",{}}}", Pairs(pairs).times());
    }

    /// Runs the case and its yardstick in turn.
    fn pairs(&self, mut body: impl FnMut(), mut yardstick: impl FnMut()) -> Pairs {
        let (inner, yardsticks) = (repetitions(&mut body), repetitions(&mut yardstick));
        let mut pairs = Vec::new();
        let start = Instant::now();
        while start.elapsed() < self.time || pairs.len() < 15 {
            let limit = seconds(yardsticks, &mut yardstick);
            pairs.push((seconds(inner, &mut body), limit));
        }
        Pairs(pairs)
    }
}

impl Pairs {
    fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self) -> f64 {
        Self::sorted(self.0.iter().map(|pair| pair.0))[self.0.len() / 2]
    }

    fn times(&self) -> String {
        let times = Self::sorted(self.0.iter().map(|pair| pair.0));
        format!("\"median_us\":{:.3},\"min_us\":{:.3}", 1e6 * times[times.len() / 2], 1e6 * times[0])
    }

    /// Work per time as shares of the yardstick's, by the fastest runs and by the median of the pairs.
    fn shares(&self, work: f64, limit: f64) -> (f64, f64) {
        let fastest = |times: Vec<f64>| times[0];
        let best = fastest(Self::sorted(self.0.iter().map(|pair| pair.1)))
            / fastest(Self::sorted(self.0.iter().map(|pair| pair.0)));
        let ratios = Self::sorted(self.0.iter().map(|(case, limit)| limit / case));
        (work / limit * best, work / limit * ratios[ratios.len() / 2])
    }
}

/// The multiply-adds of one float that the yardstick makes.
fn multiply_adds_per_call() -> f64 {
    (16 * CHAIN) as f64
}

/// The yardstick of arithmetic.
fn multiply_adds() {
    let x = black_box([1.0; 16]);
    let mut y = [0.0; 16];
    rt::pointwise(MultiplyAdds, [Operand::full(&x)], &mut y);
    black_box(y);
}

/// Seconds of one call, by the mean of `inner` calls.
fn seconds(inner: usize, body: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..inner {
        body();
    }
    start.elapsed().as_secs_f64() / inner as f64
}

/// How many calls take about 20 µs.
fn repetitions(body: &mut impl FnMut()) -> usize {
    let once = (0..5).map(|_| seconds(1, body)).fold(f64::INFINITY, f64::min);
    ((2e-5 / once.max(1e-9)) as usize).max(1)
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
