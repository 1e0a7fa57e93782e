//! Depthwise convolutions of images whose channels come last: all channels of a pixel lie side by side, and so do the weights
//! of a tap, so a vector of pixels meets a vector of weights as they lie. Tiles lie along rows.

use super::super::Convolution2d;
use super::plane::Plane;
use super::{Along, Line, suits, taps_across};
use crate::kernels::epilogue::{Ending, Epilogue};
use crate::kernels::product::COLUMNS;
use crate::simd::{Isa, Kernel, Lane, Sixteen, dispatch, isa};

/// `y = activation(x ⋆ weight + bias + residual)` for `n` examples with channels last, masked: x [height, width, channels] by weight
/// [kernel, channels] to y [output height, output width, channels]. Each channel is convolved by itself (the depthwise
/// convolution of Howard et al., "MobileNets", 2017).
///
/// # Panics
/// If an operand is shorter than the shape says, or the shape is none of such a convolution: groups and filters as many as
/// channels, at least sixteen, and a kernel of at most 32 × 32 taps; if results are to be pooled.
pub fn depthwise2d(shape: &Convolution2d, n: usize, x: &[f32], weight: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
    depthwise2d_on(isa(), shape, n, x, weight, epilogue, y);
}

/// [`depthwise2d`] on a given instruction set.
pub(in super::super) fn depthwise2d_on(
    isa: Isa,
    shape: &Convolution2d,
    n: usize,
    x: &[f32],
    weight: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let [x_len, y_len, weight_len] = shape.lens();
    let is_depthwise = suits(shape) && shape.filters == shape.channels && shape.channels >= COLUMNS;
    assert!(is_depthwise && epilogue.pool.is_none(), "no depthwise convolution of channels last: {shape:?}");
    let (x, weight, y) = (&x[..n * x_len], &weight[..weight_len], &mut y[..n * y_len]);
    if !y.is_empty() {
        let ending = epilogue.ending(shape.channels, y);
        dispatch(isa, Correlation { shape: *shape, x, weight, ending, y: &mut *y });
        epilogue.finish(isa, y);
    }
}

/// The arguments of [`depthwise2d`]; slices have exactly their lengths, none is empty.
struct Correlation<'a> {
    shape: Convolution2d,
    x: &'a [f32],
    weight: &'a [f32],
    ending: Ending<'a>,
    y: &'a mut [f32],
}

impl Kernel for Correlation<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        self.over(lane.sixteen());
    }
}

impl Correlation<'_> {
    /// [`depthwise2d`] over vectors of sixteen.
    #[inline(always)]
    fn over<W: Sixteen>(self, lane: W) {
        let [vertical, horizontal] = self.shape.axes();
        let Convolution2d { channels, kernel: [_, kernel_width], .. } = self.shape;
        let (pitch, outputs) = (horizontal.source * channels, horizontal.outputs);
        let (across, count) = taps_across(&vertical, pitch, kernel_width * channels);
        let along = Along::new(&horizontal, channels, channels);
        let examples = self.x.chunks_exact(vertical.source * pitch);
        let results = self.y.chunks_exact_mut(vertical.outputs * outputs * channels);
        for (x, y) in examples.zip(results) {
            let mut first = 0;
            while first < channels {
                // Channels that are left of a vector are computed with those before them, some of these again.
                let channel = first.min(channels - COLUMNS);
                let line = Line {
                    pixels: x[channel..].as_ptr(),
                    weights: self.weight[channel..].as_ptr(),
                    each: true,
                    planes: 1,
                    plane: [0, 0],
                    across: &across[..count],
                    across_len: vertical.source,
                    along,
                };
                let plane = Plane {
                    line,
                    size: [vertical.outputs, outputs],
                    stride: [1, pitch].map(|row| vertical.stride * row),
                    y: y[channel..].as_mut_ptr(),
                    step: [outputs * channels, channels],
                };
                // SAFETY: sixteen channels from `channel` on are there, at all positions of the source, of all weights and
                // of all results.
                unsafe { plane.write(lane, &self.ending, channel) }
                first += COLUMNS;
            }
        }
    }
}
