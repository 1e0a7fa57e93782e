//! Depthwise convolutions of sixteen examples side by side: tiles lie along rows.

use super::super::Gradient;
use super::super::lanes;
use super::{Along, LINES, Line, Place, Sums, TAPS, Tiles, VECTOR, most, taps_across, tiles, with_results, with_tile};
use crate::kernels::epilogue::PlaneEnding;
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
    pub(super) unsafe fn plane<W: Sixteen>(&mut self, lane: W, line: &Line<'_>, plane: usize) {
        let [vertical, horizontal] = self.0.axes;
        let places = vertical.len * horizontal.len;
        let y = &mut self.0.y[plane * places * SHARD..][..places * SHARD];
        let ending = self.0.ending.of_plane(plane);
        let every = line.along.every();
        for residue in 0..every.min(horizontal.outputs) {
            let (along, shift) = line.along.of_residue(residue);
            let line = Line { pixels: line.pixels.wrapping_add(shift), along, ..*line };
            let results = (horizontal.outputs - residue).div_ceil(every);
            let apart = every * horizontal.step * SHARD;
            for row in 0..vertical.outputs {
                let across = row * vertical.stride;
                let start = vertical.place(row) * horizontal.len + horizontal.place(residue);
                for Tiles { first, size, count } in tiles(most::<W>(), results) {
                    let place = Place { along: first, across, pixels: across * horizontal.source * SHARD };
                    let y = y.as_mut_ptr().cast::<f32>().wrapping_add(start * SHARD + first * apart);
                    let tile = Tile { y, apart, ending };
                    // SAFETY: the caller's promise; the results are some of the plane.
                    unsafe { with_tile!(size, along.shared(), write::<W>(lane, &line, place, tile, count)) }
                }
            }
        }
    }
}

/// Where the vectors of a pixel start.
#[inline(always)]
fn halves<V: Lane>() -> impl Iterator<Item = usize> + use<V> {
    const { assert!(SHARD.is_multiple_of(V::LANES)) };
    (0..SHARD).step_by(V::LANES)
}

/// Tiles of C results, one after another.
///
/// # Safety
/// The line must be readable as it says, and the results of `count` tiles writable.
#[inline(always)]
unsafe fn write<W: Sixteen, const C: usize, const S: usize>(
    lane: W,
    line: &Line<'_>,
    place: Place,
    tile: Tile,
    count: usize,
) {
    lane.apart(Row::<C, S> { line, place, tile, count });
}

/// The arguments of [`write`], whose promises are kept.
struct Row<'a, const C: usize, const S: usize> {
    line: &'a Line<'a>,
    place: Place,
    tile: Tile,
    count: usize,
}

impl<const C: usize, const S: usize> Kernel for Row<'_, C, S> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { line, mut place, mut tile, count } = self;
        for _ in 0..count {
            // SAFETY: what was promised to `write`.
            unsafe { tile.write::<_, C, S>(lane.sixteen(), line, place) }
            place.along += C;
            tile.y = tile.y.wrapping_add(C * tile.apart);
        }
    }
}

/// Where the results of a tile go.
struct Tile {
    y: *mut f32,
    /// Floats from one to the next.
    apart: usize,
    ending: PlaneEnding,
}

impl Tile {
    /// # Safety
    /// The line must be readable as it says, and C results writable.
    #[inline(always)]
    unsafe fn write<V: Lane, const C: usize, const S: usize>(&self, lane: V, line: &Line<'_>, place: Place) {
        // SAFETY: the caller's promise.
        unsafe {
            let acc = line.tile::<V, C, S>(lane, place);
            for i in 0..C {
                self.ending.store(self.y.add(i * self.apart), acc[i]);
            }
        }
    }
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
