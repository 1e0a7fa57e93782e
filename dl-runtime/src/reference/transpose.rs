//! Twin of the transpose.

use crate::Transpose;

/// Twin of [`crate::transpose`].
pub fn transpose(shape: &Transpose<'_>, n: usize, x: &[f32], y: &mut [f32]) {
    let len: usize = shape.dims.iter().product();
    for (place, y) in y.iter_mut().enumerate().take(n * len) {
        let (mut rest, mut from) = (place % len, place / len * len);
        for (dim, stride) in shape.dims.iter().zip(shape.strides).rev() {
            from += rest % dim * stride;
            rest /= dim;
        }
        *y = x[from];
    }
}
