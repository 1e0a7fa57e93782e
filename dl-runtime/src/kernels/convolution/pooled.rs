//! Convolutions whose results are pooled before they leave: of each window of results the greatest alone is written.
//!
//! Winograd's method has the sixteen results of a tile in registers, where windows of 2×2 are joined. The direct method
//! computes some rows of results at a time on the stack, and they are pooled while the first-level cache holds them.

use super::super::epilogue::Ending;
use super::super::form::Form;
use super::super::pack::Aligned;
use super::super::pool::{Pool2d, max_pool2d_apart};
use super::{Convolution2d, winograd};
use crate::SHARD;
use crate::simd::Isa;
use std::mem::MaybeUninit;

/// Floats of results on the stack at most.
const MOST: usize = 32 * 1024;
/// Those of a small block.
const SMALL: usize = 6 * 1024;
/// Floats of results at a time, if a row of windows is not more.
const USUAL: usize = 12 * 1024;

impl Convolution2d {
    /// Whether results can be pooled as they are computed, by windows of so many rows and columns that lie side by side.
    pub const fn pools(&self, window: [usize; 2]) -> bool {
        let (height, width) = (self.output_height(), self.output_width());
        if window[0] == 0 || window[1] == 0 || height < window[0] || width < window[1] {
            return false;
        }
        if self.is_winograd() {
            return window[0] == 2 && window[1] == 2 && self.channels <= winograd::CHANNELS;
        }
        // A product that is more than a usize holds is too large as well.
        let Some(floats) = width.checked_mul(window[0] * SHARD) else { return false };
        matches!(floats.checked_mul(self.filters), Some(floats) if floats <= MOST) && self.groups == 1
    }

    /// The pooled results of the direct method, for `n` examples; slices have exactly their lengths, none is empty.
    #[expect(clippy::too_many_arguments, reason = "those of the convolution, and the window")]
    pub(super) fn pooled(
        &self,
        isa: Isa,
        form: Form,
        n: usize,
        x: &[f32],
        panels: &[f32],
        ending: Ending<'_>,
        window: [usize; 2],
        y: &mut [f32],
    ) {
        let (lanes, filters, width) = (form.lanes(), self.filters, self.output_width());
        let [windows, columns] = [self.output_height() / window[0], width / window[1]];
        let floats_of_a_row = filters * window[0] * width * lanes;
        let at_once = (USUAL / floats_of_a_row).clamp(1, windows);
        let ([vertical, horizontal], geometry) = (self.axes(), self.geometry());
        let examples = form.blocks(n);
        let planes = windows * columns * lanes;
        let compute = |block: &mut [MaybeUninit<f32>]| {
            for (x, y) in x.chunks_exact(x.len() / examples).zip(y.chunks_exact_mut(filters * planes)) {
                for first in (0..windows).step_by(at_once) {
                    let count = at_once.min(windows - first);
                    let height = count * window[0];
                    let block = &mut block[..count * floats_of_a_row];
                    let axes = [vertical.part(first * window[0], height), horizontal];
                    match form {
                        Form::Examples => {
                            let geometry = geometry.part(first * window[0], height);
                            self.of_examples(isa, axes, geometry, 1, x, panels, ending, block);
                        }
                        Form::Lanes => {
                            self.in_lanes(isa, axes, [self.channels, filters], x, panels, ending, block);
                        }
                    }
                    // SAFETY: the results of these rows are all that the block has room for.
                    let block = unsafe { std::slice::from_raw_parts(block.as_ptr().cast::<f32>(), block.len()) };
                    let pool =
                        Pool2d { channels: filters, height, width, kernel: window, stride: window, padding: [0, 0] };
                    max_pool2d_apart(isa, &pool, form, block, &mut y[first * columns * lanes..], planes);
                }
            }
        };
        let needed = at_once * floats_of_a_row;
        // A small block is not only less to fetch: every page of a large one is touched as it is laid out.
        if needed <= SMALL { on_stack::<SMALL>(needed, compute) } else { on_stack::<MOST>(needed, compute) }
    }
}

/// Runs a function with the first `needed` of so many places on the stack; apart, so that none but these are laid out.
#[inline(never)]
fn on_stack<const FLOATS: usize>(needed: usize, function: impl FnOnce(&mut [MaybeUninit<f32>])) {
    function(Aligned::<FLOATS>::uninit().places(needed));
}
