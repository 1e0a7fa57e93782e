//! Twins of the convolutions.

use super::epilogue::finish;
use crate::{Convolution2d, Epilogue, Segments, Team};

/// Calls `visit` with the places in x, the weight and y of every product that a convolution of one example sums.
fn products(shape: &Convolution2d, mut visit: impl FnMut(usize, usize, usize)) {
    let Convolution2d { channels, height, width, filters, kernel, stride, padding, dilation, groups } = *shape;
    let (oh, ow) = (shape.output_height(), shape.output_width());
    let (group_channels, group_filters) = (channels / groups, filters / groups);
    for filter in 0..filters {
        for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
            for c in 0..group_channels {
                let channel = filter / group_filters * group_channels + c;
                for (ky, kx) in (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))) {
                    let (iy, ix) = (oy * stride[0] + ky * dilation[0], ox * stride[1] + kx * dilation[1]);
                    let inside = |i: usize, padding: usize, len: usize| i >= padding && i < len + padding;
                    if inside(iy, padding[0], height) && inside(ix, padding[1], width) {
                        visit(
                            (channel * height + iy - padding[0]) * width + ix - padding[1],
                            ((filter * group_channels + c) * kernel[0] + ky) * kernel[1] + kx,
                            (filter * oh + oy) * ow + ox,
                        );
                    }
                }
            }
        }
    }
}

/// Floats of x and y.
fn lens(shape: &Convolution2d) -> (usize, usize) {
    let x = shape.channels * shape.height * shape.width;
    (x, shape.filters * shape.output_height() * shape.output_width())
}

/// Twin of [`crate::convolution2d`].
pub fn convolution2d(
    shape: &Convolution2d,
    n: usize,
    x: &[f32],
    weight: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let (x_len, y_len) = lens(shape);
    for example in 0..n {
        let mut sums = vec![0.0; y_len];
        let x = &x[example * x_len..];
        products(shape, |i, w, o| sums[o] += f64::from(x[i]) * f64::from(weight[w]));
        for (place, sum) in sums.into_iter().enumerate() {
            let filter = place / (y_len / shape.filters);
            y[example * y_len + place] = finish(&epilogue, filter, sum);
        }
    }
}

/// Twin of [`crate::convolution2d_input`].
pub fn convolution2d_input(shape: &Convolution2d, n: usize, d_y: &[f32], weight: &[f32], d_x: &mut [f32]) {
    let (x_len, y_len) = lens(shape);
    for example in 0..n {
        let mut sums = vec![0.0; x_len];
        let d_y = &d_y[example * y_len..];
        products(shape, |i, w, o| sums[i] += f64::from(d_y[o]) * f64::from(weight[w]));
        for (d_x, sum) in d_x[example * x_len..].iter_mut().zip(sums) {
            *d_x = sum as f32;
        }
    }
}

/// Twin of [`crate::convolution2d_weight`].
pub fn convolution2d_weight(
    shape: &Convolution2d,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &mut [f32],
    _team: &Team,
) {
    let mut sums = vec![0.0; shape.filters * (shape.channels / shape.groups) * shape.kernel[0] * shape.kernel[1]];
    for example in 0..n {
        let (x, d_y) = (x.example(example), d_y.example(example));
        products(shape, |i, w, o| sums[w] += f64::from(x[i]) * f64::from(d_y[o]));
    }
    for (d_weight, sum) in d_weight.iter_mut().zip(sums) {
        *d_weight = sum as f32;
    }
}
