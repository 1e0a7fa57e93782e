//! Slices of up to one lane: what the kernels read and write at a time.
//!
//! The safe face of a lane's loads and stores, for kernels whose rows need not fill whole lanes.

use crate::simd::Lane;

/// The first floats of a slice, as many as a lane holds; lanes past the end of the slice are 0.
#[inline(always)]
pub(super) fn load<V: Lane>(lane: V, from: &[f32]) -> V {
    if from.len() >= V::LANES {
        // SAFETY: the slice holds at least `LANES` floats.
        unsafe { lane.load(from.as_ptr()) }
    } else {
        // SAFETY: the slice holds that many floats.
        unsafe { lane.load_first(from.as_ptr(), from.len()) }
    }
}

/// Writes a lane to the start of a slice, as much of it as fits.
#[inline(always)]
pub(super) fn store<V: Lane>(value: V, to: &mut [f32]) {
    if to.len() >= V::LANES {
        // SAFETY: the slice holds at least `LANES` floats.
        unsafe { value.store(to.as_mut_ptr()) }
    } else {
        // SAFETY: the slice holds that many floats.
        unsafe { value.store_first(to.as_mut_ptr(), to.len()) }
    }
}

/// 1 in the lanes a slice of that length fills, 0 past them.
#[inline(always)]
pub(super) fn filled<V: Lane>(lane: V, len: usize) -> V {
    const ONES: [f32; 16] = [1.0; 16];
    load(lane, &ONES[..len.min(V::LANES).min(ONES.len())])
}
