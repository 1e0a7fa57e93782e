//! Sequences turned round: from one example after another to one step after another, and back; and from end to start.
//!
//! A loop over the steps of sequences works on one step of all examples at hand, which then is one row of floats.
//! These kernels copy and compute nothing.

/// `y[step, example, ..] = x[example, step, ..]` of `rows` examples; a step of an example has `len` floats.
///
/// # Panics
/// If x or y is shorter than `rows · steps · len`.
pub fn steps_first(steps: usize, len: usize, rows: usize, x: &[f32], y: &mut [f32]) {
    turn(rows, steps, len, x, y);
}

/// `y[example, step, ..] = x[step, example, ..]` of `rows` examples; a step of an example has `len` floats.
///
/// # Panics
/// If x or y is shorter than `rows · steps · len`.
pub fn examples_first(steps: usize, len: usize, rows: usize, x: &[f32], y: &mut [f32]) {
    turn(steps, rows, len, x, y);
}

/// `y[block, m, ..] = x[block, middle - 1 - m, ..]` of `blocks` blocks; a place has `inner` floats.
///
/// # Panics
/// If x or y is shorter than `blocks · middle · inner`.
pub fn reverse(blocks: usize, middle: usize, inner: usize, x: &[f32], y: &mut [f32]) {
    let len = middle * inner;
    if len == 0 {
        return;
    }
    for (x, y) in x[..blocks * len].chunks_exact(len).zip(y[..blocks * len].chunks_exact_mut(len)) {
        for (x, y) in x.chunks_exact(inner).rev().zip(y.chunks_exact_mut(inner)) {
            y.copy_from_slice(x);
        }
    }
}

/// The step of a sequence that lies step by step, `len` floats at each.
///
/// # Panics
/// If the sequence has no such step.
pub fn step(sequence: &mut [f32], step: usize, len: usize) -> &mut [f32] {
    &mut sequence[step * len..][..len]
}

/// A step of a sequence that lies step by step, `len` floats at each, and the step behind it.
///
/// # Panics
/// If the sequence has no such steps.
pub fn step_and_next(sequence: &mut [f32], step: usize, len: usize) -> [&mut [f32]; 2] {
    let (now, next) = sequence[step * len..][..2 * len].split_at_mut(len);
    [now, next]
}

/// `y[inner, outer, ..] = x[outer, inner, ..]`, each `len` floats.
fn turn(outer: usize, inner: usize, len: usize, x: &[f32], y: &mut [f32]) {
    let (x, y) = (&x[..outer * inner * len], &mut y[..outer * inner * len]);
    if len == 0 {
        return;
    }
    for (place, x) in x.chunks_exact(len).enumerate() {
        let (outer_place, inner_place) = (place / inner, place % inner);
        y[(inner_place * outer + outer_place) * len..][..len].copy_from_slice(x);
    }
}

#[cfg(test)]
mod tests {
    use crate::reference;

    #[test]
    fn places_are_reversed_as_by_the_twin() {
        for (blocks, middle, inner) in [(1, 1, 1), (16, 5, 1), (3, 4, 7), (5, 2, 33), (0, 3, 3)] {
            let x: Vec<f32> = (0..blocks * middle * inner + 2).map(|i| i as f32).collect();
            let (mut y, mut twin) = (vec![-1.0; x.len()], vec![-1.0; x.len()]);
            super::reverse(blocks, middle, inner, &x, &mut y);
            reference::reverse(blocks, middle, inner, &x, &mut twin);
            assert_eq!(y, twin, "{blocks} × {middle} × {inner}");
        }
    }

    #[test]
    fn sequences_turn_as_their_twins_do_and_back() {
        for (steps, len, rows) in [(1, 1, 1), (3, 1, 16), (4, 7, 5), (64, 8, 16), (2, 33, 1), (5, 3, 0)] {
            let x: Vec<f32> = (0..steps * len * rows + 3).map(|i| i as f32).collect();
            let (mut y, mut twin) = (vec![-1.0; x.len()], vec![-1.0; x.len()]);
            super::steps_first(steps, len, rows, &x, &mut y);
            reference::steps_first(steps, len, rows, &x, &mut twin);
            assert_eq!(y, twin, "{steps} × {len}, {rows} rows");
            let (mut back, mut twin) = (vec![-1.0; x.len()], vec![-1.0; x.len()]);
            super::examples_first(steps, len, rows, &y, &mut back);
            reference::examples_first(steps, len, rows, &y, &mut twin);
            assert_eq!(back, twin, "{steps} × {len}, {rows} rows");
            assert_eq!(back[..steps * len * rows], x[..steps * len * rows]);
            for step in 0..steps {
                let of_step = super::step(&mut y, step, rows * len).to_vec();
                let expected = (0..rows * len).map(|i| x[(i / len * steps + step) * len + i % len]);
                assert_eq!(of_step, expected.collect::<Vec<_>>());
                if step > 0 {
                    let [before, now] = super::step_and_next(&mut y, step - 1, rows * len);
                    assert_eq!((now.to_vec(), before.len()), (of_step, rows * len));
                }
            }
        }
    }
}
