//! A network of a thousand parameters, trained example by example, beside loops written by hand over fixed arrays.
//!
//! `RUSTFLAGS="-C target-cpu=native" cargo bench --bench yardstick`, pinned to one core. Both train the same network from the same
//! parameters on the same examples; after a thousand steps losses and parameters must agree, then both are timed in turn. Prints the
//! fastest and the median time of a step in nanoseconds, and the ratios.

use std::hint::black_box;
use std::time::Instant;

use dln::runtime::{Network, Rng};

dln::network! {
    /// Six numbers to four, by two hidden layers.
    pub network Small {
        input x: [6];
        label target: [4];
        output estimate = x |> first: dense(64) |> relu |> second: dense(8) |> relu |> third: dense(4);
        loss mse(estimate, target);
        train { optimizer: sgd(learning_rate: 0.01), batch: 1, epochs: 1 }
    }
}

/// The rate of learning of both.
const RATE: f32 = 0.01;
/// How many examples there are.
const EXAMPLES: usize = 256;

/// The same network by hand.
struct ByHand {
    first: ([[f32; 64]; 6], [f32; 64]),
    second: ([[f32; 8]; 64], [f32; 8]),
    third: ([[f32; 4]; 8], [f32; 4]),
}

impl ByHand {
    /// Forward, backward and update for one example; the loss from before.
    fn step(&mut self, x: &[f32; 6], target: &[f32; 4]) -> f32 {
        let mut hidden = forward(x, &self.first);
        hidden = hidden.map(|value| value.max(0.0));
        let mut narrow = forward(&hidden, &self.second);
        narrow = narrow.map(|value| value.max(0.0));
        let estimate = forward(&narrow, &self.third);
        let differences: [f32; 4] = std::array::from_fn(|i| estimate[i] - target[i]);
        let loss: f32 = differences.iter().map(|difference| difference * difference).sum();
        let d_estimate = differences.map(|difference| difference * 0.5);
        let mut d_narrow = backward(&narrow, &d_estimate, &mut self.third);
        for (d, value) in d_narrow.iter_mut().zip(&narrow) {
            *d = if *value > 0.0 { *d } else { 0.0 };
        }
        let mut d_hidden = backward(&hidden, &d_narrow, &mut self.second);
        for (d, value) in d_hidden.iter_mut().zip(&hidden) {
            *d = if *value > 0.0 { *d } else { 0.0 };
        }
        update(x, &d_hidden, &mut self.first);
        loss * 0.25
    }
}

/// x · W + b.
#[inline]
fn forward<const I: usize, const O: usize>(x: &[f32; I], (weight, bias): &([[f32; O]; I], [f32; O])) -> [f32; O] {
    let mut y = *bias;
    for (x, row) in x.iter().zip(weight) {
        for (y, weight) in y.iter_mut().zip(row) {
            *y += x * weight;
        }
    }
    y
}

/// The gradient of x; updates the layer.
#[inline]
fn backward<const I: usize, const O: usize>(
    x: &[f32; I],
    d_y: &[f32; O],
    layer: &mut ([[f32; O]; I], [f32; O]),
) -> [f32; I] {
    let mut d_x = [0.0; I];
    for (d_x, row) in d_x.iter_mut().zip(&layer.0) {
        *d_x = row.iter().zip(d_y).map(|(weight, d_y)| weight * d_y).sum();
    }
    update(x, d_y, layer);
    d_x
}

#[inline]
fn update<const I: usize, const O: usize>(
    x: &[f32; I],
    d_y: &[f32; O],
    (weight, bias): &mut ([[f32; O]; I], [f32; O]),
) {
    for (x, row) in x.iter().zip(weight) {
        for (weight, d_y) in row.iter_mut().zip(d_y) {
            *weight -= RATE * (x * d_y);
        }
    }
    for (bias, d_y) in bias.iter_mut().zip(d_y) {
        *bias -= RATE * d_y;
    }
}

/// The network as compiled, with all that a step needs.
struct Compiled {
    parameters: small::Parameters,
    state: small::State,
    optimizers: [small::Optimizer; 1],
    workspace: small::TrainingWorkspace,
}

impl Compiled {
    fn step(&mut self, batch: small::Batch<'_>) -> f32 {
        let Self { parameters, state, optimizers, workspace } = self;
        let report = Small::step(parameters, state, optimizers, workspace, batch, None).expect("the example fits");
        report.loss
    }
}

fn main() {
    let mut rng = Rng::new(3);
    let mut random = || rng.next_u32() as f32 / 2f32.powi(31) - 1.0;
    let x: Vec<[f32; 6]> = (0..EXAMPLES).map(|_| [(); 6].map(|()| random())).collect();
    let target: Vec<[f32; 4]> = x.iter().map(|x| [x[0] * x[1], x[2], x[3] - x[4], x[5].abs()]).collect();
    let (parameters, state) = Small::initialize(1);
    let mut by_hand = ByHand {
        first: (*parameters.estimate_first_weight(), *parameters.estimate_first_bias()),
        second: (*parameters.estimate_second_weight(), *parameters.estimate_second_bias()),
        third: (*parameters.estimate_third_weight(), *parameters.estimate_third_bias()),
    };
    let mut compiled = Compiled {
        parameters,
        state,
        optimizers: Small::optimizers(Small::settings().optimizer, 1),
        workspace: Small::training_workspace(1, 1),
    };
    for i in 0..4 * EXAMPLES {
        let i = i % EXAMPLES;
        let ours = compiled.step(small::Batch { x: &x[i..i + 1], target: &target[i..i + 1] });
        let theirs = by_hand.step(&x[i], &target[i]);
        assert!((ours - theirs).abs() < 1e-5, "step {i}: losses {ours} and {theirs}");
    }
    let parameters = &compiled.parameters;
    let pairs = [
        (flat(parameters.estimate_first_weight()), flat(&by_hand.first.0)),
        (flat(parameters.estimate_second_weight()), flat(&by_hand.second.0)),
        (flat(parameters.estimate_third_weight()), flat(&by_hand.third.0)),
        (parameters.estimate_first_bias().to_vec(), by_hand.first.1.to_vec()),
        (parameters.estimate_second_bias().to_vec(), by_hand.second.1.to_vec()),
        (parameters.estimate_third_bias().to_vec(), by_hand.third.1.to_vec()),
    ];
    for (ours, theirs) in pairs.iter().flat_map(|(ours, theirs)| ours.iter().zip(theirs)) {
        assert!((ours - theirs).abs() < 1e-5, "a parameter is {ours}, by hand {theirs}");
    }

    let mut times = [const { Vec::new() }; 2];
    for _ in 0..2000 {
        times[0].push(nanoseconds(|i| {
            compiled.step(black_box(small::Batch { x: &x[i..i + 1], target: &target[i..i + 1] }))
        }));
        times[1].push(nanoseconds(|i| by_hand.step(black_box(&x[i]), black_box(&target[i]))));
    }
    let [ours, theirs] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        [times[0], times[times.len() / 2]]
    });
    for (how, place) in [("fastest", 0), ("median", 1)] {
        println!(
            "{how}: compiled {:.0} ns, by hand {:.0} ns, ratio {:.2}",
            ours[place],
            theirs[place],
            ours[place] / theirs[place]
        );
    }
}

fn flat<const I: usize, const O: usize>(weight: &[[f32; O]; I]) -> Vec<f32> {
    weight.as_flattened().to_vec()
}

/// Nanoseconds of a step, by the mean of one turn through the examples.
fn nanoseconds(mut step: impl FnMut(usize) -> f32) -> f64 {
    let start = Instant::now();
    for i in 0..EXAMPLES {
        black_box(step(i));
    }
    1e9 * start.elapsed().as_secs_f64() / EXAMPLES as f64
}
