//! Optimizers: parameters, gradients and slots enter, the parameters of the next step leave.
//!
//! A [`Rule`] is a formula with its numbers; an [`Optimizer`] is a rule with its memory. An update is one flat pass
//! over all parameters, split over the threads of a team; every element stands alone, so the bits do not depend on
//! the split. Numbers too small to be normal are flushed to zero in the slots by compare and mask: they cost time
//! and mean nothing. Schedules belong to the training loop, which sets the learning rate.

use std::fmt::Debug;
use std::ops::Range;
use std::slice;

use crate::InputError;
use crate::block::Block;
use crate::simd::{Kernel, Lane, dispatch, isa};
use crate::team::Team;

/// The formula of an optimizer, with its numbers.
pub trait Rule: Copy + Debug + PartialEq + Send + Sync + 'static {
    /// Floats of memory for each parameter.
    const SLOTS: usize;

    /// The learning rate.
    fn learning_rate(&self) -> f32;

    /// Sets the learning rate.
    fn set_learning_rate(&mut self, learning_rate: f32);

    /// One step, of that number (from 1). `slots` holds `SLOTS` buffers of the parameters' length, one after
    /// another.
    ///
    /// # Panics
    /// If `gradients` or `slots` do not fit `parameters`.
    fn update(&self, step: u64, parameters: &mut [f32], gradients: &[f32], slots: &mut [f32], team: &Team);
}

/// Stochastic gradient descent with momentum: `v = momentum·v + g`, `p = p − learning_rate·v`; with Nesterov's
/// variant `p = p − learning_rate·(g + momentum·v)` (Sutskever et al., 2013, as frameworks write it). Weight decay
/// adds `weight_decay·p` to `g`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Length of a step.
    pub learning_rate: f32,
    /// Share of the velocity that remains; 0 is plain gradient descent.
    pub momentum: f32,
    /// Whether to look ahead along the velocity.
    pub nesterov: bool,
    /// Factor of the parameters added to their gradients.
    pub weight_decay: f32,
}

impl Sgd {
    /// Learning rate 0.01, nothing else.
    pub const fn new() -> Self {
        Self { learning_rate: 0.01, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

impl Default for Sgd {
    fn default() -> Self {
        Self::new()
    }
}

impl Rule for Sgd {
    const SLOTS: usize = 1;

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f32) {
        self.learning_rate = learning_rate;
    }

    fn update(&self, _: u64, parameters: &mut [f32], gradients: &[f32], slots: &mut [f32], team: &Team) {
        check(Self::SLOTS, parameters, gradients, slots);
        let rule = *self;
        team.split_all([parameters, slots], UNIT, |start, [parameters, velocities]| {
            dispatch(isa(), SgdPass { rule, parameters, gradients: &gradients[start..], velocities });
        });
    }
}

/// Adam (Kingma and Ba, 2015) with bias correction: `m = beta1·m + (1 − beta1)·g`, `v = beta2·v + (1 − beta2)·g²`,
/// `p = p − learning_rate·m̂ / (√v̂ + epsilon)`, where `m̂ = m / (1 − beta1ᵗ)` and `v̂ = v / (1 − beta2ᵗ)`. Weight
/// decay adds `weight_decay·p` to `g`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Length of a step.
    pub learning_rate: f32,
    /// Share of the first moment that remains.
    pub beta1: f32,
    /// Share of the second moment that remains.
    pub beta2: f32,
    /// Keeps the divisor from 0.
    pub epsilon: f32,
    /// Factor of the parameters added to their gradients.
    pub weight_decay: f32,
}

impl Adam {
    /// The paper's numbers: learning rate 0.001, betas 0.9 and 0.999, epsilon 1e-8.
    pub const fn new() -> Self {
        Self { learning_rate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl Default for Adam {
    fn default() -> Self {
        Self::new()
    }
}

impl Rule for Adam {
    const SLOTS: usize = 2;

    fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f32) {
        self.learning_rate = learning_rate;
    }

    fn update(&self, step: u64, parameters: &mut [f32], gradients: &[f32], slots: &mut [f32], team: &Team) {
        check(Self::SLOTS, parameters, gradients, slots);
        let rule = *self;
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
        let rate = (f64::from(self.learning_rate) / correction(self.beta1)) as f32;
        let scale = (1.0 / correction(self.beta2).sqrt()) as f32;
        let (first, second) = slots.split_at_mut(parameters.len());
        team.split_all([parameters, first, second], UNIT, |start, [parameters, first, second]| {
            let gradients = &gradients[start..];
            dispatch(isa(), AdamPass { rule, rate, scale, parameters, gradients, first, second });
        });
    }
}

/// A rule and its memory, for the parameters of one training step.
#[derive(Debug, Clone)]
pub struct Optimizer<R> {
    /// The formula and its numbers, which may change between steps.
    pub rule: R,
    /// Seed of the random numbers drawn in training steps.
    pub seed: u64,
    steps: u64,
    /// Floats of the parameters; a rule without slots has no other memory of it.
    len: usize,
    slots: Block,
    frozen: Vec<Range<usize>>,
}

impl<R: Rule> Optimizer<R> {
    /// An optimizer of `len` parameters before its first step.
    pub fn new(rule: R, seed: u64, len: usize) -> Self {
        Self { rule, seed, steps: 0, len, slots: Block::zeroed(R::SLOTS.saturating_mul(len)), frozen: vec![] }
    }

    /// The same optimizer with other numbers.
    pub fn with_rule(self, rule: R) -> Self {
        Self { rule, ..self }
    }

    /// The number of the step about to run, from 1.
    pub fn step(&self) -> u64 {
        self.steps + 1
    }

    /// All slots, one after another.
    pub fn memory(&self) -> &[f32] {
        self.slots.as_slice()
    }

    /// All slots, one after another.
    pub fn memory_mut(&mut self) -> &mut [f32] {
        self.slots.as_mut_slice()
    }

    /// How many steps were done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Sets how many steps were done.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Leaves these ranges of the parameters alone.
    pub fn freeze(&mut self, ranges: Vec<Range<usize>>) {
        self.frozen = ranges;
    }

    /// Checks that the optimizer was made for `len` parameters, which its updates rely on.
    ///
    /// # Errors
    /// [`InputError::OptimizerMismatch`] if it was made for another number of them.
    pub fn check(&self, len: usize) -> Result<(), InputError> {
        if self.len == len { Ok(()) } else { Err(InputError::OptimizerMismatch { expected: len, found: self.len }) }
    }

    /// Runs the step and counts it.
    ///
    /// # Panics
    /// If the lengths are not the one the optimizer was made for, which [`Optimizer::check`] tells beforehand.
    pub fn update(&mut self, parameters: &mut [f32], gradients: &[f32], team: &Team) {
        assert_eq!(gradients.len(), parameters.len(), "one gradient for each parameter");
        let all = 0..parameters.len();
        self.update_ranges(parameters, gradients, slice::from_ref(&all), team);
    }

    /// Runs the step on some ranges of the parameters and their gradients, and counts it; all other parameters stay
    /// as they are. The ranges are the same at every step: the memory is theirs, one range after another.
    ///
    /// # Panics
    /// If a range leaves the slices, or the ranges together are not as long as what the optimizer was made for.
    pub fn update_ranges(&mut self, parameters: &mut [f32], gradients: &[f32], ranges: &[Range<usize>], team: &Team) {
        let step = self.step();
        let kept: Vec<Vec<f32>> = self.frozen.iter().map(|range| parameters[range.clone()].to_vec()).collect();
        let mut slots = self.slots.as_mut_slice();
        for range in ranges {
            let (memory, rest) = slots.split_at_mut(R::SLOTS * range.len());
            let (parameters, gradients) = (&mut parameters[range.clone()], &gradients[range.clone()]);
            self.rule.update(step, parameters, gradients, memory, team);
            slots = rest;
        }
        assert!(slots.is_empty(), "ranges as long as the {} parameters of the optimizer", self.len);
        self.steps += 1;
        for (range, kept) in self.frozen.iter().zip(kept) {
            parameters[range.clone()].copy_from_slice(&kept);
        }
    }
}

/// Floats that stay together when an update is split: whole cache lines, and enough of them to be worth a thread.
const UNIT: usize = 4096;

fn check(slots: usize, parameters: &[f32], gradients: &[f32], memory: &[f32]) {
    assert_eq!(gradients.len(), parameters.len(), "one gradient for each parameter");
    assert_eq!(memory.len(), slots * parameters.len(), "{slots} slots for each parameter");
}

/// Zero in place of a number too small to be normal.
#[inline(always)]
fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

/// One part of a step of [`Sgd`].
struct SgdPass<'a> {
    rule: Sgd,
    parameters: &'a mut [f32],
    gradients: &'a [f32],
    velocities: &'a mut [f32],
}

impl Kernel for SgdPass<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, _: V) {
        let Self { rule, parameters, gradients, velocities } = self;
        for ((p, g), v) in parameters.iter_mut().zip(gradients).zip(velocities) {
            let g = g + rule.weight_decay * *p;
            *v = flush(rule.momentum * *v + g);
            let direction = if rule.nesterov { g + rule.momentum * *v } else { *v };
            *p -= rule.learning_rate * direction;
        }
    }
}

/// One part of a step of [`Adam`].
struct AdamPass<'a> {
    rule: Adam,
    /// learning_rate / (1 − beta1ᵗ)
    rate: f32,
    /// 1 / √(1 − beta2ᵗ)
    scale: f32,
    parameters: &'a mut [f32],
    gradients: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Kernel for AdamPass<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, _: V) {
        let Self { rule, rate, scale, parameters, gradients, first, second } = self;
        let (rest1, rest2) = (1.0 - rule.beta1, 1.0 - rule.beta2);
        for (((p, g), m), v) in parameters.iter_mut().zip(gradients).zip(first).zip(second) {
            let g = g + rule.weight_decay * *p;
            *m = flush(rule.beta1 * *m + rest1 * g);
            *v = flush(rule.beta2 * *v + rest2 * (g * g));
            *p -= rate * *m / (v.sqrt() * scale + rule.epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

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
        assert!(optimizer.slots.as_slice().iter().all(|x| *x == 0.0 || x.is_normal()));
        let mut optimizer = Optimizer::new(Sgd { momentum: 0.5, ..Sgd::new() }, 0, 8);
        optimizer.update(&mut parameters, &[1.0; 8], &Team::serial());
        for _ in 0..200 {
            optimizer.update(&mut parameters, &[0.0; 8], &Team::serial());
        }
        assert_eq!(optimizer.slots.as_slice(), [0.0; 8]);
    }

    #[test]
    fn bits_do_not_depend_on_the_threads() {
        let len = 5 * UNIT + 123;
        let mut rng = Rng::new(4);
        let mut number = || rng.next_u32() as f32 / u32::MAX as f32 - 0.5;
        let start: Vec<f32> = (0..len).map(|_| number()).collect();
        let gradients: Vec<f32> = (0..len).map(|_| number()).collect();
        let run = |threads| {
            let team = Team::new(threads);
            let mut parameters = start.clone();
            let mut optimizer = Optimizer::new(Adam { weight_decay: 0.01, ..Adam::new() }, 0, len);
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
}
