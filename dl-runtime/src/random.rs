//! Random numbers by counting: a seed and a place enter, a number leaves, whatever was drawn before.
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! 2011): a keyed bijection of 128-bit counters. A draw is a function of seed, instance (which draw of the source),
//! step, example and element, so it is the same for any number of threads and when it is computed again in the
//! backward pass. Nothing here is secret or keeps state, except [`Rng`], which counts.

use crate::simd::{Kernel, Lane, dispatch, isa};

/// A place in the source where random numbers are drawn, in one training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The seed of the run.
    pub seed: u64,
    /// The number of the training step, or of the call.
    pub step: u64,
    /// Which draw of the network this is.
    pub instance: u32,
}

/// Four 32-bit numbers from a 64-bit key and a 128-bit counter: Philox4x32-10.
pub fn philox(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let lanes = philox_lanes(key, counter.map(|word| [word]));
    lanes.map(|[word]| word)
}

/// The 32 random bits of one element of one example.
pub fn draw_bits(draw: &Draw, example: usize, element: usize) -> u32 {
    block(key(draw), draw.step, example, element / 4)[element % 4]
}

/// `y[n, len]`: 1 with probability `keep`, else 0. Row 0 is the example of number `first`.
///
/// The number is 1 where the upper 24 bits of [`draw_bits`], as a fraction of 2²⁴, are below `keep`.
///
/// # Panics
/// If `y` is shorter than `n * len`.
pub fn bernoulli(draw: &Draw, keep: f32, first: usize, n: usize, len: usize, y: &mut [f32]) {
    rows(draw, first, n, len, y, |words, y| {
        for (y, &word) in y.iter_mut().zip(words) {
            *y = if fraction(word) < keep { 1.0 } else { 0.0 };
        }
    });
}

/// `y[n, len]`: uniform between `low` (included) and `high` (excluded). Row 0 is the example of number `first`.
///
/// The number is `low + (high - low) * u`, where `u` is the upper 24 bits of [`draw_bits`] as a fraction of 2²⁴;
/// where that rounds to `high`, the float below it.
///
/// # Panics
/// If `y` is shorter than `n * len`.
pub fn uniform(draw: &Draw, low: f32, high: f32, first: usize, n: usize, len: usize, y: &mut [f32]) {
    rows(draw, first, n, len, y, uniform_strip(low, high));
}

/// `y[n, len]`: normal with that mean and standard deviation. Row 0 is the example of number `first`.
///
/// Box and Muller (1958): elements `2i` and `2i + 1` are `r cos φ` and `r sin φ`, with `r = √(-2 ln u)`,
/// `u = (a + ½) / 2³²` and `φ = 2π b / 2³²`, where `a` and `b` are the [`draw_bits`] of the two elements; computed
/// in f64. No number lies further than 6.7 deviations out.
///
/// # Panics
/// If `y` is shorter than `n * len`.
pub fn normal(draw: &Draw, mean: f32, deviation: f32, first: usize, n: usize, len: usize, y: &mut [f32]) {
    rows(draw, first, n, len, y, normal_strip(mean, deviation));
}

/// Random numbers one after another, for shuffling and sampling outside of networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    key: [u32; 2],
    blocks: u64,
    words: [u32; 4],
    left: usize,
}

impl Rng {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self { key: halves(seed), blocks: 0, words: [0; 4], left: 0 }
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.left == 0 {
            let [low, high] = halves(self.blocks);
            self.words = philox(self.key, [low, high, 0, SEQUENCE]);
            self.blocks = self.blocks.wrapping_add(1);
            self.left = 4;
        }
        self.left -= 1;
        self.words[3 - self.left]
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// A number below `n`, each equally likely (Lemire, "Fast random integer generation in an interval", 2019).
    /// Below 0 there is none: that gives 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        // The upper half of the product is fair once lower halves below 2⁶⁴ mod n are drawn again.
        let unfair = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= unfair {
                return (product >> 64) as usize;
            }
        }
    }

    /// Brings the items into an order of which each is equally likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

/// Counters of different purposes differ in their last word.
const SEQUENCE: u32 = 1;
const KEYS: u32 = 2;
/// The draws of initializers, kept apart from those of steps.
pub(crate) const INITIALIZE: u32 = 3;

/// The key of a draw. It is itself drawn, from the seed and the instance, so that example, element and step have
/// the whole counter for themselves.
fn key(draw: &Draw) -> [u32; 2] {
    derive(draw.seed, draw.instance, KEYS)
}

/// A key derived from the seed for one instance of one purpose. (The two words between are the place of the time
/// step of a sequence, which is 0 for all draws there are.)
pub(crate) fn derive(seed: u64, instance: u32, purpose: u32) -> [u32; 2] {
    let [a, b, _, _] = philox(halves(seed), [instance, 0, 0, purpose]);
    [a, b]
}

/// The words of elements `4 * index` to `4 * index + 3`.
fn block(key: [u32; 2], step: u64, example: usize, index: usize) -> [u32; 4] {
    let [low, high] = halves(step);
    philox(key, [index as u32, example as u32, low, high])
}

/// Blocks computed at once, so that the rounds become vector instructions.
const LANES: usize = 8;

/// The words of as many elements.
pub(crate) type Words = [u32; 4 * LANES];

/// Runs `body(words, y)` for strips of `n` rows; the last `y` of a row may be shorter than the words.
fn rows(draw: &Draw, first: usize, n: usize, len: usize, y: &mut [f32], body: impl Fn(&Words, &mut [f32])) {
    let y = &mut y[..n * len];
    if len == 0 {
        return;
    }
    let key = key(draw);
    for (row, y) in y.chunks_exact_mut(len).enumerate() {
        fill(key, draw.step, first + row, y, &body);
    }
}

/// Runs `body(words, y)` for strips of one row.
pub(crate) fn fill(key: [u32; 2], step: u64, example: usize, y: &mut [f32], body: &impl Fn(&Words, &mut [f32])) {
    dispatch(isa(), Fill { key, step, example, y, body });
}

/// Turns words into uniform numbers.
pub(crate) fn uniform_strip(low: f32, high: f32) -> impl Fn(&Words, &mut [f32]) {
    move |words, y| {
        for (y, &word) in y.iter_mut().zip(words) {
            *y = between(low, high, word);
        }
    }
}

/// Turns words into normal numbers.
pub(crate) fn normal_strip(mean: f32, deviation: f32) -> impl Fn(&Words, &mut [f32]) {
    move |words, y| {
        for (y, &[a, b]) in y.chunks_mut(2).zip(words.as_chunks().0) {
            for (y, z) in y.iter_mut().zip(box_muller(a, b)) {
                *y = (f64::from(mean) + f64::from(deviation) * z) as f32;
            }
        }
    }
}

struct Fill<'a, F> {
    key: [u32; 2],
    step: u64,
    example: usize,
    y: &'a mut [f32],
    body: &'a F,
}

impl<F: Fn(&Words, &mut [f32])> Kernel for Fill<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, _: V) {
        let [low, high] = halves(self.step);
        for (strip, y) in self.y.chunks_mut(4 * LANES).enumerate() {
            let index = |lane| (strip * LANES + lane) as u32;
            let counter = [std::array::from_fn(index), [self.example as u32; LANES], [low; LANES], [high; LANES]];
            let blocks = philox_lanes(self.key, counter);
            let mut words = [0; 4 * LANES];
            for lane in 0..LANES {
                for word in 0..4 {
                    words[4 * lane + word] = blocks[word][lane];
                }
            }
            (self.body)(&words, y);
        }
    }
}

/// Philox over several counters at once. Words are kept in 64 bits, where vectors multiply them without widening.
#[inline(always)]
fn philox_lanes<const N: usize>(key: [u32; 2], counter: [[u32; N]; 4]) -> [[u32; N]; 4] {
    const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    const LOW: u64 = 0xFFFF_FFFF;
    let mut key = key;
    let mut words = counter.map(|words| words.map(u64::from));
    for _ in 0..10 {
        let [x0, x1, x2, x3] = words;
        for lane in 0..N {
            let first = (x0[lane] & LOW) * MULTIPLIERS[0];
            let second = (x2[lane] & LOW) * MULTIPLIERS[1];
            words[0][lane] = (second >> 32) ^ x1[lane] ^ u64::from(key[0]);
            words[1][lane] = second & LOW;
            words[2][lane] = (first >> 32) ^ x3[lane] ^ u64::from(key[1]);
            words[3][lane] = first & LOW;
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    words.map(|words| words.map(|word| word as u32))
}

fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// The upper 24 bits as a fraction of 2²⁴, exact in f32.
fn fraction(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

fn between(low: f32, high: f32, word: u32) -> f32 {
    (low + (high - low) * fraction(word)).min(high.next_down()).max(low)
}

fn box_muller(a: u32, b: u32) -> [f64; 2] {
    const UNIT: f64 = 1.0 / (1_u64 << 32) as f64;
    let radius = (-2.0 * ((f64::from(a) + 0.5) * UNIT).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * f64::from(b) * UNIT).sin_cos();
    [radius * cos, radius * sin]
}

#[cfg(test)]
mod tests {
    use super::{Rng, *};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    /// Known answers published with Random123 (file `kat_vectors`, `philox4x32 10`).
    #[test]
    fn philox_gives_the_published_numbers() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox(key, counter), expected);
        }
    }

    fn draw(seed: u64) -> Draw {
        Draw { seed, step: 7, instance: 3 }
    }

    fn moments(numbers: &[f32]) -> (f64, f64) {
        let n = numbers.len() as f64;
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = numbers.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        (mean, variance)
    }

    const MANY: usize = 1 << 20;

    #[test]
    fn bernoulli_keeps_the_stated_share() {
        let mut y = vec![f32::NAN; MANY];
        for keep in [0.0, 0.1, 0.5, 0.9, 1.0] {
            bernoulli(&draw(1), keep, 0, 16, MANY / 16, &mut y);
            assert!(y.iter().all(|&x| x == 0.0 || x == 1.0));
            let (mean, _) = moments(&y);
            // Five standard errors.
            let error = 5.0 * (f64::from(keep * (1.0 - keep)) / MANY as f64).sqrt();
            assert!((mean - f64::from(keep)).abs() <= error, "{keep}: {mean}");
        }
    }

    #[test]
    fn uniform_fills_its_interval() {
        let mut y = vec![f32::NAN; MANY];
        uniform(&draw(2), -1.0, 3.0, 0, 1, MANY, &mut y);
        assert!(y.iter().all(|&x| (-1.0..3.0).contains(&x)));
        let (mean, variance) = moments(&y);
        assert!((mean - 1.0).abs() < 5.0 * (16.0 / 12.0 / MANY as f64).sqrt(), "{mean}");
        assert!((variance - 16.0 / 12.0).abs() < 0.01, "{variance}");
        let mut eighths = [0; 8];
        y.iter().for_each(|&x| eighths[((x + 1.0) * 2.0) as usize] += 1);
        let expected = MANY as f64 / 8.0;
        let chi_squared: f64 = eighths.iter().map(|&k| (f64::from(k) - expected).powi(2) / expected).sum();
        // The 99.99 % point of chi-squared with 7 degrees of freedom is 29.9.
        assert!(chi_squared < 29.9, "{chi_squared}");
    }

    #[test]
    fn uniform_never_reaches_its_end() {
        assert_eq!(between(0.0, 1.0, u32::MAX), 1.0 - 1.0 / (1 << 24) as f32);
        // Here the formula rounds up to the end.
        assert!(between(1.0, 1.0 + f32::EPSILON, u32::MAX) < 1.0 + f32::EPSILON);
        assert_eq!(between(2.0, 2.0, 77), 2.0);
    }

    #[test]
    fn normal_has_its_moments_and_tails() {
        let mut y = vec![f32::NAN; MANY];
        normal(&draw(3), 2.0, 0.5, 0, 4, MANY / 4, &mut y);
        let (mean, variance) = moments(&y);
        assert!((mean - 2.0).abs() < 5.0 * 0.5 / (MANY as f64).sqrt(), "{mean}");
        assert!((variance - 0.25).abs() < 5.0 * 0.25 * (2.0 / MANY as f64).sqrt(), "{variance}");
        let z: Vec<f64> = y.iter().map(|&x| (f64::from(x) - 2.0) / 0.5).collect();
        for (limit, share) in [(1.0, 0.317_310_5), (2.0, 0.045_500_3), (3.0, 0.002_699_8)] {
            let beyond = z.iter().filter(|z| z.abs() > limit).count() as f64 / MANY as f64;
            let error = 5.0 * f64::sqrt(share * (1.0 - share) / MANY as f64);
            assert!((beyond - share).abs() < error, "beyond {limit}: {beyond}");
        }
        let skew = z.iter().map(|z| z.powi(3)).sum::<f64>() / MANY as f64;
        assert!(skew.abs() < 5.0 * (6.0 / MANY as f64).sqrt(), "{skew}");
    }

    #[test]
    fn instances_steps_examples_and_seeds_differ() {
        let base = draw(5);
        let others = [
            draw_bits(&draw(6), 0, 0),
            draw_bits(&Draw { step: 8, ..base }, 0, 0),
            draw_bits(&Draw { step: 7 + (1 << 32), ..base }, 0, 0),
            draw_bits(&Draw { instance: 4, ..base }, 0, 0),
            draw_bits(&base, 1, 0),
            draw_bits(&base, 0, 1),
            draw_bits(&base, 0, 4),
        ];
        assert!(others.iter().all(|&bits| bits != draw_bits(&base, 0, 0)), "{others:x?}");
    }

    proptest! {
        /// Drawing rows at once, in pieces, or bit by bit is the same.
        #[test]
        fn a_draw_depends_on_its_place_alone(
            seed: u64, step: u64, instance: u32, first in 0_usize..1000, n in 0_usize..5, len in 0_usize..75,
        ) {
            let draw = Draw { seed, step, instance };
            let mut whole = vec![f32::NAN; n * len + 3];
            uniform(&draw, 0.0, 1.0, first, n, len, &mut whole);
            for row in 0..n {
                let mut alone = vec![0.0; len];
                uniform(&draw, 0.0, 1.0, first + row, 1, len, &mut alone);
                prop_assert_eq!(&whole[row * len..][..len], &alone);
                for (element, &x) in alone.iter().enumerate() {
                    let bits = draw_bits(&draw, first + row, element);
                    prop_assert_eq!(f64::from(x), f64::from(bits >> 8) / 16_777_216.0);
                }
                normal(&draw, 0.0, 1.0, first + row, 1, len, &mut alone);
                for (element, &z) in alone.iter().enumerate() {
                    let a = f64::from(draw_bits(&draw, first + row, element & !1));
                    let b = f64::from(draw_bits(&draw, first + row, element | 1));
                    let radius = (-2.0 * ((a + 0.5) / 4_294_967_296.0).ln()).sqrt();
                    let angle = std::f64::consts::TAU * (b / 4_294_967_296.0);
                    let expected = radius * if element % 2 == 0 { angle.cos() } else { angle.sin() };
                    prop_assert!((f64::from(z) - expected).abs() < 1e-6);
                }
            }
            prop_assert!(whole[n * len..].iter().all(|x| x.is_nan()), "wrote past its end");
        }

        #[test]
        fn below_stays_below(seed: u64, n in 1_usize..) {
            let mut rng = Rng::new(seed);
            for _ in 0..20 {
                prop_assert!(rng.below(n) < n);
            }
        }

        #[test]
        fn a_shuffle_keeps_every_item(seed: u64, n in 0_usize..200) {
            let mut items: Vec<usize> = (0..n).collect();
            Rng::new(seed).shuffle(&mut items);
            items.sort_unstable();
            prop_assert!(items.into_iter().eq(0..n));
        }
    }

    #[test]
    fn orders_are_equally_likely() {
        let mut rng = Rng::new(11);
        let mut counts = [0_u32; 24];
        const ROUNDS: u32 = 48_000;
        for _ in 0..ROUNDS {
            let mut items = [0_usize, 1, 2, 3];
            rng.shuffle(&mut items);
            // The rank of the permutation by its Lehmer code.
            let smaller = |at: usize| items[at + 1..].iter().filter(|&&x| x < items[at]).count();
            counts[smaller(0) * 6 + smaller(1) * 2 + smaller(2)] += 1;
        }
        let expected = f64::from(ROUNDS) / 24.0;
        let chi_squared: f64 = counts.iter().map(|&k| (f64::from(k) - expected).powi(2) / expected).sum();
        // The 99.99 % point of chi-squared with 23 degrees of freedom is 56.5.
        assert!(chi_squared < 56.5, "{counts:?}");
    }

    #[test]
    fn a_sequence_is_its_seed() {
        let numbers = |seed| {
            let mut rng = Rng::new(seed);
            std::array::from_fn::<u32, 9, _>(|_| rng.next_u32())
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert_eq!(Rng::new(1).below(0), 0);
        // The second block of the sequence counts on.
        assert_eq!(numbers(1)[4..8], philox([1, 0], [1, 0, 0, SEQUENCE]));
    }
}
