//! Random numbers of one example in one epoch: a seed, an epoch and a position enter, a sequence leaves.

use dl_runtime::{Rng, philox};

/// What the augmentation of one example is drawn from. It depends on seed, epoch and position alone, so examples may
/// be augmented in any order, by any number of threads.
#[derive(Debug, Clone)]
pub struct ExampleRng(Rng);

impl ExampleRng {
    /// The sequence of the example at `position` in `epoch`.
    pub fn new(seed: u64, epoch: u64, position: usize) -> Self {
        Self::of(AUGMENT, seed, epoch, position)
    }

    /// The sequence by which `Mixup` chooses, apart from that of the changes of the same example.
    pub(crate) fn of_mixup(seed: u64, epoch: u64, position: usize) -> Self {
        Self::of(MIXUP, seed, epoch, position)
    }

    fn of(purpose: u32, seed: u64, epoch: u64, position: usize) -> Self {
        Self(Rng::new(derived(purpose, seed, epoch, position as u64)))
    }

    /// A number below `n`, each equally likely; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }

    /// A number from 0 (included) to 1 (excluded): 24 random bits.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// Uniform between `low` and `high`.
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True with that probability.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// A whole number from `low` to `high`, both included; `low` if `high` lies below it.
    pub fn between(&mut self, low: isize, high: isize) -> isize {
        let span = usize::try_from(i128::from(high as i64) - i128::from(low as i64)).unwrap_or(0);
        low.wrapping_add_unsigned(self.0.below(span.saturating_add(1)))
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller, 1958).
    pub fn normal(&mut self) -> f32 {
        self.normal_f64() as f32
    }

    /// From the distribution Beta(`alpha`, `alpha`), `alpha` above 0: the share of one of two Gamma numbers in their
    /// sum, compared by their logarithms, which stay finite for small `alpha`.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        let (x, y) = (self.ln_gamma_number(alpha), self.ln_gamma_number(alpha));
        1.0 / (1.0 + (y - x).exp())
    }

    /// The logarithm of a number from the distribution Gamma(`alpha`, 1) (Marsaglia and Tsang, "A simple method for
    /// generating gamma variables", 2000; below 1 by its section 6).
    fn ln_gamma_number(&mut self, alpha: f64) -> f64 {
        if alpha < 1.0 {
            let boost = self.open_unit().ln() / alpha;
            return self.ln_gamma_number(alpha + 1.0) + boost;
        }
        let d = alpha - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal_f64();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.open_unit().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return (d * v).ln();
            }
        }
    }

    fn normal_f64(&mut self) -> f64 {
        let radius = (-2.0 * self.open_unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.open_unit()).cos()
    }

    /// A number strictly between 0 and 1.
    fn open_unit(&mut self) -> f64 {
        (f64::from(self.0.next_u32()) + 0.5) / (1_u64 << 32) as f64
    }
}

/// The seed of what is drawn for one purpose in an epoch at a position: a block of Philox, keyed by `seed`.
pub(crate) fn derived(purpose: u32, seed: u64, epoch: u64, position: u64) -> u64 {
    let halves = |x: u64| [x as u32, (x >> 32) as u32];
    let [key, [epoch, late], [low, high]] = [seed, epoch, position].map(halves);
    let [low, high, ..] = philox(key, [low, high, epoch, late ^ purpose]);
    u64::from(low) | u64::from(high) << 32
}

// Purposes keep sequences apart from others of the same seed; the runtime uses numbers below 16.
/// The order of the examples of an epoch, which is the position.
pub(crate) const ORDER: u32 = 16;
/// The trials of a fold of a search; the fold is the position.
pub(crate) const TRIAL: u32 = 17;
const AUGMENT: u32 = 0x6175_676d;
const MIXUP: u32 = 0x6d69_7875;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MANY: usize = 20_000;

    fn moments(mut draw: impl FnMut(&mut ExampleRng) -> f64) -> (f64, f64) {
        let numbers: Vec<f64> = (0..MANY).map(|position| draw(&mut ExampleRng::new(5, 2, position))).collect();
        let mean = numbers.iter().sum::<f64>() / MANY as f64;
        (mean, numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / MANY as f64)
    }

    /// First numbers of many examples: mean ½ and variance 1/12, mean 0 and variance 1.
    #[test]
    fn numbers_of_neighbours_are_independent() {
        let error = 5.0 / (MANY as f64).sqrt();
        let (mean, variance) = moments(|rng| f64::from(rng.unit()));
        assert!((mean - 0.5).abs() < 0.3 * error && (variance - 1.0 / 12.0).abs() < 0.1 * error, "{mean} {variance}");
        let (mean, variance) = moments(|rng| f64::from(rng.normal()));
        assert!(mean.abs() < error && (variance - 1.0).abs() < 1.5 * error, "{mean} {variance}");
    }

    /// Beta(a, a) has mean ½ and variance 1 / (4 (2a + 1)).
    #[test]
    fn beta_has_its_moments() {
        for alpha in [0.01, 0.2, 0.5, 1.0, 4.0] {
            let (mean, variance) = moments(|rng| rng.beta(alpha));
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 5.0 * (expected / MANY as f64).sqrt(), "{alpha}: {mean}");
            assert!((variance - expected).abs() < 0.01, "{alpha}: {variance}, expected {expected}");
        }
    }

    proptest! {
        #[test]
        fn numbers_keep_their_bounds(
            seed: u64, epoch: u64, position: usize, low: isize, high: isize, alpha in 1e-6..1e6,
        ) {
            let mut rng = ExampleRng::new(seed, epoch, position);
            prop_assert!((0.0..1.0).contains(&rng.unit()));
            let found = rng.between(low, high);
            prop_assert!(found >= low && found <= high.max(low));
            prop_assert!(rng.normal().is_finite());
            prop_assert!((0.0..=1.0).contains(&rng.beta(alpha)));
            prop_assert!(!rng.chance(0.0) && rng.chance(1.0));
        }
    }
}
