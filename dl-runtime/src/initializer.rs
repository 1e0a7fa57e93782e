//! First values of parameters: an initializer, a seed and an instance enter, a filled tensor leaves.
//!
//! Each tensor of a network has its own instance number, so adding a layer changes no other layer's values. The
//! fans are numbers the compiler knows; no shapes are looked at here.

use crate::random::{INITIALIZE, derive, fill, normal_strip, uniform_strip};

/// How a tensor is filled before training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initializer {
    /// 0.
    Zeros,
    /// 1.
    Ones,
    /// One value.
    Constant(f32),
    /// Uniform from `low` (included) to `high` (excluded).
    Uniform {
        /// The least value.
        low: f32,
        /// The end of the interval.
        high: f32,
    },
    /// Normal.
    Normal {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        deviation: f32,
    },
    /// Uniform within ±√(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).
    GlorotUniform {
        /// Values that enter one output.
        fan_in: usize,
        /// Values that one input reaches.
        fan_out: usize,
    },
    /// Normal with deviation √(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010).
    GlorotNormal {
        /// Values that enter one output.
        fan_in: usize,
        /// Values that one input reaches.
        fan_out: usize,
    },
    /// Uniform within ±√(6 / fan_in) (He et al., 2015).
    HeUniform {
        /// Values that enter one output.
        fan_in: usize,
    },
    /// Normal with deviation √(2 / fan_in) (He et al., 2015).
    HeNormal {
        /// Values that enter one output.
        fan_in: usize,
    },
    /// Uniform within ±√(3 / fan_in) (LeCun et al., 1998).
    LecunUniform {
        /// Values that enter one output.
        fan_in: usize,
    },
    /// Normal with deviation √(1 / fan_in) (LeCun et al., 1998).
    LecunNormal {
        /// Values that enter one output.
        fan_in: usize,
    },
    /// A matrix of so many rows whose rows or columns, whichever are fewer, are orthonormal (Saxe et al., 2014).
    Orthogonal {
        /// Rows of the matrix; it has as many columns as the values suffice for.
        rows: usize,
    },
}

impl Initializer {
    /// Fills a tensor. `instance` tells the tensors of a network apart.
    pub fn fill(&self, seed: u64, instance: u32, y: &mut [f32]) {
        match *self {
            Self::Zeros => y.fill(0.0),
            Self::Ones => y.fill(1.0),
            Self::Constant(value) => y.fill(value),
            Self::Uniform { low, high } => uniform(seed, instance, low, high, y),
            Self::Normal { mean, deviation } => normal(seed, instance, mean, deviation, y),
            Self::GlorotUniform { fan_in, fan_out } => within(seed, instance, scale(6.0, fan_in + fan_out), y),
            Self::GlorotNormal { fan_in, fan_out } => normal(seed, instance, 0.0, scale(2.0, fan_in + fan_out), y),
            Self::HeUniform { fan_in } => within(seed, instance, scale(6.0, fan_in), y),
            Self::HeNormal { fan_in } => normal(seed, instance, 0.0, scale(2.0, fan_in), y),
            Self::LecunUniform { fan_in } => within(seed, instance, scale(3.0, fan_in), y),
            Self::LecunNormal { fan_in } => normal(seed, instance, 0.0, scale(1.0, fan_in), y),
            Self::Orthogonal { rows } => orthogonal(seed, instance, rows, y),
        }
    }
}

/// √(gain / fan); a fan of 0 counts as 1.
fn scale(gain: f64, fan: usize) -> f32 {
    (gain / fan.max(1) as f64).sqrt() as f32
}

fn within(seed: u64, instance: u32, limit: f32, y: &mut [f32]) {
    uniform(seed, instance, -limit, limit, y);
}

fn uniform(seed: u64, instance: u32, low: f32, high: f32, y: &mut [f32]) {
    fill(derive(seed, instance, INITIALIZE), 0, 0, y, &uniform_strip(low, high));
}

fn normal(seed: u64, instance: u32, mean: f32, deviation: f32, y: &mut [f32]) {
    fill(derive(seed, instance, INITIALIZE), 0, 0, y, &normal_strip(mean, deviation));
}

/// The orthogonal factor of a matrix of normal numbers, so that every such matrix is equally likely: the factor whose
/// triangular counterpart has a positive diagonal is that of Gram and Schmidt (Mezzadri, "How to generate random
/// matrices from the classical compact groups", 2007).
fn orthogonal(seed: u64, instance: u32, rows: usize, y: &mut [f32]) {
    let Some(columns) = y.len().checked_div(rows).filter(|columns| *columns > 0) else { return };
    normal(seed, instance, 0.0, 1.0, y);
    // The fewer of both are the vectors.
    let (vectors, len, along, across) =
        if rows <= columns { (rows, columns, 1, columns) } else { (columns, rows, columns, 1) };
    let mut done: Vec<Vec<f64>> = Vec::with_capacity(vectors);
    for vector in 0..vectors {
        let mut now: Vec<f64> = (0..len).map(|place| f64::from(y[vector * across + place * along])).collect();
        // Twice is enough: what rounding left of the others goes with the second round.
        for _ in 0..2 {
            for other in &done {
                let dot: f64 = now.iter().zip(other).map(|(a, b)| a * b).sum();
                now.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = now.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        now.iter_mut().for_each(|x| *x /= norm);
        for (place, x) in now.iter().enumerate() {
            y[vector * across + place * along] = *x as f32;
        }
        done.push(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_papers() {
        use Initializer::*;
        let (fan_in, fan_out) = (300, 100);
        // Initializer, variance of its paper, half width of its interval.
        let cases = [
            (GlorotUniform { fan_in, fan_out }, 2.0 / 400.0, Some((6.0_f64 / 400.0).sqrt())),
            (GlorotNormal { fan_in, fan_out }, 2.0 / 400.0, None),
            (HeUniform { fan_in }, 2.0 / 300.0, Some((6.0_f64 / 300.0).sqrt())),
            (HeNormal { fan_in }, 2.0 / 300.0, None),
            (LecunUniform { fan_in }, 1.0 / 300.0, Some((3.0_f64 / 300.0).sqrt())),
            (LecunNormal { fan_in }, 1.0 / 300.0, None),
            (Uniform { low: -0.5, high: 0.5 }, 1.0 / 12.0, Some(0.5)),
            (Normal { mean: 0.0, deviation: 0.3 }, 0.09, None),
        ];
        let n = 1 << 19;
        let mut y = vec![f32::NAN; n];
        for (initializer, variance, limit) in cases {
            initializer.fill(42, 1, &mut y);
            let mean = y.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
            let square = y.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n as f64;
            // Five standard errors; the fourth moment of a normal is 3, so its square has a variance of 2.
            assert!(mean.abs() < 5.0 * (variance / n as f64).sqrt(), "{initializer:?}: mean {mean}");
            let error = 5.0 * variance * (2.0 / n as f64).sqrt();
            assert!((square - variance).abs() < error, "{initializer:?}: variance {square}");
            if let Some(limit) = limit {
                let widest = y.iter().fold(0.0_f64, |widest, &x| widest.max(f64::from(x).abs()));
                assert!(widest <= limit * (1.0 + 1e-6) && widest > 0.99 * limit, "{initializer:?}: {widest}");
            }
        }
    }

    #[test]
    fn constants_are_constant() {
        let mut y = [f32::NAN; 7];
        Initializer::Zeros.fill(1, 1, &mut y);
        assert_eq!(y, [0.0; 7]);
        Initializer::Ones.fill(1, 1, &mut y);
        assert_eq!(y, [1.0; 7]);
        Initializer::Constant(-2.5).fill(1, 1, &mut y);
        assert_eq!(y, [-2.5; 7]);
        Initializer::Normal { mean: 4.0, deviation: 0.0 }.fill(1, 1, &mut y);
        assert_eq!(y, [4.0; 7]);
    }

    #[test]
    fn values_depend_on_seed_and_instance_alone() {
        let values = |seed, instance, len| {
            let mut y = vec![0.0; len];
            Initializer::HeNormal { fan_in: 10 }.fill(seed, instance, &mut y);
            y
        };
        assert_eq!(values(1, 2, 37), values(1, 2, 100)[..37]);
        assert_ne!(values(1, 2, 37), values(2, 2, 37));
        assert_ne!(values(1, 2, 37), values(1, 3, 37));
        assert!(values(1, 2, 0).is_empty());
    }

    #[test]
    fn an_orthogonal_matrix_times_its_transpose_is_the_identity() {
        for (rows, columns) in [(1, 1), (1, 7), (7, 1), (5, 5), (4, 16), (16, 4), (33, 40), (40, 33)] {
            let mut y = vec![f32::NAN; rows * columns];
            Initializer::Orthogonal { rows }.fill(3, 2, &mut y);
            let at = |vector: usize, place: usize| {
                let at = if rows <= columns { vector * columns + place } else { place * columns + vector };
                f64::from(y[at])
            };
            let (vectors, len) = (rows.min(columns), rows.max(columns));
            for a in 0..vectors {
                for b in 0..vectors {
                    let dot: f64 = (0..len).map(|place| at(a, place) * at(b, place)).sum();
                    let expected = if a == b { 1.0 } else { 0.0 };
                    assert!((dot - expected).abs() < 1e-6, "{rows}×{columns}: rows {a} and {b} give {dot}");
                }
            }
            let mut again = vec![f32::NAN; rows * columns];
            Initializer::Orthogonal { rows }.fill(3, 2, &mut again);
            assert_eq!(y, again);
        }
        // Nothing to fill is no mistake.
        Initializer::Orthogonal { rows: 0 }.fill(1, 1, &mut []);
        Initializer::Orthogonal { rows: 3 }.fill(1, 1, &mut []);
    }
}
