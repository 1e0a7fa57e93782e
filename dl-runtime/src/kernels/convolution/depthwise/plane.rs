//! A plane of results by tiles that lie along its rows: what images in lanes and images with channels last have in common.

use super::{Line, Place, Tiles, most, tiles, with_results, with_tile};
use crate::kernels::epilogue::Ending;
use crate::simd::{Kernel, Lane, Sixteen};

/// A plane of vectors of results.
pub(super) struct Plane<'a> {
    /// What its first row meets.
    pub(super) line: Line<'a>,
    /// How many rows, and results of a row.
    pub(super) size: [usize; 2],
    /// Positions across from what a row meets to what the next one does, and floats of the pixels.
    pub(super) stride: [usize; 2],
    /// The first result.
    pub(super) y: *mut f32,
    /// Floats from there to the next row, and to the next result.
    pub(super) step: [usize; 2],
}

impl Plane<'_> {
    /// Computes all results, and does to them what the ending says of a plane, or of the channels from one on.
    ///
    /// # Safety
    /// The line must be readable as it says, for all rows; the results must be writable, and those for which the ending was
    /// made, which has a bias for the plane or, if weights are [vectors](Line::each), for each lane.
    #[inline(always)]
    pub(super) unsafe fn write<W: Sixteen>(&self, lane: W, ending: &Ending<'_>, first: usize) {
        let ending = &ending.from(first);
        let [_, results] = self.size;
        let every = self.line.along.every();
        for residue in 0..every.min(results) {
            let (along, shift) = self.line.along.of_residue(residue);
            let line = Line { pixels: self.line.pixels.wrapping_add(shift), along, ..self.line };
            let apart = every * self.step[1];
            for Tiles { first, size, count } in tiles(most::<W>(), (results - residue).div_ceil(every)) {
                if count == 0 {
                    continue;
                }
                let y = self.y.wrapping_add(residue * self.step[1] + first * apart);
                let rows = Rows { plane: self, line: &line, first, count, y, apart, ending };
                // SAFETY: the caller's promise; the tiles are some of each row.
                unsafe { with_tile!(size, along.shared(), write::<W>(lane, rows)) }
            }
        }
    }
}

/// Some tiles of each row.
struct Rows<'a> {
    plane: &'a Plane<'a>,
    line: &'a Line<'a>,
    /// The first result.
    first: usize,
    /// How many tiles.
    count: usize,
    /// Where the first result of the first row goes.
    y: *mut f32,
    /// Floats from one result of a tile to the next.
    apart: usize,
    /// What is done to the results; its bias has a float for all lanes or, as weights are, for each.
    ending: &'a Ending<'a>,
}

/// Tiles of C results.
///
/// # Safety
/// As [`Plane::write`].
#[inline(always)]
unsafe fn write<W: Sixteen, const C: usize, const S: usize>(lane: W, rows: Rows<'_>) {
    lane.apart(RowsOf::<C, S>(rows));
}

/// The arguments of [`write`], whose promises are kept.
struct RowsOf<'a, const C: usize, const S: usize>(Rows<'a>);

impl<const C: usize, const S: usize> Kernel for RowsOf<'_, C, S> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        self.over(lane.sixteen());
    }
}

impl<const C: usize, const S: usize> RowsOf<'_, C, S> {
    #[inline(always)]
    fn over<W: Sixteen>(self, lane: W) {
        let Rows { plane, line, first, count, y, apart, ending } = self.0;
        let (floor, beside) = (lane.splat(ending.floor), ending.beside);
        // SAFETY: what was promised to `write`.
        let bias = ending.bias.map_or(lane.splat(0.0), |bias| unsafe { line.weight(lane, bias.as_ptr()) });
        for row in 0..plane.size[0] {
            let [across, pixels] = plane.stride.map(|step| row * step);
            let y = y.wrapping_add(row * plane.step[0]);
            for tile in 0..count {
                let place = Place { along: first + tile * C, across, pixels };
                let y = y.wrapping_add(tile * C * apart);
                // SAFETY: what was promised to `write`.
                unsafe {
                    let acc = line.tile::<W, C, S>(lane, place);
                    for i in 0..C {
                        let y = y.add(i * apart);
                        beside.finish(y, acc[i] + bias, floor).store(y);
                    }
                }
            }
        }
    }
}
