//! Correlation of planes by the product core: rows are output planes, depth is taps, columns are sixteen pixels.
//!
//! With stride 1 a source row is read in place: if the output is thought as wide as the padded source, the sixteen
//! pixels of every tap are neighbours, and a table of offsets, one for each tap, replaces packing (*direct*). Padding
//! is first copied away, some rows at a time. The few results between the rows are thrown away; where they would be too
//! many, and for other strides, the pixels of a tile are packed for all taps, and one packing serves all rows (*packed*).

use super::super::super::pack::Aligned;
use super::super::super::product::{
    COLUMNS, Every, Left, Right, Sink, Steps, Table, panels_at_once, product_within, with_panels,
};
use super::super::filters::tiles;
use super::geometry::{Geometry, Piece, Planes, Tap, Tile};
use crate::kernels::epilogue::Ending;
use crate::simd::{Kernel, Lane, Sixteen, Vector};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Taps that a tile runs through at a time.
const DEPTH: usize = 512;
/// Floats of the block on the stack.
const BLOCK: usize = DEPTH * COLUMNS;
/// The offsets of a packed tile: a table like those of unpacked ones, so that one product serves both.
static PACKED: [usize; DEPTH] = {
    let mut offsets = [0; DEPTH];
    let mut k = 0;
    while k < DEPTH {
        offsets[k] = k * COLUMNS;
        k += 1;
    }
    offsets
};
/// What packing one row of a tap's pixels costs, in rows of a product.
const PACKING: usize = 10;
/// What a product costs here, in eighths of one by filters side by side: offsets are looked up, and tiles are lower.
const EIGHTHS: usize = 13;

/// `y = max(source ⋆ weight + bias + residual, floor)`, masked, for `n` examples; slices have exactly their lengths, none is empty.
pub(in super::super) struct Correlation<'a> {
    pub(in super::super) geometry: Geometry,
    /// Groups, each with its own planes, rows and weights.
    pub(in super::super) groups: usize,
    /// Source planes of a group.
    pub(in super::super) planes: usize,
    /// Output planes of a group.
    pub(in super::super) rows: usize,
    pub(in super::super) n: usize,
    pub(in super::super) source: &'a [f32],
    pub(in super::super) panels: &'a [f32],
    /// What is done to the sums; its bias has a float for each output plane.
    pub(in super::super) ending: Ending<'a>,
    /// Places for the results, which need not hold any.
    pub(in super::super) y: &'a mut [MaybeUninit<f32>],
}

/// How a correlation is carried out; a function of the shape alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// By offsets into rows of `pitch` floats: of the source itself, or of copies.
    Direct {
        copied: bool,
        pitch: usize,
        /// Source planes at a time.
        planes: usize,
        /// Output rows at a time.
        lines: usize,
    },
    /// By packing each tile.
    Packed,
}

/// The stack of a correlation.
struct Scratch<'a> {
    /// Steps in the panels of the taps at hand.
    left: Offsets,
    /// Offsets of the pixels of the taps at hand.
    right: Offsets,
    /// The taps that the tables are of, so that they are not made again for each tile.
    taps: (usize, usize),
    /// Copied rows or a packed tile; a tile of copied rows may read past the last.
    block: &'a mut [f32],
    /// The tiles at hand, side by side.
    tiles: [Tile<COLUMNS>; 2],
}

/// A table, of which nothing is written before it is needed.
struct Offsets {
    places: [MaybeUninit<usize>; DEPTH],
    /// How many there are.
    len: usize,
}

impl Offsets {
    const NONE: Self = Offsets { places: [MaybeUninit::uninit(); DEPTH], len: 0 };

    /// Another table of so many offsets, one for each tap.
    #[inline(always)]
    fn set(&mut self, offsets: impl Iterator<Item = usize>) {
        self.len = 0;
        for (place, offset) in self.places.iter_mut().zip(offsets) {
            place.write(offset);
            self.len += 1;
        }
    }

    #[inline(always)]
    fn as_slice(&self) -> &[usize] {
        // SAFETY: the first `len` places have been written.
        unsafe { std::slice::from_raw_parts(self.places.as_ptr().cast(), self.len) }
    }
}

impl Kernel for Correlation<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(mut self, lane: V) {
        let plan = self.plan();
        let depth = DEPTH.min(self.planes * self.geometry.taps());
        let used = match plan {
            Plan::Direct { copied: true, pitch, planes, lines } => {
                planes * (lines + self.geometry.extent(0) - 1) * pitch + COLUMNS
            }
            _ => depth * COLUMNS,
        };
        let mut block = Aligned::<{ BLOCK + COLUMNS }>::uninit();
        let mut scratch = Scratch {
            left: Offsets::NONE,
            right: Offsets::NONE,
            taps: (0, 0),
            block: block.zeros(used),
            tiles: [Tile::empty(), Tile::empty()],
        };
        for group in 0..self.groups {
            match plan {
                Plan::Direct { copied, pitch, planes, lines } => {
                    self.direct(lane.sixteen(), group, [copied as usize, pitch, planes, lines], &mut scratch);
                }
                Plan::Packed => self.packed(lane, group, &mut scratch),
            }
        }
    }
}

impl Correlation<'_> {
    fn plan(&self) -> Plan {
        let geometry = &self.geometry;
        let [height, width] = geometry.outputs;
        let pitch = width + geometry.extent(1) - 1;
        let taps = geometry.taps();
        let places = ((height - 1) * pitch + width).next_multiple_of(COLUMNS);
        let packing = PACKING * (1 + COLUMNS / width);
        let packed = geometry.output_len().next_multiple_of(COLUMNS) * (self.rows + packing);
        if geometry.stride != [1, 1] || taps > DEPTH || places * self.rows > packed {
            return Plan::Packed;
        }
        let planes = self.planes.min(DEPTH / taps);
        if geometry.padding == [0, 0] {
            return Plan::Direct { copied: false, pitch, planes, lines: height };
        }
        let more = geometry.extent(0) - 1;
        let some = height.min(4);
        let planes = planes.min(BLOCK / ((some + more) * pitch));
        if planes == 0 {
            return Plan::Packed;
        }
        let lines = (BLOCK / (planes * pitch) - more).min(height);
        let lines = height.div_ceil(height.div_ceil(lines));
        Plan::Direct { copied: true, pitch, planes, lines }
    }

    /// What it costs for one example, in products of vectors of sixteen by filters side by side.
    pub(in super::super) fn cost(&self) -> usize {
        let (rows, depth) = (self.rows, self.planes * self.geometry.taps());
        let [height, width] = self.geometry.outputs;
        let each = match self.plan() {
            Plan::Direct { pitch, .. } => ((height - 1) * pitch + width).div_ceil(COLUMNS) * rows,
            Plan::Packed => (height * width).div_ceil(COLUMNS) * (rows + PACKING * (1 + COLUMNS / width)),
        };
        self.groups * each * depth * EIGHTHS / 8
    }

    /// Floats of an example of the source, and of y.
    fn example_lens(&self) -> [usize; 2] {
        [self.planes * self.geometry.source_len(), self.rows * self.geometry.output_len()].map(|len| len * self.groups)
    }

    /// Makes the tables for taps `first..first + depth`, with the pixels in rows of `pitch` and planes of `plane`.
    #[inline(always)]
    fn tables(&self, scratch: &mut Scratch<'_>, first: usize, depth: usize, pitch: usize, plane: usize) {
        if scratch.taps == (first, depth) {
            return;
        }
        scratch.taps = (first, depth);
        let Geometry { kernel, dilation, .. } = self.geometry;
        let first = Tap::new(kernel, first);
        let taps = || std::iter::successors(Some(first), |tap| Some(tap.next(kernel))).take(depth);
        let step = |tap: Tap| (tap.at[0] * kernel[1] + tap.at[1]) * self.planes + tap.plane;
        let pixel =
            |tap: Tap| (tap.plane - first.plane) * plane + tap.at[0] * dilation[0] * pitch + tap.at[1] * dilation[1];
        scratch.left.set(taps().map(step));
        scratch.right.set(taps().map(pixel));
    }

    #[inline(always)]
    fn direct<W: Sixteen>(&mut self, lane: W, group: usize, plan: [usize; 4], scratch: &mut Scratch<'_>) {
        let [copied, pitch, planes, lines] = plan;
        let geometry = self.geometry;
        let (taps, plane_len) = (geometry.taps(), geometry.source_len());
        let [height, width] = geometry.outputs;
        let [source_example, _] = self.example_lens();
        for example in 0..self.n {
            let floats = &self.source[example * source_example + group * self.planes * plane_len..];
            for line in (0..height).step_by(lines) {
                let end = (line + lines).min(height);
                for plane in (0..self.planes).step_by(planes) {
                    let count = planes.min(self.planes - plane);
                    let source = &floats[plane * plane_len..];
                    let held = if copied == 1 { (lines + geometry.extent(0) - 1) * pitch } else { plane_len };
                    if copied == 1 {
                        let rows = end - line + geometry.extent(0) - 1;
                        let first = geometry.meets(0, line, 0);
                        let blocks = scratch.block.chunks_exact_mut(held).zip(source.chunks_exact(plane_len));
                        for (to, from) in blocks.take(count) {
                            geometry.copy_padded(lane, from, first, pitch, &mut to[..rows * pitch]);
                        }
                    }
                    self.tables(scratch, plane * taps, count * taps, pitch, held);
                    let place = Place { group, example, first: plane * taps, depth: count * taps };
                    let mut row = 0;
                    while row < self.rows {
                        // About twelve rows of weights at a time stay in the first-level cache through all tiles.
                        let most = if self.rows - row <= 18 { 18 } else { 12 };
                        let height = tiles(row..self.rows)
                            .take_while(|tile| tile.first < row + most)
                            .map(|tile| tile.height)
                            .sum::<usize>();
                        let lines = Lines {
                            correlation: self,
                            place,
                            row,
                            rows: height,
                            floats,
                            source,
                            lines: line..end,
                            walk: Walk::new(end - line, width, pitch, panels_at_once::<W>(2 * COLUMNS)),
                            copied: copied == 1,
                            scratch,
                        };
                        with_panels!(W, 2 * COLUMNS, lines.compute::<W>(lane));
                        row += height;
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn packed<V: Lane>(&mut self, lane: V, group: usize, scratch: &mut Scratch<'_>) {
        let geometry = self.geometry;
        let depth = self.planes * geometry.taps();
        let [source_example, _] = self.example_lens();
        let floats = &self.source[group * self.planes * geometry.source_len()..];
        let planes = Planes { floats, example: source_example };
        let [height, width] = geometry.outputs;
        for start in (0..self.n * geometry.output_len()).step_by(COLUMNS) {
            scratch.tiles[0].set(geometry.outputs, width, start, self.n * height);
            for first in (0..depth).step_by(DEPTH) {
                let place = Place { group, example: 0, first, depth: DEPTH.min(depth - first) };
                self.tables(scratch, first, place.depth, 0, 0);
                let block = &mut scratch.block[..place.depth * COLUMNS];
                geometry.pack(lane, planes, &scratch.tiles[0], first, block);
                let steps = Table(&PACKED[..place.depth]);
                let right = Right { base: scratch.block.as_ptr(), steps, pitch: 0 };
                // SAFETY: the block holds place.depth rows of 16; the tables hold place.depth offsets of weights of
                // this group.
                unsafe { self.tile(lane, place, 0, self.rows, right, scratch) }
            }
        }
    }

    /// Rows `row..row + rows` of the first tile at hand.
    ///
    /// # Safety
    /// `right` must be readable for place.depth steps, and `scratch.left` hold as many offsets of weights.
    #[inline(always)]
    unsafe fn tile<V: Vector>(
        &mut self,
        lane: V,
        place: Place,
        row: usize,
        rows: usize,
        right: Right<Table<'_>>,
        scratch: &Scratch<'_>,
    ) {
        let (left, tiles) = (scratch.left.as_slice(), &scratch.tiles);
        lane.apart(Rows::<1> { correlation: self, place, row, rows, right, left, tiles });
    }
}

/// All tiles of some rows of results, for rows `row..row + rows` of weights.
struct Lines<'k, 's, 'a> {
    correlation: &'k mut Correlation<'a>,
    place: Place,
    row: usize,
    rows: usize,
    /// The planes of the group.
    floats: &'k [f32],
    /// Those at hand.
    source: &'k [f32],
    lines: Range<usize>,
    walk: Walk,
    /// Whether the pixels are in the block, or the planes themselves.
    copied: bool,
    scratch: &'k mut Scratch<'s>,
}

impl Lines<'_, '_, '_> {
    /// P tiles at once.
    #[inline(always)]
    fn compute<W: Sixteen, const P: usize>(self, lane: W) {
        lane.apart(LinesBy::<P>(self));
    }
}

/// [`Lines`] by P tiles at once.
struct LinesBy<'k, 's, 'a, const P: usize>(Lines<'k, 's, 'a>);

impl<const P: usize> Kernel for LinesBy<'_, '_, '_, P> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Lines { correlation, place, row, rows, floats, source, lines, walk, copied, scratch } = self.0;
        let reach = scratch.right.as_slice()[place.depth - 1] + COLUMNS;
        let width = walk.width;
        let (mut next, mut at) = ([0, 0], 0);
        while at < walk.count {
            let mut count = P.min(walk.count - at);
            let (first, mut last) = (next, next);
            for tile in &mut scratch.tiles[..count] {
                last = next;
                let [row, column] = [lines.start + next[0], next[1]];
                let cell = Piece { row, column, ..Piece::default() };
                if walk.aligned {
                    tile.set_one(Piece { len: COLUMNS.min(width - column), ..cell });
                } else {
                    tile.set_from([usize::MAX, width], walk.pitch, cell, lines.end);
                }
                next = walk.after(next);
            }
            // Tiles at once read the same offsets, so many floats on. What would read past the source begins
            // earlier, if its last lanes are free; else the first tile is computed alone.
            let base = lines.start * walk.pitch;
            let over = |start: usize| if copied { 0 } else { (base + start + reach).saturating_sub(source.len()) };
            let mut starts = [walk.offset(first), walk.offset(last)];
            let (back, room) = (over(starts[1]), if count == 1 { starts[0] } else { starts[1] - starts[0] });
            if back <= room && scratch.tiles[count - 1].shift(back) {
                starts[1] -= back;
            } else {
                count = 1;
                next = walk.after(first);
            }
            if count == 1 {
                starts = [starts[0].min(starts[1]); 2];
            }
            let (base, steps) = if copied {
                (scratch.block[starts[0]..].as_ptr(), &scratch.right.as_slice()[..place.depth])
            } else if over(starts[1]) == 0 {
                (source[base + starts[0]..].as_ptr(), &scratch.right.as_slice()[..place.depth])
            } else {
                let block = &mut scratch.block[..place.depth * COLUMNS];
                let planes = Planes { floats, example: 0 };
                correlation.geometry.pack(lane, planes, &scratch.tiles[0], place.first, block);
                (scratch.block.as_ptr(), &PACKED[..place.depth])
            };
            let right = Right { base, steps: Table(steps), pitch: starts[1] - starts[0] };
            // SAFETY: the furthest pixel that the last tile reads lies `reach` after its start, which is within
            // the source, as checked, or within the block of copies and its margin; a packed tile holds
            // place.depth rows of 16. The tables hold place.depth offsets.
            unsafe {
                if count == P {
                    let (left, tiles) = (scratch.left.as_slice(), &scratch.tiles);
                    Rows::<P> { correlation, place, row, rows, right, left, tiles }.over(lane.sixteen());
                } else {
                    correlation.tile(lane, place, row, rows, right, scratch);
                }
            }
            at += count;
        }
    }
}

/// The product of some rows of weights and P tiles of pixels. `right` must be readable for place.depth steps of P panels, and
/// `left` hold as many offsets of weights.
struct Rows<'s, 'a, const P: usize> {
    correlation: &'s mut Correlation<'a>,
    place: Place,
    row: usize,
    rows: usize,
    right: Right<Table<'s>>,
    left: &'s [usize],
    tiles: &'s [Tile<COLUMNS>; 2],
}

impl<const P: usize> Kernel for Rows<'_, '_, P> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        // SAFETY: what was promised where it was made.
        unsafe { self.over(lane.sixteen()) }
    }
}

impl<const P: usize> Rows<'_, '_, P> {
    /// # Safety
    /// What [`Rows`] asks.
    #[inline(always)]
    unsafe fn over<W: Sixteen>(self, lane: W) {
        let Self { correlation, place, row, rows, right, left: table, tiles: pieces } = self;
        let [_, y_example] = correlation.example_lens();
        let output_len = correlation.geometry.output_len();
        let plane_depth = correlation.planes * correlation.geometry.taps();
        let last = place.first + place.depth == plane_depth;
        for tile in tiles(row..correlation.rows).take_while(|tile| tile.first < row + rows) {
            let first_row = place.group * correlation.rows + tile.first;
            let y = &mut correlation.y[place.example * y_example + first_row * output_len..];
            let sink = Pixels {
                y: y.as_mut_ptr().cast(),
                plane: output_len,
                width: correlation.geometry.outputs[1],
                example: y_example,
                tiles: pieces,
                accumulate: place.first > 0,
                ending: correlation.ending.if_last(last).from(first_row),
            };
            let steps = Tall { table: &table[..place.depth], height: tile.height };
            let left = Left { base: correlation.panels[first_row * plane_depth..].as_ptr(), rows: Every::<1>, steps };
            // SAFETY: the panel holds `height` weights for each step, and the pieces of the tile lie in y, by the shape's
            // lengths; the rest was promised.
            unsafe { product_within::<_, _, _, _, _, P>(lane, tile.height, place.depth, left, right, &sink) }
        }
    }
}

/// The tiles of some rows of results, in order.
struct Walk {
    /// Whether each lies within a row, which is the easier to write; else they pass over what lies between the rows.
    aligned: bool,
    width: usize,
    pitch: usize,
    /// How many there are.
    count: usize,
}

impl Walk {
    /// Tiles within rows, unless that takes more turns.
    fn new(rows: usize, width: usize, pitch: usize, at_once: usize) -> Self {
        let counts = [((rows - 1) * pitch + width).div_ceil(COLUMNS), rows * width.div_ceil(COLUMNS)];
        let [across, within] = counts.map(|count| count.div_ceil(at_once));
        let aligned = within <= across;
        Walk { aligned, width, pitch, count: counts[usize::from(aligned)] }
    }

    /// Where the tile starts that follows one that starts there: row and column.
    #[inline(always)]
    fn after(&self, [mut row, mut column]: [usize; 2]) -> [usize; 2] {
        column += COLUMNS;
        if self.aligned {
            return if column < self.width { [row, column] } else { [row + 1, 0] };
        }
        while column >= self.pitch {
            (row, column) = (row + 1, column - self.pitch);
        }
        [row, column]
    }

    /// The same in floats.
    #[inline(always)]
    fn offset(&self, [row, column]: [usize; 2]) -> usize {
        row * self.pitch + column
    }
}

/// Steps of a panel of so many filters, by a table.
#[derive(Clone, Copy)]
struct Tall<'a> {
    table: &'a [usize],
    height: usize,
}

impl Steps for Tall<'_> {
    #[inline(always)]
    unsafe fn at(self, k: usize) -> usize {
        // SAFETY: the caller guarantees k < depth, which is the table's length.
        unsafe { *self.table.get_unchecked(k) * self.height }
    }
}

/// The part of the sum at hand.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    /// The example that the tile's pieces are counted from.
    example: usize,
    /// The first tap.
    first: usize,
    /// How many taps.
    depth: usize,
}

/// Output pixels of tiles in several planes.
struct Pixels<'a> {
    /// The first plane of the first example.
    y: *mut f32,
    /// Floats from one plane to the next.
    plane: usize,
    /// Floats from one row to the next.
    width: usize,
    /// Floats from one example to the next.
    example: usize,
    tiles: &'a [Tile<COLUMNS>; 2],
    /// Whether to add to what is there: earlier taps.
    accumulate: bool,
    /// What is done to the sums, from the first plane on.
    ending: Ending<'a>,
}

impl Sink for Pixels<'_> {
    #[inline(always)]
    unsafe fn write<W: Sixteen, const MR: usize>(&self, row: usize, panel: usize, acc: [W; MR]) {
        let (lane, pieces) = (acc[0], self.tiles[panel].pieces());
        if let [Piece { lane: 0, len, .. }] = *pieces {
            let rows = self.rows(row, &pieces[0]);
            if COLUMNS <= rows.room && !self.accumulate {
                for (i, acc) in acc.into_iter().enumerate() {
                    let ending = self.ending.of_plane(row + i);
                    // SAFETY: the plane has as many places from here on. What is too much belongs to pixels whose turn is
                    // yet to come.
                    unsafe { ending.store(rows.y.wrapping_add(i * self.plane), acc) }
                }
                return;
            }
            for (i, acc) in acc.into_iter().enumerate() {
                // SAFETY: the piece lies within y by the caller's promise; masked accesses touch no other floats.
                unsafe { rows.put(row, i, len, acc) }
            }
            return;
        }
        // A vector that starts at the last lane reads so far past it.
        let mut results = [[0.0; 2 * COLUMNS]; MR];
        for (results, acc) in results.iter_mut().zip(acc) {
            // SAFETY: the array holds more than 16 floats.
            unsafe { acc.store(results.as_mut_ptr()) }
        }
        for piece in pieces {
            let rows = self.rows(row, piece);
            for (i, results) in results.iter().enumerate() {
                // SAFETY: the piece lies within the 16 lanes and, by the caller's promise, within y; the array has 16
                // floats more, and masked accesses touch no others.
                unsafe {
                    let from = results.as_ptr().add(piece.lane);
                    if piece.len <= 8 {
                        rows.put(row, i, piece.len, lane.eight().load(from));
                    } else {
                        rows.put(row, i, piece.len, lane.load(from));
                    }
                }
            }
        }
    }
}

impl Pixels<'_> {
    /// Where a piece of the planes from `row` on goes.
    #[inline(always)]
    fn rows(&self, row: usize, piece: &Piece) -> PieceOfRows<'_> {
        let place = piece.example * self.example + piece.row * self.width + piece.column;
        let room = self.plane - piece.row * self.width - piece.column;
        PieceOfRows { pixels: self, y: self.y.wrapping_add(row * self.plane + place), room }
    }
}

/// A piece of a tile in several planes.
struct PieceOfRows<'a> {
    pixels: &'a Pixels<'a>,
    y: *mut f32,
    /// Floats from its start to the end of the plane.
    room: usize,
}

impl PieceOfRows<'_> {
    /// Writes the first `len` results, as many as a vector has at most, of plane `row + i`.
    ///
    /// # Safety
    /// `len` floats of that plane must be writable at the piece.
    #[inline(always)]
    unsafe fn put<V: Lane>(&self, row: usize, i: usize, len: usize, mut result: V) {
        let (lane, pixels) = (result, self.pixels);
        let ending = pixels.ending.of_plane(row + i);
        let y = self.y.wrapping_add(i * pixels.plane);
        // SAFETY: the caller's promise.
        unsafe {
            if len == V::LANES {
                if pixels.accumulate {
                    result = lane.load(y) + result;
                }
                ending.store(y, result);
            } else if !pixels.accumulate && V::LANES <= self.room {
                // Masked stores are slow, and what is too much here belongs to pixels whose turn is yet to come.
                ending.store(y, result);
            } else {
                if pixels.accumulate {
                    result = lane.load_first(y, len) + result;
                }
                ending.store_first(y, len, result);
            }
        }
    }
}
