//! Pooling of 2×2 windows at stride 2 without padding, the most frequent one: pairs of rows enter, rows of half
//! their length leave, and the gradients back.
//!
//! Two lanes of a row are sorted into its even and its odd columns, after which every lane works on whole windows.
//! The last block of a row steps back to end with the row, so rows longer than a lane have no remainder. An odd
//! last row or column belongs to no window.

use super::chunk::{load, store};
use super::pool::Window;
use crate::simd::Lane;

/// One plane of rows of `width` to one of half its height and width.
#[inline(always)]
pub(super) fn halve_plane<V: Lane, W: Window>(lane: V, _: W, width: usize, x: &[f32], y: &mut [f32]) {
    let quarter = lane.splat(0.25);
    for (x, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(width / 2)) {
        let (upper, lower) = x.split_at(width);
        for (start, end) in blocks::<V>(y.len()) {
            let (a, b) = pairs(lane, &upper[2 * start..2 * end]);
            let (c, d) = pairs(lane, &lower[2 * start..2 * end]);
            let joined = W::join(W::join(a, b), W::join(c, d));
            store(if W::AVERAGES { joined * quarter } else { joined }, &mut y[start..end]);
        }
    }
}

/// The gradient of a plane of maxima: each goes to the first maximum of its window. Overwrites.
#[inline(always)]
pub(super) fn halve_plane_maximum_gradient<V: Lane>(lane: V, width: usize, x: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    let half = width / 2;
    let mut d_rows = d_x.chunks_exact_mut(2 * width);
    for ((x, d_x), d_y) in x.chunks_exact(2 * width).zip(d_rows.by_ref()).zip(d_y.chunks_exact(half)) {
        let (upper, lower) = x.split_at(width);
        let (d_upper, d_lower) = d_x.split_at_mut(width);
        for (start, end) in blocks::<V>(half) {
            let (a, b) = pairs(lane, &upper[2 * start..2 * end]);
            let (c, d) = pairs(lane, &lower[2 * start..2 * end]);
            // The winner of each row, then of both: the first of equals stays.
            let (right, right_below) = (beats(b, a), beats(d, c));
            let down = beats(right_below.select(d, c), right.select(b, a));
            let d_y = load(lane, &d_y[start..end]);
            let (above, below) = (down.select(lane, d_y), down.select(d_y, lane));
            store_pairs(right.select(lane, above), right.select(above, lane), &mut d_upper[2 * start..2 * end]);
            let even = right_below.select(lane, below);
            store_pairs(even, right_below.select(below, lane), &mut d_lower[2 * start..2 * end]);
        }
        d_upper[2 * half..].fill(0.0);
        d_lower[2 * half..].fill(0.0);
    }
    d_rows.into_remainder().fill(0.0);
}

/// The gradient of a plane of averages: each is shared equally. Overwrites.
#[inline(always)]
pub(super) fn halve_plane_average_gradient<V: Lane>(lane: V, width: usize, d_y: &[f32], d_x: &mut [f32]) {
    let half = width / 2;
    let quarter = lane.splat(0.25);
    let mut d_rows = d_x.chunks_exact_mut(2 * width);
    for (d_x, d_y) in d_rows.by_ref().zip(d_y.chunks_exact(half)) {
        let (d_upper, d_lower) = d_x.split_at_mut(width);
        for (start, end) in blocks::<V>(half) {
            let share = load(lane, &d_y[start..end]) * quarter;
            store_pairs(share, share, &mut d_upper[2 * start..2 * end]);
            store_pairs(share, share, &mut d_lower[2 * start..2 * end]);
        }
        d_upper[2 * half..].fill(0.0);
        d_lower[2 * half..].fill(0.0);
    }
    d_rows.into_remainder().fill(0.0);
}

/// Blocks of a lane each that cover `0..len`, as start and end; a shorter row is one block.
#[inline(always)]
fn blocks<V: Lane>(len: usize) -> impl Iterator<Item = (usize, usize)> {
    let block = len.min(V::LANES);
    (0..len).step_by(V::LANES).map(move |start| {
        let start = start.min(len - block);
        (start, start + block)
    })
}

/// The even and the odd elements of up to two lanes.
#[inline(always)]
fn pairs<V: Lane>(lane: V, from: &[f32]) -> (V, V) {
    let (front, back) = from.split_at(from.len().min(V::LANES));
    load(lane, front).deinterleave(load(lane, back))
}

/// Writes even and odd elements, up to two lanes of them.
#[inline(always)]
fn store_pairs<V: Lane>(even: V, odd: V, to: &mut [f32]) {
    let (front, back) = to.split_at_mut(to.len().min(V::LANES));
    let (first, second) = even.interleave(odd);
    store(first, front);
    store(second, back);
}

/// 1 where `b` takes the maximum from `a`: it is greater, or the first NaN.
#[inline(always)]
fn beats<V: Lane>(b: V, a: V) -> V {
    a.equal(a) - b.less_equal(a)
}
