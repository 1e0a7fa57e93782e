//! Which pixel of the source an output pixel meets at a tap, for tiles of pixels that may span rows and examples.

use crate::simd::{Lane, copy};

/// The geometry of a correlation of planes. Pairs are (vertical, horizontal).
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Geometry {
    /// Height and width of a source plane.
    pub(in super::super) source: [usize; 2],
    /// Height and width of an output plane.
    pub(in super::super) outputs: [usize; 2],
    /// Taps.
    pub(in super::super) kernel: [usize; 2],
    /// Source pixels from one output pixel to the next.
    pub(in super::super) stride: [usize; 2],
    /// Source pixels that output pixel 0 lies before the source at tap 0; negative if within.
    pub(in super::super) padding: [isize; 2],
    /// Source pixels from one tap to the next.
    pub(in super::super) dilation: [usize; 2],
}

impl Geometry {
    /// Source pixels from the first tap to the last, both included.
    pub(in super::super) fn extent(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// That of `count` rows of output from `first` on, by themselves.
    pub(in super::super) fn part(self, first: usize, count: usize) -> Self {
        let [down, right] = self.padding;
        let padding = [down - (first * self.stride[0]) as isize, right];
        Geometry { outputs: [count, self.outputs[1]], padding, ..self }
    }

    /// That of the way back, by the flipped kernel; there is none if there is a stride.
    pub(in super::super) fn flipped(self) -> Self {
        let padding = [0, 1].map(|axis| self.extent(axis) as isize - 1 - self.padding[axis]);
        Geometry { source: self.outputs, outputs: self.source, padding, ..self }
    }

    /// Taps of a plane.
    pub(in super::super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Pixels of a source plane.
    pub(in super::super) fn source_len(&self) -> usize {
        self.source[0] * self.source[1]
    }

    /// Pixels of an output plane.
    pub(in super::super) fn output_len(&self) -> usize {
        self.outputs[0] * self.outputs[1]
    }

    /// The source position of an output position at a tap, along one axis; outside 0..source it is padding.
    #[inline(always)]
    pub(in super::super) fn meets(&self, axis: usize, output: usize, tap: usize) -> isize {
        (output * self.stride[axis] + tap * self.dilation[axis]) as isize - self.padding[axis]
    }

    /// Copies `rows` rows of a source plane from row `first` on, each `pitch` floats from column `-padding` on, with
    /// zeros where the source has none.
    #[inline(always)]
    pub(in super::super) fn copy_padded<V: Lane>(
        &self,
        lane: V,
        plane: &[f32],
        first: isize,
        pitch: usize,
        to: &mut [f32],
    ) {
        let [height, width] = self.source.map(|len| len as isize);
        let left = self.padding[1].clamp(0, pitch as isize) as usize;
        let skip = (-self.padding[1]).clamp(0, width);
        let count = ((width - skip) as usize).min(pitch - left);
        for (row, to) in (first..).zip(to.chunks_exact_mut(pitch)) {
            if row < 0 || row >= height || count == 0 {
                to.fill(0.0);
                continue;
            }
            let from = &plane[(row * width + skip) as usize..][..count];
            if pitch >= V::LANES && left.max(pitch - left - count) <= V::LANES {
                // SAFETY: the row holds a vector.
                unsafe {
                    lane.splat(0.0).store(to.as_mut_ptr());
                    lane.splat(0.0).store(to[pitch - V::LANES..].as_mut_ptr());
                }
            } else {
                to.fill(0.0);
            }
            let to = &mut to[left..left + count];
            // SAFETY: both slices have `count` floats.
            unsafe { copy(lane, from.as_ptr(), to.as_mut_ptr(), count) }
        }
    }
}

/// Output pixels that are neighbours in one row of one example.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Piece {
    /// Where they start in the tile.
    pub(in super::super) lane: usize,
    /// How many they are.
    pub(in super::super) len: usize,
    /// The example.
    pub(in super::super) example: usize,
    /// Their row.
    pub(in super::super) row: usize,
    /// The column of the first.
    pub(in super::super) column: usize,
}

/// The pixels that a tile of L lanes holds.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Tile<const L: usize> {
    pieces: [Piece; L],
    count: usize,
}

impl<const L: usize> Tile<L> {
    /// A tile without pixels.
    pub(in super::super) fn empty() -> Self {
        Tile { pieces: [Piece::default(); L], count: 0 }
    }

    /// Takes the pixels of one piece.
    #[inline(always)]
    pub(in super::super) fn set_one(&mut self, piece: Piece) {
        self.pieces[0] = piece;
        self.count = 1;
    }

    /// The pieces in the order of their lanes.
    #[inline(always)]
    pub(in super::super) fn pieces(&self) -> &[Piece] {
        &self.pieces[..self.count]
    }

    /// Moves all pixels so many lanes on, if as many behind them are free.
    #[inline(always)]
    pub(in super::super) fn shift(&mut self, lanes: usize) -> bool {
        let used = self.pieces().last().map_or(0, |piece| piece.lane + piece.len);
        let fits = used + lanes <= L;
        if fits {
            self.pieces[..self.count].iter_mut().for_each(|piece| piece.lane += lanes);
        }
        fits
    }

    /// Takes the pixels at places `start..start + L` of a grid whose rows are `pitch` wide, of which the first
    /// `outputs[1]` are pixels. Rows are counted through all examples, `outputs[0]` in each, and end before row `end`.
    #[inline(always)]
    pub(in super::super) fn set(&mut self, outputs: [usize; 2], pitch: usize, start: usize, end: usize) {
        let (line, column) = (start / pitch, start % pitch);
        let (example, row) = (line / outputs[0], line % outputs[0]);
        self.set_from(outputs, pitch, Piece { example, row, column, ..Piece::default() }, end - example * outputs[0]);
    }

    /// [`set`](Self::set) from a given place on; `end` counts from its example.
    #[inline(always)]
    pub(in super::super) fn set_from(&mut self, outputs: [usize; 2], pitch: usize, from: Piece, end: usize) {
        self.count = 0;
        let Piece { mut example, mut row, mut column, .. } = from;
        let mut left = end - row;
        let mut lane = 0;
        while lane < L && left > 0 {
            if column < outputs[1] {
                let len = (outputs[1] - column).min(L - lane);
                self.pieces[self.count] = Piece { lane, len, example, row, column };
                self.count += 1;
            }
            lane += pitch - column;
            (left, column, row) = (left - 1, 0, row + 1);
            if row == outputs[0] {
                (example, row) = (example + 1, 0);
            }
        }
    }
}

/// A step through the taps of one plane after another.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Tap {
    /// The plane.
    pub(in super::super) plane: usize,
    /// The position in the kernel.
    pub(in super::super) at: [usize; 2],
}

impl Tap {
    /// Tap `index`, counted through all planes.
    pub(in super::super) fn new(kernel: [usize; 2], index: usize) -> Self {
        let taps = kernel[0] * kernel[1];
        let within = index % taps;
        Tap { plane: index / taps, at: [within / kernel[1], within % kernel[1]] }
    }

    /// The one after it.
    #[inline(always)]
    pub(in super::super) fn next(mut self, kernel: [usize; 2]) -> Self {
        self.at[1] += 1;
        if self.at[1] == kernel[1] {
            self.at = [self.at[0] + 1, 0];
            if self.at[0] == kernel[0] {
                self = Tap { plane: self.plane + 1, at: [0, 0] };
            }
        }
        self
    }
}

/// The planes of a source: `example` floats from one example's to the next's.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Planes<'a> {
    /// From the first plane of the first example on.
    pub(in super::super) floats: &'a [f32],
    /// Floats from one example to the next.
    pub(in super::super) example: usize,
}

impl Geometry {
    /// For taps `first..`, as many as `to` has rows of L floats: the source pixels that the tile meets, zeros for
    /// padding. Lanes without a pixel are left as they are.
    #[inline(always)]
    pub(in super::super) fn pack<V: Lane, const L: usize>(
        &self,
        lane: V,
        planes: Planes<'_>,
        tile: &Tile<L>,
        first: usize,
        to: &mut [f32],
    ) {
        let plane_len = self.source_len();
        let width = self.source[1] as isize;
        let mut tap = Tap::new(self.kernel, first);
        for to in to.chunks_exact_mut(L) {
            for piece in tile.pieces() {
                let to = &mut to[piece.lane..piece.lane + piece.len];
                let row = self.meets(0, piece.row, tap.at[0]);
                if row < 0 || row >= self.source[0] as isize {
                    to.fill(0.0);
                    continue;
                }
                let start = piece.example * planes.example + tap.plane * plane_len + row as usize * self.source[1];
                let from = &planes.floats[start..start + self.source[1]];
                let column = self.meets(1, piece.column, tap.at[1]);
                if self.stride[1] == 1 {
                    let before = (-column).clamp(0, piece.len as isize) as usize;
                    let after = (width - column).clamp(before as isize, piece.len as isize) as usize;
                    to[..before].fill(0.0);
                    to[after..].fill(0.0);
                    if before < after {
                        let from = &from[(column + before as isize) as usize..][..after - before];
                        let to = &mut to[before..after];
                        // SAFETY: both slices have after − before floats.
                        unsafe { copy(lane, from.as_ptr(), to.as_mut_ptr(), from.len()) }
                    }
                } else {
                    let mut column = column;
                    for to in to {
                        *to = if column >= 0 && column < width { from[column as usize] } else { 0.0 };
                        column += self.stride[1] as isize;
                    }
                }
            }
            tap = tap.next(self.kernel);
        }
    }
}
