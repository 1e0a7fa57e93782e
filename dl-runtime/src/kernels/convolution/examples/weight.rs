//! The gradient of the weight: one sum over all pixels of all examples for each filter and tap, taken as products of
//! rows with lanes along the pixels.
//!
//! With stride 1, rows of d_y spread to the pitch of the padded source, with zeros between, meet the source at one offset
//! for each tap, and nothing is packed (*direct*). Else the pixels of some taps are laid out as d_y has them (*packed*).

use super::super::super::product::Dots;
use super::super::Gradient;
use super::geometry::{Geometry, Planes, Tap, Tile};
use crate::simd::{Kernel, Lane, copy};

/// Floats of each of the two blocks on the stack.
const BLOCK: usize = 4096;
/// Filters at a time.
const FILTERS: usize = 16;
/// Taps at a time.
const TAPS: usize = 256;
/// Pixels of a packed row.
const PIXELS: usize = 256;

/// Adds to the rows of d_weight of some filters.
pub(in super::super) struct Weight<'a>(pub(in super::super) Gradient<'a>);

/// How the gradient is computed; a function of the shape alone, so that the order of the sums is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Direct {
        /// Whether padding makes a copy of the source necessary.
        copied: bool,
        /// Floats in a row of the padded source.
        pitch: usize,
        /// Source planes at a time.
        planes: usize,
        /// Output rows at a time.
        lines: usize,
    },
    Packed,
}

#[repr(align(64))]
struct Block([f32; BLOCK]);

/// The stack of the kernel.
struct Scratch {
    source: Block,
    d_y: Block,
    starts: [usize; TAPS],
    tile: Tile<PIXELS>,
}

/// The filters of one group, or some of them.
#[derive(Clone, Copy)]
struct Filters {
    /// The group.
    group: usize,
    /// The first filter, counted through all groups.
    first: usize,
    /// How many.
    count: usize,
}

impl Kernel for Weight<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(mut self, lane: V) {
        let geometry = self.0.shape.geometry();
        let filters = self.0.shape.filters / self.0.shape.groups;
        let end = self.0.first + self.0.part.len() / self.row_len();
        let mut scratch =
            Scratch { source: Block([0.0; BLOCK]), d_y: Block([0.0; BLOCK]), starts: [0; TAPS], tile: Tile::empty() };
        let plan = self.plan(&geometry);
        let mut first = self.0.first;
        while first < end {
            let group = first / filters;
            let count = ((group + 1) * filters).min(end) - first;
            let filters = Filters { group, first, count };
            match plan {
                Plan::Direct { copied, pitch, planes, lines } => {
                    self.direct(lane, &geometry, filters, [copied as usize, pitch, planes, lines], &mut scratch);
                }
                Plan::Packed => self.packed(lane, &geometry, filters, &mut scratch),
            }
            first += count;
        }
    }
}

impl Weight<'_> {
    /// Source planes of a group.
    fn planes(&self) -> usize {
        self.0.shape.channels / self.0.shape.groups
    }

    /// Weights of a filter.
    fn row_len(&self) -> usize {
        self.planes() * self.0.shape.kernel[0] * self.0.shape.kernel[1]
    }

    fn plan(&self, geometry: &Geometry) -> Plan {
        let [height, width] = geometry.outputs;
        let pitch = width + geometry.extent(1) - 1;
        let more = geometry.extent(0) - 1;
        let copied = geometry.padding != [0, 0];
        let filters = FILTERS.min(self.0.shape.filters / self.0.shape.groups);
        if geometry.stride != [1, 1] || geometry.taps() > TAPS {
            return Plan::Packed;
        }
        let lines = if pitch == width { height } else { (BLOCK / (filters * pitch)).min(height) };
        let lines = if copied { lines.min((BLOCK / pitch).saturating_sub(more)) } else { lines };
        if lines == 0 || 2 * width < pitch {
            return Plan::Packed;
        }
        let lines = height.div_ceil(height.div_ceil(lines));
        let planes = self.planes().min(TAPS / geometry.taps());
        let planes = if copied { planes.min(BLOCK / ((lines + more) * pitch)) } else { planes };
        Plan::Direct { copied, pitch, planes, lines }
    }

    #[inline(always)]
    fn direct<V: Lane>(&mut self, lane: V, geometry: &Geometry, all: Filters, plan: [usize; 4], scratch: &mut Scratch) {
        let [copied, pitch, planes, lines] = plan;
        let (taps, plane_len, output_len) = (geometry.taps(), geometry.source_len(), geometry.output_len());
        let [height, width] = geometry.outputs;
        let row_len = self.row_len();
        let held = if copied == 1 { (lines + geometry.extent(0) - 1) * pitch } else { plane_len };
        let at_most = planes * taps;
        let mut tap = Tap::new(geometry.kernel, 0);
        for start in &mut scratch.starts[..at_most] {
            let [down, right] = [0, 1].map(|axis| tap.at[axis] * geometry.dilation[axis]);
            *start = tap.plane * held + down * pitch + right;
            tap = tap.next(geometry.kernel);
        }
        for example in 0..self.0.n {
            let x = &self.0.x.example(example)[all.group * self.planes() * plane_len..];
            let d_y = &self.0.d_y.example(example)[..self.0.shape.filters * output_len];
            for line in (0..height).step_by(lines) {
                let rows = lines.min(height - line);
                // Which source planes the block holds, plus 1.
                let mut at_hand = 0;
                for block in (0..all.count).step_by(FILTERS) {
                    let filter = all.first + block;
                    let count = FILTERS.min(all.count - block);
                    let d_y = &d_y[filter * output_len + line * width..];
                    let spread = rows > 1 && pitch != width;
                    if spread {
                        for (to, from) in
                            scratch.d_y.0.chunks_exact_mut(lines * pitch).zip(d_y.chunks(output_len)).take(count)
                        {
                            for (to, from) in to.chunks_exact_mut(pitch).zip(from.chunks_exact(width)).take(rows) {
                                // SAFETY: both slices have at least `width` floats.
                                unsafe { copy(lane, from.as_ptr(), to.as_mut_ptr(), width) }
                                to[width..].fill(0.0);
                            }
                        }
                    }
                    for plane in (0..self.planes()).step_by(planes) {
                        let some = planes.min(self.planes() - plane);
                        let source = &x[plane * plane_len..(plane + some) * plane_len];
                        if copied == 1 && at_hand != plane + 1 {
                            at_hand = plane + 1;
                            let first = geometry.meets(0, line, 0);
                            let copies = scratch.source.0.chunks_exact_mut(held).zip(source.chunks_exact(plane_len));
                            for (to, from) in copies {
                                let to = &mut to[..(rows + geometry.extent(0) - 1) * pitch];
                                geometry.copy_padded(lane, from, first, pitch, to);
                            }
                        }
                        let right = if copied == 1 { &scratch.source.0[..] } else { &source[line * pitch..] };
                        let left = if spread { &scratch.d_y.0[..] } else { d_y };
                        let sums = &mut self.0.part[(filter - self.0.first) * row_len + plane * taps..];
                        let dots = Dots {
                            rows: count,
                            depth: (rows - 1) * pitch + width,
                            left: left.as_ptr(),
                            left_row: if spread { lines * pitch } else { output_len },
                            right: right.as_ptr(),
                            starts: &scratch.starts[..some * taps],
                            sums: sums.as_mut_ptr(),
                            sums_row: row_len,
                        };
                        // SAFETY: row i of d_y, spread or not, holds `depth` floats; from each start, `depth` more lead
                        // to the last pixel that the tap meets in the last row, within the source or its copy; `part`
                        // holds row_len sums for each filter.
                        unsafe { dots.add(lane) }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn packed<V: Lane>(&mut self, lane: V, geometry: &Geometry, all: Filters, scratch: &mut Scratch) {
        const ROWS: usize = BLOCK / PIXELS;
        let (row_len, output_len) = (self.row_len(), geometry.output_len());
        for (j, start) in scratch.starts[..ROWS].iter_mut().enumerate() {
            *start = j * PIXELS;
        }
        for example in 0..self.0.n {
            let floats = &self.0.x.example(example)[all.group * self.planes() * geometry.source_len()..];
            let d_y = &self.0.d_y.example(example)[all.first * output_len..self.0.shape.filters * output_len];
            for start in (0..output_len).step_by(PIXELS) {
                scratch.tile.set(geometry.outputs, geometry.outputs[1], start, geometry.outputs[0]);
                for tap in (0..row_len).step_by(ROWS) {
                    let taps = ROWS.min(row_len - tap);
                    let block = &mut scratch.source.0[..taps * PIXELS];
                    geometry.pack(lane, Planes { floats, example: 0 }, &scratch.tile, tap, block);
                    let sums = &mut self.0.part[(all.first - self.0.first) * row_len + tap..];
                    let dots = Dots {
                        rows: all.count,
                        depth: PIXELS.min(output_len - start),
                        left: d_y[start..].as_ptr(),
                        left_row: output_len,
                        right: scratch.source.0.as_ptr(),
                        starts: &scratch.starts[..taps],
                        sums: sums.as_mut_ptr(),
                        sums_row: row_len,
                    };
                    // SAFETY: planes of d_y hold start + depth floats, rows of the block PIXELS ≥ depth; `part` holds
                    // row_len sums for each filter.
                    unsafe { dots.add(lane) }
                }
            }
        }
    }
}
