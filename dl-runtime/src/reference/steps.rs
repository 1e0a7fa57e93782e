//! Twins of the kernels that turn sequences round.

/// Twin of [`crate::steps_first`].
pub fn steps_first(steps: usize, len: usize, rows: usize, x: &[f32], y: &mut [f32]) {
    for (step, row, i) in places(steps, rows, len) {
        y[(step * rows + row) * len + i] = x[(row * steps + step) * len + i];
    }
}

/// Twin of [`crate::examples_first`].
pub fn examples_first(steps: usize, len: usize, rows: usize, x: &[f32], y: &mut [f32]) {
    for (step, row, i) in places(steps, rows, len) {
        y[(row * steps + step) * len + i] = x[(step * rows + row) * len + i];
    }
}

/// Twin of [`crate::reverse`].
pub fn reverse(blocks: usize, middle: usize, inner: usize, x: &[f32], y: &mut [f32]) {
    for (block, place, i) in places(blocks, middle, inner) {
        y[(block * middle + place) * inner + i] = x[(block * middle + middle - 1 - place) * inner + i];
    }
}

fn places(steps: usize, rows: usize, len: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..steps).flat_map(move |step| (0..rows).flat_map(move |row| (0..len).map(move |i| (step, row, i))))
}
