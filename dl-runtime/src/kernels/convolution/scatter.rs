//! The gradient of the input of a strided convolution: for each tile of sixteen pixels of d_y, the product
//! `weightᵀ d_y` gives what every tap sends back, and each value is added where its tap came from.

use super::super::product::{COLUMNS, Left, Right, Sink, Stride, product};
use super::Convolution2d;
use super::geometry::{Geometry, Tap, Tile};
use crate::simd::{Kernel, Lane, copy};

/// Filters whose pixels are at hand at a time.
const DEPTH: usize = 256;

/// Adds to d_x; slices have exactly their lengths, none is empty.
pub(super) struct Scatter<'a> {
    pub(super) shape: Convolution2d,
    pub(super) d_y: &'a [f32],
    pub(super) weight: &'a [f32],
    pub(super) d_x: &'a mut [f32],
}

/// Sixteen pixels for each filter.
#[repr(align(64))]
struct Panel([f32; DEPTH * COLUMNS]);

impl Kernel for Scatter<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let geometry = self.shape.geometry();
        let groups = self.shape.groups;
        let (channels, filters) = (self.shape.channels / groups, self.shape.filters / groups);
        let (output_len, taps) = (geometry.output_len(), channels * geometry.taps());
        let group_len = channels * geometry.source_len();
        let mut panel = Panel([0.0; DEPTH * COLUMNS]);
        let mut tile = Tile::<COLUMNS>::empty();
        // Groups of an example follow each other, in d_y, in d_x, and in the weights again for each example.
        let d_ys = self.d_y.chunks_exact(filters * output_len);
        for (index, (d_y, d_x)) in d_ys.zip(self.d_x.chunks_exact_mut(group_len)).enumerate() {
            let weight = &self.weight[index % groups * filters * taps..][..filters * taps];
            for start in (0..output_len).step_by(COLUMNS) {
                tile.set(geometry.outputs, geometry.outputs[1], start, geometry.outputs[0]);
                let pixels = COLUMNS.min(output_len - start);
                for first in (0..filters).step_by(DEPTH) {
                    let depth = DEPTH.min(filters - first);
                    let planes = d_y[first * output_len..].chunks_exact(output_len);
                    for (to, from) in panel.0.chunks_exact_mut(COLUMNS).zip(planes).take(depth) {
                        // SAFETY: a plane holds start + pixels floats, a row of the panel 16.
                        unsafe { copy(lane, from[start..].as_ptr(), to.as_mut_ptr(), pixels) }
                    }
                    let sink = Sources { geometry: &geometry, tile: &tile, d_x: d_x.as_mut_ptr() };
                    let left = Left { base: weight[first * taps..].as_ptr(), row: 1, steps: Stride(taps) };
                    let right = Right { base: panel.0.as_ptr(), steps: Stride(COLUMNS) };
                    // SAFETY: the weight holds `taps` floats for each filter, the panel 16; the sink checks each place.
                    unsafe { product(lane, taps, depth, left, right, &sink) }
                }
            }
        }
    }
}

/// The source pixels of a tile; rows of results are taps.
struct Sources<'a> {
    geometry: &'a Geometry,
    tile: &'a Tile<COLUMNS>,
    /// As many planes as the taps have.
    d_x: *mut f32,
}

impl Sink for Sources<'_> {
    #[inline(always)]
    unsafe fn write<V: Lane, const MR: usize>(&self, row: usize, acc: [[V; 2]; MR]) {
        let geometry = self.geometry;
        let [height, width] = geometry.source;
        let mut tap = Tap::new(geometry.kernel, row);
        for acc in acc {
            let mut results = [0.0; COLUMNS];
            // SAFETY: the array holds 16 floats.
            unsafe {
                acc[0].store(results.as_mut_ptr());
                acc[1].store(results.as_mut_ptr().add(V::LANES));
            }
            for piece in self.tile.pieces() {
                let line = geometry.meets(0, piece.row, tap.at[0]);
                if line < 0 || line >= height as isize {
                    continue;
                }
                let start = tap.plane * geometry.source_len() + line as usize * width;
                let mut column = geometry.meets(1, piece.column, tap.at[1]);
                for result in &results[piece.lane..piece.lane + piece.len] {
                    if column >= 0 && column < width as isize {
                        // SAFETY: the plane is one of the taps', by the caller's promise; line and column are within it.
                        unsafe { *self.d_x.add(start + column as usize) += *result }
                    }
                    column += geometry.stride[1] as isize;
                }
            }
            tap = tap.next(geometry.kernel);
        }
    }
}
