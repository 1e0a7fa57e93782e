//! Rules beside their formulas in f64, and what holds for all rules.

use super::*;
use crate::Rng;

/// What a rule does to one parameter, in f64, straight from its formula.
fn recompute(mut p: f64, gradients: &[f64], mut step: impl FnMut(u64, f64, f64) -> f64) -> f64 {
    for (t, &g) in (1..).zip(gradients) {
        p -= step(t, p, g);
    }
    p
}

fn sgd_step(rule: Sgd) -> impl FnMut(u64, f64, f64) -> f64 {
    let [rate, momentum, decay] = [rule.learning_rate, rule.momentum, rule.weight_decay].map(f64::from);
    let mut v = 0.0;
    move |_, p, g| {
        let g = g + decay * p;
        v = momentum * v + g;
        rate * if rule.nesterov { g + momentum * v } else { v }
    }
}

fn adam_step(rule: Adam) -> impl FnMut(u64, f64, f64) -> f64 {
    let [rate, beta1, beta2] = [rule.learning_rate, rule.beta1, rule.beta2].map(f64::from);
    let [epsilon, decay] = [rule.epsilon, rule.weight_decay].map(f64::from);
    let (mut m, mut v) = (0.0, 0.0);
    move |t, p, g| {
        let g = g + decay * p;
        m = beta1 * m + (1.0 - beta1) * g;
        v = beta2 * v + (1.0 - beta2) * g * g;
        let (m, v) = (m / (1.0 - beta1.powi(t as i32)), v / (1.0 - beta2.powi(t as i32)));
        rate * m / (v.sqrt() + epsilon)
    }
}

/// Runs a rule over parameters of every remainder length beside its recomputation.
fn follow<R: Rule, S: FnMut(u64, f64, f64) -> f64>(rule: R, formula: impl Fn() -> S) {
    let mut rng = Rng::new(9);
    let mut number = || (rng.next_u32() as f32 / u32::MAX as f32) * 2.0 - 1.0;
    for len in (0..20).chain([63, 4097]) {
        let start: Vec<f32> = (0..len).map(|_| number()).collect();
        let gradients: Vec<Vec<f32>> = (0..30).map(|_| (0..len).map(|_| number()).collect()).collect();
        let mut parameters = start.clone();
        let mut optimizer = Optimizer::new(rule, 0, len);
        for (step, gradients) in (1..).zip(&gradients) {
            assert_eq!(optimizer.step(), step);
            optimizer.update(&mut parameters, gradients, &Team::serial());
        }
        for i in (0..len).step_by(if len > 100 { 97 } else { 1 }) {
            let gradients: Vec<f64> = gradients.iter().map(|g| f64::from(g[i])).collect();
            let expected = recompute(f64::from(start[i]), &gradients, formula());
            let error = (f64::from(parameters[i]) - expected).abs();
            assert!(error < 2e-5, "{rule:?}: {} instead of {expected}", parameters[i]);
        }
    }
}

#[test]
fn sgd_follows_its_formula() {
    let rules = [
        Sgd::new(),
        Sgd { learning_rate: 0.05, momentum: 0.9, ..Sgd::new() },
        Sgd { learning_rate: 0.05, momentum: 0.9, nesterov: true, ..Sgd::new() },
        Sgd { learning_rate: 0.05, momentum: 0.5, nesterov: true, weight_decay: 0.01 },
    ];
    for rule in rules {
        follow(rule, || sgd_step(rule));
    }
}

#[test]
fn adam_follows_its_formula() {
    let rules = [
        Adam::new(),
        Adam { learning_rate: 0.02, weight_decay: 0.1, ..Adam::new() },
        Adam { learning_rate: 0.01, beta1: 0.5, beta2: 0.9, epsilon: 1e-3, weight_decay: 0.0 },
    ];
    for rule in rules {
        follow(rule, || adam_step(rule));
    }
}

/// The first step of Adam is `learning_rate` long, whatever the gradient (Kingma and Ba, section 2.1).
#[test]
fn adams_first_step_has_the_length_of_its_rate() {
    let mut parameters = [0.0; 4];
    let mut optimizer = Optimizer::new(Adam::new(), 0, 4);
    optimizer.update(&mut parameters, &[1e-3, -1.0, 1e4, 0.0], &Team::serial());
    for (p, expected) in parameters.into_iter().zip([-1e-3, 1e-3, -1e-3, 0.0]) {
        assert!((p - expected).abs() < 1e-7, "{parameters:?}");
    }
}

#[test]
fn tiny_numbers_do_not_stay_in_the_slots() {
    let mut optimizer = Optimizer::new(Adam::new(), 0, 8);
    let mut parameters = [1.0; 8];
    optimizer.update(&mut parameters, &[1e-30; 8], &Team::serial());
    for _ in 0..500 {
        optimizer.update(&mut parameters, &[0.0; 8], &Team::serial());
    }
    assert!(optimizer.memory().iter().all(|x| *x == 0.0 || x.is_normal()));
    let mut optimizer = Optimizer::new(Sgd { momentum: 0.5, ..Sgd::new() }, 0, 8);
    optimizer.update(&mut parameters, &[1.0; 8], &Team::serial());
    for _ in 0..200 {
        optimizer.update(&mut parameters, &[0.0; 8], &Team::serial());
    }
    assert_eq!(optimizer.memory(), [0.0; 8]);
}

#[test]
fn bits_do_not_depend_on_the_threads() {
    // One tensor that is dealt by itself, between others.
    const TENSORS: &[TensorInfo] = &[
        TensorInfo { name: "bias", dims: &[90], offset: 0, place: "" },
        TensorInfo { name: "weight", dims: &[4 * UNIT / 32, 35], offset: 96, place: "" },
    ];
    let len = 5 * UNIT + 123;
    let mut rng = Rng::new(4);
    let mut number = || rng.next_u32() as f32 / u32::MAX as f32 - 0.5;
    let start: Vec<f32> = (0..len).map(|_| number()).collect();
    let gradients: Vec<f32> = (0..len).map(|_| number()).collect();
    let run = |threads| {
        let team = Team::new(threads);
        let mut parameters = start.clone();
        let settings = Settings::new(Adam { weight_decay: 0.01, ..Adam::new() });
        let mut optimizer = Optimizer::with_settings(&settings, 0, len, TENSORS);
        for _ in 0..3 {
            optimizer.update(&mut parameters, &gradients, &team);
        }
        parameters
    };
    let alone = run(1);
    for threads in [2, 3, 8] {
        assert!(run(threads) == alone, "{threads} threads");
    }
}

#[test]
fn the_learning_rate_can_be_changed() {
    let mut optimizer = Optimizer::new(Sgd::new(), 0, 1);
    optimizer.rule.set_learning_rate(0.5);
    assert_eq!(optimizer.rule.learning_rate(), 0.5);
    let mut parameters = [1.0];
    optimizer.update(&mut parameters, &[1.0], &Team::serial());
    assert_eq!(parameters, [0.5]);
}

#[test]
fn an_optimizer_of_another_network_is_an_error() {
    let optimizer = Optimizer::new(Adam::new(), 0, 12);
    assert_eq!(optimizer.check(12), Ok(()));
    let error = InputError::OptimizerMismatch { expected: 24, found: 12 };
    assert_eq!(optimizer.check(24), Err(error));
    assert_eq!(error.to_string(), "the optimizer was made for 12 parameters, expected 24");
    assert_eq!(Optimizer::new(Sgd::new(), 0, 0).check(0), Ok(()));
    assert!(Optimizer::new(Sgd::new(), 0, 0).check(1).is_err());
}

/// A step over two ranges is a step over their parameters alone, whatever lies around them.
#[test]
fn other_parameters_are_not_touched() {
    let rule = Adam { weight_decay: 0.1, ..Adam::new() };
    let start: Vec<f32> = (0..64).map(|i| i as f32 - 30.5).collect();
    let ranges = [3..20, 32..37];
    let inside = |i: &usize| ranges.iter().any(|range| range.contains(i));
    let only = |values: &[f32]| (0..64).filter(inside).map(|i| values[i]).collect::<Vec<f32>>();
    let (mut all, mut alone) = (start.clone(), only(&start));
    let mut optimizer = Optimizer::new(rule, 0, alone.len());
    let mut expected = optimizer.clone();
    for step in 0..5 {
        let gradients: Vec<f32> = (0..64).map(|i| (i * step) as f32 * 0.01 - 0.2).collect();
        optimizer.update_ranges(&mut all, &gradients, &ranges, &Team::serial());
        expected.update(&mut alone, &only(&gradients), &Team::serial());
    }
    assert_eq!(only(&all), alone);
    assert!((0..64).filter(|i| !inside(i)).all(|i| all[i] == start[i]));
    assert_eq!(optimizer.step(), 6);
}

#[test]
#[should_panic(expected = "ranges as long as the 4 parameters")]
fn ranges_are_checked() {
    Optimizer::new(Sgd::new(), 0, 4).update_ranges(&mut [0.0; 8], &[0.0; 8], &[0..2, 5..6], &Team::serial());
}

#[test]
#[should_panic(expected = "one gradient for each parameter")]
fn lengths_are_checked() {
    Optimizer::new(Sgd::new(), 0, 2).update(&mut [0.0; 2], &[0.0; 3], &Team::serial());
}

/// Runs a test over all rules, with rates of one size and every setting in use.
macro_rules! with_every_rule {
    ($test:ident) => {{
        $test(Sgd { learning_rate: 0.02, momentum: 0.9, nesterov: true, weight_decay: 0.1 });
        $test(AdaGrad { learning_rate: 0.02, weight_decay: 0.1, ..AdaGrad::new() });
        $test(RmsProp { learning_rate: 0.02, momentum: 0.5, centered: true, weight_decay: 0.1, ..RmsProp::new() });
        $test(AdaDelta { weight_decay: 0.1, ..AdaDelta::new() });
        $test(Adam { learning_rate: 0.02, weight_decay: 0.1, ..Adam::new() });
        $test(AdamW { learning_rate: 0.02, weight_decay: 0.1, ..AdamW::new() });
        $test(NAdam { learning_rate: 0.02, weight_decay: 0.1, ..NAdam::new() });
        $test(AmsGrad { learning_rate: 0.02, weight_decay: 0.1, ..AmsGrad::new() });
        $test(Lion { learning_rate: 0.02, weight_decay: 0.1, ..Lion::new() });
        $test(Ftrl { l1: 0.01, l2: 0.1, ..Ftrl::new() });
        $test(ProximalGradient { learning_rate: 0.02, l1: 0.01, l2: 0.1 });
        $test(ProximalAdaGrad { learning_rate: 0.02, l1: 0.01, l2: 0.1, ..ProximalAdaGrad::new() });
    }};
}

fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.next_u32() as f32 / u32::MAX as f32 - 0.5).collect()
}

/// Options that use all of the memory.
fn all_options() -> Options {
    Options { clip: Clip::GlobalNorm(0.7), accumulate: 2, ema: Some(0.9), decay: Vec::new() }
}

/// The parameters and the memory after some steps.
fn after<R: Rule>(rule: R, options: &Options, start: &[f32], steps: u64, threads: usize) -> (Vec<f32>, Optimizer<R>) {
    let (mut parameters, team) = (start.to_vec(), Team::new(threads));
    let mut optimizer = Optimizer::new(rule, 0, start.len());
    optimizer.set_options(options.clone()).unwrap();
    go_on(&mut optimizer, &mut parameters, 0..steps, &team);
    (parameters, optimizer)
}

fn go_on<R: Rule>(optimizer: &mut Optimizer<R>, parameters: &mut [f32], steps: Range<u64>, team: &Team) {
    for step in steps {
        optimizer.update(parameters, &numbers(parameters.len(), 100 + step), team);
    }
}

#[test]
fn bits_of_no_rule_depend_on_the_threads() {
    fn test<R: Rule>(rule: R) {
        let start = numbers(3 * UNIT + 77, 1);
        for options in [Options::new(), all_options()] {
            let (expected, _) = after(rule, &options, &start, 4, 1);
            assert!(expected != start, "{rule:?}");
            for threads in [2, 3] {
                assert!(after(rule, &options, &start, 4, threads).0 == expected, "{rule:?}, {threads} threads");
            }
        }
    }
    with_every_rule!(test);
}

/// What becomes of a parameter does not depend on where it lies: every remainder length is right if single ones are.
#[test]
fn every_parameter_stands_alone() {
    fn test<R: Rule>(rule: R) {
        for len in (0..20).chain([33]) {
            let start = numbers(len, 2);
            let (mut all, mut alone) = (start.clone(), start);
            let mut optimizer = Optimizer::new(rule, 0, len);
            let mut optimizers = vec![Optimizer::new(rule, 0, 1); len];
            for step in 0..5 {
                let gradients = numbers(len, 50 + step);
                optimizer.update(&mut all, &gradients, &Team::serial());
                for (i, optimizer) in optimizers.iter_mut().enumerate() {
                    optimizer.update(&mut alone[i..=i], &gradients[i..=i], &Team::serial());
                }
            }
            assert_eq!(all, alone, "{rule:?}");
        }
    }
    with_every_rule!(test);
}

#[test]
fn a_run_goes_on_from_memory_and_steps_with_the_same_bits() {
    fn test<R: Rule>(rule: R) {
        let start = numbers(37, 3);
        for options in [Options::new(), all_options()] {
            for pause in [0, 3, 4] {
                let (expected, whole) = after(rule, &options, &start, 9, 1);
                let (mut parameters, paused) = after(rule, &options, &start, pause, 1);
                let mut resumed = Optimizer::new(rule, 0, start.len());
                resumed.set_options(options.clone()).unwrap();
                resumed.memory_mut().copy_from_slice(paused.memory());
                resumed.set_steps(paused.steps());
                go_on(&mut resumed, &mut parameters, pause..9, &Team::serial());
                assert_eq!(parameters, expected, "{rule:?}");
                assert_eq!(resumed.memory(), whole.memory());
                assert_eq!(
                    resumed.memory().len(),
                    start.len() * (R::SLOTS + if options.accumulate > 1 { 2 } else { 0 })
                );
            }
        }
    }
    with_every_rule!(test);
}

#[test]
fn frozen_parameters_stay_until_they_are_free_again() {
    fn test<R: Rule>(rule: R) {
        let start = numbers(40, 4);
        let (mut parameters, mut optimizer) = after(rule, &Options::new(), &start, 0, 1);
        optimizer.freeze(vec![30..40, 3..9]);
        go_on(&mut optimizer, &mut parameters, 0..3, &Team::serial());
        let is_frozen = |i: usize| (3..9).contains(&i) || i >= 30;
        let (free, _) = after(rule, &Options::new(), &start, 3, 1);
        for i in 0..40 {
            assert_eq!(parameters[i], if is_frozen(i) { start[i] } else { free[i] }, "{rule:?}, {i}");
        }
        optimizer.freeze(Vec::new());
        let before = parameters.clone();
        go_on(&mut optimizer, &mut parameters, 3..6, &Team::serial());
        assert!((0..40).all(|i| parameters[i] != before[i]), "{rule:?}");
    }
    with_every_rule!(test);
}

/// Frozen gradients count in no norm: what is updated is what would be without them.
#[test]
fn norms_are_of_what_is_updated() {
    let options = Options { clip: Clip::GlobalNorm(0.1), ..Options::new() };
    let rule = Sgd { learning_rate: 1.0, ..Sgd::new() };
    let mut optimizer = Optimizer::new(rule, 0, 4);
    optimizer.set_options(options).unwrap();
    optimizer.freeze(vec![2..3, 3..4]);
    let mut parameters = [0.0; 4];
    optimizer.update(&mut parameters, &[3.0, 4.0, 1e9, f32::NAN], &Team::serial());
    assert!((parameters[0] + 0.06).abs() < 1e-6 && (parameters[1] + 0.08).abs() < 1e-6, "{parameters:?}");
    assert_eq!(parameters[2..], [0.0; 2]);
}

/// The sum of gradients that are not finite is not, but the next one begins anew.
#[test]
fn a_gradient_that_is_not_finite_stays_where_it_is() {
    fn test<R: Rule>(rule: R) {
        for clip in [Clip::None, Clip::Value(1.0), Clip::Norm(1.0), Clip::GlobalNorm(1.0)] {
            let mut optimizer = Optimizer::new(rule, 0, 3);
            optimizer.set_options(Options { clip, ..Options::new() }).unwrap();
            let mut parameters = [0.5; 3];
            optimizer.update(&mut parameters, &[0.1, f32::NAN, -0.1], &Team::serial());
            assert!(parameters[1].is_nan(), "{rule:?} {clip:?}: {parameters:?}");
            assert!(parameters[0].is_finite() && parameters[2].is_finite(), "{rule:?} {clip:?}: {parameters:?}");
        }
        let mut optimizer = Optimizer::new(rule, 0, 1);
        optimizer.set_options(Options { accumulate: 2, ..Options::new() }).unwrap();
        optimizer.set_steps(2);
        optimizer.memory_mut()[R::SLOTS] = f32::NAN;
        let mut parameters = [0.5];
        go_on(&mut optimizer, &mut parameters, 0..2, &Team::serial());
        assert!(parameters[0].is_finite(), "{rule:?}");
    }
    with_every_rule!(test);
}

/// Between tensors all is zero, and stays so.
#[test]
fn zeros_without_gradient_stay_zero() {
    fn test<R: Rule>(rule: R) {
        let mut parameters = [0.0; 11];
        let mut optimizer = Optimizer::new(rule, 0, 11);
        for _ in 0..3 {
            optimizer.update(&mut parameters, &[0.0; 11], &Team::serial());
        }
        assert_eq!(parameters, [0.0; 11], "{rule:?}");
    }
    with_every_rule!(test);
}

#[test]
fn wrong_numbers_are_errors_before_a_step() {
    fn test<R: Rule>(mut rule: R) {
        assert_eq!(rule.check(), Ok(()));
        for wrong in [f32::NAN, -1.0, f32::INFINITY] {
            rule.set_learning_rate(wrong);
            let error = Optimizer::new(rule, 0, 3).check(3).unwrap_err();
            assert!(matches!(error, InputError::Setting(OutOfRange { setting: "learning_rate", .. })), "{error}");
        }
    }
    with_every_rule!(test);
    let error = |rule: Adam| rule.check().unwrap_err().to_string();
    let below = "is a number from 0 up to, not including, 1, found";
    assert_eq!(error(Adam { beta1: 1.0, ..Adam::new() }), format!("`beta1` of `adam` {below} 1"));
    assert_eq!(error(Adam { beta2: f32::NAN, ..Adam::new() }), format!("`beta2` of `adam` {below} NaN"));
    assert_eq!(error(Adam { epsilon: 0.0, ..Adam::new() }), "`epsilon` of `adam` is a finite number above 0, found 0");
}

/// A number set by its name is that field and no other; what is no number changes nothing.
#[test]
fn numbers_are_set_by_name() {
    fn test<R: Rule>(rule: R) {
        for name in R::NUMBERS {
            let mut changed = rule;
            assert!(changed.set(name, 0.8125));
            let fields = |rule: &R| format!("{rule:#?}").lines().map(str::to_owned).collect::<Vec<_>>();
            let (before, after) = (fields(&rule), fields(&changed));
            let differ: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
            assert_eq!(differ.len(), 1, "{rule:?}, {name}");
            assert_eq!(differ[0].1.trim(), format!("{name}: 0.8125,"));
        }
        let mut same = rule;
        assert!(!same.set("nesterov", 1.0) && !same.set("", 1.0) && same == rule);
    }
    with_every_rule!(test);
}
