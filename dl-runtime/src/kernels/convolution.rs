//! Two-dimensional convolutions: forward, gradient of the input, gradient of the weight.
//!
//! All are products in the core of `product`, without an im2col matrix: [`correlation`] finds the sixteen pixels of
//! each tap in the rows of the source or in a small block on the stack, [`scatter`] turns the strided input gradient
//! round, [`weight`] multiplies rows of pixels by rows of pixels, and [`geometry`] knows which pixel meets which. This
//! file holds the shape, the checks and the choice between them. Nothing is allocated.
//!
//! In the field's manner, "convolution" is cross-correlation: the kernel is not flipped.

mod correlation;
mod geometry;
mod scatter;
#[cfg(test)]
mod tests;
mod weight;

use super::epilogue::Epilogue;
use crate::simd::{Isa, dispatch, isa};
use crate::{Segments, Team};
use correlation::Correlation;
use geometry::Geometry;
use scatter::Scatter;
use weight::Weight;

/// The shape of a convolution: x [channels, height, width] by weight [filters, channels / groups, kernel] to
/// y [filters, output height, output width], for each example. Pairs are (vertical, horizontal).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution2d {
    /// Channels of x.
    pub channels: usize,
    /// Height of x.
    pub height: usize,
    /// Width of x.
    pub width: usize,
    /// Channels of y.
    pub filters: usize,
    /// Taps.
    pub kernel: [usize; 2],
    /// Steps from one output to the next, at least 1.
    pub stride: [usize; 2],
    /// Zeros on each of both sides.
    pub padding: [usize; 2],
    /// Steps from one tap to the next, at least 1.
    pub dilation: [usize; 2],
    /// Channels and filters fall into so many groups, and filters see the channels of their own group only. It divides
    /// both.
    pub groups: usize,
}

impl Convolution2d {
    /// Height of y; 0 if the kernel does not fit the padded input.
    pub const fn output_height(&self) -> usize {
        outputs(self.height, self.kernel[0], self.stride[0], self.padding[0], self.dilation[0])
    }

    /// Width of y; 0 if the kernel does not fit the padded input.
    pub const fn output_width(&self) -> usize {
        outputs(self.width, self.kernel[1], self.stride[1], self.padding[1], self.dilation[1])
    }

    /// Floats of x, y and the weight, after a check of what the kernels rely on.
    fn lens(&self) -> [usize; 3] {
        let Self { channels, filters, groups, kernel, stride, dilation, .. } = *self;
        assert!(
            groups > 0 && channels.is_multiple_of(groups) && filters.is_multiple_of(groups),
            "{groups} groups of {channels} channels and {filters} filters"
        );
        assert!(channels * self.height * self.width > 0, "no pixels in {self:?}");
        let pairs = [kernel, stride, dilation];
        assert!(pairs.as_flattened().iter().all(|value| *value > 0), "kernel, stride, dilation {pairs:?}");
        let x = channels * self.height * self.width;
        let y = filters * self.output_height() * self.output_width();
        [x, y, filters * (channels / groups) * kernel[0] * kernel[1]]
    }

    /// Which pixel of x each pixel of y meets at each tap.
    fn geometry(&self) -> Geometry {
        Geometry {
            source: [self.height, self.width],
            outputs: [self.output_height(), self.output_width()],
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding.map(|padding| padding as isize),
            dilation: self.dilation,
        }
    }
}

/// How many positions a kernel has along one axis.
const fn outputs(len: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> usize {
    if kernel == 0 || stride == 0 {
        return 0;
    }
    let extent = dilation * (kernel - 1) + 1;
    match (len + 2 * padding).checked_sub(extent) {
        Some(rest) => rest / stride + 1,
        None => 0,
    }
}

/// `y = activation(x ⋆ weight + bias)` for `n` examples, one bias for each filter.
///
/// # Panics
/// If an operand is shorter than the shape says, or the shape is none: groups that do not divide channels and filters,
/// a kernel, stride or dilation of 0.
pub fn convolution2d(
    shape: &Convolution2d,
    n: usize,
    x: &[f32],
    weight: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    convolution2d_on(isa(), shape, n, x, weight, epilogue, y);
}

/// [`convolution2d`] on a given instruction set.
fn convolution2d_on(
    isa: Isa,
    shape: &Convolution2d,
    n: usize,
    x: &[f32],
    weight: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let [x_len, y_len, weight_len] = shape.lens();
    let y = &mut y[..n * y_len];
    if y.is_empty() {
        return;
    }
    let taps = shape.kernel[0] * shape.kernel[1];
    let planes = shape.channels / shape.groups;
    let correlation = Correlation {
        geometry: shape.geometry(),
        groups: shape.groups,
        planes,
        rows: shape.filters / shape.groups,
        weight_group: weight_len / shape.groups,
        weight_row: planes * taps,
        weight_plane: taps,
        flipped: false,
        n,
        source: &x[..n * x_len],
        weight: &weight[..weight_len],
        bias: epilogue.bias.map(|bias| &bias[..shape.filters]),
        floor: epilogue.floor(),
        y: &mut *y,
    };
    dispatch(isa, correlation);
    epilogue.finish(isa, y);
}

/// `d_x`, the gradient of the input of a convolution, overwritten: each pixel of d_y goes back through the taps it came by.
///
/// # Panics
/// As [`convolution2d`].
pub fn convolution2d_input(shape: &Convolution2d, n: usize, d_y: &[f32], weight: &[f32], d_x: &mut [f32]) {
    convolution2d_input_on(isa(), shape, n, d_y, weight, d_x);
}

/// [`convolution2d_input`] on a given instruction set.
fn convolution2d_input_on(isa: Isa, shape: &Convolution2d, n: usize, d_y: &[f32], weight: &[f32], d_x: &mut [f32]) {
    let [x_len, y_len, weight_len] = shape.lens();
    let (d_y, weight, d_x) = (&d_y[..n * y_len], &weight[..weight_len], &mut d_x[..n * x_len]);
    if d_y.is_empty() || weight.is_empty() {
        d_x.fill(0.0);
        return;
    }
    if shape.stride != [1, 1] {
        d_x.fill(0.0);
        dispatch(isa, Scatter { shape: *shape, d_y, weight, d_x });
        return;
    }
    // With stride 1 it is a convolution of d_y by the flipped kernel, filters and channels having changed places.
    let taps = shape.kernel[0] * shape.kernel[1];
    let planes = shape.channels / shape.groups;
    let geometry = shape.geometry();
    let padding = [0, 1].map(|axis| geometry.extent(axis) as isize - 1 - geometry.padding[axis]);
    let correlation = Correlation {
        geometry: Geometry { source: geometry.outputs, outputs: geometry.source, padding, ..geometry },
        groups: shape.groups,
        planes: shape.filters / shape.groups,
        rows: planes,
        weight_group: weight_len / shape.groups,
        weight_row: taps,
        weight_plane: planes * taps,
        flipped: true,
        n,
        source: d_y,
        weight,
        bias: None,
        floor: f32::NEG_INFINITY,
        y: d_x,
    };
    dispatch(isa, correlation);
}

/// `d_weight`, the gradient of the weight of a convolution summed over `n` examples, overwritten. The team shares the
/// filters; the order of each sum is fixed by the shape, so the bits do not depend on the number of threads.
///
/// Between the rows of an image zeros are multiplied by whatever lies there, so an infinity or NaN in x may reach
/// more taps of d_weight than it meets.
///
/// # Panics
/// As [`convolution2d`].
pub fn convolution2d_weight(
    shape: &Convolution2d,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &mut [f32],
    team: &Team,
) {
    convolution2d_weight_on(isa(), shape, n, x, d_y, d_weight, team);
}

/// [`convolution2d_weight`] on a given instruction set.
fn convolution2d_weight_on(
    isa: Isa,
    shape: &Convolution2d,
    n: usize,
    x: Segments<'_>,
    d_y: Segments<'_>,
    d_weight: &mut [f32],
    team: &Team,
) {
    let [x_len, y_len, weight_len] = shape.lens();
    assert!(x.example_len() >= x_len, "x has {} floats of {x_len}", x.example_len());
    assert!(d_y.example_len() >= y_len, "d_y has {} floats of {y_len}", d_y.example_len());
    let d_weight = &mut d_weight[..weight_len];
    d_weight.fill(0.0);
    if weight_len == 0 || y_len == 0 {
        return;
    }
    let filter_len = weight_len / shape.filters;
    team.split(d_weight, filter_len, |start, part| {
        dispatch(isa, Weight { shape: *shape, n, x, d_y, first: start / filter_len, part });
    });
}
