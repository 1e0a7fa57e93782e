//! AdaDelta: steps in the units of the parameters.

use super::pass::{self, Formula};
use super::{Dealing, OutOfRange, Part, Rule, settings};
use crate::simd::Lane;

/// AdaDelta (Zeiler, 2012): `s = rho·s + (1 − rho)·g²`, `d = g·√(u + epsilon) / √(s + epsilon)`,
/// `u = rho·u + (1 − rho)·d²`, `p = p − learning_rate·d`. Weight decay adds `weight_decay·p` to `g`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaDelta {
    /// Factor of the steps; 1 in the paper.
    pub learning_rate: f32,
    /// Share of the running means that remains.
    pub rho: f32,
    /// Added to both means below their roots.
    pub epsilon: f32,
    /// Factor of the parameters added to their gradients.
    pub weight_decay: f32,
}

impl AdaDelta {
    /// PyTorch's numbers: learning rate 1, rho 0.9, epsilon 1e-6.
    pub const fn new() -> Self {
        Self { learning_rate: 1.0, rho: 0.9, epsilon: 1e-6, weight_decay: 0.0 }
    }
}

impl Rule for AdaDelta {
    const SLOTS: usize = 2;

    settings! {
        "adadelta" { learning_rate: not_negative, rho: below_one, epsilon: positive, weight_decay: not_negative }
        decay: weight_decay
    }

    fn update(&self, _: u64, part: Part<'_>, dealing: Dealing<'_>) {
        let [squares, steps, _] = part.slots;
        pass::run(*self, part.gradients, [part.parameters, squares, steps], dealing);
    }
}

impl Formula<3> for AdaDelta {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, s, u]: [V; 3]) -> [V; 3] {
        let (rho, rest, epsilon) = (g.splat(self.rho), g.splat(1.0 - self.rho), g.splat(self.epsilon));
        let g = g + g.splat(self.weight_decay) * p;
        let s = (rho * s + rest * (g * g)).normal_or_zero();
        let d = g * (u + epsilon).sqrt() / (s + epsilon).sqrt();
        [p - g.splat(self.learning_rate) * d, s, (rho * u + rest * (d * d)).normal_or_zero()]
    }
}
