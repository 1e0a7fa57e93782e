//! Planes side by side and back, by blocks that are turned in registers: their loops are of constant lengths, or the blocks
//! would lie in memory.

use crate::kernels::epilogue::Ending;
use crate::kernels::product::{COLUMNS, Rows, Sink};
use crate::simd::{Eight, Lane, Sixteen, Vector};
use std::ops::Range;

/// Floats that [`turn`] may write behind the last.
pub(in super::super) const MARGIN: usize = 8;

/// Copies `count` neighbours from `start` on of each of some planes that are `plane` floats apart: all planes' floats of a
/// place side by side, `pitch` floats from one place to the next.
///
/// # Safety
/// There must be room for them, and for a vector of eight more, of which the floats that follow may be overwritten.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "where the planes lie, and where they go")]
pub(in super::super) unsafe fn turn<V: Lane>(
    lane: V,
    planes: &[f32],
    plane: usize,
    start: usize,
    count: usize,
    channels: usize,
    pitch: usize,
    to: *mut f32,
) {
    if count == 0 {
        return;
    }
    assert!(planes.len() >= (channels - 1) * plane + start + count, "{channels} planes of {plane}");
    let from = planes[start..].as_ptr();
    if pitch == 1 {
        // SAFETY: the plane has `count` floats; the caller's promise.
        return unsafe { crate::simd::copy(lane, from, to, count) };
    }
    macro_rules! turn {
        ($lane:expr, $side:literal, $transpose:path, $first:expr, $channels:expr) => {
            for at in (0..count).step_by($side) {
                let some = $side.min(count - at);
                let mut block = [$lane.splat(0.0); $side];
                for i in 0..$side {
                    if i < $channels {
                        let from = from.wrapping_add(($first + i) * plane + at);
                        let is_whole = some == $side;
                        // SAFETY: the plane has `some` floats from here on.
                        block[i] = unsafe { if is_whole { $lane.load(from) } else { $lane.load_first(from, some) } };
                    }
                }
                let block = $transpose(block);
                for i in 0..$side {
                    if i < some {
                        // SAFETY: the caller's promise.
                        unsafe { block[i].store(to.add((at + i) * pitch + $first)) }
                    }
                }
            }
        };
    }
    // What does not fill a vector comes first: what is too much of it belongs to others, whose turn is yet to come.
    let rest = channels % 8;
    if rest > 0 {
        turn!(lane.eight(), 8, Eight::transpose, channels - rest, rest);
    }
    let mut first = 0;
    while const { V::Sixteen::TALL } && first + 16 <= channels {
        turn!(lane.sixteen(), 16, Sixteen::transpose, first, 16);
        first += 16;
    }
    while first + 8 <= channels {
        turn!(lane.eight(), 8, Eight::transpose, first, 8);
        first += 8;
    }
}

/// Writes `count` neighbouring results of some planes of y, which lie side by side, `pitch` floats from one place to the next:
/// planes that are `plane` floats apart.
///
/// # Safety
/// The results must be there, of as many planes as are a multiple of sixteen, and y have room for them.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "where the results lie, and where they go")]
pub(in super::super) unsafe fn leave<V: Lane>(
    lane: V,
    count: usize,
    plane: usize,
    planes: Range<usize>,
    pitch: usize,
    results: *const f32,
    ending: Ending<'_>,
    y: *mut f32,
) {
    macro_rules! leave {
        ($lane:expr, $side:literal, $transpose:path) => {
            for first in planes.clone().step_by($side) {
                for at in (0..count).step_by($side) {
                    let some = $side.min(count - at);
                    let mut block = [$lane.splat(0.0); $side];
                    for i in 0..$side {
                        if i < some {
                            // SAFETY: the caller's promise.
                            block[i] = unsafe { $lane.load(results.add((at + i) * pitch + first - planes.start)) };
                        }
                    }
                    let block = $transpose(block);
                    for i in 0..$side {
                        if first + i >= planes.end {
                            break;
                        }
                        let ending = ending.of_plane(first + i);
                        let y = y.wrapping_add((first + i) * plane + at);
                        // SAFETY: the plane has room for `some` results from here on.
                        unsafe {
                            if some == $side {
                                ending.store(y, block[i]);
                            } else {
                                ending.store_first(y, some, block[i]);
                            }
                        }
                    }
                }
            }
        };
    }
    if const { V::Sixteen::TALL } {
        leave!(lane.sixteen(), 16, Sixteen::transpose);
    } else {
        leave!(lane.eight(), 8, Eight::transpose);
    }
}

/// Writes the results of `count` neighbouring pixels as they lie: those of some planes side by side, `pitch` floats from one pixel
/// to the next, and `row` floats in y.
///
/// # Safety
/// The results must be there, of as many planes as are a multiple of sixteen, and y have room for them.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "where the results lie, and where they go")]
pub(in super::super) unsafe fn leave_last<W: Sixteen>(
    lane: W,
    count: usize,
    row: usize,
    planes: Range<usize>,
    pitch: usize,
    results: *const f32,
    ending: Ending<'_>,
    y: *mut f32,
) {
    let columns = planes.len();
    let rows = Rows { base: y, row, columns, accumulate: false, ending: ending.from(planes.start) };
    for panel in 0..columns.div_ceil(COLUMNS) {
        for pixel in 0..count {
            // SAFETY: the caller's promise.
            unsafe { rows.write(pixel, panel, [lane.load(results.add(pixel * pitch + panel * COLUMNS))]) }
        }
    }
}
