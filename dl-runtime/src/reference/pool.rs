//! Twins of the poolings.

use super::form::place;
use crate::{Form, Pool2d, SHARD};

/// Twin of [`crate::max_pool2d`].
pub fn max_pool2d(shape: &Pool2d, form: Form, n: usize, x: &[f32], y: &mut [f32]) {
    for_windows(shape, form, n, |output, inputs| {
        y[output] = first_maximum(x, inputs).map_or(f32::NEG_INFINITY, |at| x[at]);
    });
}

/// Twin of [`crate::max_pool2d_gradient`].
pub fn max_pool2d_gradient(shape: &Pool2d, form: Form, n: usize, x: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    let mut sums = vec![0.0; form.floats(n, 1) * shape.channels * shape.height * shape.width];
    for_windows(shape, form, n, |output, inputs| {
        if let Some(at) = first_maximum(x, inputs) {
            sums[at] += f64::from(d_y[output]);
        }
    });
    for (d_x, sum) in d_x.iter_mut().zip(sums) {
        *d_x = sum as f32;
    }
}

/// Twin of [`crate::avg_pool2d`].
pub fn avg_pool2d(shape: &Pool2d, form: Form, n: usize, x: &[f32], y: &mut [f32]) {
    for_windows(shape, form, n, |output, inputs| {
        let sum: f64 = inputs.iter().map(|&at| f64::from(x[at])).sum();
        y[output] = if inputs.is_empty() { 0.0 } else { (sum / inputs.len() as f64) as f32 };
    });
}

/// Twin of [`crate::avg_pool2d_gradient`].
pub fn avg_pool2d_gradient(shape: &Pool2d, form: Form, n: usize, d_y: &[f32], d_x: &mut [f32]) {
    let mut sums = vec![0.0; form.floats(n, 1) * shape.channels * shape.height * shape.width];
    for_windows(shape, form, n, |output, inputs| {
        for &at in inputs {
            sums[at] += f64::from(d_y[output]) / inputs.len() as f64;
        }
    });
    for (d_x, sum) in d_x.iter_mut().zip(sums) {
        *d_x = sum as f32;
    }
}

/// Calls `body(output, inputs)` for each window: its place in `y`, and the places in `x` it covers, in row-major
/// order, without padding.
fn for_windows(shape: &Pool2d, form: Form, n: usize, mut body: impl FnMut(usize, &[usize])) {
    let ([kernel_height, kernel_width], [down, right]) = (shape.kernel, shape.stride);
    let [top, left] = shape.padding;
    let [x_len, y_len] =
        [shape.height * shape.width, shape.output_height() * shape.output_width()].map(|plane| plane * shape.channels);
    for example in 0..if form == Form::Lanes { SHARD } else { n } {
        let mut output = 0;
        for channel in 0..shape.channels {
            for row in 0..shape.output_height() {
                for column in 0..shape.output_width() {
                    let mut inputs = Vec::new();
                    for i in 0..kernel_height {
                        for j in 0..kernel_width {
                            let (y, x) = (row * down + i, column * right + j);
                            if y >= top && y < top + shape.height && x >= left && x < left + shape.width {
                                let input = (channel * shape.height + y - top) * shape.width + x - left;
                                inputs.push(place(form, x_len, example, input));
                            }
                        }
                    }
                    body(place(form, y_len, example, output), &inputs);
                    output += 1;
                }
            }
        }
    }
}

fn first_maximum(x: &[f32], inputs: &[usize]) -> Option<usize> {
    let nan = inputs.iter().copied().find(|&at| x[at].is_nan());
    let greatest = inputs.iter().map(|&at| x[at]).fold(f32::NEG_INFINITY, f32::max);
    nan.or_else(|| inputs.iter().copied().find(|&at| x[at] == greatest))
}
