//! Twins of the pointwise kernels: one element at a time, on the scalar instruction set.

use crate::simd::{Isa, Kernel, Lane, dispatch};
use crate::{Operand, Pointwise, Slice};

/// Twin of [`crate::broadcast`].
pub fn broadcast(operand: Operand<'_>, y: &mut [f32]) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = operand.values[operand.place(i / operand.inner)];
    }
}

/// Twin of [`crate::pointwise`].
pub fn pointwise<F: Pointwise<N>, const N: usize>(_function: F, operands: [Operand<'_>; N], y: &mut [f32]) {
    for (i, y) in y.iter_mut().enumerate() {
        let x = operands.map(|operand| operand.values[operand.place(i / operand.inner)]);
        *y = dispatch(Isa::Scalar, One::<F, N> { x, function: std::marker::PhantomData });
    }
}

/// Twin of [`crate::pointwise_part`].
pub fn pointwise_part<F: Pointwise<N>, const N: usize>(
    function: F,
    operands: [Operand<'_>; N],
    shape: &Slice,
    n: usize,
    y: &mut [f32],
) {
    let mut parts = vec![0.0; n * shape.outer * shape.len];
    pointwise(function, operands, &mut parts);
    for (i, part) in parts.into_iter().enumerate() {
        y[i / shape.len * shape.size + shape.start + i % shape.len] = part;
    }
}

struct One<F, const N: usize> {
    x: [f32; N],
    function: std::marker::PhantomData<F>,
}

impl<F: Pointwise<N>, const N: usize> Kernel for One<F, N> {
    type Output = f32;
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) -> f32 {
        let mut y = 0.0;
        // SAFETY: one float is written.
        unsafe { F::eval(self.x.map(|x| lane.splat(x))).store_first(&mut y, 1) }
        y
    }
}
