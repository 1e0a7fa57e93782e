//! Times whole networks, a training step or an inference call each, and prints one JSON line for each measurement.
//!
//! `cargo bench --bench bench -- [--workload NAME,…] [--threads N] [--batch N] [--seconds S]`; everything without a name,
//! each workload at its usual batches. Names that end in `-inf` are inference. A line holds workload, threads, batch,
//! fastest time, median and 99th percentile in microseconds, repetitions, and the floating-point operations of products
//! and convolutions (forward, weight gradients, input gradients but for the first layer).

use std::hint::black_box;
use std::time::{Duration, Instant};

use dln::include_network;
use dln::runtime::{Examples, Network, Rng};

include_network!("tests/networks/lenet.dln");
include_network!("tests/networks/mlp.dln");
include_network!("benches/networks/cnn.dln");
include_network!("benches/networks/lstm.dln");
include_network!("benches/networks/transformer.dln");

/// Multiplications of one example, forward: all of them, and those of the layer that needs no gradient of its input.
struct Products {
    all: usize,
    first: usize,
}

const MLP: Products = Products { all: 784 * 512 + 512 * 256 + 256 * 10, first: 784 * 512 };
const LENET: Products =
    Products { all: 784 * 6 * 25 + 100 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10, first: 784 * 6 * 25 };
const CNN: Products = Products {
    all: 1024 * 32 * 27 + 1024 * 32 * 288 + 256 * 64 * 288 + 256 * 64 * 576 + 4096 * 512 + 5120,
    first: 1024 * 32 * 27,
};
const LSTM: Products = Products { all: 64 * (4 * 256 * (64 + 256) + 256 * 96), first: 0 };
const TRANSFORMER: Products = Products { all: 64 * (4 * (12 * 128 * 128 + 2 * 64 * 128) + 128 * 96), first: 0 };

/// Every workload with its usual batches.
const WORKLOADS: &[(&str, &[usize])] = &[
    ("mlp", &[32, 64, 256]),
    ("lenet", &[64]),
    ("cnn", &[64]),
    ("lstm", &[32]),
    ("transformer", &[16]),
    ("mlp-inf", &[1, 32]),
    ("lenet-inf", &[1, 32]),
    ("cnn-inf", &[1, 32]),
];

struct Choice {
    workloads: Option<Vec<String>>,
    batch: Option<usize>,
    threads: usize,
    seconds: f64,
}

fn main() {
    let choice = choice();
    for (name, batches) in WORKLOADS {
        if choice.workloads.as_ref().is_some_and(|wanted| !wanted.iter().any(|wanted| wanted == name)) {
            continue;
        }
        for &batch in choice.batch.as_ref().map_or(*batches, std::slice::from_ref) {
            workload(name, batch, &choice);
        }
    }
}

/// The inference call of a network's module, timed.
macro_rules! infer {
    ($module:ident, $images:expr, $name:expr, $products:expr, $choice:expr) => {{
        let images = $images;
        let prepared = $module::Parameters::init(0).prepare(&<$module::State as dln::runtime::Tensors>::zeros());
        let mut workspace = $module::Workspace::with_threads(images.len(), $choice.threads);
        let call = || {
            black_box($module::forward(&prepared, &mut workspace, black_box(&images)).expect("inputs fit"));
        };
        report($name, images.len(), 2 * images.len() * $products.all, $choice, call);
    }};
}

fn workload(name: &str, batch: usize, choice: &Choice) {
    let pixels = |len: usize| -> Vec<f32> {
        let mut rng = Rng::new(7);
        (0..batch * len).map(|_| rng.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0).collect()
    };
    let indices = |below: usize, len: usize| -> Vec<u32> {
        let mut rng = Rng::new(11);
        (0..batch * len).map(|_| rng.below(below) as u32).collect()
    };
    let flat = || dln::runtime::views::<[f32; 784]>(&pixels(784)).to_vec();
    let grey = || dln::runtime::views::<lenet::Image>(&pixels(784)).to_vec();
    let colour = || dln::runtime::views::<cnn::Image>(&pixels(3072)).to_vec();
    let text = || dln::runtime::views::<[u32; 64]>(&indices(96, 64)).to_vec();
    let digit = || indices(10, 1);
    match name {
        "mlp" => train::<Mlp>(name, &mlp::Examples { image: flat(), digit: digit() }, MLP, choice),
        "lenet" => train::<LeNet>(name, &lenet::Examples { image: grey(), digit: digit() }, LENET, choice),
        "cnn" => train::<Cnn>(name, &cnn::Examples { image: colour(), class: digit() }, CNN, choice),
        "lstm" => train::<Lstm>(name, &lstm::Examples { signs: text(), next: text() }, LSTM, choice),
        "transformer" => {
            train::<Transformer>(name, &transformer::Examples { signs: text(), next: text() }, TRANSFORMER, choice);
        }
        "mlp-inf" => infer!(mlp, flat(), name, MLP, choice),
        "lenet-inf" => infer!(lenet, grey(), name, LENET, choice),
        _ => infer!(cnn, colour(), name, CNN, choice),
    }
}

fn train<N: Network>(name: &str, examples: &N::Examples, products: Products, choice: &Choice) {
    let batch = examples.len();
    let (mut parameters, mut state) = N::initialize(0);
    let mut optimizers = N::optimizers(N::settings().optimizer, 0);
    let mut workspace = N::training_workspace(batch, choice.threads);
    let step = || {
        N::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None)
            .expect("the benchmark's examples fit its workspace");
    };
    report(name, batch, 2 * batch * (3 * products.all - products.first), choice, step);
}

fn report(name: &str, batch: usize, flops: usize, choice: &Choice, mut call: impl FnMut()) {
    let warm = Instant::now();
    while warm.elapsed() < Duration::from_millis(500) {
        call();
    }
    let mut times: Vec<f64> = Vec::new();
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < choice.seconds || times.len() < 6 {
        let before = Instant::now();
        call();
        times.push(before.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let (median, fastest, slow) = (times[times.len() / 2], times[0], times[times.len() * 99 / 100]);
    println!(
        "{{\"workload\": \"{name}\", \"peer\": \"dln\", \"version\": \"{}\", \"threads\": {}, \"batch\": {batch}, \
         \"median_us\": {median:.1}, \"min_us\": {fastest:.1}, \"p99_us\": {slow:.1}, \"reps\": {}, \"flops\": {flops}, \
         \"gflops\": {:.2}}}",
        env!("CARGO_PKG_VERSION"),
        choice.threads,
        times.len(),
        flops as f64 / median / 1e3,
    );
}

/// Reads the command line; `cargo bench` adds `--bench`.
fn choice() -> Choice {
    let mut choice = Choice { workloads: None, batch: None, threads: 1, seconds: 3.0 };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| usage(&format!("{argument} needs a value")));
        let number = || -> f64 { value.parse().unwrap_or_else(|_| usage(&format!("{argument} needs a number"))) };
        match argument.as_str() {
            "--batch" => choice.batch = Some(number().max(1.0) as usize),
            "--threads" => choice.threads = number().max(1.0) as usize,
            "--seconds" => choice.seconds = number(),
            "--workload" => {
                let known = |name: &&str| WORKLOADS.iter().any(|(workload, _)| workload == name);
                let names: Vec<&str> = value.split(',').collect();
                if let Some(unknown) = names.iter().find(|name| !known(name)) {
                    usage(&format!("there is no workload `{unknown}`"));
                }
                choice.workloads = Some(names.into_iter().map(str::to_owned).collect());
            }
            other => usage(&format!("unknown argument `{other}`")),
        }
    }
    choice
}

fn usage(problem: &str) -> ! {
    let names: Vec<&str> = WORKLOADS.iter().map(|(name, _)| *name).collect();
    eprintln!(
        "{problem}\nusage: [--workload NAME,…] [--batch N] [--threads N] [--seconds S]\nworkloads: {}",
        names.join(", ")
    );
    std::process::exit(2)
}
