//! The gradient of the input of a strided convolution: for each tile of sixteen pixels of d_y, the product
//! `weightᵀ d_y` gives what every tap sends back, and each value is added where its tap came from.

use super::super::super::product::{COLUMNS, Every, Left, Right, Sink, Stride, product};
use super::super::Convolution2d;
use super::super::filters::{Tile as Filters, tiles};
use super::geometry::{Geometry, Tap, Tile};
use crate::simd::{Kernel, Lane, Sixteen, copy};

/// Filters whose pixels are at hand at a time.
const DEPTH: usize = 256;

/// Adds to d_x; slices have exactly their lengths, none is empty.
pub(in super::super) struct Scatter<'a> {
    pub(in super::super) shape: Convolution2d,
    pub(in super::super) d_y: &'a [f32],
    /// The transposed ones.
    pub(in super::super) panels: &'a [f32],
    pub(in super::super) d_x: &'a mut [f32],
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
        let (output_len, taps) = (geometry.output_len(), geometry.taps());
        let group_len = channels * geometry.source_len();
        let panel_len = filters * channels * taps;
        let mut panel = Panel([0.0; DEPTH * COLUMNS]);
        let mut tile = Tile::<COLUMNS>::empty();
        // Groups of an example follow each other, in d_y, in d_x, and in the panels again for each example.
        let d_ys = self.d_y.chunks_exact(filters * output_len);
        for (index, (d_y, d_x)) in d_ys.zip(self.d_x.chunks_exact_mut(group_len)).enumerate() {
            let panels = &self.panels[index % groups * panel_len..][..panel_len];
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
                    let right = Right { base: panel.0.as_ptr(), steps: Every::<COLUMNS>, pitch: 0 };
                    for Filters { first: channel, height } in tiles(0..channels) {
                        let d_x = d_x[channel * geometry.source_len()..].as_mut_ptr();
                        for at in 0..taps {
                            // Panels have the taps in reverse.
                            let step = (taps - 1 - at) * filters + first;
                            let left = panels[channel * filters * taps + step * height..].as_ptr();
                            let left = Left { base: left, rows: Every::<1>, steps: Stride(height) };
                            let tap = Tap::new(geometry.kernel, at);
                            let sink = Sources { geometry: &geometry, tile: &tile, tap, d_x };
                            // SAFETY: the tile of the panel holds `height` floats for each tap and filter, the pixels 16
                            // for each filter; the sink checks each place.
                            unsafe { product::<_, _, _, _, _, 1>(lane.sixteen(), height, depth, left, right, sink) }
                        }
                    }
                }
            }
        }
    }
}

/// The source pixels of a tile at a tap; rows of results are planes.
struct Sources<'a> {
    geometry: &'a Geometry,
    tile: &'a Tile<COLUMNS>,
    tap: Tap,
    /// As many planes as there are rows.
    d_x: *mut f32,
}

impl Sink for Sources<'_> {
    #[inline(always)]
    unsafe fn write<W: Sixteen, const MR: usize>(&self, row: usize, _: usize, acc: [W; MR]) {
        let geometry = self.geometry;
        let [height, width] = geometry.source;
        for (plane, acc) in (row..).zip(acc) {
            let mut results = [0.0; COLUMNS];
            // SAFETY: the array holds 16 floats.
            unsafe { acc.store(results.as_mut_ptr()) }
            for piece in self.tile.pieces() {
                let line = geometry.meets(0, piece.row, self.tap.at[0]);
                if line < 0 || line >= height as isize {
                    continue;
                }
                let start = plane * geometry.source_len() + line as usize * width;
                let mut column = geometry.meets(1, piece.column, self.tap.at[1]);
                for result in &results[piece.lane..piece.lane + piece.len] {
                    if column >= 0 && column < width as isize {
                        // SAFETY: the plane is one of the rows, by the caller's promise; line and column are within it.
                        unsafe { *self.d_x.add(start + column as usize) += *result }
                    }
                    column += geometry.stride[1] as isize;
                }
            }
        }
    }
}
