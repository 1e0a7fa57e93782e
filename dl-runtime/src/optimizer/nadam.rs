//! NAdam: Adam with Nesterov's momentum.

use super::adam::Moments;
use super::pass::{self, Formula};
use super::{Adam, Dealing, OutOfRange, Part, Rule, settings};
use crate::simd::Lane;

/// NAdam (Dozat, 2016): the moments `m`, `v` of [`Adam`], and
/// `p = p − learning_rate·(μₜ₊₁·m / (1 − Πμ₁…ₜ₊₁) + (1 − μₜ)·g / (1 − Πμ₁…ₜ)) / (√v̂ + epsilon)`, where
/// `μₜ = beta1·(1 − ½·0.96^(t/250))`. Weight decay adds `weight_decay·p` to `g`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NAdam {
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

impl NAdam {
    /// PyTorch's numbers: those of [`Adam`], learning rate 0.002.
    pub const fn new() -> Self {
        Self { learning_rate: 0.002, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl Rule for NAdam {
    const SLOTS: usize = 2;

    settings! {
        "nadam" {
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
        let Self { learning_rate, beta1, beta2, epsilon, weight_decay: decay } = *self;
        let moments = Moments::new(&Adam { learning_rate, beta1, beta2, epsilon, weight_decay: 0.0 }, step);
        let beta1 = f64::from(beta1);
        let rate = f64::from(learning_rate);
        let (now, next) = (momentum(beta1, step), momentum(beta1, step.saturating_add(1)));
        let product = product(beta1, step);
        let formula = NAdamStep {
            moments,
            decay,
            gradient: (rate * (1.0 - now) / (1.0 - product)) as f32,
            moment: (rate * next / (1.0 - product * next)) as f32,
        };
        pass::run(formula, part.gradients, [part.parameters, first, second], dealing);
    }
}

/// μₜ
fn momentum(beta1: f64, step: u64) -> f64 {
    beta1 * (1.0 - 0.5 * 0.96_f64.powf(step as f64 / 250.0))
}

/// The product of μ₁ … μₜ. The first factors are below 0.52, so that it is nothing to single precision long before a
/// hundred of them.
fn product(beta1: f64, step: u64) -> f64 {
    (1..=step.min(100)).map(|step| momentum(beta1, step)).product()
}

#[derive(Debug, Clone, Copy)]
struct NAdamStep {
    moments: Moments,
    decay: f32,
    /// What the gradient is multiplied by.
    gradient: f32,
    /// What the first moment is multiplied by.
    moment: f32,
}

impl Formula<3> for NAdamStep {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, m, v]: [V; 3]) -> [V; 3] {
        let g = g + g.splat(self.decay) * p;
        let (m, v) = self.moments.next(g, m, v);
        let step = g.splat(self.gradient) * g + g.splat(self.moment) * m;
        [p - step / self.moments.divisor(v), m, v]
    }
}
