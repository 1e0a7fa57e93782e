//! Depthwise convolutions of one example after another with sixteen channels side by side: some rows of sixteen planes are
//! turned on the stack, computed as those of sixteen examples are, by weights that are vectors too, and turned back.

use super::super::examples::turn::{MARGIN, leave, turn};
use super::super::{Convolution2d, filters::FEWEST, lanes};
use super::lanes::Correlation;
use super::{Along, Line, suits, taps_across};
use crate::kernels::epilogue::Ending;
use crate::kernels::pack::Aligned;
use crate::kernels::product::COLUMNS;
use crate::simd::{Kernel, Lane};
use std::mem::MaybeUninit;

/// Floats of pixels on the stack.
const PIXELS: usize = 12 * 1024;
/// Floats of results on the stack.
const RESULTS: usize = 8 * 1024;
/// Taps of a kernel at most.
const WEIGHTS: usize = 128;

/// `y = max(source ⋆ weight + bias + residual, floor)`, masked, for `n` examples; slices have exactly their lengths, none is empty.
pub(in super::super) struct Channels<'a> {
    pub(in super::super) shape: Convolution2d,
    /// Rows of results at a time, as [`lines`] says.
    pub(in super::super) lines: usize,
    pub(in super::super) n: usize,
    pub(in super::super) source: &'a [f32],
    pub(in super::super) panels: &'a [f32],
    /// What is done to the sums; its bias has a float for each plane of results.
    pub(in super::super) ending: Ending<'a>,
    /// Places for the results, which need not hold any.
    pub(in super::super) y: &'a mut [MaybeUninit<f32>],
}

/// How many rows of results are computed at a time; none if the convolution is not computed here.
pub(in super::super) fn lines(shape: &Convolution2d) -> Option<usize> {
    let Convolution2d { channels, filters, kernel, .. } = *shape;
    if !suits(shape) || filters != channels || channels < FEWEST || kernel[0] * kernel[1] > WEIGHTS {
        return None;
    }
    let [vertical, horizontal] = shape.axes();
    let mut lines = (RESULTS / (horizontal.outputs * COLUMNS)).min(vertical.outputs);
    while lines > 0 && vertical.reach(lines) * horizontal.source * COLUMNS > PIXELS {
        lines -= 1;
    }
    (lines > 0).then(|| vertical.outputs.div_ceil(vertical.outputs.div_ceil(lines)))
}

impl Kernel for Channels<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let mut pixels = Aligned::<{ PIXELS + MARGIN }>::uninit();
        let (mut weights, mut results) =
            (Aligned::<{ WEIGHTS * COLUMNS + MARGIN }>::uninit(), Aligned::<RESULTS>::uninit());
        let [vertical, horizontal] = self.shape.axes();
        let Convolution2d { channels, kernel: [kernel_height, kernel_width], .. } = self.shape;
        let (taps, width) = (kernel_height * kernel_width, horizontal.source);
        let (plane, y_plane) = (vertical.source * width, vertical.outputs * horizontal.outputs);
        let y = self.y[..self.n * channels * y_plane].as_mut_ptr().cast::<f32>();
        let panels = &self.panels[..channels * taps];
        // Lanes without a channel compute nothing that is kept, but of floats.
        let is_partial = !channels.is_multiple_of(COLUMNS);
        let (pixels, weights) = (pixels.zeros_if(is_partial), weights.zeros_if(is_partial));
        let along = Along::new(&horizontal, COLUMNS, COLUMNS);
        for line in (0..vertical.outputs).step_by(self.lines) {
            let count = self.lines.min(vertical.outputs - line);
            let part = vertical.part(line, count);
            let rows = part.met(&(0..count));
            assert!(rows.len() * width * COLUMNS <= PIXELS, "{rows:?} of {width} pixels");
            let vertical = part.within(&rows);
            let (across, across_count) = taps_across(&vertical, width * COLUMNS, kernel_width * COLUMNS);
            for first in (0..channels).step_by(COLUMNS) {
                let some = COLUMNS.min(channels - first);
                // SAFETY: the weights of these channels lie one after another, and there is room for those of 128 taps.
                unsafe { turn(lane, &panels[first * taps..], taps, 0, taps, some, COLUMNS, weights) }
                let line_of_results = Line {
                    pixels,
                    weights,
                    each: true,
                    planes: 1,
                    plane: [0, 0],
                    across: &across[..across_count],
                    across_len: rows.len(),
                    along,
                };
                let mut correlation = Correlation(lanes::Correlation {
                    axes: [vertical, horizontal],
                    kernel_width,
                    taps,
                    groups: 1,
                    planes: 1,
                    rows: 1,
                    source: &[],
                    panels: &[],
                    ending: Ending::NONE,
                    y: results.places(count * horizontal.outputs * COLUMNS),
                });
                for example in 0..self.n {
                    let planes = &self.source[(example * channels + first) * plane..][..some * plane];
                    // SAFETY: there is room for the pixels that so many rows of results meet. All positions within the rows
                    // are there then, a weight for each tap and channel, and room for the results; afterwards these have
                    // all been computed.
                    unsafe {
                        turn(lane, planes, plane, rows.start * width, rows.len() * width, some, COLUMNS, pixels);
                        correlation.plane(lane.sixteen(), &line_of_results, 0);
                        let results = correlation.0.y.as_ptr().cast();
                        let y = y.add(example * channels * y_plane + line * horizontal.outputs);
                        let (count, planes) = (count * horizontal.outputs, first..first + some);
                        leave(lane, count, y_plane, planes, COLUMNS, results, self.ending, y);
                    }
                }
            }
        }
    }
}
