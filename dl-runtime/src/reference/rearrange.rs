//! Twins of the copies of parts.

use crate::Slice;

/// Twin of [`crate::slice`].
pub fn slice(shape: &Slice, n: usize, x: &[f32], y: &mut [f32]) {
    for block in 0..n * shape.outer {
        for place in 0..shape.len {
            y[block * shape.len + place] = x[block * shape.size + shape.start + place];
        }
    }
}

/// Twin of [`crate::pad`].
pub fn pad(shape: &Slice, n: usize, x: &[f32], y: &mut [f32]) {
    for block in 0..n * shape.outer {
        for place in 0..shape.size {
            let inside = (shape.start..shape.start + shape.len).contains(&place);
            y[block * shape.size + place] = if inside { x[block * shape.len + place - shape.start] } else { 0.0 };
        }
    }
}

/// Twin of [`crate::concat`].
pub fn concat<const N: usize>(blocks: usize, parts: [(&[f32], usize); N], y: &mut [f32]) {
    let mut at = 0;
    for block in 0..blocks {
        for (x, len) in parts {
            for place in 0..len {
                y[at] = x[block * len + place];
                at += 1;
            }
        }
    }
}
