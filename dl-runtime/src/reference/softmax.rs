//! Twins of softmax and what is computed with it.

use crate::{CausalSoftmax, Softmax};

/// Twin of [`crate::softmax`].
pub fn softmax(shape: &Softmax, n: usize, x: &[f32], y: &mut [f32]) {
    for row in rows(shape, n) {
        let log_sum = log_sum_exp(&x[row.clone()]);
        for at in row {
            y[at] = (f64::from(x[at]) - log_sum).exp() as f32;
        }
    }
}

/// Twin of [`crate::softmax_gradient`].
pub fn softmax_gradient(shape: &Softmax, n: usize, y: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    for row in rows(shape, n) {
        let dot: f64 = row.clone().map(|at| f64::from(y[at]) * f64::from(d_y[at])).sum();
        for at in row {
            d_x[at] = (f64::from(y[at]) * (f64::from(d_y[at]) - dot)) as f32;
        }
    }
}

/// Twin of [`crate::causal_softmax`].
pub fn causal_softmax(shape: &CausalSoftmax, n: usize, x: &[f32], y: &mut [f32]) {
    for (row, seen) in prefixes(shape, n) {
        let log_sum = log_sum_exp(&x[row.start..][..seen]);
        for (column, at) in row.enumerate() {
            y[at] = if column < seen { (f64::from(x[at]) - log_sum).exp() as f32 } else { 0.0 };
        }
    }
}

/// Twin of [`crate::causal_softmax_gradient`].
pub fn causal_softmax_gradient(shape: &CausalSoftmax, n: usize, y: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    for (row, seen) in prefixes(shape, n) {
        let dot: f64 = row.clone().take(seen).map(|at| f64::from(y[at]) * f64::from(d_y[at])).sum();
        for (column, at) in row.enumerate() {
            d_x[at] = if column < seen { (f64::from(y[at]) * (f64::from(d_y[at]) - dot)) as f32 } else { 0.0 };
        }
    }
}

/// Where each row lies, and how many of its columns it sees.
fn prefixes(shape: &CausalSoftmax, n: usize) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> {
    let CausalSoftmax { count, rows, columns } = *shape;
    (0..n * count * rows).map(move |row| (row * columns..(row + 1) * columns, (row % rows + 1).min(columns)))
}

/// Twin of [`crate::cross_entropy`].
pub fn cross_entropy(shape: &Softmax, n: usize, logits: &[f32], labels: &[u32], loss: &mut [f32]) {
    for (index, row) in rows(shape, n).enumerate() {
        let label = labels[index] as usize;
        assert!(label < shape.classes, "a label past the last class");
        loss[index] = (log_sum_exp(&logits[row.clone()]) - f64::from(logits[row][label])) as f32;
    }
}

/// Twin of [`crate::cross_entropy_gradient`].
pub fn cross_entropy_gradient(
    shape: &Softmax,
    n: usize,
    logits: &[f32],
    labels: &[u32],
    d_loss: &[f32],
    d_logits: &mut [f32],
) {
    for (index, row) in rows(shape, n).enumerate() {
        let log_sum = log_sum_exp(&logits[row.clone()]);
        for (class, at) in row.enumerate() {
            let target = f64::from(class == labels[index] as usize);
            let probability = (f64::from(logits[at]) - log_sum).exp();
            d_logits[at] = (f64::from(d_loss[index]) * (probability - target)) as f32;
        }
    }
}

/// Twin of [`crate::accuracy`].
pub fn accuracy(shape: &Softmax, n: usize, logits: &[f32], labels: &[u32], y: &mut [f32]) {
    for (index, row) in rows(shape, n).enumerate() {
        let row = &logits[row];
        let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let first = row.iter().position(|x| x.is_nan()).or_else(|| row.iter().position(|&x| x == greatest));
        y[index] = f32::from(first == Some(labels[index] as usize));
    }
}

fn rows(shape: &Softmax, n: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let classes = shape.classes;
    (0..n * shape.rows).map(move |row| row * classes..(row + 1) * classes)
}

fn log_sum_exp(row: &[f32]) -> f64 {
    let greatest = row.iter().map(|&x| f64::from(x)).fold(f64::NEG_INFINITY, f64::max);
    greatest + row.iter().map(|&x| (f64::from(x) - greatest).exp()).sum::<f64>().ln()
}

/// Twin of [`crate::log_softmax`].
pub fn log_softmax(shape: &Softmax, n: usize, x: &[f32], y: &mut [f32]) {
    for row in 0..n * shape.rows {
        let at = row * shape.classes..(row + 1) * shape.classes;
        let numbers = &x[at.clone()];
        let greatest = numbers.iter().fold(f64::NEG_INFINITY, |greatest, &x| greatest.max(f64::from(x)));
        let sum: f64 = numbers.iter().map(|&x| (f64::from(x) - greatest).exp()).sum();
        for (y, &x) in y[at].iter_mut().zip(numbers) {
            *y = (f64::from(x) - greatest - sum.ln()) as f32;
        }
    }
}

/// Twin of [`crate::argmax`].
pub fn argmax(shape: &Softmax, n: usize, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks(shape.classes).zip(y).take(n * shape.rows) {
        let beats = |a: f32, b: f32| a > b || (a.is_nan() && !b.is_nan());
        let place = (0..x.len()).find(|&place| !x.iter().any(|&other| beats(other, x[place])));
        *y = place.unwrap_or(0) as f32;
    }
}
