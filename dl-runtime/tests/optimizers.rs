//! Optimizers and schedules beside those of PyTorch and optax, or beside their papers' algorithms in NumPy, over 100 steps.
//!
//! The fixtures and the script that made them are in the folder `optimizers`.

use std::collections::BTreeMap;

use dl_runtime::{
    AdaDelta, AdaGrad, Adam, AdamW, AmsGrad, Clip, Decay, Ftrl, Lion, NAdam, Optimizer, Options, ProximalAdaGrad,
    ProximalGradient, RmsProp, Rule, Schedule, Settings, Sgd, Shape, Team, TensorInfo,
};

const NOISE: &str = include_str!("optimizers/noise.csv");
const TRAJECTORIES: &str = include_str!("optimizers/trajectories.csv");
const SCHEDULES: &str = include_str!("optimizers/schedules.csv");

const START: [f64; 5] = [1.0, -2.0, 0.5, 3.0, -0.25];
const TARGET: [f64; 5] = [0.5, 0.25, -1.0, 0.0, 0.75];
const CURVATURE: [f64; 5] = [1.0, 4.0, 0.25, 2.0, 0.5];

/// The five parameters lie apart, as tensors of a network do.
const TENSORS: &[TensorInfo] = &[
    TensorInfo { name: "layer.weight", dims: &[3], offset: 0, place: "" },
    TensorInfo { name: "layer.bias", dims: &[2], offset: 16, place: "" },
];
const PLACES: [usize; 5] = [0, 1, 2, 16, 17];

/// The rows of a fixture by their first field.
fn rows(text: &'static str) -> BTreeMap<&'static str, Vec<Vec<f64>>> {
    let mut rows: BTreeMap<&str, Vec<Vec<f64>>> = BTreeMap::new();
    for line in text.lines() {
        let (name, numbers) = line.split_once(',').unwrap();
        rows.entry(name).or_default().push(numbers.split(',').map(|number| number.parse().unwrap()).collect());
    }
    rows
}

/// The parameters, or their averages, after each step.
fn run<R: Rule>(rule: R, options: Options) -> Vec<[f64; 5]> {
    let settings = Settings { options, ..Settings::new(rule) };
    assert_eq!(settings.check(TENSORS), Ok(()));
    let mut optimizer = Optimizer::with_settings(&settings, 0, 32, TENSORS);
    let (mut parameters, mut gradients) = ([0.0_f32; 32], [0.0_f32; 32]);
    PLACES.iter().zip(START).for_each(|(&place, start)| parameters[place] = start as f32);
    let mut steps = Vec::new();
    for noise in NOISE.lines() {
        let noise = noise.split(',').map(|number| number.parse::<f64>().unwrap());
        for (i, noise) in noise.enumerate() {
            let p = f64::from(parameters[PLACES[i]]);
            gradients[PLACES[i]] = (CURVATURE[i] * (p - TARGET[i]) + noise) as f32;
        }
        assert_eq!(optimizer.check(32), Ok(()));
        optimizer.update(&mut parameters, &gradients, &Team::serial());
        let mut shown = parameters;
        optimizer.write_average(&mut shown);
        steps.push(PLACES.map(|place| f64::from(shown[place])));
        assert!((0..32).filter(|place| !PLACES.contains(place)).all(|place| shown[place] == 0.0), "{shown:?}");
    }
    assert_eq!(steps.len(), 100);
    steps
}

fn plain(options: Options) -> Vec<[f64; 5]> {
    run(Sgd { learning_rate: 0.05, momentum: 0.9, ..Sgd::new() }, options)
}

/// What the fixture's trajectory of that name is of.
fn trajectory(name: &str) -> Vec<[f64; 5]> {
    let none = Options::new;
    let adam = Adam { learning_rate: 0.05, ..Adam::new() };
    let sgd = Sgd { learning_rate: 0.05, ..Sgd::new() };
    let nadam = NAdam { learning_rate: 0.05, ..NAdam::new() };
    let amsgrad = AmsGrad { learning_rate: 0.05, beta2: 0.9, ..AmsGrad::new() };
    let adamw = AdamW { learning_rate: 0.05, weight_decay: 0.2, ..AdamW::new() };
    let ftrl = Ftrl { learning_rate: 0.3, ..Ftrl::new() };
    let rmsprop = RmsProp { learning_rate: 0.005, ..RmsProp::new() };
    let limited = Clip::GlobalNorm(0.5);
    match name {
        "sgd" => run(sgd, none()),
        "sgd_momentum" => run(Sgd { momentum: 0.9, weight_decay: 0.01, ..sgd }, none()),
        "sgd_nesterov" => run(Sgd { momentum: 0.9, nesterov: true, ..sgd }, none()),
        "adagrad" => run(AdaGrad { learning_rate: 0.3, ..AdaGrad::new() }, none()),
        "adagrad_accumulator" => {
            let rule = AdaGrad { learning_rate: 0.3, initial_accumulator: 0.1, weight_decay: 0.01, ..AdaGrad::new() };
            run(rule, none())
        }
        "rmsprop" => run(RmsProp { learning_rate: 0.02, ..rmsprop }, none()),
        "rmsprop_momentum" => run(RmsProp { rho: 0.9, momentum: 0.9, weight_decay: 0.01, ..rmsprop }, none()),
        "rmsprop_centered" => run(RmsProp { momentum: 0.5, centered: true, ..rmsprop }, none()),
        "adadelta" => run(AdaDelta::new(), none()),
        "adadelta_decay" => run(AdaDelta { learning_rate: 5.0, rho: 0.8, epsilon: 1e-4, weight_decay: 0.01 }, none()),
        "adam" => run(adam, none()),
        "adam_decay" => run(Adam { beta1: 0.8, beta2: 0.95, epsilon: 1e-3, weight_decay: 0.1, ..adam }, none()),
        "adamw" => run(adamw, none()),
        "nadam" => run(nadam, none()),
        "nadam_decay" => run(NAdam { beta1: 0.8, beta2: 0.95, weight_decay: 0.1, ..nadam }, none()),
        "amsgrad" => run(amsgrad, none()),
        "amsgrad_decay" => run(AmsGrad { weight_decay: 0.1, ..amsgrad }, none()),
        "lion" => run(Lion { learning_rate: 0.02, ..Lion::new() }, none()),
        "lion_decay" => run(Lion { learning_rate: 0.02, beta1: 0.8, beta2: 0.95, weight_decay: 0.1 }, none()),
        "ftrl" => run(ftrl, none()),
        "ftrl_penalties" => run(Ftrl { l1: 2.0, l2: 0.5, ..ftrl }, none()),
        "proximal_gradient" => run(ProximalGradient { learning_rate: 0.05, l1: 0.6, l2: 0.2 }, none()),
        "proximal_adagrad" => {
            run(ProximalAdaGrad { learning_rate: 0.2, initial_accumulator: 0.1, l1: 0.6, l2: 0.2 }, none())
        }
        "clip_value" => plain(Options { clip: Clip::Value(0.4), ..none() }),
        "clip_norm" => plain(Options { clip: Clip::Norm(0.5), ..none() }),
        "clip_global_norm" => plain(Options { clip: limited, ..none() }),
        "accumulate" => run(adam, Options { accumulate: 4, ..none() }),
        "accumulate_clip" => plain(Options { accumulate: 4, clip: limited, ..none() }),
        "ema" => plain(Options { ema: Some(0.9), ..none() }),
        "accumulate_ema" => run(adam, Options { accumulate: 4, ema: Some(0.5), ..none() }),
        "decay_groups" => run(adamw, Options { decay: vec![Decay::new("*.bias", 0.0)], ..none() }),
        _ => panic!("`{name}` is not known"),
    }
}

#[test]
fn trajectories_agree_with_other_frameworks() {
    let fixtures = rows(TRAJECTORIES);
    assert_eq!(fixtures.len(), 31);
    for (name, expected) in fixtures {
        let found = trajectory(name);
        for row in expected {
            let (step, expected) = (row[0] as usize, &row[1..]);
            for (found, expected) in found[step - 1].iter().zip(expected) {
                let error = (found - expected).abs();
                assert!(error <= 1e-5 * expected.abs().max(1.0), "{name}, step {step}: {found} instead of {expected}");
            }
        }
    }
}

/// The schedule that the fixture's curve of that name is of, with one step to the epoch.
fn schedule(name: &str) -> Schedule {
    Schedule::new(match name {
        "step" => Shape::Step { every: 7.0, factor: 0.5 },
        "piecewise" => Shape::Piecewise { pieces: vec![(10.0, 0.2), (25.0, 0.04), (70.0, 0.008)] },
        "exponential" => Shape::Exponential { factor: 0.97 },
        "polynomial" => Shape::Polynomial { epochs: 60.0, end: 0.0, power: 2.0 },
        "cosine" => Shape::Cosine { epochs: 100.0, end: 0.05 },
        "cosine_restarts" => Shape::CosineRestarts { epochs: 10.0, growth: 2.0, end: 0.05 },
        "cosine_restarts_even" => Shape::CosineRestarts { epochs: 15.0, growth: 1.0, end: 0.0 },
        "one_cycle" => Shape::OneCycle { epochs: 101.0, rise: 0.3, start: 0.04, end: 4e-6 },
        "warm_up" => return Schedule::new(Shape::Cosine { epochs: 80.0, end: 0.0 }).after_warm_up(20.0, 0.1),
        "plateau" => Shape::Plateau { factor: 0.5, patience: 3, minimum_change: 0.02, cooldown: 3, end: 0.01 },
        _ => panic!("`{name}` is not known"),
    })
}

/// The losses that the fixture's plateau was shown.
fn plateau_loss(epoch: usize) -> f64 {
    let loss = f64::max(1.0 - 0.1 * (epoch / 9) as f64, 0.3 - 0.001 * epoch as f64);
    ((loss + 0.01 * ((epoch * 7) % 5) as f64) * 1e6).round() / 1e6
}

#[test]
fn schedules_agree_with_those_of_pytorch() {
    let fixtures = rows(SCHEDULES);
    assert_eq!(fixtures.len(), 10);
    for (name, expected) in fixtures {
        let schedule = schedule(name);
        assert_eq!(schedule.check(), Ok(()));
        let plateau = schedule.plateau().map(|mut plateau| {
            let mut factors = vec![plateau.factor()];
            factors.extend((0..100).map(|epoch| plateau.observe(plateau_loss(epoch))));
            factors
        });
        for row in expected {
            let (step, expected) = (row[0] as usize, row[1]);
            let found = match &plateau {
                Some(factors) => factors[step],
                None => schedule.rate(1.0, step as u64, 1),
            };
            assert!((found - expected).abs() <= 1e-9, "{name}, step {step}: {found} instead of {expected}");
        }
    }
}

/// Lengths are epochs: ten steps to the epoch stretch a curve, and it may fall between epochs.
#[test]
fn schedules_count_epochs() {
    for name in ["exponential", "polynomial", "cosine", "cosine_restarts", "warm_up"] {
        let schedule = schedule(name);
        for epoch in 0..100 {
            let (found, expected) = (schedule.factor(epoch * 10, 10), schedule.factor(epoch, 1));
            assert!((found - expected).abs() < 1e-9, "{name}, epoch {epoch}: {found} instead of {expected}");
        }
        assert!(schedule.factor(5, 10) != schedule.factor(0, 10), "{name}");
    }
    let step = schedule("step");
    assert_eq!([69, 70].map(|at| step.factor(at, 10)), [1.0, 0.5]);
    // The ends are kept, and no number of steps is too large.
    for (name, end) in [("polynomial", 0.0), ("cosine", 0.05), ("one_cycle", 4e-6)] {
        assert!((schedule(name).factor(u64::MAX, 1) - end).abs() < 1e-12, "{name}");
    }
    assert!(schedule("cosine_restarts").factor(u64::MAX, 1).is_finite());
    assert_eq!(Schedule::constant().rate(0.3, 7, 0), 0.3);
}

#[test]
fn a_plateau_goes_on_from_its_state() {
    let schedule = schedule("plateau");
    let mut whole = schedule.plateau().unwrap();
    for pause in 0..60 {
        let mut resumed = schedule.plateau().unwrap();
        resumed.set_state(whole.state());
        assert_eq!(resumed.observe(plateau_loss(pause)), whole.observe(plateau_loss(pause)));
        assert_eq!(resumed.state(), whole.state());
    }
    assert!(whole.factor() < 1.0);
    // NaN improves on nothing.
    let mut plateau = schedule.plateau().unwrap();
    let factors = [1.0, f64::NAN, f64::NAN, f64::NAN].map(|loss| plateau.observe(loss));
    assert_eq!(factors, [1.0, 1.0, 1.0, 0.5]);
    assert!(Schedule::constant().plateau().is_none());
}

#[test]
fn wrong_schedules_are_errors() {
    let message = |shape| Schedule::new(shape).check().unwrap_err().to_string();
    let above = "is a finite number above 0, found";
    assert_eq!(message(Shape::Cosine { epochs: 0.0, end: 0.0 }), format!("`epochs` of `cosine` {above} 0"));
    assert_eq!(message(Shape::Exponential { factor: f64::NAN }), format!("`factor` of `exponential` {above} NaN"));
    assert_eq!(message(Shape::Step { every: -1.0, factor: 0.1 }), format!("`every` of `step` {above} -1"));
    assert_eq!(
        message(Shape::Piecewise { pieces: vec![(2.0, 0.1), (2.0, 0.01)] }),
        "`epoch` of `piecewise` is after the epoch before it, found 2"
    );
    assert_eq!(
        message(Shape::CosineRestarts { epochs: 1.0, growth: 0.5, end: 0.0 }),
        "`growth` of `cosine_restarts` is a finite number of at least 1, found 0.5"
    );
    let share = "is a number from 0 to 1, found";
    assert_eq!(
        message(Shape::OneCycle { epochs: 1.0, rise: 2.0, start: 0.0, end: 0.0 }),
        format!("`rise` of `one_cycle` {share} 2")
    );
    let warm = Schedule::constant().after_warm_up(1.0, -0.5);
    assert_eq!(warm.check().unwrap_err().to_string(), format!("`start` of `warm_up` {share} -0.5"));
}
