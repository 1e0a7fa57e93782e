//! Proximal steps: along the gradient, then to where a penalty is small: [`ProximalGradient`], [`ProximalAdaGrad`].

use super::pass::{self, Formula, shrink};
use super::{Dealing, OutOfRange, Part, Rule, settings};
use crate::simd::Lane;

/// Proximal gradient descent, or forward-backward splitting (Duchi and Singer, 2009): `u = p − learning_rate·g`, then
/// `p = sign(u)·max(|u| − learning_rate·l1, 0) / (1 + learning_rate·l2)`. Small parameters become 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProximalGradient {
    /// Length of a step.
    pub learning_rate: f32,
    /// Factor of the penalty `Σ |p|`.
    pub l1: f32,
    /// Factor of the penalty `½ Σ p²`.
    pub l2: f32,
}

impl ProximalGradient {
    /// Learning rate 0.01, no penalties.
    pub const fn new() -> Self {
        Self { learning_rate: 0.01, l1: 0.0, l2: 0.0 }
    }
}

impl Rule for ProximalGradient {
    const SLOTS: usize = 0;

    settings! {
        "proximal_gradient" { learning_rate: not_negative, l1: not_negative, l2: not_negative }
        decay: l1, l2
    }

    fn update(&self, _: u64, part: Part<'_>, dealing: Dealing<'_>) {
        pass::run(*self, part.gradients, [part.parameters], dealing);
    }
}

impl Formula<1> for ProximalGradient {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p]: [V; 1]) -> [V; 1] {
        let rate = g.splat(self.learning_rate);
        [proximal(p - rate * g, rate, self.l1, self.l2)]
    }
}

/// Proximal AdaGrad, the composite mirror descent of its paper (Duchi, Hazan and Singer, 2011, section 5.1):
/// `s = s + g²`, `r = learning_rate / √s`, `u = p − r·g`, `p = sign(u)·max(|u| − r·l1, 0) / (1 + r·l2)`, `s` beginning
/// with `initial_accumulator`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProximalAdaGrad {
    /// Length of the first step.
    pub learning_rate: f32,
    /// What the sum of squares begins with; above 0.
    pub initial_accumulator: f32,
    /// Factor of the penalty `Σ |p|`.
    pub l1: f32,
    /// Factor of the penalty `½ Σ p²`.
    pub l2: f32,
}

impl ProximalAdaGrad {
    /// Learning rate 0.01, initial accumulator 0.1, no penalties.
    pub const fn new() -> Self {
        Self { learning_rate: 0.01, initial_accumulator: 0.1, l1: 0.0, l2: 0.0 }
    }
}

impl Rule for ProximalAdaGrad {
    const SLOTS: usize = 1;

    settings! {
        "proximal_adagrad" {
            learning_rate: not_negative,
            initial_accumulator: positive,
            l1: not_negative,
            l2: not_negative
        }
        decay: l1, l2
    }

    fn update(&self, _: u64, part: Part<'_>, dealing: Dealing<'_>) {
        let [sums, ..] = part.slots;
        pass::run(*self, part.gradients, [part.parameters, sums], dealing);
    }
}

impl Formula<2> for ProximalAdaGrad {
    /// The slot holds the sum without what it begins with.
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, s]: [V; 2]) -> [V; 2] {
        let s = (s + g * g).normal_or_zero();
        let rate = g.splat(self.learning_rate) / (s + g.splat(self.initial_accumulator)).sqrt();
        [proximal(p - rate * g, rate, self.l1, self.l2), s]
    }
}

/// Where `rate·(l1·|p| + ½·l2·p²) + ½·(p − u)²` is least.
#[inline(always)]
fn proximal<V: Lane>(u: V, rate: V, l1: f32, l2: f32) -> V {
    shrink(u, rate * rate.splat(l1)) / (rate.splat(1.0) + rate * rate.splat(l2))
}
