//! Twins of the matrix products.

use super::epilogue::finish;
use crate::{BatchedMatMul, Epilogue, MatMul, Pack, Segments, Team, Triangle};

/// Twin of [`crate::pack`].
pub fn pack(pack: &Pack, weight: &[f32], panels: &mut [f32]) {
    let (depth, columns) = if pack.transposed { (pack.outputs, pack.inputs) } else { (pack.inputs, pack.outputs) };
    for (place, panel_float) in panels[..pack.len()].iter_mut().enumerate() {
        let (panel, k, lane) = (place / (16 * depth), place / 16 % depth, place % 16);
        let column = panel * 16 + lane;
        let (input, output) = if pack.transposed { (column, k) } else { (k, column) };
        *panel_float = if column < columns { weight[input * pack.outputs + output] } else { 0.0 };
    }
}

/// Twin of [`crate::matmul`].
pub fn matmul(shape: &MatMul, n: usize, x: &[f32], panels: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
    let MatMul { rows, inputs, outputs } = *shape;
    for row in 0..n * rows {
        for output in 0..outputs {
            let mut sum = 0.0;
            for k in 0..inputs {
                let weight = panels[(output / 16 * inputs + k) * 16 + output % 16];
                sum += f64::from(x[row * inputs + k]) * f64::from(weight);
            }
            y[row * outputs + output] = finish(&epilogue, output, row * outputs + output, sum);
        }
    }
}

/// Twin of [`crate::matmul_weights`].
pub fn matmul_weights(
    shape: &MatMul,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &mut [f32],
    _team: &Team,
) {
    let MatMul { rows, inputs, outputs } = *shape;
    for input in 0..inputs {
        for output in 0..outputs {
            let mut sum = 0.0;
            for example in 0..n {
                let (x, d_y) = (x.example(example), d_y.example(example));
                for row in 0..rows {
                    sum += f64::from(x[row * inputs + input]) * f64::from(d_y[row * outputs + output]);
                }
            }
            d_weight[input * outputs + output] = sum as f32;
        }
    }
}

/// Twin of [`crate::batched_matmul`].
pub fn batched_matmul(shape: &BatchedMatMul, n: usize, a: &[f32], b: &[f32], y: &mut [f32]) {
    let BatchedMatMul { count, rows, inner, columns, transposed_a, transposed_b, shared_a, shared_b, triangle } =
        *shape;
    for place in 0..n * count {
        let (of_a, of_b) = (if shared_a { place % count } else { place }, if shared_b { place % count } else { place });
        for row in 0..rows {
            for column in 0..columns {
                let term = |k: usize| {
                    let (a_row, a_column) = if transposed_a { (k, row) } else { (row, k) };
                    let (b_row, b_column) = if transposed_b { (column, k) } else { (k, column) };
                    let counts = match triangle {
                        Triangle::Left => a_column <= a_row,
                        Triangle::Right => b_column <= b_row,
                        Triangle::Result => column <= row,
                        Triangle::None => true,
                    };
                    let a_at = a_row * if transposed_a { rows } else { inner } + a_column;
                    let b_at = b_row * if transposed_b { inner } else { columns } + b_column;
                    match counts {
                        true => f64::from(a[of_a * rows * inner + a_at]) * f64::from(b[of_b * inner * columns + b_at]),
                        false => 0.0,
                    }
                };
                y[(place * rows + row) * columns + column] = (0..inner).map(term).sum::<f64>() as f32;
            }
        }
    }
}
