//! Lion: the sign of a momentum.

use super::pass::{self, Formula, sign};
use super::{Dealing, OutOfRange, Part, Rule, settings};
use crate::simd::Lane;

/// Lion (Chen et al., 2023): `p = p − learning_rate·(sign(beta1·m + (1 − beta1)·g) + weight_decay·p)`, then
/// `m = beta2·m + (1 − beta2)·g`. Every step has the same length, so rates are a tenth of Adam's or less.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lion {
    /// Length of a step.
    pub learning_rate: f32,
    /// Share of the momentum in the direction of a step.
    pub beta1: f32,
    /// Share of the momentum that remains.
    pub beta2: f32,
    /// Share of the parameters that a step of length 1 takes off.
    pub weight_decay: f32,
}

impl Lion {
    /// The paper's betas 0.9 and 0.99, learning rate 0.0001, no decay.
    pub const fn new() -> Self {
        Self { learning_rate: 1e-4, beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }
    }
}

impl Rule for Lion {
    const SLOTS: usize = 1;

    settings! {
        "lion" { learning_rate: not_negative, beta1: below_one, beta2: below_one, weight_decay: not_negative }
        decay: weight_decay
    }

    fn update(&self, _: u64, part: Part<'_>, dealing: Dealing<'_>) {
        let [momentum, ..] = part.slots;
        pass::run(*self, part.gradients, [part.parameters, momentum], dealing);
    }
}

impl Formula<2> for Lion {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, m]: [V; 2]) -> [V; 2] {
        let direction = sign(g.splat(self.beta1) * m + g.splat(1.0 - self.beta1) * g);
        let m = (g.splat(self.beta2) * m + g.splat(1.0 - self.beta2) * g).normal_or_zero();
        [p - g.splat(self.learning_rate) * (direction + g.splat(self.weight_decay) * p), m]
    }
}
