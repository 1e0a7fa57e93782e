//! Winograd's minimal filtering F(4×4, 3×3): tiles of 6×6 pixels enter, tiles of 4×4 results leave, and 36 products take
//! the place of 144 (Lavin and Gray, 2015).
//!
//! ```text
//! y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A
//! ```
//!
//! Each of the 36 places is a product of matrices, filters × channels by channels × 16. The sixteen columns are what lies
//! side by side: the examples of a shard for one tile of the image, or sixteen tiles of one example after another. Some
//! columns of sixteen are transformed at a time (V), so that the weights (U, transformed by [`transform`] when they are
//! packed) are read once for all of them; a tile of filters is multiplied at all places and transformed back before the
//! next has its turn. Border tiles read zeros for what does not exist, and write what does.

#![expect(clippy::needless_range_loop, reason = "iterators of arrays of vectors are not always inlined")]

use super::super::form::Form;
use super::super::product::COLUMNS;
use super::filters::tiles;
use crate::simd::{Eight, Kernel, Lane, Sixteen};
use std::mem::MaybeUninit;

/// Results of a tile along an axis.
pub(super) const OUT: usize = 4;
/// Pixels of a tile along an axis.
pub(super) const IN: usize = 6;
/// Places of a transformed tile.
pub(super) const PLACES: usize = IN * IN;
/// Channels at a time.
const CHANNELS: usize = 64;
/// Units at a time.
const UNITS: usize = 4;
/// Channels at a time of all units together: two units of 64, so that the weights are read half as often.
const UNIT_CHANNELS: usize = 128;
/// Floats of the transformed pixels, V: as many units as it has room for.
const PIXELS: usize = PLACES * (UNIT_CHANNELS + UNITS) * COLUMNS;
/// Floats of the products of a tile of filters.
const PRODUCTS: usize = UNITS * PLACES * 6 * COLUMNS;

/// `y = max(source ⋆ weight + bias, floor)`; slices have exactly their lengths, none is empty.
pub(super) struct Winograd<'a> {
    pub(super) form: Form,
    /// Examples; one in lanes.
    pub(super) n: usize,
    /// Source planes.
    pub(super) planes: usize,
    /// Planes of results.
    pub(super) rows: usize,
    /// Height and width of the source.
    pub(super) source_size: [usize; 2],
    /// Height and width of the results.
    pub(super) size: [usize; 2],
    /// How far result 0 lies before the source.
    pub(super) padding: [isize; 2],
    pub(super) source: &'a [f32],
    pub(super) panels: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) floor: f32,
    pub(super) y: &'a mut [f32],
}

/// The stack of the kernel.
#[repr(align(64))]
struct Scratch {
    pixels: [MaybeUninit<f32>; PIXELS],
    products: [MaybeUninit<f32>; PRODUCTS],
}

/// A tile of an image.
#[derive(Clone, Copy)]
struct Place {
    example: usize,
    /// Its first result.
    row: usize,
    column: usize,
}

/// Where a tile of an image lies in the source and in the results; one that does not exist has no rows.
#[derive(Clone, Copy, Default)]
struct Gathered {
    /// Its first pixel in the source, of plane 0, as if the source had its padding.
    start: isize,
    /// The rows and columns of its pixels that exist.
    rows: [usize; 2],
    columns: [usize; 2],
    /// Its first result in y, of plane 0.
    y: usize,
    /// How many rows and columns of results exist.
    lines: usize,
    width: usize,
}

/// Eight zeros and eight ones: from 8 − k on, a step up at k.
static STEP: [f32; 16] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];

impl Kernel for Winograd<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(mut self, lane: V) {
        const { assert!(COLUMNS.is_multiple_of(V::LANES)) };
        let mut scratch = Scratch {
            pixels: [const { MaybeUninit::uninit() }; PIXELS],
            products: [const { MaybeUninit::uninit() }; PRODUCTS],
        };
        let tiles_of = self.size.map(|size| size.div_ceil(OUT));
        let all = self.n * tiles_of[0] * tiles_of[1];
        let units = if self.form == Form::Lanes { all } else { all.div_ceil(COLUMNS) };
        let channels = self.planes.min(CHANNELS);
        let at_a_time = (UNIT_CHANNELS / channels).clamp(1, UNITS);
        let mut gathered = [[Gathered::default(); COLUMNS]; UNITS];
        for unit in (0..units).step_by(at_a_time) {
            let units = unit..units.min(unit + at_a_time);
            if self.form == Form::Examples {
                for (gathered, unit) in gathered.iter_mut().zip(units.clone()) {
                    *gathered = self.gathered(unit, tiles_of);
                }
            }
            for channel in (0..self.planes).step_by(channels) {
                let channels = channel..self.planes.min(channel + channels);
                // Sixteen floats more, so that the places do not fight for the same sets of the cache.
                let pitch = (channels.len() + 1) * COLUMNS;
                assert!(units.len() * PLACES * pitch <= PIXELS, "{units:?} {channels:?}");
                for (index, unit) in units.clone().enumerate() {
                    for channel in channels.clone() {
                        let to = scratch.pixels.as_mut_ptr().cast::<f32>();
                        let to = to.wrapping_add(index * PLACES * pitch + (channel - channels.start) * COLUMNS);
                        // SAFETY: V has room for `units` times 36 places of `pitch` floats, as asserted.
                        unsafe {
                            if self.form == Form::Lanes {
                                for first in (0..COLUMNS).step_by(V::LANES) {
                                    let (place, to) = (self.place(unit, tiles_of), to.add(first));
                                    self.pixels_in_lanes(lane, place, channel, first, to, pitch);
                                }
                            } else {
                                for first in [0, 8] {
                                    let (tiles, to) = (&gathered[index][first..][..8], to.add(first));
                                    self.pixels_of_tiles(lane.eight(), tiles, channel, to, pitch);
                                }
                            }
                        }
                    }
                }
                for tile in tiles(0..self.rows) {
                    let panel = tile.first * PLACES * self.planes + channels.start * tile.height;
                    let products = Products {
                        units: units.len(),
                        channels: channels.len(),
                        panel: self.panels[panel..].as_ptr(),
                        panel_place: self.planes * tile.height,
                        pixels: scratch.pixels.as_ptr().cast(),
                        pitch,
                        y: scratch.products.as_mut_ptr().cast(),
                    };
                    // SAFETY: the panel of the tile holds its height for each channel of each place, V sixteen floats for
                    // each channel of each place and unit, and there is room for 36 · 6 · 16 products of each unit.
                    unsafe { products.run(lane.sixteen(), tile.height) }
                    let part = [channels.start > 0, channels.end == self.planes];
                    for (index, unit) in units.clone().enumerate() {
                        let products = scratch.products.as_ptr().cast::<f32>();
                        let products = products.wrapping_add(index * PLACES * tile.height * COLUMNS);
                        for row in 0..tile.height {
                            let (from, pitch) = (products.wrapping_add(row * COLUMNS), tile.height * COLUMNS);
                            let row = tile.first + row;
                            // SAFETY: `products` are those of the unit.
                            unsafe {
                                if self.form == Form::Lanes {
                                    for first in (0..COLUMNS).step_by(V::LANES) {
                                        let results = results(lane, from.add(first), pitch);
                                        self.write_lanes(results, row, self.place(unit, tiles_of), first, part);
                                    }
                                } else {
                                    for first in [0, 8] {
                                        let results = results(lane.eight(), from.add(first), pitch);
                                        self.write_tiles(results, row, &gathered[index][first..][..8], part);
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Winograd<'_> {
    /// The tile of a number, counted through all examples.
    #[inline(always)]
    fn place(&self, tile: usize, [down, right]: [usize; 2]) -> Place {
        Place { example: tile / (down * right), row: tile / right % down * OUT, column: tile % right * OUT }
    }

    /// Transforms a tile of the examples of a shard, as many of them from `first` on as a vector has lanes.
    ///
    /// # Safety
    /// `to` must be writable for a vector at each of 36 places, `pitch` apart.
    #[inline(always)]
    unsafe fn pixels_in_lanes<V: Lane>(
        &self,
        lane: V,
        place: Place,
        channel: usize,
        first: usize,
        to: *mut f32,
        pitch: usize,
    ) {
        let [height, width] = self.source_size;
        let plane = &self.source[channel * height * width * COLUMNS..][..height * width * COLUMNS];
        let corner = [place.row as isize - self.padding[0], place.column as isize - self.padding[1]];
        let inside = |first: isize, size: usize| first >= 0 && first as usize + IN <= size;
        let mut d = [[lane.splat(0.0); IN]; IN];
        if inside(corner[0], height) && inside(corner[1], width) {
            let start = (corner[0] as usize * width + corner[1] as usize) * COLUMNS + first;
            for (i, row) in d.iter_mut().enumerate() {
                for (j, pixel) in row.iter_mut().enumerate() {
                    // SAFETY: all pixels of the tile lie within the plane.
                    *pixel = unsafe { lane.load(plane.as_ptr().add(start + (i * width + j) * COLUMNS)) };
                }
            }
        } else {
            for (row, d) in (corner[0]..).zip(&mut d) {
                for (column, pixel) in (corner[1]..).zip(d) {
                    if (0..height as isize).contains(&row) && (0..width as isize).contains(&column) {
                        let at = (row as usize * width + column as usize) * COLUMNS + first;
                        // SAFETY: the pixel lies within the plane.
                        *pixel = unsafe { lane.load(plane.as_ptr().add(at)) };
                    }
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { transformed(&d, to, pitch) }
    }

    /// The sixteen tiles of a unit.
    fn gathered(&self, unit: usize, tiles_of: [usize; 2]) -> [Gathered; COLUMNS] {
        let [height, width] = self.source_size;
        let all = self.n * tiles_of[0] * tiles_of[1];
        let mut gathered = [Gathered::default(); COLUMNS];
        for (tile, gathered) in (unit * COLUMNS..all).zip(&mut gathered) {
            let place = self.place(tile, tiles_of);
            let (row, column) = (place.row as isize - self.padding[0], place.column as isize - self.padding[1]);
            let first = (place.example * self.planes * height) as isize + row;
            let bounds =
                |first: isize, size: usize| [-first, size as isize - first].map(|at| at.clamp(0, IN as isize) as usize);
            let ([rows, columns], [lines, width_left]) = (
                [bounds(row, height), bounds(column, width)],
                [self.size[0] - place.row, self.size[1] - place.column].map(|left| left.min(OUT)),
            );
            *gathered = Gathered {
                start: first * width as isize + column,
                rows,
                columns,
                y: (place.example * self.rows * self.size[0] + place.row) * self.size[1] + place.column,
                lines,
                width: width_left,
            };
        }
        gathered
    }

    /// Transforms eight tiles; those that do not exist are zeros.
    ///
    /// # Safety
    /// As [`pixels_in_lanes`](Self::pixels_in_lanes).
    #[inline(always)]
    unsafe fn pixels_of_tiles<V: Eight>(
        &self,
        lane: V,
        tiles: &[Gathered],
        channel: usize,
        to: *mut f32,
        pitch: usize,
    ) {
        let [height, width] = self.source_size;
        let zero = lane.splat(0.0);
        let mut d = [[zero; IN]; IN];
        for (i, d) in d.iter_mut().enumerate() {
            let mut rows = [zero; 8];
            for (pixels, tile) in rows.iter_mut().zip(tiles) {
                if i < tile.rows[0] || i >= tile.rows[1] {
                    continue;
                }
                let start = tile.start + ((channel * height + i) * width) as isize;
                let [before, end] = tile.columns;
                *pixels = if start >= 0 && start as usize + 8 <= self.source.len() {
                    // SAFETY: the source has eight floats from there on.
                    let eight = unsafe { lane.load(self.source.as_ptr().add(start as usize)) };
                    if [before, end] == [0, IN] {
                        eight
                    } else {
                        // Neighbouring rows' floats are not those of this one.
                        // SAFETY: sixteen floats from `before` on, and eight from 8 − end on, lie within the array.
                        let [left, right] = unsafe {
                            [lane.load(STEP.as_ptr().add(8 - before)), lane.load(STEP.as_ptr().add(8 - end))]
                        };
                        (left - right).abs().select(eight, zero)
                    }
                } else {
                    let mut few = [0.0; 8];
                    for (j, to) in few.iter_mut().enumerate().take(end).skip(before) {
                        *to = self.source[(start + j as isize) as usize];
                    }
                    // SAFETY: the array has eight floats.
                    unsafe { lane.load(few.as_ptr()) }
                };
            }
            let rows = V::transpose(rows);
            d.copy_from_slice(&rows[..IN]);
        }
        // SAFETY: the caller's promise.
        unsafe { transformed(&d, to, pitch) }
    }

    /// Writes the results of a tile of the examples of a shard, as many of them from `first` on as a vector has lanes.
    #[inline(always)]
    fn write_lanes<V: Lane>(
        &mut self,
        results: [[V; OUT]; OUT],
        row: usize,
        place: Place,
        first: usize,
        part: [bool; 2],
    ) {
        let [height, width] = self.size;
        let finish = self.finish(results[0][0], row, part);
        let plane = &mut self.y[row * height * width * COLUMNS..][..height * width * COLUMNS];
        let [lines, columns] = [OUT.min(height - place.row), OUT.min(width - place.column)];
        let first = plane[(place.row * width + place.column) * COLUMNS + first..].as_mut_ptr();
        for i in 0..OUT {
            for j in 0..OUT {
                if i < lines && j < columns {
                    let y = first.wrapping_add((i * width + j) * COLUMNS);
                    // SAFETY: line and column lie within the plane.
                    unsafe { finish.one(results[i][j], |result| result.load(y)).store(y) }
                }
            }
        }
    }

    /// Writes the results of eight tiles.
    #[inline(always)]
    fn write_tiles<V: Eight>(&mut self, results: [[V; OUT]; OUT], row: usize, tiles: &[Gathered], part: [bool; 2]) {
        let [height, width] = self.size;
        let finish = self.finish(results[0][0], row, part);
        for i in 0..OUT {
            let [a, b, c, d] = results[i];
            let rows = V::transpose([a, b, c, d, a, b, c, d]);
            for (index, tile) in tiles.iter().enumerate() {
                if i >= tile.lines {
                    continue;
                }
                let y = &mut self.y[tile.y + (row * height + i) * width..][..tile.width];
                let mut four = [0.0; 8];
                if finish.accumulate {
                    four[..y.len()].copy_from_slice(y);
                }
                // SAFETY: the array has eight floats.
                unsafe { finish.one(rows[index], |result| result.load(four.as_ptr())).store(four.as_mut_ptr()) }
                match y.first_chunk_mut::<OUT>() {
                    Some(y) => y.copy_from_slice(&four[..OUT]),
                    None => y.copy_from_slice(&four[..y.len()]),
                }
            }
        }
    }

    #[inline(always)]
    fn finish<V: Lane>(&self, lane: V, row: usize, [accumulate, last]: [bool; 2]) -> Finish<V> {
        Finish {
            accumulate,
            bias: lane.splat(self.bias.filter(|_| last).map_or(0.0, |bias| bias[row])),
            floor: lane.splat(if last { self.floor } else { f32::NEG_INFINITY }),
        }
    }
}

/// What is done to the results of a plane.
struct Finish<V> {
    /// Whether to add to what is there: earlier channels.
    accumulate: bool,
    bias: V,
    floor: V,
}

impl<V: Lane> Finish<V> {
    #[inline(always)]
    fn one(&self, result: V, there: impl FnOnce(V) -> V) -> V {
        let result = if self.accumulate { there(result) + result } else { result };
        (result + self.bias).at_least(self.floor)
    }
}

/// The products of a tile of filters by some units, at all places.
struct Products {
    units: usize,
    channels: usize,
    panel: *const f32,
    /// Floats from the weights of one place to the next.
    panel_place: usize,
    pixels: *const f32,
    /// Floats from the pixels of one place to the next.
    pitch: usize,
    /// For each unit [places, height, 16].
    y: *mut f32,
}

impl Products {
    /// # Safety
    /// The panel must be readable for `height` filters and all channels and places, the pixels for these of all units,
    /// and the products writable.
    #[inline(always)]
    unsafe fn run<W: Sixteen>(&self, lane: W, height: usize) {
        macro_rules! tiles {
            ($($height:literal)*) => {
                match height {
                    // SAFETY: the caller's promise.
                    $($height => unsafe { self.tiles::<W, $height>(lane) },)*
                    _ => {}
                }
            };
        }
        tiles!(6 5 4 3 2 1);
    }

    /// # Safety
    /// As [`run`](Self::run), with MR filters.
    #[inline(always)]
    unsafe fn tiles<W: Sixteen, const MR: usize>(&self, lane: W) {
        // Where there is room for the sums, those of several units, or of a single one's neighbouring places.
        let panel = |place: usize| self.panel.wrapping_add(place * self.panel_place);
        let pixels = |unit: usize, place: usize| self.pixels.wrapping_add((unit * PLACES + place) * self.pitch);
        let y = |unit: usize, place: usize| self.y.wrapping_add((unit * PLACES + place) * MR * COLUMNS);
        let (unit_pixels, unit_y) = (PLACES * self.pitch, PLACES * MR * COLUMNS);
        let (place_pixels, place_y) = (self.pitch, MR * COLUMNS);
        // SAFETY: the caller's promise, for these places and units.
        unsafe {
            if const { W::TALL } {
                match self.units {
                    1 => {
                        let apart = [self.panel_place, place_pixels, place_y];
                        for place in (0..PLACES).step_by(2) {
                            self.tile::<W, MR, 2>(lane, panel(place), pixels(0, place), y(0, place), apart);
                        }
                    }
                    units => {
                        let apart = [0, unit_pixels, unit_y];
                        for place in 0..PLACES {
                            let at = (panel(place), pixels(0, place), y(0, place));
                            match units {
                                2 => self.tile::<W, MR, 2>(lane, at.0, at.1, at.2, apart),
                                3 => self.tile::<W, MR, 3>(lane, at.0, at.1, at.2, apart),
                                _ => self.tile::<W, MR, 4>(lane, at.0, at.1, at.2, apart),
                            }
                        }
                    }
                }
            } else {
                for place in 0..PLACES {
                    for unit in 0..self.units {
                        self.tile::<W, MR, 1>(lane, panel(place), pixels(unit, place), y(unit, place), [0; 3]);
                    }
                }
            }
        }
    }

    /// MR filters by sixteen columns at N places or of N units, whose panels, pixels and products lie so many floats apart.
    ///
    /// # Safety
    /// The panels and the pixels must be readable for all channels, and the products writable.
    #[inline(always)]
    unsafe fn tile<W: Sixteen, const MR: usize, const N: usize>(
        &self,
        lane: W,
        mut panel: *const f32,
        mut pixels: *const f32,
        y: *mut f32,
        apart: [usize; 3],
    ) {
        let mut acc = [[lane.splat(0.0); MR]; N];
        for _ in 0..self.channels {
            // SAFETY: the caller's promise for this channel.
            unsafe {
                let mut b = [lane; N];
                for n in 0..N {
                    b[n] = lane.load(pixels.add(n * apart[1]));
                }
                for i in 0..MR {
                    for n in 0..N {
                        let a = lane.splat(*panel.add(n * apart[0] + i));
                        acc[n][i] = a.mul_add(b[n], acc[n][i]);
                    }
                }
            }
            panel = panel.wrapping_add(MR);
            pixels = pixels.wrapping_add(COLUMNS);
        }
        for n in 0..N {
            for i in 0..MR {
                // SAFETY: the caller's promise for the products.
                unsafe { acc[n][i].store(y.add(n * apart[2] + i * COLUMNS)) }
            }
        }
    }
}

// Vectors are moved by plain loops here and above: the iterators of arrays and their `map` are not always inlined, and only
// what is inlined is compiled for the instruction set.

/// Bᵀ d B, place after place.
///
/// # Safety
/// `to` must be writable for LANES floats at each of 36 places, `pitch` apart.
#[inline(always)]
pub(super) unsafe fn transformed<V: Lane>(d: &[[V; IN]; IN], to: *mut f32, pitch: usize) {
    let mut by_columns = [[d[0][0]; IN]; IN];
    for j in 0..IN {
        let column = forth([d[0][j], d[1][j], d[2][j], d[3][j], d[4][j], d[5][j]]);
        for i in 0..IN {
            by_columns[i][j] = column[i];
        }
    }
    for i in 0..IN {
        let row = forth(by_columns[i]);
        for j in 0..IN {
            // SAFETY: the caller's promise.
            unsafe { row[j].store(to.add((i * IN + j) * pitch)) }
        }
    }
}

/// Bᵀ by a column.
#[inline(always)]
fn forth<V: Lane>(d: [V; IN]) -> [V; IN] {
    let (two, four) = (d[0].splat(2.0), d[0].splat(4.0));
    let (minus_four, minus_five) = (d[0].splat(-4.0), d[0].splat(-5.0));
    let (a, b) = (minus_four.mul_add(d[2], d[4]), minus_four.mul_add(d[1], d[3]));
    let (c, e) = (d[4] - d[2], two * (d[3] - d[1]));
    let first = four.mul_add(d[0], minus_five.mul_add(d[2], d[4]));
    let last = four.mul_add(d[1], minus_five.mul_add(d[3], d[5]));
    [first, a + b, a - b, c + e, c - e, last]
}

/// Aᵀ m A of as many columns as a vector has lanes.
///
/// # Safety
/// LANES floats of m must be readable at each of 36 places, `pitch` apart.
#[inline(always)]
unsafe fn results<V: Lane>(lane: V, m: *const f32, pitch: usize) -> [[V; OUT]; OUT] {
    let mut by_columns = [[lane; IN]; OUT];
    for j in 0..IN {
        let mut column = [lane; IN];
        for i in 0..IN {
            // SAFETY: the caller's promise.
            column[i] = unsafe { lane.load(m.add((i * IN + j) * pitch)) };
        }
        let column = back(column);
        for i in 0..OUT {
            by_columns[i][j] = column[i];
        }
    }
    [back(by_columns[0]), back(by_columns[1]), back(by_columns[2]), back(by_columns[3])]
}

/// Aᵀ by a column.
#[inline(always)]
fn back<V: Lane>(m: [V; IN]) -> [V; OUT] {
    let (two, four, eight) = (m[0].splat(2.0), m[0].splat(4.0), m[0].splat(8.0));
    let (a, b, c, d) = (m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]);
    [m[0] + a + c, two.mul_add(d, b), four.mul_add(c, a), eight.mul_add(d, b) + m[5]]
}

/// G g Gᵀ of the 3×3 weights of a filter, row by row.
pub(super) fn transform(g: [[f32; 3]; 3]) -> [[f32; IN]; IN] {
    let by = |[a, b, c]: [f32; 3]| {
        let (outer, middle) = ((a + c) / -6.0, b / 6.0);
        let (uneven, half) = (a / 24.0 + c / 6.0, b / 12.0);
        [a / 4.0, outer - middle, outer + middle, uneven + half, uneven - half, c]
    };
    let columns = [0, 1, 2].map(|j| by([g[0][j], g[1][j], g[2][j]]));
    [0, 1, 2, 3, 4, 5].map(|i| by([columns[0][i], columns[1][i], columns[2][i]]))
}
