//! Adam and its relatives: [`Adam`], [`AdamW`], [`AmsGrad`].

use super::pass::{self, Formula};
use super::{Dealing, OutOfRange, Part, Rule, settings};
use crate::simd::Lane;

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

impl Rule for Adam {
    const SLOTS: usize = 2;

    settings! {
        "adam" {
            learning_rate: not_negative,
            beta1: below_one,
            beta2: below_one,
            epsilon: positive,
            weight_decay: not_negative
        }
        decay: weight_decay
    }

    fn update(&self, step: u64, part: Part<'_>, dealing: Dealing<'_>) {
        let [first, second, _] = part.slots;
        let moments = Moments::new(self, step);
        let formula = AdamStep { moments, decay: self.weight_decay };
        pass::run(formula, part.gradients, [part.parameters, first, second], dealing);
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019): `p` is first multiplied by
/// `1 − learning_rate·weight_decay`, then [`Adam`] takes its step with the bare gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Length of a step.
    pub learning_rate: f32,
    /// Share of the first moment that remains.
    pub beta1: f32,
    /// Share of the second moment that remains.
    pub beta2: f32,
    /// Keeps the divisor from 0.
    pub epsilon: f32,
    /// Share of the parameters that a step of length 1 takes off.
    pub weight_decay: f32,
}

impl AdamW {
    /// PyTorch's numbers: those of [`Adam`], weight decay 0.01.
    pub const fn new() -> Self {
        Self { learning_rate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

impl Rule for AdamW {
    const SLOTS: usize = 2;

    settings! {
        "adamw" {
            learning_rate: not_negative,
            beta1: below_one,
            beta2: below_one,
            epsilon: positive,
            weight_decay: not_negative
        }
        decay: weight_decay
    }

    fn update(&self, step: u64, part: Part<'_>, dealing: Dealing<'_>) {
        let [first, second, _] = part.slots;
        let Self { learning_rate, beta1, beta2, epsilon, weight_decay } = *self;
        let moments = Moments::new(&Adam { learning_rate, beta1, beta2, epsilon, weight_decay: 0.0 }, step);
        let kept = (1.0 - f64::from(learning_rate) * f64::from(weight_decay)) as f32;
        pass::run(AdamWStep { moments, kept }, part.gradients, [part.parameters, first, second], dealing);
    }
}

/// AMSGrad (Reddi, Kale and Kumar, 2018): [`Adam`] whose divisor never falls, `w = max(w, v)`,
/// `p = p − learning_rate·m̂ / (√ŵ + epsilon)`. Both moments are corrected for their bias, `ŵ = w / (1 − beta2ᵗ)`, as in
/// PyTorch; the paper does not. Weight decay adds `weight_decay·p` to `g`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AmsGrad {
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

impl AmsGrad {
    /// The numbers of [`Adam`].
    pub const fn new() -> Self {
        Self { learning_rate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl Rule for AmsGrad {
    const SLOTS: usize = 3;

    settings! {
        "amsgrad" {
            learning_rate: not_negative,
            beta1: below_one,
            beta2: below_one,
            epsilon: positive,
            weight_decay: not_negative
        }
        decay: weight_decay
    }

    fn update(&self, step: u64, part: Part<'_>, dealing: Dealing<'_>) {
        let [first, second, greatest] = part.slots;
        let Self { learning_rate, beta1, beta2, epsilon, weight_decay: decay } = *self;
        let moments = Moments::new(&Adam { learning_rate, beta1, beta2, epsilon, weight_decay: 0.0 }, step);
        pass::run(AmsGradStep { moments, decay }, part.gradients, [part.parameters, first, second, greatest], dealing);
    }
}

/// What the steps of this family share: the running moments and their corrections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    /// learning_rate / (1 − beta1ᵗ)
    rate: f32,
    /// 1 / √(1 − beta2ᵗ)
    scale: f32,
}

impl Moments {
    pub(super) fn new(rule: &Adam, step: u64) -> Self {
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
        Self {
            beta1: rule.beta1,
            beta2: rule.beta2,
            epsilon: rule.epsilon,
            rate: (f64::from(rule.learning_rate) / correction(rule.beta1)) as f32,
            scale: (1.0 / correction(rule.beta2).sqrt()) as f32,
        }
    }

    /// The moments after a gradient.
    #[inline(always)]
    pub(super) fn next<V: Lane>(self, g: V, m: V, v: V) -> (V, V) {
        let m = m.mul_add(g.splat(self.beta1), g.splat(1.0 - self.beta1) * g);
        let v = v.mul_add(g.splat(self.beta2), g.splat(1.0 - self.beta2) * (g * g));
        (m.normal_or_zero(), v.normal_or_zero())
    }

    /// `√v̂ + epsilon`
    #[inline(always)]
    pub(super) fn divisor<V: Lane>(self, v: V) -> V {
        v.sqrt().mul_add(v.splat(self.scale), v.splat(self.epsilon))
    }
}

#[derive(Debug, Clone, Copy)]
struct AdamStep {
    moments: Moments,
    decay: f32,
}

impl Formula<3> for AdamStep {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, m, v]: [V; 3]) -> [V; 3] {
        let moments = self.moments;
        let (m, v) = moments.next(p.mul_add(g.splat(self.decay), g), m, v);
        [p - g.splat(moments.rate) * m / moments.divisor(v), m, v]
    }
}

#[derive(Debug, Clone, Copy)]
struct AdamWStep {
    moments: Moments,
    /// 1 − learning_rate·weight_decay
    kept: f32,
}

impl Formula<3> for AdamWStep {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, m, v]: [V; 3]) -> [V; 3] {
        let moments = self.moments;
        let (m, v) = moments.next(g, m, v);
        [g.splat(self.kept) * p - g.splat(moments.rate) * m / moments.divisor(v), m, v]
    }
}

#[derive(Debug, Clone, Copy)]
struct AmsGradStep {
    moments: Moments,
    decay: f32,
}

impl Formula<4> for AmsGradStep {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, m, v, w]: [V; 4]) -> [V; 4] {
        let moments = self.moments;
        let (m, v) = moments.next(p.mul_add(g.splat(self.decay), g), m, v);
        let w = v.at_least(w);
        [p - g.splat(moments.rate) * m / moments.divisor(w), m, v, w]
    }
}
