//! Depthwise convolutions of sixteen examples side by side: tiles lie along rows.

use super::super::Gradient;
use super::super::lanes;
use super::plane::Plane;
use super::{Along, LINES, Line, Sums, TAPS, VECTOR, taps_across};
use crate::kernels::pack::Aligned;
use crate::segments::SHARD;
use crate::simd::{Kernel, Lane, Sixteen};

/// Floats of pixels and results of a gradient at a time: they stay in the first-level cache for all taps.
const BLOCK: usize = 4096;

/// [`lanes::Correlation`] of groups of one channel.
pub(in super::super) struct Correlation<'a>(pub(in super::super) lanes::Correlation<'a>);

impl Kernel for Correlation<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(mut self, lane: V) {
        let [vertical, horizontal] = self.0.axes;
        let source_len = vertical.source * horizontal.source * SHARD;
        // The panel of a group is one tile of filters, whose weights lie side by side.
        let step = self.0.planes * self.0.rows;
        let (across, count) = taps_across(&vertical, horizontal.source * SHARD, self.0.kernel_width * step);
        for group in 0..self.0.groups {
            let source = &self.0.source[group * self.0.planes * source_len..][..self.0.planes * source_len];
            let panel = &self.0.panels[group * step * self.0.taps..][..step * self.0.taps];
            for row in 0..self.0.rows {
                let line = Line {
                    pixels: source.as_ptr(),
                    weights: panel[row..].as_ptr(),
                    each: false,
                    planes: self.0.planes,
                    plane: [source_len, self.0.rows],
                    across: &across[..count],
                    across_len: vertical.source,
                    along: Along::new(&horizontal, SHARD, step),
                };
                // SAFETY: the source holds all positions of the planes, and the panel a weight for each tap, plane and row.
                unsafe { self.plane(lane.sixteen(), &line, group * self.0.rows + row) }
                if !self.0.ending.moments.are_none() {
                    let (plane, count) = (group * self.0.rows + row, vertical.outputs * horizontal.outputs);
                    let y = self.0.y[plane * count * SHARD..][..count * SHARD].as_ptr();
                    // SAFETY: the results of the plane, of a convolution, have been written.
                    unsafe { self.0.ending.moments.add(lane.sixteen(), plane * SHARD, 0, y.cast(), count) }
                }
            }
        }
    }
}

impl Correlation<'_> {
    /// A plane of results.
    ///
    /// # Safety
    /// The line must be readable as it says.
    #[inline(always)]
    pub(super) unsafe fn plane<W: Sixteen>(&mut self, lane: W, line: &Line<'_>, number: usize) {
        let [vertical, horizontal] = self.0.axes;
        let places = vertical.len * horizontal.len;
        let y = &mut self.0.y[number * places * SHARD..][..places * SHARD];
        let first = vertical.place(0) * horizontal.len + horizontal.place(0);
        let plane = Plane {
            line: *line,
            size: [vertical.outputs, horizontal.outputs],
            stride: [1, horizontal.source * SHARD].map(|row| vertical.stride * row),
            y: y.as_mut_ptr().cast::<f32>().wrapping_add(first * SHARD),
            step: [vertical.step * horizontal.len, horizontal.step].map(|step| step * SHARD),
        };
        // SAFETY: the caller's promise; the results are those of the plane.
        unsafe { plane.write(lane, &self.0.ending, number) }
    }
}

/// Where the vectors of a pixel start.
#[inline(always)]
fn halves<V: Lane>() -> impl Iterator<Item = usize> + use<V> {
    const { assert!(SHARD.is_multiple_of(V::LANES)) };
    (0..SHARD).step_by(V::LANES)
}

/// Writes some kernels of d_weight.
pub(in super::super) struct Weight<'a>(pub(in super::super) Gradient<'a>);

impl Kernel for Weight<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let [vertical, horizontal] = self.0.shape.axes();
        let taps = vertical.taps * horizontal.taps;
        let source_len = vertical.source * horizontal.source * SHARD;
        let output_len = vertical.outputs * horizontal.outputs * SHARD;
        let filters = self.0.shape.filters / self.0.shape.groups;
        let pitch = horizontal.source * SHARD;
        let (across, count) = taps_across(&vertical, pitch, horizontal.taps);
        let along = Along::new(&horizontal, SHARD, 1);
        let every = along.every();
        let residues = || 0..every.min(horizontal.outputs);
        let lines = (BLOCK / (vertical.stride * pitch + horizontal.outputs * SHARD)).max(1);
        let mut block = Aligned::<{ TAPS * TAPS * VECTOR }>::uninit();
        for (filter, part) in (self.0.first..).zip(self.0.part.chunks_exact_mut(taps)) {
            let sums = block.zeros(taps * VECTOR);
            for shard in 0..self.0.n.div_ceil(SHARD) {
                let x = &self.0.x.shard(shard, SHARD)[filter / filters * source_len..][..source_len];
                let d_y = &self.0.d_y.shard(shard, SHARD)[filter * output_len..][..output_len];
                for line in (0..vertical.outputs).step_by(lines) {
                    let start = line * vertical.stride;
                    for some in across[..count].chunks(LINES) {
                        for (residue, half) in
                            residues().flat_map(|residue| halves::<V>().map(move |half| (residue, half)))
                        {
                            let (along, shift) = along.of_residue(residue);
                            let sums = Sums {
                                pixels: x.as_ptr().wrapping_add(start * pitch + shift + half),
                                d_y: d_y[(line * horizontal.outputs + residue) * SHARD + half..].as_ptr(),
                                lines: lines.min(vertical.outputs - line),
                                line: [vertical.stride, vertical.stride * pitch, horizontal.outputs * SHARD],
                                start,
                                across: some,
                                across_len: vertical.source,
                                along,
                                results: (horizontal.outputs - residue).div_ceil(every),
                                d_y_apart: every * SHARD,
                                last: V::LANES,
                                sums: sums.as_mut_ptr(),
                            };
                            // SAFETY: x holds all positions, d_y all results, and the block a vector for each tap.
                            unsafe { sums.add(lane) }
                        }
                    }
                }
            }
            for (sum, vector) in part.iter_mut().zip(sums.chunks_exact(VECTOR)) {
                // SAFETY: the chunk has as many floats as any vector.
                *sum = unsafe { lane.load(vector.as_ptr()) }.total();
            }
        }
    }
}
