//! Twins of the sums.

use crate::{ExampleWeights, Segments, Sum, Team};

/// Twin of [`crate::sum`].
pub fn sum(shape: &Sum, n: usize, x: &[f32], y: &mut [f32]) {
    for block in 0..n * shape.outer {
        for i in 0..shape.inner {
            let places = (0..shape.reduced).map(|r| (block * shape.reduced + r) * shape.inner + i);
            y[block * shape.inner + i] = places.map(|at| f64::from(x[at])).sum::<f64>() as f32;
        }
    }
}

/// Twin of [`crate::deviations`].
pub fn deviations(shape: &Sum, n: usize, x: &[f32], y: &mut [f32]) {
    for block in 0..n * shape.outer {
        for i in 0..shape.inner {
            let numbers = (0..shape.reduced).map(|r| f64::from(x[(block * shape.reduced + r) * shape.inner + i]));
            let mean = numbers.clone().sum::<f64>() / shape.reduced as f64;
            y[block * shape.inner + i] = numbers.map(|x| (x - mean).powi(2)).sum::<f64>() as f32;
        }
    }
}

/// Twin of [`crate::sum_batch`].
pub fn sum_batch(len: usize, n: usize, x: Segments<'_>, y: &mut [f32], _team: &Team) {
    for (i, y) in y[..len].iter_mut().enumerate() {
        *y = (0..n).map(|example| f64::from(x.example(example)[i])).sum::<f64>() as f32;
    }
}

/// Twin of [`crate::mean`].
pub fn mean(n: usize, values: Segments<'_>, weights: ExampleWeights<'_>) -> f32 {
    let term = |example| {
        let weight = weights.each.map_or(1.0, |each| f64::from(each[example]));
        weight * f64::from(values.example(example)[0]) / f64::from(weights.total)
    };
    (0..n).map(term).sum::<f64>() as f32
}

/// Twin of [`crate::example_weights`].
pub fn example_weights(first: usize, rows: usize, weights: ExampleWeights<'_>, y: &mut [f32]) {
    for row in 0..rows {
        let weight = weights.each.map_or(1.0, |each| f64::from(each[first + row]));
        y[row] = (weight / f64::from(weights.total)) as f32;
    }
}

/// Twin of [`crate::batch_share`].
pub fn batch_share(n: usize, y: &mut [f32]) {
    y[0] = (1.0 / n as f64) as f32;
}

/// Twin of [`crate::max_reduce`].
pub fn max_reduce(shape: &Sum, n: usize, x: &[f32], y: &mut [f32]) {
    for block in 0..n * shape.outer {
        for i in 0..shape.inner {
            let numbers = (0..shape.reduced).map(|r| x[(block * shape.reduced + r) * shape.inner + i]);
            let greater = |a: f32, b: f32| if a.is_nan() || a > b { a } else { b };
            y[block * shape.inner + i] = numbers.fold(f32::NEG_INFINITY, greater);
        }
    }
}
