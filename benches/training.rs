//! Times one training step of whole networks and prints one JSON line for each workload.
//!
//! `cargo bench --bench training -- [WORKLOAD] [--batch N] [--threads N] [--seconds S]`; every workload without a name.
//! A line holds workload, threads, batch, median and fastest time in microseconds, repetitions, and the rate of
//! the products' floating-point operations (forward, weight gradients, input gradients but for the first layer).

use std::time::{Duration, Instant};

use dln::include_network;
use dln::runtime::{Examples, Network, Rng};

include_network!("tests/networks/lenet.dln");
include_network!("tests/networks/mlp.dln");

struct Choice {
    workload: Option<String>,
    batch: Option<usize>,
    threads: usize,
    seconds: f64,
}

fn main() {
    let choice = choice();
    let random = |len: usize| -> Vec<f32> {
        let mut rng = Rng::new(7);
        (0..len).map(|_| rng.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0).collect()
    };
    for batch in choice.batch.map_or(vec![64], |batch| vec![batch]) {
        let mut rng = Rng::new(11);
        let digits: Vec<u32> = (0..batch).map(|_| rng.below(10) as u32).collect();
        if choice.wants("lenet") {
            let pixels = random(batch * 784);
            let image = dln::runtime::views::<lenet::Image>(&pixels).to_vec();
            let multiply_adds = 784 * 6 * 25 + 100 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10;
            let examples = lenet::Examples { image, digit: digits.clone() };
            run::<LeNet>("lenet", &examples, 2 * batch * (3 * multiply_adds - 784 * 6 * 25), &choice);
        }
        if choice.wants("mlp") {
            let pixels = random(batch * 784);
            let image = dln::runtime::views::<mlp::Image>(&pixels).to_vec();
            let multiply_adds = 784 * 512 + 512 * 256 + 256 * 10;
            let examples = mlp::Examples { image, digit: digits };
            run::<Mlp>("mlp", &examples, 2 * batch * (3 * multiply_adds - 784 * 512), &choice);
        }
    }
}

impl Choice {
    fn wants(&self, workload: &str) -> bool {
        self.workload.as_deref().is_none_or(|wanted| wanted == workload)
    }
}

/// Reads the command line; `cargo bench` adds `--bench`.
fn choice() -> Choice {
    let mut choice = Choice { workload: None, batch: None, threads: 1, seconds: 3.0 };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut number = |name: &str| -> f64 {
            let value = arguments.next().and_then(|value| value.parse().ok());
            value.unwrap_or_else(|| usage(&format!("{name} needs a number")))
        };
        match argument.as_str() {
            "--batch" => choice.batch = Some(number("--batch").max(1.0) as usize),
            "--threads" => choice.threads = number("--threads").max(1.0) as usize,
            "--seconds" => choice.seconds = number("--seconds"),
            "lenet" | "mlp" => choice.workload = Some(argument),
            other => usage(&format!("unknown argument `{other}`")),
        }
    }
    choice
}

fn usage(problem: &str) -> ! {
    eprintln!("{problem}\nusage: [lenet|mlp] [--batch N] [--threads N] [--seconds S]");
    std::process::exit(2)
}

fn run<N: Network>(workload: &str, examples: &N::Examples, flops: usize, choice: &Choice) {
    let batch = examples.len();
    let (mut parameters, mut state) = N::initialize(0);
    let mut optimizers = N::optimizers(N::settings().optimizer, 0);
    let mut workspace = N::training_workspace(batch, choice.threads);
    let mut step = || {
        N::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None)
            .expect("the benchmark's examples fit its workspace");
    };
    let warm = Instant::now();
    while warm.elapsed() < Duration::from_millis(500) {
        step();
    }
    let mut times: Vec<f64> = Vec::new();
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < choice.seconds || times.len() < 6 {
        let before = Instant::now();
        step();
        times.push(before.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let (median, fastest) = (times[times.len() / 2], times[0]);
    println!(
        "{{\"workload\": \"{workload}\", \"peer\": \"dln\", \"version\": \"{}\", \"threads\": {}, \"batch\": {batch}, \
         \"median_us\": {median:.1}, \"min_us\": {fastest:.1}, \"reps\": {}, \"flops\": {flops}, \"gflops\": {:.2}}}",
        env!("CARGO_PKG_VERSION"),
        choice.threads,
        times.len(),
        flops as f64 / median / 1e3,
    );
}
