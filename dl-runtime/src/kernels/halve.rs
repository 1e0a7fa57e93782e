//! Pooling of 2×2 windows at stride 2 without padding, the most frequent one: pairs of rows enter, rows of half
//! their length leave, and the gradients back.
//!
//! Two lanes of a row are sorted into its even and its odd columns, after which every lane works on whole windows.
//! The last block of a row steps back to end with the row, so rows longer than a lane have no remainder. A row
//! shorter than a lane is one block that runs on into the rows after it: what it writes there is overwritten when
//! their turn comes. An odd last row or column belongs to no window.

use super::chunk::{load, store};
use super::pool::Window;
use crate::simd::Lane;

/// One plane of rows of `width` to one of half its height and width.
#[inline(always)]
pub(super) fn halve_plane<V: Lane, W: Window>(lane: V, _: W, width: usize, x: &[f32], y: &mut [f32]) {
    let half = width / 2;
    let quarter = lane.splat(0.25);
    for row in 0..y.len() / half {
        let (upper, lower) = (&x[2 * row * width..], &x[(2 * row + 1) * width..]);
        for start in blocks::<V>(half) {
            // The rows are joined first: that leaves half as much to sort.
            let [a, b] = below::<V, W>(lane, &upper[2 * start..], &lower[2 * start..]);
            let (even, odd) = a.deinterleave(b);
            let joined = W::join(even, odd);
            store(if W::AVERAGES { joined * quarter } else { joined }, &mut y[row * half + start..]);
        }
    }
}

/// The gradient of a plane of maxima: each goes to the first maximum of its window. Overwrites.
#[inline(always)]
pub(super) fn halve_plane_maximum_gradient<V: Lane>(lane: V, width: usize, x: &[f32], d_y: &[f32], d_x: &mut [f32]) {
    let half = width / 2;
    for row in 0..d_y.len() / half {
        let (upper, lower) = (2 * row * width, (2 * row + 1) * width);
        for start in blocks::<V>(half) {
            let [a, b, c, d] = share(lane, &x[upper..], &x[lower..], &d_y[row * half..], start);
            // The upper row first: where it runs on, there is only this block.
            store_pairs(a, b, &mut d_x[upper + 2 * start..]);
            store_pairs(c, d, &mut d_x[lower + 2 * start..]);
        }
        clear_rest(half, width, &mut d_x[upper..lower + width]);
    }
    d_x[2 * width * (d_y.len() / half)..].fill(0.0);
}

/// The gradient of a plane of averages: each is shared equally. Overwrites.
#[inline(always)]
pub(super) fn halve_plane_average_gradient<V: Lane>(lane: V, width: usize, d_y: &[f32], d_x: &mut [f32]) {
    let half = width / 2;
    let quarter = lane.splat(0.25);
    for row in 0..d_y.len() / half {
        let (upper, lower) = (2 * row * width, (2 * row + 1) * width);
        for d_row in [upper, lower] {
            for start in blocks::<V>(half) {
                let share = load(lane, &d_y[row * half + start..]) * quarter;
                store_pairs(share, share, &mut d_x[d_row + 2 * start..]);
            }
        }
        clear_rest(half, width, &mut d_x[upper..lower + width]);
    }
    d_x[2 * width * (d_y.len() / half)..].fill(0.0);
}

/// Where blocks of a lane each start that cover `0..len`; a shorter row is one block.
#[inline(always)]
fn blocks<V: Lane>(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(V::LANES).map(move |start| start.min(len.saturating_sub(V::LANES)))
}

/// The first two lanes of two rows, joined.
#[inline(always)]
fn below<V: Lane, W: Window>(lane: V, upper: &[f32], lower: &[f32]) -> [V; 2] {
    let ([a, b], [c, d]) = (two(lane, upper), two(lane, lower));
    [W::join(a, c), W::join(b, d)]
}

/// The even and the odd elements of the first two lanes of a slice.
#[inline(always)]
fn pairs<V: Lane>(lane: V, from: &[f32]) -> (V, V) {
    let [front, back] = two(lane, from);
    front.deinterleave(back)
}

/// The first two lanes of a slice; past its end they are 0.
#[inline(always)]
fn two<V: Lane>(lane: V, from: &[f32]) -> [V; 2] {
    if from.len() >= 2 * V::LANES {
        // SAFETY: the slice holds two lanes.
        return unsafe { [lane.load(from.as_ptr()), lane.load(from.as_ptr().add(V::LANES))] };
    }
    let (front, back) = from.split_at(from.len().min(V::LANES));
    [load(lane, front), load(lane, back)]
}

/// Writes even and odd elements to the start of a slice, as many as fit.
#[inline(always)]
fn store_pairs<V: Lane>(even: V, odd: V, to: &mut [f32]) {
    let (front, back) = to.split_at_mut(to.len().min(V::LANES));
    let (first, second) = even.interleave(odd);
    store(first, front);
    store(second, back);
}

/// The gradients of a block of windows: even and odd of the upper row, even and odd of the lower.
#[inline(always)]
fn share<V: Lane>(lane: V, upper: &[f32], lower: &[f32], d_y: &[f32], start: usize) -> [V; 4] {
    let (a, b) = pairs(lane, &upper[2 * start..]);
    let (c, d) = pairs(lane, &lower[2 * start..]);
    // The winner of each row, then of both: the first of equals stays.
    let (right, right_below) = (beats(b, a), beats(d, c));
    let down = beats(right_below.select(d, c), right.select(b, a));
    let d_y = load(lane, &d_y[start..]);
    let (above, below) = (down.select(lane, d_y), down.select(d_y, lane));
    [
        right.select(lane, above),
        right.select(above, lane),
        right_below.select(lane, below),
        right_below.select(below, lane),
    ]
}

/// Zero in the odd last column of two rows.
#[inline(always)]
fn clear_rest(half: usize, width: usize, d_rows: &mut [f32]) {
    if width > 2 * half {
        d_rows[2 * half..width].fill(0.0);
        d_rows[width + 2 * half..].fill(0.0);
    }
}

/// 1 where `b` takes the maximum from `a`: it is greater, or the first NaN.
#[inline(always)]
fn beats<V: Lane>(b: V, a: V) -> V {
    a.equal(a) - b.less_equal(a)
}
