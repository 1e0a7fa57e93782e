//! Stochastic gradient descent, plain, with momentum, and with Nesterov's.

use super::pass::{self, Formula};
use super::{Dealing, OutOfRange, Part, Rule, settings};
use crate::simd::Lane;

/// Stochastic gradient descent with momentum (Polyak, 1964): `v = momentum·v + g`, `p = p − learning_rate·v`; with
/// Nesterov's variant `p = p − learning_rate·(g + momentum·v)` (Sutskever et al., 2013, as PyTorch writes it). Weight
/// decay adds `weight_decay·p` to `g`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Length of a step.
    pub learning_rate: f32,
    /// Share of the velocity that remains; 0 is plain gradient descent, which leaves the velocity as it is.
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

impl Rule for Sgd {
    const SLOTS: usize = 1;

    settings! { "sgd" { learning_rate: not_negative, momentum: below_one, weight_decay: not_negative } decay: weight_decay }

    fn update(&self, _: u64, part: Part<'_>, dealing: Dealing<'_>) {
        let [velocities, ..] = part.slots;
        if self.momentum == 0.0 {
            pass::run(Plain(*self), part.gradients, [part.parameters], dealing);
        } else {
            pass::run(*self, part.gradients, [part.parameters, velocities], dealing);
        }
    }
}

/// Without momentum.
#[derive(Debug, Clone, Copy)]
struct Plain(Sgd);

impl Formula<1> for Plain {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p]: [V; 1]) -> [V; 1] {
        let g = p.mul_add(g.splat(self.0.weight_decay), g);
        [p - g.splat(self.0.learning_rate) * g]
    }
}

impl Formula<2> for Sgd {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, v]: [V; 2]) -> [V; 2] {
        let momentum = g.splat(self.momentum);
        let g = p.mul_add(g.splat(self.weight_decay), g);
        let v = v.mul_add(momentum, g).normal_or_zero();
        let direction = if self.nesterov { g + momentum * v } else { v };
        [p - g.splat(self.learning_rate) * direction, v]
    }
}
