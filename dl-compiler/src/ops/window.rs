//! The arithmetic of sliding windows: how many places a kernel has, and which elements meet at each.
//!
//! Sizes may be anything; what does not fit a `usize` counts as not fitting the image.

use ndarray::indices;

use super::attribute::{self, AttributeValue};
use super::{Attribute, Constant};
use crate::program::{Convolution2dShape, Pool2dShape};

/// The attributes that all convolutions share, in the order that [`Steps::build`] reads.
pub(super) const STRIDE: Attribute = Attribute {
    name: "stride",
    default: Some(Constant::Integer(1)),
    doc: "How far apart neighbouring places are, down and right",
};
/// See [`STRIDE`].
pub(super) const PADDING: Attribute = Attribute {
    name: "padding",
    default: Some(Constant::Integer(0)),
    doc: "How many zeros stand on each side, above and below, left and right",
};
/// See [`STRIDE`].
pub(super) const DILATION: Attribute = Attribute {
    name: "dilation",
    default: Some(Constant::Integer(1)),
    doc: "How far apart the kernel's taps are, down and right (Yu and Koltun, 2016)",
};
/// See [`STRIDE`].
pub(super) const GROUPS: Attribute = Attribute {
    name: "groups",
    default: Some(Constant::Integer(1)),
    doc: "How many groups channels and filters fall into, each convolved by itself",
};

/// Stride, padding, dilation and groups of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) groups: usize,
}

impl Steps {
    /// Four attributes, the first at `place`.
    pub(super) fn build(values: &[AttributeValue], place: usize) -> Result<Steps, (usize, String)> {
        Ok(Steps {
            stride: attribute::pair(values, place, 1)?,
            padding: attribute::pair(values, place + 1, 0)?,
            dilation: attribute::pair(values, place + 2, 1)?,
            groups: attribute::integer(values, place + 3, 1)?,
        })
    }

    /// As dumps show them.
    pub(super) fn show(&self) -> String {
        let Steps { stride, padding, dilation, groups } = self;
        format!("stride: {stride:?}, padding: {padding:?}, dilation: {dilation:?}, groups: {groups}")
    }

    /// The whole shape of a convolution of `image` by `filters` kernels.
    pub(super) fn shape(
        &self,
        [channels, height, width]: [usize; 3],
        filters: usize,
        kernel: [usize; 2],
    ) -> Convolution2dShape {
        let Steps { stride, padding, dilation, groups } = *self;
        let last = false;
        Convolution2dShape { channels, height, width, filters, kernel, stride, padding, dilation, groups, last }
    }
}

/// How many places a kernel has along one axis; `None` if it is larger than the padded axis.
pub(super) fn places(size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> Option<usize> {
    let reach = dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
    let padded = padding.checked_mul(2)?.checked_add(size)?;
    padded.checked_sub(reach)?.checked_div(stride)?.checked_add(1)
}

/// `[filters, height, width]` of a convolution's result; `None` if the kernel is larger than the padded image.
pub(super) fn convolved(shape: &Convolution2dShape) -> Option<[usize; 3]> {
    let Convolution2dShape { kernel, stride, padding, dilation, .. } = *shape;
    let height = places(shape.height, kernel[0], stride[0], padding[0], dilation[0])?;
    let width = places(shape.width, kernel[1], stride[1], padding[1], dilation[1])?;
    Some([shape.filters, height, width])
}

/// `[channels, height, width]` of a pooling's result; `None` if the window is larger than the padded image.
pub(super) fn pooled(shape: &Pool2dShape) -> Option<[usize; 3]> {
    let Pool2dShape { kernel, stride, padding, .. } = *shape;
    let height = places(shape.height, kernel[0], stride[0], padding[0], 1)?;
    let width = places(shape.width, kernel[1], stride[1], padding[1], 1)?;
    Some([shape.channels, height, width])
}

/// Floating-point operations of a convolution of one example: a product and a sum for each tap, channel and place.
pub(super) fn flops(shape: &Convolution2dShape) -> usize {
    let [filters, height, width] = convolved(shape).unwrap_or_default();
    let channels = shape.channels.checked_div(shape.groups).unwrap_or(0);
    super::shape::product(&[2, filters, height, width, channels, shape.kernel[0], shape.kernel[1]])
}

/// Visits every product of a convolution as places in `x`, in the weight and in `y` (row-major, all examples).
pub(super) fn taps(shape: &Convolution2dShape, batch: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let Convolution2dShape { kernel, stride, padding, dilation, .. } = *shape;
    let Some([filters, height, width]) = convolved(shape) else {
        return;
    };
    let (Some(channels @ 1..), Some(filters_in_group @ 1..)) =
        (shape.channels.checked_div(shape.groups), filters.checked_div(shape.groups))
    else {
        return;
    };
    let places = indices([batch, filters, height, width]).into_iter();
    for (y, (example, filter, row, column)) in places.enumerate() {
        let taps = indices([channels, kernel[0], kernel[1]]).into_iter();
        for (tap, (channel, down, right)) in taps.enumerate() {
            let row = inside(row * stride[0] + down * dilation[0], padding[0], shape.height);
            let column = inside(column * stride[1] + right * dilation[1], padding[1], shape.width);
            if let (Some(row), Some(column)) = (row, column) {
                let channel = filter / filters_in_group * channels + channel;
                let plane = example * shape.channels + channel;
                let x = (plane * shape.height + row) * shape.width + column;
                visit(x, filter * channels * kernel[0] * kernel[1] + tap, y);
            }
        }
    }
}

/// Where number `at` of the planes of all examples, of so many pixels each, lies if the channels come last.
pub(super) fn last(at: usize, channels: usize, pixels: usize) -> usize {
    let (example, at) = (at / (channels * pixels), at % (channels * pixels));
    (example * pixels + at % pixels) * channels + at / pixels
}

/// Visits every window of a pooling: its place in `y` and the places in `x` it holds, both row-major over all examples.
pub(super) fn windows(shape: &Pool2dShape, batch: usize, mut visit: impl FnMut(usize, &[usize])) {
    let Pool2dShape { kernel, stride, padding, .. } = *shape;
    let Some([channels, height, width]) = pooled(shape) else {
        return;
    };
    let places = indices([batch * channels, height, width]).into_iter();
    let mut held = Vec::new();
    for (y, (plane, row, column)) in places.enumerate() {
        held.clear();
        for (down, right) in indices([kernel[0], kernel[1]]) {
            let row = inside(row * stride[0] + down, padding[0], shape.height);
            let column = inside(column * stride[1] + right, padding[1], shape.width);
            if let (Some(row), Some(column)) = (row, column) {
                held.push((plane * shape.height + row) * shape.width + column);
            }
        }
        visit(y, &held);
    }
}

/// The place in the image of a place in the padded image.
fn inside(place: usize, padding: usize, size: usize) -> Option<usize> {
    place.checked_sub(padding).filter(|place| *place < size)
}
