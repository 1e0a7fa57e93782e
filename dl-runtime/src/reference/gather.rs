//! Twins of what works with indices.

use crate::{Gather, Segments, Team};

/// Where the row of an index lies among those of `n` examples.
fn place(shape: &Gather, n: usize, example: usize, index: usize) -> usize {
    let each = shape.count / shape.steps;
    let (step, within) = (index / each, index % each);
    (step * n + example) * each + within
}

/// Twin of [`crate::gather`].
pub fn gather(shape: &Gather, n: usize, table: &[f32], indices: &[u32], y: &mut [f32]) {
    for example in 0..n {
        for index in 0..shape.count {
            let (from, to) = (indices[example * shape.count + index] as usize, place(shape, n, example, index));
            for column in 0..shape.width {
                y[to * shape.width + column] = table[from * shape.width + column];
            }
        }
    }
}

/// Twin of [`crate::gather_gradient`].
pub fn gather_gradient(
    shape: &Gather,
    n: usize,
    indices: &[u32],
    d_y: Segments<'_>,
    d_table: &mut [f32],
    _team: &Team,
) {
    for row in 0..shape.rows {
        for column in 0..shape.width {
            let mut sum = 0.0;
            for example in 0..n {
                let shard = example / d_y.shard_rows();
                let first = shard * d_y.shard_rows();
                let examples = d_y.shard_rows().min(n - first);
                for index in 0..shape.count {
                    if indices[example * shape.count + index] as usize == row {
                        let from = place(shape, examples, example - first, index);
                        sum += f64::from(d_y.shard(shard, examples)[from * shape.width + column]);
                    }
                }
            }
            d_table[row * shape.width + column] = sum as f32;
        }
    }
}

/// Twin of [`crate::one_hot`].
pub fn one_hot(classes: usize, rows: usize, indices: &[u32], y: &mut [f32]) {
    for row in 0..rows {
        for class in 0..classes {
            y[row * classes + class] = if indices[row] as usize == class { 1.0 } else { 0.0 };
        }
    }
}

/// Twin of [`crate::float`].
pub fn float(len: usize, indices: &[u32], y: &mut [f32]) {
    for place in 0..len {
        y[place] = indices[place] as f32;
    }
}

/// Twin of [`crate::range`].
pub fn range(y: &mut [f32]) {
    for (place, y) in y.iter_mut().enumerate() {
        *y = place as f32;
    }
}
