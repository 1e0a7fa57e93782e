//! FTRL-Proximal: sparse weights from all gradients so far.

use super::pass::{self, Formula, shrink};
use super::{Dealing, OutOfRange, Part, Rule, settings};
use crate::simd::Lane;

/// FTRL-Proximal (McMahan et al., 2013, algorithm 1): `σ = (√(n + g²) − √n) / learning_rate`, `z = z + g − σ·p`,
/// `n = n + g²`, and `p = 0` where `|z| ≤ l1`, else `p = −(z − sign(z)·l1) / ((beta + √n) / learning_rate + l2)`.
///
/// Parameters follow from `z` and `n` alone, so the first step forgets most of what they begin with: a rule for linear
/// models on many features, whose weights begin at 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ftrl {
    /// The paper's α.
    pub learning_rate: f32,
    /// The paper's β: how much of the rate's fall the first gradients spare.
    pub beta: f32,
    /// The paper's λ₁: below it, sums of gradients leave a parameter 0.
    pub l1: f32,
    /// The paper's λ₂.
    pub l2: f32,
}

impl Ftrl {
    /// Learning rate 0.1, the paper's beta 1, no penalties.
    pub const fn new() -> Self {
        Self { learning_rate: 0.1, beta: 1.0, l1: 0.0, l2: 0.0 }
    }
}

impl Rule for Ftrl {
    const SLOTS: usize = 2;

    settings! {
        "ftrl" { learning_rate: positive, beta: not_negative, l1: not_negative, l2: not_negative }
        decay: l1, l2
    }

    fn update(&self, _: u64, part: Part<'_>, dealing: Dealing<'_>) {
        let [sums, squares, _] = part.slots;
        pass::run(*self, part.gradients, [part.parameters, sums, squares], dealing);
    }
}

impl Formula<3> for Ftrl {
    #[inline(always)]
    fn apply<V: Lane>(self, g: V, [p, z, n]: [V; 3]) -> [V; 3] {
        let rate = g.splat(self.learning_rate);
        let next = (n + g * g).normal_or_zero();
        let root = next.sqrt();
        let z = (z + g - (root - n.sqrt()) / rate * p).normal_or_zero();
        let numerator = shrink(z, g.splat(self.l1));
        let p = -numerator / ((g.splat(self.beta) + root) / rate + g.splat(self.l2));
        // Without gradients so far there may be nothing to divide by.
        [numerator.equal(g.splat(0.0)).select(g.splat(0.0), p), z, next]
    }
}
