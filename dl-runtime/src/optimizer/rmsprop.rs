//! RMSprop: gradients divided by the root of their running mean square.

use super::pass::{self, Formula};
use super::{Dealing, OutOfRange, Part, Rule, settings};
use crate::simd::Lane;

/// RMSprop (Tieleman and Hinton, 2012): `s = rho·s + (1 − rho)·g²`, `v = momentum·v + g / (√s + epsilon)`,
/// `p = p − learning_rate·v`. Centered (Graves, 2013), the running mean `m = rho·m + (1 − rho)·g` is taken off: `s − m²`
/// stands in place of `s`. Weight decay adds `weight_decay·p` to `g`. Epsilon stands outside the root and the rate outside
/// the momentum, as in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsProp {
    /// Length of a step.
    pub learning_rate: f32,
    /// Share of the running means that remains.
    pub rho: f32,
    /// Share of the velocity that remains.
    pub momentum: f32,
    /// Whether gradients are divided by their deviation rather than their size.
    pub centered: bool,
    /// Keeps the divisor from 0.
    pub epsilon: f32,
    /// Factor of the parameters added to their gradients.
    pub weight_decay: f32,
}

impl RmsProp {
    /// PyTorch's numbers: learning rate 0.01, rho 0.99, epsilon 1e-8, nothing else.
    pub const fn new() -> Self {
        Self { learning_rate: 0.01, rho: 0.99, momentum: 0.0, centered: false, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl Rule for RmsProp {
    const SLOTS: usize = 3;

    settings! {
        "rmsprop" {
            learning_rate: not_negative,
            rho: below_one,
            momentum: below_one,
            epsilon: positive,
            weight_decay: not_negative
        }
        decay: weight_decay
    }

    fn update(&self, _: u64, part: Part<'_>, dealing: Dealing<'_>) {
        let [squares, means, velocities] = part.slots;
        pass::run(*self, part.gradients, [part.parameters, squares, means, velocities], dealing);
    }
}

impl Formula<4> for RmsProp {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, s, m, v]: [V; 4]) -> [V; 4] {
        let (rho, rest) = (g.splat(self.rho), g.splat(1.0 - self.rho));
        let g = g + g.splat(self.weight_decay) * p;
        let s = (rho * s + rest * (g * g)).normal_or_zero();
        let (m, variance) = if self.centered {
            let m = (rho * m + rest * g).normal_or_zero();
            // Rounding may leave a little less than nothing.
            (m, (s - m * m).relu())
        } else {
            (m, s)
        };
        let v = (g.splat(self.momentum) * v + g / (variance.sqrt() + g.splat(self.epsilon))).normal_or_zero();
        [p - g.splat(self.learning_rate) * v, s, m, v]
    }
}
