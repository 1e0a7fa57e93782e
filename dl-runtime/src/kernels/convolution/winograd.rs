//! Winograd's minimal filtering F(4×4, 3×3): tiles of 6×6 pixels enter, tiles of 4×4 results leave, and 36 products take
//! the place of 144 (Lavin and Gray, 2015).
//!
//! ```text
//! y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A
//! ```
//!
//! Each of the 36 places is a product of matrices, filters × channels by channels × 16. The sixteen columns are what lies
//! side by side: the examples of a shard for one tile of the image, or four groups of four neighbouring tiles. Some
//! columns of sixteen are transformed at a time (V), so that the weights (U, transformed by [`transform`] when they are
//! packed) are read once for all of them; a tile of filters is multiplied at all places and transformed back before the
//! next has its turn. Border tiles read zeros for what does not exist, and write what does.

#![expect(clippy::needless_range_loop, reason = "iterators of arrays of vectors are not always inlined")]

use super::super::form::Form;
use super::super::product::COLUMNS;
use super::filters::tiles;
use crate::kernels::epilogue::{Ending, PlaneEnding};
use crate::kernels::moments::Joint;
use crate::simd::{Kernel, Lane, Sixteen, Vector};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Results of a tile along an axis.
pub(super) const OUT: usize = 4;
/// Pixels of a tile along an axis.
pub(super) const IN: usize = 6;
/// Places of a transformed tile.
pub(super) const PLACES: usize = IN * IN;
/// Channels at a time.
pub(super) const CHANNELS: usize = 64;
/// Units at a time.
const UNITS: usize = 4;
/// Channels at a time of all units together: two units of 64, so that the weights are read half as often.
const UNIT_CHANNELS: usize = 128;
/// Floats of the transformed pixels, V: as many units as it has room for.
const PIXELS: usize = PLACES * (UNIT_CHANNELS + UNITS) * COLUMNS;
/// Floats of the products of a tile of filters.
const PRODUCTS: usize = UNITS * PLACES * 6 * COLUMNS;

/// `y = max(source ⋆ weight + bias + residual, floor)`, masked or pooled; slices have exactly their lengths, none is empty.
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
    pub(super) ending: Ending<'a>,
    /// Whether of each 2×2 results the greatest alone is written. There are at most [`CHANNELS`] source planes then.
    pub(super) halves: bool,
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
    /// Its first result.
    row: usize,
    column: usize,
}

/// Tiles of a group.
const GROUP: usize = 4;
/// Groups of a unit.
const GROUPS: usize = COLUMNS / GROUP;

/// Where four neighbouring tiles of a row of an image lie in the source and in the results, as far as they exist; a group
/// that does not exist has no rows.
#[derive(Clone, Copy, Default)]
struct Group {
    /// Its first pixel in the source, of plane 0, as if the source had its padding.
    start: isize,
    /// The rows and columns of its pixels that exist.
    rows: [usize; 2],
    columns: [usize; 2],
    /// Its first result in y, of plane 0.
    y: usize,
    /// How many rows and columns of results are written.
    lines: usize,
    width: usize,
}

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
        let groups_of = [tiles_of[0], tiles_of[1].div_ceil(GROUP)];
        let units = if self.form == Form::Lanes {
            self.n * tiles_of[0] * tiles_of[1]
        } else {
            (self.n * groups_of[0] * groups_of[1]).div_ceil(GROUPS)
        };
        let channels = self.planes.min(CHANNELS);
        let at_a_time = (UNIT_CHANNELS / channels).clamp(1, UNITS);
        let mut groups = [[Group::default(); GROUPS]; UNITS];
        for unit in (0..units).step_by(at_a_time) {
            let units = unit..units.min(unit + at_a_time);
            if self.form == Form::Examples {
                for (groups, unit) in groups.iter_mut().zip(units.clone()) {
                    *groups = self.groups(unit, groups_of);
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
                                    let (place, to) = (Self::place(unit, tiles_of[1]), to.add(first));
                                    self.pixels_in_lanes(lane, place, channel, first, to, pitch);
                                }
                            } else {
                                self.pixels_of_groups(lane.sixteen(), &groups[index], channel, to, pitch);
                            }
                        }
                    }
                }
                for tile in tiles(0..self.rows) {
                    let panel = tile.first * PLACES * self.planes + channels.start * tile.height;
                    let products = Products {
                        height: tile.height,
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
                    unsafe { products.compute(lane) }
                    let part = Part {
                        products: scratch.products.as_ptr().cast(),
                        rows: tile.first..tile.first + tile.height,
                        units: units.clone(),
                        tiles_right: tiles_of[1],
                        groups: &groups,
                        is_first: channels.start == 0,
                        is_last: channels.end == self.planes,
                    };
                    // SAFETY: `products` are those of the rows and units.
                    unsafe {
                        if self.halves {
                            self.leave::<V, 2>(lane, &part);
                        } else {
                            self.leave::<V, 1>(lane, &part);
                        }
                    }
                }
            }
        }
    }
}

/// Products that are to be transformed back.
struct Part<'a> {
    /// For each unit [places, rows, 16].
    products: *const f32,
    /// Planes of results.
    rows: Range<usize>,
    units: Range<usize>,
    /// Tiles of a row of an image.
    tiles_right: usize,
    /// Those of each unit.
    groups: &'a [[Group; GROUPS]; UNITS],
    /// Whether they are of the first channels, and of the last.
    is_first: bool,
    is_last: bool,
}

impl Winograd<'_> {
    /// Transforms products back and writes the results, of STEP × STEP of them the greatest.
    ///
    /// # Safety
    /// The products must be readable.
    #[inline(always)]
    unsafe fn leave<V: Lane, const STEP: usize>(&mut self, lane: V, part: &Part<'_>) {
        for (index, unit) in part.units.clone().enumerate() {
            let pitch = part.rows.len() * COLUMNS;
            let products = part.products.wrapping_add(index * PLACES * pitch);
            let joint = (part.is_last && !self.ending.moments.are_none()).then(|| {
                // Rows of tiles above, and tiles of the same row, came before.
                let place = Self::place(unit, part.tiles_right);
                let [rows, columns] = self.counts(place);
                Joint::new(place.row * self.size[1] + rows * place.column, rows * columns)
            });
            for (number, row) in part.rows.clone().enumerate() {
                let from = products.wrapping_add(number * COLUMNS);
                let finish =
                    Finish { accumulate: !part.is_first, ending: self.ending.if_last(part.is_last).of_plane(row) };
                // SAFETY: the caller's promise.
                unsafe {
                    if self.form == Form::Lanes {
                        let place = Self::place(unit, part.tiles_right);
                        for first in (0..COLUMNS).step_by(V::LANES) {
                            let results = results(lane, from.add(first), pitch);
                            self.write_lanes::<V, STEP>(results, row, place, first, &finish);
                            if let Some(joint) = joint {
                                self.moments_in_lanes(lane, row, place, first, joint);
                            }
                        }
                    } else {
                        let results = results(lane.sixteen(), from, pitch);
                        self.write_groups::<_, STEP>(results, row, &part.groups[index], &finish);
                    }
                }
            }
        }
    }

    /// The tile of a number, row by row.
    #[inline(always)]
    fn place(tile: usize, right: usize) -> Place {
        Place { row: tile / right * OUT, column: tile % right * OUT }
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

    /// The groups of a unit.
    fn groups(&self, unit: usize, [down, right]: [usize; 2]) -> [Group; GROUPS] {
        let [height, width] = self.source_size;
        let step = if self.halves { 2 } else { 1 };
        let written = self.size.map(|size| size / step);
        let mut groups = [Group::default(); GROUPS];
        for (group, to) in (unit * GROUPS..self.n * down * right).zip(&mut groups) {
            let (example, top, left) =
                (group / (down * right), group / right % down * OUT, group % right * GROUP * OUT);
            let (row, column) = (top as isize - self.padding[0], left as isize - self.padding[1]);
            let bounds = |first: isize, size: usize, len: usize| {
                [-first, size as isize - first].map(|at| at.clamp(0, len as isize) as usize)
            };
            *to = Group {
                start: ((example * self.planes * height) as isize + row) * width as isize + column,
                rows: bounds(row, height, IN),
                columns: bounds(column, width, GROUP * OUT + IN - OUT),
                y: (example * self.rows * written[0] + top / step) * written[1] + left / step,
                lines: (written[0] - top / step).min(OUT / step),
                width: (written[1] - left / step).min(GROUP * OUT / step),
            };
        }
        groups
    }

    /// Transforms sixteen tiles; those that do not exist are zeros.
    ///
    /// # Safety
    /// As [`pixels_in_lanes`](Self::pixels_in_lanes).
    #[inline(always)]
    unsafe fn pixels_of_groups<W: Sixteen>(
        &self,
        lane: W,
        groups: &[Group; GROUPS],
        channel: usize,
        to: *mut f32,
        pitch: usize,
    ) {
        let [height, width] = self.source_size;
        let zero = lane.splat(0.0);
        let mut d = [[zero; IN]; IN];
        for i in 0..IN {
            // A row of pixels of each group, and the same from the second tile on.
            let (mut near, mut far) = ([zero; GROUPS], [zero; GROUPS]);
            for g in 0..GROUPS {
                let Group { start, rows, columns: [first, end], .. } = groups[g];
                if i >= rows[0] && i < rows[1] && first < end {
                    let row = self.source.as_ptr().wrapping_offset(start + ((channel * height + i) * width) as isize);
                    // SAFETY: the pixels from `first` to `end` of this row lie within the plane; others are not read.
                    unsafe {
                        near[g] = lane.load_between(row, first.min(COLUMNS), end.min(COLUMNS));
                        let [first, end] = [first, end].map(|at| at.saturating_sub(OUT).min(COLUMNS));
                        far[g] = lane.load_between(row.wrapping_add(OUT), first, end);
                    }
                }
            }
            // Pixel j of each tile is every fourth of a row.
            let ((even, odd), (more_even, more_odd)) = (near[0].deinterleave(near[1]), near[2].deinterleave(near[3]));
            (d[i][0], d[i][2]) = even.deinterleave(more_even);
            (d[i][1], d[i][3]) = odd.deinterleave(more_odd);
            let ((even, odd), (more_even, more_odd)) = (far[0].deinterleave(far[1]), far[2].deinterleave(far[3]));
            (d[i][4], _) = even.deinterleave(more_even);
            (d[i][5], _) = odd.deinterleave(more_odd);
        }
        // SAFETY: the caller's promise.
        unsafe { transformed(&d, to, pitch) }
    }

    /// Writes the results of a tile of the examples of a shard, as many of them from `first` on as a vector has lanes.
    #[inline(always)]
    fn write_lanes<V: Lane, const STEP: usize>(
        &mut self,
        results: [[V; OUT]; OUT],
        row: usize,
        place: Place,
        first: usize,
        finish: &Finish,
    ) {
        let [height, width] = self.size.map(|size| size / STEP);
        let plane = &mut self.y[row * height * width * COLUMNS..][..height * width * COLUMNS];
        let (row, column) = (place.row / STEP, place.column / STEP);
        let [lines, columns] = [(OUT / STEP).min(height - row), (OUT / STEP).min(width - column)];
        let first = plane.as_mut_ptr().wrapping_add((row * width + column) * COLUMNS + first);
        let results = greatest::<V, STEP>(results);
        for i in 0..OUT / STEP {
            for j in 0..OUT / STEP {
                if i < lines && j < columns {
                    let y = first.wrapping_add((i * width + j) * COLUMNS);
                    // SAFETY: line and column lie within the plane.
                    unsafe { finish.write(y, V::LANES, results[i][j]) }
                }
            }
        }
    }

    /// Adds the results of a tile, which has been written, to the moments of their plane.
    ///
    /// # Safety
    /// There must be moments of all planes; tiles must come row by row.
    #[inline(always)]
    unsafe fn moments_in_lanes<V: Lane>(&self, lane: V, row: usize, place: Place, first: usize, joint: Joint) {
        let [height, width] = self.size;
        let y = self.y[((row * height + place.row) * width + place.column) * COLUMNS + first..].as_ptr();
        // SAFETY: the tile lies within the plane; the rest is the caller's promise.
        unsafe {
            let (at, pitch) = (row * COLUMNS + first, width * COLUMNS);
            self.ending.moments.add_tile(lane, at, joint, y, self.counts(place), pitch);
        }
    }

    /// Rows and columns of results of a tile.
    #[inline(always)]
    fn counts(&self, place: Place) -> [usize; 2] {
        [OUT.min(self.size[0] - place.row), OUT.min(self.size[1] - place.column)]
    }

    /// Writes the results of sixteen tiles.
    #[inline(always)]
    fn write_groups<W: Sixteen, const STEP: usize>(
        &mut self,
        results: [[W; OUT]; OUT],
        row: usize,
        groups: &[Group; GROUPS],
        finish: &Finish,
    ) {
        let [height, width] = self.size.map(|size| size / STEP);
        let results = greatest::<W, STEP>(results);
        for i in 0..OUT / STEP {
            let [a, b, c, d] = results[i];
            if STEP == 2 {
                let (first, second) = a.interleave(b);
                let mut rows = [0.0; 2 * COLUMNS];
                // SAFETY: there is room for both vectors.
                unsafe {
                    first.store(rows.as_mut_ptr());
                    second.store(rows[COLUMNS..].as_mut_ptr());
                }
                for (group, row_of_group) in groups.iter().zip(rows.chunks_exact(GROUP * OUT / 2)) {
                    if i < group.lines {
                        let y = &mut self.y[group.y + (row * height + i) * width..][..group.width];
                        let (to, count) = (y.as_mut_ptr(), group.width);
                        // SAFETY: there are eight floats, and y has `count`, at most as many.
                        unsafe { finish.write(to, count, first.eight().load(row_of_group.as_ptr())) }
                    }
                }
                continue;
            }
            let ((even, more_even), (odd, more_odd)) = (a.interleave(c), b.interleave(d));
            let ((first, second), (third, fourth)) = (even.interleave(odd), more_even.interleave(more_odd));
            let rows = [first, second, third, fourth];
            for g in 0..GROUPS {
                let group = groups[g];
                if i < group.lines {
                    let y = &mut self.y[group.y + (row * height + i) * width..][..group.width];
                    let (to, count) = (y.as_mut_ptr(), group.width);
                    // SAFETY: y has `count` floats, at most sixteen.
                    unsafe { finish.write(to, count, rows[g]) }
                }
            }
        }
    }
}

/// The greatest of each STEP × STEP results; what is done to results afterwards leaves their order as it is. They are the
/// first of each row, and of the rows.
#[inline(always)]
fn greatest<V: Lane, const STEP: usize>(results: [[V; OUT]; OUT]) -> [[V; OUT]; OUT] {
    if STEP == 1 {
        return results;
    }
    let mut greatest = results;
    for i in 0..OUT / 2 {
        for j in 0..OUT / 2 {
            let [upper, lower] = [results[2 * i], results[2 * i + 1]];
            greatest[i][j] = upper[2 * j].max(upper[2 * j + 1]).max(lower[2 * j].max(lower[2 * j + 1]));
        }
    }
    greatest
}

/// What is done to the results of a plane.
struct Finish {
    /// Whether to add to what is there: earlier channels.
    accumulate: bool,
    ending: PlaneEnding,
}

impl Finish {
    /// Writes the first `count` results of a vector.
    ///
    /// # Safety
    /// `count` results, at most as many as a vector has, must be writable at `y`.
    #[inline(always)]
    unsafe fn write<V: Lane>(&self, y: *mut f32, count: usize, mut result: V) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.accumulate {
                result = result.load_first(y, count) + result;
            }
            if count == V::LANES { self.ending.store(y, result) } else { self.ending.store_first(y, count, result) }
        }
    }
}

/// The products of a tile of filters by some units, at all places.
struct Products {
    /// Filters.
    height: usize,
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

impl Kernel for Products {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        self.over(lane.sixteen());
    }
}

impl Products {
    /// # Safety
    /// The panel must be readable for all filters, channels and places, the pixels for the channels and places of all
    /// units, and the products writable.
    #[inline(always)]
    unsafe fn compute<V: Lane>(self, lane: V) {
        lane.apart(self);
    }

    #[inline(always)]
    fn over<W: Sixteen>(self, lane: W) {
        macro_rules! tiles {
            ($($height:literal)*) => {
                match self.height {
                    // SAFETY: what was promised to `compute`.
                    $($height => unsafe { self.tiles::<W, $height>(lane, 0) },)*
                    _ => {}
                }
            };
        }
        if const { W::HEIGHT >= 6 } {
            tiles!(6 5 4 3 2 1);
        } else {
            for filter in 0..self.height {
                // SAFETY: what was promised to `compute`.
                unsafe { self.tiles::<W, 1>(lane, filter) }
            }
        }
    }

    /// MR filters from one on.
    ///
    /// # Safety
    /// As [`compute`](Self::compute); these filters must exist.
    #[inline(always)]
    unsafe fn tiles<W: Sixteen, const MR: usize>(&self, lane: W, filter: usize) {
        // Where there is room for the sums, those of several units, or of a single one's neighbouring places.
        let panel = |place: usize| self.panel.wrapping_add(place * self.panel_place + filter);
        let pixels = |unit: usize, place: usize| self.pixels.wrapping_add((unit * PLACES + place) * self.pitch);
        let place_y = self.height * COLUMNS;
        let y = |unit: usize, place: usize| self.y.wrapping_add((unit * PLACES + place) * place_y + filter * COLUMNS);
        let (unit_pixels, unit_y) = (PLACES * self.pitch, PLACES * place_y);
        // SAFETY: the caller's promise, for these places and units.
        unsafe {
            if const { W::TALL } {
                match self.units {
                    1 => {
                        let apart = [self.panel_place, self.pitch, place_y];
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
            panel = panel.wrapping_add(self.height);
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

/// G g Gᵀ of the 3×3 weights of as many filters as a vector has lanes, row by row.
#[inline(always)]
pub(super) fn transform<V: Lane>(g: [[V; 3]; 3]) -> [[V; IN]; IN] {
    let mut columns = [[g[0][0]; IN]; 3];
    for j in 0..3 {
        columns[j] = forth_weights([g[0][j], g[1][j], g[2][j]]);
    }
    let mut rows = [[g[0][0]; IN]; IN];
    for i in 0..IN {
        rows[i] = forth_weights([columns[0][i], columns[1][i], columns[2][i]]);
    }
    rows
}

/// G by a column.
#[inline(always)]
fn forth_weights<V: Lane>([a, b, c]: [V; 3]) -> [V; IN] {
    let times = |x: V, number: f32| x * x.splat(number);
    let (outer, middle) = (times(a + c, -1.0 / 6.0), times(b, 1.0 / 6.0));
    let (uneven, half) = (times(a, 1.0 / 24.0) + times(c, 1.0 / 6.0), times(b, 1.0 / 12.0));
    [times(a, 0.25), outer - middle, outer + middle, uneven + half, uneven - half, c]
}
