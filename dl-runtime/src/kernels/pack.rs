//! Weights in panels of sixteen columns, as products read them.
//!
//! A weight [inputs, outputs] enters; panel after panel leaves, each with sixteen floats for every step of the depth. A
//! transposed weight is turned in registers, eight by eight. Panels are made anew in each training step, so this runs at the
//! speed of memory.

use super::chunk::load;
use super::product::COLUMNS;
use crate::Team;
use crate::simd::{Eight, Isa, Kernel, Lane, Sixteen, dispatch, isa, prefetch};
use crate::team::Pointer;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Panels that are filled side by side, so that whole runs of a row are read.
const ABREAST: usize = 4;
/// Rows that are fetched ahead.
const AHEAD: usize = 8;
/// Fewer floats of panels are filled in less time than a fork and a join take.
const WORTH_A_FORK: usize = 1 << 14;

/// How a weight [inputs, outputs], row by row, lies in panels of sixteen columns, padded with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    /// Rows of the weight.
    pub inputs: usize,
    /// Columns of the weight.
    pub outputs: usize,
    /// Whether the panels are of the transposed weight, as `d_y Wᵀ` needs them: panel p holds, for each output, the
    /// inputs 16p to 16p + 15; else, for each input, the outputs 16p to 16p + 15.
    pub transposed: bool,
}

impl Pack {
    /// Depth and columns of the packed matrix.
    const fn depth_and_columns(&self) -> (usize, usize) {
        if self.transposed { (self.outputs, self.inputs) } else { (self.inputs, self.outputs) }
    }

    /// How many floats the panels take.
    pub const fn len(&self) -> usize {
        let (depth, columns) = self.depth_and_columns();
        columns.next_multiple_of(COLUMNS) * depth
    }

    /// Whether the panels are empty.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Packs a weight [inputs, outputs] into panels. Each thread reads some rows of the weight.
///
/// # Panics
/// If the weight is shorter than inputs · outputs, or `panels` shorter than [`Pack::len`].
pub fn pack(pack: &Pack, weight: &[f32], panels: &mut [f32], team: &Team) {
    let weight = &weight[..pack.inputs * pack.outputs];
    let panels = &mut panels[..pack.len()];
    if panels.len() < WORTH_A_FORK {
        return pack_on(isa(), pack, weight, panels);
    }
    let (depth, _) = pack.depth_and_columns();
    if pack.transposed {
        team.split(panels, ABREAST * depth * COLUMNS, |start, panels| {
            dispatch(isa(), Turned { pack: *pack, first: start / depth, weight, panels });
        });
    } else {
        let panels = Pointer::new(panels);
        // The threads take rows that do not overlap.
        team.ranges(depth, |rows| dispatch(isa(), Spread { pack: *pack, rows, weight, panels }));
    }
}

/// [`pack`] on a given instruction set.
pub(crate) fn pack_on(isa: Isa, pack: &Pack, weight: &[f32], panels: &mut [f32]) {
    let weight = &weight[..pack.inputs * pack.outputs];
    let panels = &mut panels[..pack.len()];
    if weight.is_empty() {
        return;
    }
    if pack.transposed {
        dispatch(isa, Turned { pack: *pack, first: 0, weight, panels });
    } else {
        dispatch(isa, Spread { pack: *pack, rows: 0..pack.inputs, weight, panels: Pointer::new(panels) });
    }
}

/// The arguments of [`pack`] for a transposed weight: all of it, and its panels from the column `first` on.
struct Turned<'a> {
    pack: Pack,
    first: usize,
    weight: &'a [f32],
    panels: &'a mut [f32],
}

impl Kernel for Turned<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let depth = self.pack.outputs;
        let panels = self.panels.chunks_exact_mut(depth * COLUMNS);
        for (rows, panel) in self.weight[self.first * depth..].chunks(COLUMNS * depth).zip(panels) {
            // SAFETY: the panel holds `depth` steps.
            unsafe { turn(lane.eight(), rows, depth, 0..depth, panel.as_mut_ptr()) }
        }
    }
}

/// The arguments of [`pack`] for some rows of a weight as it is: its panels are written at these steps alone.
struct Spread<'a> {
    pack: Pack,
    rows: Range<usize>,
    weight: &'a [f32],
    panels: Pointer,
}

impl Kernel for Spread<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let lane = lane.sixteen();
        let Pack { inputs: depth, outputs: columns, .. } = self.pack;
        let rows = &self.weight[self.rows.start * columns..self.rows.end * columns];
        let mut first = 0;
        while first < columns {
            // SAFETY: the panel at `first`, a multiple of 16, starts at first · depth, within the panels; it has a step for
            // each row of the weight.
            let panel = unsafe { self.panels.start().add(first * depth + self.rows.start * COLUMNS) };
            let width = columns - first;
            if width >= ABREAST * COLUMNS {
                // SAFETY: each of the rows holds ABREAST · 16 floats from `first` on, and as many panels follow.
                unsafe { spread(lane, &rows[first..], columns, self.rows.len(), panel, depth) }
                first += ABREAST * COLUMNS;
            } else {
                // SAFETY: as above.
                unsafe { copy_columns(lane, rows, columns, first..first + width.min(COLUMNS), panel) }
                first += COLUMNS;
            }
        }
    }
}

/// Copies columns of `count` rows of `pitch` floats to ABREAST panels of `depth` steps: runs of a row each.
///
/// # Safety
/// Each row must hold ABREAST · 16 floats, and so many steps of each panel be writable.
#[inline(always)]
unsafe fn spread<W: Sixteen>(lane: W, rows: &[f32], pitch: usize, count: usize, panels: *mut f32, depth: usize) {
    for k in 0..count {
        // SAFETY: all accesses are below the caller's bounds.
        unsafe {
            let row = rows.as_ptr().add(k * pitch);
            for p in 0..ABREAST {
                prefetch(row.wrapping_add(AHEAD * pitch + p * COLUMNS));
                let to = panels.add((p * depth + k) * COLUMNS);
                lane.load(row.add(p * COLUMNS)).store(to);
            }
        }
    }
}

/// Copies up to sixteen columns of rows of `pitch` floats to one panel, with zeros beside them.
///
/// # Safety
/// At `panel`, sixteen floats for each of the rows must be writable.
#[inline(always)]
pub(super) unsafe fn copy_columns<W: Sixteen>(
    lane: W,
    rows: &[f32],
    pitch: usize,
    columns: Range<usize>,
    panel: *mut f32,
) {
    for (k, row) in rows.chunks_exact(pitch).enumerate() {
        let row = &row[columns.clone()];
        // SAFETY: the caller's promise. Past the columns a load gives zeros.
        unsafe { load(lane, row).store(panel.add(k * COLUMNS)) }
    }
}

/// Some steps of rows of `pitch` floats, up to sixteen rows, become those of one panel, with zeros beside them.
///
/// # Safety
/// At `panel`, sixteen floats for each of the steps must be writable.
#[inline(always)]
pub(super) unsafe fn turn<V: Eight>(lane: V, rows: &[f32], pitch: usize, steps: Range<usize>, panel: *mut f32) {
    let height = rows.len() / pitch.max(1);
    for start in steps.clone().step_by(TURN) {
        let some = start..steps.end.min(start + TURN);
        for half in [0, 8] {
            let rows = &rows[(half * pitch).min(rows.len())..];
            // SAFETY: the steps from `start` on lie that many times sixteen floats on, and have a second half.
            unsafe {
                let panel = panel.add((start - steps.start) * COLUMNS + half);
                turn_half(lane, rows, height.saturating_sub(half).min(8), pitch, some.clone(), panel);
            }
        }
    }
}

/// Steps that are written before the other half of their panel, so that it is still in the first-level cache.
const TURN: usize = 128;

/// Some steps of `height` rows, at most eight, become one half of a panel's.
///
/// # Safety
/// At `panel`, eight floats out of sixteen for each of the steps must be writable.
#[inline(always)]
unsafe fn turn_half<V: Eight>(
    lane: V,
    rows: &[f32],
    height: usize,
    pitch: usize,
    steps: Range<usize>,
    panel: *mut f32,
) {
    let count = steps.len();
    let mut k = 0;
    if height == 8 {
        let from = rows[steps.start..7 * pitch + steps.end].as_ptr();
        // SAFETY: the slice, which leads from the first row's first step to the last row's last, holds all that is read.
        unsafe {
            let from: [*const f32; 8] = [
                from,
                from.add(pitch),
                from.add(2 * pitch),
                from.add(3 * pitch),
                from.add(4 * pitch),
                from.add(5 * pitch),
                from.add(6 * pitch),
                from.add(7 * pitch),
            ];
            while k + 8 <= count {
                let mut block = [lane; 8];
                for (row, from) in block.iter_mut().zip(from) {
                    *row = lane.load(from.add(k));
                }
                for (i, column) in V::transpose(block).into_iter().enumerate() {
                    column.store(panel.add((k + i) * COLUMNS));
                }
                k += 8;
            }
        }
    }
    while k < count {
        let width = 8.min(count - k);
        let mut block = [lane; 8];
        for (i, row) in block.iter_mut().enumerate().take(height) {
            *row = load(lane, &rows[i * pitch + steps.start + k..][..width]);
        }
        for (i, column) in V::transpose(block).into_iter().enumerate().take(width) {
            // SAFETY: step k + i is one of the steps.
            unsafe { column.store(panel.add((k + i) * COLUMNS)) }
        }
        k += 8;
    }
}

/// Floats at a multiple of a cache line.
#[repr(align(64))]
pub(super) struct Aligned<const N: usize>([MaybeUninit<f32>; N]);

impl<const N: usize> Aligned<N> {
    pub(super) const fn uninit() -> Self {
        Self([MaybeUninit::uninit(); N])
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }

    /// The first `len` places.
    pub(super) fn places(&mut self, len: usize) -> &mut [MaybeUninit<f32>] {
        &mut self.0[..len]
    }

    /// The first place; all floats are 0 if that is asked for.
    pub(super) fn zeros_if(&mut self, zeros: bool) -> *mut f32 {
        if zeros {
            self.0.fill(MaybeUninit::new(0.0));
        }
        self.as_mut_ptr()
    }

    /// The first `len` floats, all 0.
    pub(super) fn zeros(&mut self, len: usize) -> &mut [f32] {
        let floats = &mut self.0[..len];
        floats.fill(MaybeUninit::new(0.0));
        // SAFETY: all of them have just been written, and they are borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), len) }
    }
}

/// Floats as places for others.
///
/// # Safety
/// Nothing but floats must be written to them.
pub(super) unsafe fn places(floats: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: both are as large and aligned alike; the caller's promise keeps the floats what they are.
    unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), floats.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn threads_share_the_panels() {
        for (inputs, outputs) in [(300, 200), (64, 1000), (1000, 65), (700, 10)] {
            let weight: Vec<f32> = (0..inputs * outputs).map(|i| i as f32).collect();
            for transposed in [false, true] {
                let layout = Pack { inputs, outputs, transposed };
                let mut expected = vec![0.0; layout.len()];
                reference::pack(&layout, &weight, &mut expected);
                for threads in [1, 2, 3, 8] {
                    let mut panels = vec![f32::NAN; layout.len()];
                    pack(&layout, &weight, &mut panels, &Team::new(threads));
                    assert!(panels == expected, "{layout:?}, {threads} threads");
                }
            }
        }
    }
}
