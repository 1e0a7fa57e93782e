//! Axes in another order: a tensor enters, the same floats leave in another sequence.
//!
//! Where the innermost axis stays, runs are copied. Otherwise the innermost axes of both sides change places, in blocks of
//! 8 × 8 that are transposed in registers, so that neither side is read or written float by float.

use super::chunk::{load, store};
use crate::simd::{Eight, Kernel, Lane, dispatch, isa};

/// The order of a transpose: the axes of the result. Axes that stay neighbours are best given as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transpose<'a> {
    /// How long each axis of the result is.
    pub dims: &'a [usize],
    /// How far apart the neighbours along it lie in the operand. One of them is 1.
    pub strides: &'a [usize],
}

/// The most axes of a transpose.
const MAX_RANK: usize = 16;

/// Rows and columns of a block.
const BLOCK: usize = 8;

/// `y[i, j, …] = x[i · strides[0] + j · strides[1] + …]` for each of `n` examples.
///
/// # Panics
/// If a slice is shorter than `n` examples, there are more than 16 axes, or the strides are none of a permutation.
pub fn transpose(shape: &Transpose<'_>, n: usize, x: &[f32], y: &mut [f32]) {
    let Transpose { dims, strides } = *shape;
    assert!(dims.len() == strides.len() && dims.len() <= MAX_RANK, "{shape:?}");
    let len: usize = dims.iter().product();
    let (x, y) = (&x[..n * len], &mut y[..n * len]);
    if len > 0 {
        dispatch(isa(), Permute { dims, strides, len, x, y });
    }
}

struct Permute<'a> {
    dims: &'a [usize],
    strides: &'a [usize],
    len: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Permute<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let Self { dims, strides, len, x, y } = self;
        let Some(last) = dims.len().checked_sub(1) else { return y.copy_from_slice(x) };
        // The axis along which x is contiguous.
        let Some(inner) = strides.iter().position(|stride| *stride == 1) else {
            panic!("no axis of {strides:?} is innermost")
        };
        let mut y_strides = [1; MAX_RANK];
        for axis in (0..last).rev() {
            y_strides[axis] = y_strides[axis + 1] * dims[axis + 1];
        }
        for (x, y) in x.chunks_exact(len).zip(y.chunks_exact_mut(len)) {
            let mut at = [0; MAX_RANK];
            let (mut from, mut to) = (0, 0);
            loop {
                if inner == last {
                    y[to..to + dims[last]].copy_from_slice(&x[from..from + dims[last]]);
                } else {
                    let plane = Plane {
                        rows: dims[inner],
                        columns: dims[last],
                        x_stride: strides[last],
                        y_stride: y_strides[inner],
                    };
                    plane.run(lane.eight(), &x[from..], &mut y[to..]);
                }
                // The next place of the other axes, the last of them fastest.
                let step = (0..last).rev().filter(|axis| *axis != inner).find(|&axis| {
                    at[axis] += 1;
                    from += strides[axis];
                    to += y_strides[axis];
                    if at[axis] < dims[axis] {
                        return true;
                    }
                    from -= dims[axis] * strides[axis];
                    to -= dims[axis] * y_strides[axis];
                    at[axis] = 0;
                    false
                });
                if step.is_none() {
                    break;
                }
            }
        }
    }
}

/// `y[r · y_stride + c] = x[c · x_stride + r]`
struct Plane {
    rows: usize,
    columns: usize,
    x_stride: usize,
    y_stride: usize,
}

impl Plane {
    #[inline(always)]
    fn run<V: Eight>(&self, lane: V, x: &[f32], y: &mut [f32]) {
        for row in (0..self.rows).step_by(BLOCK) {
            for column in (0..self.columns).step_by(BLOCK) {
                self.block(lane, row, column, x, y);
            }
        }
    }

    /// The block at `row` and `column` of y.
    #[inline(always)]
    fn block<V: Eight>(&self, lane: V, row: usize, column: usize, x: &[f32], y: &mut [f32]) {
        let (height, width) = (BLOCK.min(self.rows - row), BLOCK.min(self.columns - column));
        let mut block = [lane; BLOCK];
        if height == BLOCK && width == BLOCK {
            let x = &x[column * self.x_stride + row..(column + BLOCK - 1) * self.x_stride + row + BLOCK];
            let y = &mut y[row * self.y_stride + column..(row + BLOCK - 1) * self.y_stride + column + BLOCK];
            // SAFETY: the slices lead from the first row's first float to the last row's last.
            unsafe {
                for (place, lanes) in block.iter_mut().enumerate() {
                    *lanes = lane.load(x.as_ptr().add(place * self.x_stride));
                }
                for (place, lanes) in V::transpose(block).into_iter().enumerate() {
                    lanes.store(y.as_mut_ptr().add(place * self.y_stride));
                }
            }
            return;
        }
        for (place, lanes) in block.iter_mut().enumerate().take(width) {
            *lanes = load(lane, &x[(column + place) * self.x_stride + row..][..height]);
        }
        for (place, lanes) in V::transpose(block).into_iter().enumerate().take(height) {
            store(lanes, &mut y[(row + place) * self.y_stride + column..][..width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::simd::available;
    use proptest::prelude::*;

    /// A permutation of axes as the kernel takes it.
    fn order(x: &[usize], axes: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let stride = |axis: usize| x[axis + 1..].iter().product::<usize>();
        axes.iter().map(|&axis| (x[axis], stride(axis))).unzip()
    }

    fn check(x_dims: &[usize], axes: &[usize], n: usize) {
        let (dims, strides) = order(x_dims, axes);
        let shape = Transpose { dims: &dims, strides: &strides };
        let len: usize = n * dims.iter().product::<usize>();
        let x: Vec<f32> = (0..len).map(|number| number as f32).collect();
        let (mut y, mut expected) = (vec![-1.0; len + 3], vec![-1.0; len + 3]);
        reference::transpose(&shape, n, &x, &mut expected);
        transpose(&shape, n, &x, &mut y);
        assert_eq!(y, expected, "{x_dims:?} {axes:?}");
        for &isa in available() {
            let mut y = vec![-1.0; len];
            let len = len / n.max(1);
            if len > 0 && n > 0 {
                dispatch(isa, Permute { dims: &dims, strides: &strides, len, x: &x, y: &mut y });
                assert_eq!(y, expected[..y.len()], "{isa:?} {x_dims:?} {axes:?}");
            }
        }
    }

    #[test]
    fn every_remainder_of_a_matrix() {
        for rows in 1..20 {
            for columns in 1..20 {
                check(&[rows, columns], &[1, 0], 2);
            }
        }
    }

    #[test]
    fn a_matrix_by_hand() {
        let mut y = [0.0; 6];
        let shape = Transpose { dims: &[3, 2], strides: &[1, 3] };
        transpose(&shape, 1, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut y);
        assert_eq!(y, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    proptest! {
        #[test]
        fn agrees_with_its_twin(
            dims in prop::collection::vec(1..12_usize, 1..5), keys in prop::collection::vec(any::<u32>(), 5), n in 0..3_usize,
        ) {
            let mut axes: Vec<usize> = (0..dims.len()).collect();
            axes.sort_by_key(|&axis| keys[axis]);
            check(&dims, &axes, n);
        }
    }
}
