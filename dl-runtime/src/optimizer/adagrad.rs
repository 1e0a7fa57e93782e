//! AdaGrad: steps that shrink with the sum of squared gradients.

use super::pass::{self, Formula};
use super::{Dealing, OutOfRange, Part, Rule, settings};
use crate::simd::Lane;

/// AdaGrad (Duchi, Hazan and Singer, 2011): `s = s + g²`, `p = p − learning_rate·g / (√s + epsilon)`, `s` beginning with
/// `initial_accumulator`. Weight decay adds `weight_decay·p` to `g`. Epsilon stands outside the root, as in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaGrad {
    /// Length of the first step.
    pub learning_rate: f32,
    /// What the sum of squares begins with.
    pub initial_accumulator: f32,
    /// Keeps the divisor from 0.
    pub epsilon: f32,
    /// Factor of the parameters added to their gradients.
    pub weight_decay: f32,
}

impl AdaGrad {
    /// PyTorch's numbers: learning rate 0.01, epsilon 1e-10, nothing else.
    pub const fn new() -> Self {
        Self { learning_rate: 0.01, initial_accumulator: 0.0, epsilon: 1e-10, weight_decay: 0.0 }
    }
}

impl Rule for AdaGrad {
    const SLOTS: usize = 1;

    settings! {
        "adagrad" {
            learning_rate: not_negative,
            initial_accumulator: not_negative,
            epsilon: positive,
            weight_decay: not_negative
        }
        decay: weight_decay
    }

    fn update(&self, _: u64, part: Part<'_>, dealing: Dealing<'_>) {
        let [sums, ..] = part.slots;
        pass::run(*self, part.gradients, [part.parameters, sums], dealing);
    }
}

impl Formula<2> for AdaGrad {
    /// The slot holds the sum without what it begins with.
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, s]: [V; 2]) -> [V; 2] {
        let g = g + g.splat(self.weight_decay) * p;
        let s = (s + g * g).normal_or_zero();
        let divisor = (s + g.splat(self.initial_accumulator)).sqrt() + g.splat(self.epsilon);
        [p - g.splat(self.learning_rate) * g / divisor, s]
    }
}
