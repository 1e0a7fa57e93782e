//! Twins of the matrix products.

use super::epilogue::finish;
use crate::{Epilogue, MatMul, Pack, Segments, Team};

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
            y[row * outputs + output] = finish(&epilogue, output, sum);
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
