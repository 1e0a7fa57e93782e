//! Pointwise expressions: a function over a lane, applied to whole buffers.
//!
//! A fused expression of the generated code is a type that implements [`Pointwise`]; [`pointwise`] runs it over strips
//! that fit the first-level cache. An operand may be smaller than the result and be repeated ([`Operand`]); its strip is
//! then laid out on the stack first. What is not elementwise does not belong here.

use crate::simd::{Isa, Kernel, Lane, dispatch, isa};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Floats in a strip.
pub(super) const STRIP: usize = 512;

/// A function of N operands, element by element.
pub trait Pointwise<const N: usize> {
    /// The function. Mark it `#[inline(always)]`: it is compiled anew for each instruction set.
    fn eval<V: Lane>(x: [V; N]) -> V;
}

/// An operand of a pointwise expression: element i of the result reads `values[(i / inner) % len]`.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) inner: usize,
    pub(crate) len: usize,
}

impl<'a> Operand<'a> {
    /// An operand that has an element of its own for each of the result.
    pub fn full(values: &'a [f32]) -> Self {
        // Without an end there is nothing to start anew, so too few values are an error rather than repeated.
        Operand { values, inner: 1, len: usize::MAX }
    }

    /// An operand whose elements stand for `inner` neighbours each and start anew after `len`. A scalar has `len` 1.
    ///
    /// # Panics
    /// If `inner` or `len` is 0 or there are fewer than `len` values.
    pub fn new(values: &'a [f32], inner: usize, len: usize) -> Self {
        assert!(inner > 0 && len > 0, "an operand of {len} elements, each {inner} times");
        Operand { values: &values[..len], inner, len }
    }

    /// Where the elements `start..start + count` of the result find theirs in a row, if they do.
    #[inline]
    fn contiguous(&self, start: usize, count: usize) -> Option<&'a [f32]> {
        if self.inner != 1 {
            return None;
        }
        let first = if start < self.len { start } else { start % self.len };
        self.values.get(first..first + count)
    }

    /// Which element all of `start..start + count` of the result read, if it is one.
    #[inline]
    fn single(&self, start: usize, count: usize) -> Option<usize> {
        if self.len == 1 {
            return Some(0);
        }
        (self.inner > 1 && start % self.inner + count <= self.inner).then(|| start / self.inner % self.len)
    }

    /// Lays out the elements `start..` of the result, as many as `strip` holds.
    fn fill(&self, start: usize, strip: &mut [MaybeUninit<f32>]) {
        let (mut index, mut skip) = (start / self.inner % self.len, start % self.inner);
        let mut rest = strip;
        while !rest.is_empty() {
            let run = if self.inner == 1 { self.len - index } else { self.inner - skip };
            let (now, later) = rest.split_at_mut(run.min(rest.len()));
            if self.inner == 1 {
                now.write_copy_of_slice(&self.values[index..index + now.len()]);
                index = 0;
            } else {
                now.fill(MaybeUninit::new(self.values[index]));
                index = if index + 1 == self.len { 0 } else { index + 1 };
                skip = 0;
            }
            rest = later;
        }
    }
}

/// Applies a function, named by a value of its type, to the operands, element by element; y has the length of the result.
///
/// # Panics
/// If an operand made by [`Operand::full`] is shorter than y.
#[inline]
pub fn pointwise<F: Pointwise<N>, const N: usize>(_function: F, operands: [Operand<'_>; N], y: &mut [f32]) {
    pointwise_on::<F, N>(isa(), operands, y);
}

/// [`pointwise`] on a given instruction set.
#[inline]
pub(crate) fn pointwise_on<F: Pointwise<N>, const N: usize>(isa: Isa, operands: [Operand<'_>; N], y: &mut [f32]) {
    dispatch(isa, Strips { operands, y, function: PhantomData::<F> });
}

/// Repeats an operand over y; y has the length of the result.
///
/// # Panics
/// If the operand was made by [`Operand::full`] and is shorter than y.
pub fn broadcast(operand: Operand<'_>, y: &mut [f32]) {
    match operand.contiguous(0, y.len()) {
        Some(values) => y.copy_from_slice(values),
        None => {
            // SAFETY: `fill` writes floats into every element and nothing else.
            let y = unsafe { &mut *(y as *mut [f32] as *mut [MaybeUninit<f32>]) };
            operand.fill(0, y);
        }
    }
}

/// The arguments of [`pointwise`].
struct Strips<'a, F, const N: usize> {
    operands: [Operand<'a>; N],
    y: &'a mut [f32],
    function: PhantomData<F>,
}

impl<F: Pointwise<N>, const N: usize> Kernel for Strips<'_, F, N> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let mut laid = Laid::new(self.operands);
        for (index, y) in self.y.chunks_mut(STRIP).enumerate() {
            laid.eval::<V, F>(lane, index * STRIP, y);
        }
    }
}

/// The operands of an expression, strip by strip.
pub(super) struct Laid<'a, const N: usize> {
    operands: [Operand<'a>; N],
    strips: [[MaybeUninit<f32>; STRIP]; N],
    /// The element that fills a whole strip, if one does: it stays as long as no other is read.
    filled: [Option<usize>; N],
}

impl<'a, const N: usize> Laid<'a, N> {
    pub(super) fn new(operands: [Operand<'a>; N]) -> Self {
        Laid { operands, strips: [[MaybeUninit::uninit(); STRIP]; N], filled: [None; N] }
    }

    /// The elements `start..` of the result, as many as y holds, at most a strip.
    ///
    /// # Panics
    /// If a full operand is shorter.
    #[inline(always)]
    pub(super) fn eval<V: Lane, F: Pointwise<N>>(&mut self, lane: V, start: usize, y: &mut [f32]) {
        let count = y.len();
        let mut x = [std::ptr::null::<f32>(); N];
        let strips = self.strips.iter_mut().zip(&mut self.filled);
        for ((x, (strip, filled)), operand) in x.iter_mut().zip(strips).zip(&self.operands) {
            if let Some(values) = operand.contiguous(start, count) {
                *x = values.as_ptr();
                continue;
            }
            match operand.single(start, count) {
                Some(element) if *filled == Some(element) => {}
                Some(element) => {
                    strip.fill(MaybeUninit::new(operand.values[element]));
                    *filled = Some(element);
                }
                None => {
                    operand.fill(start, &mut strip[..count]);
                    *filled = None;
                }
            }
            *x = strip.as_ptr().cast();
        }
        // SAFETY: each pointer of x is to `count` floats, of the operand or of its filled strip.
        unsafe { strip(lane, PhantomData::<F>, x, y) }
    }
}

/// One strip.
///
/// # Safety
/// At each pointer of `x`, y.len() floats must be readable.
#[inline(always)]
unsafe fn strip<V: Lane, F: Pointwise<N>, const N: usize>(
    lane: V,
    _: PhantomData<F>,
    x: [*const f32; N],
    y: &mut [f32],
) {
    let mut i = 0;
    let mut lanes = [lane; N];
    // SAFETY: all accesses are below y.len().
    unsafe {
        while i + V::LANES <= y.len() {
            for (lanes, x) in lanes.iter_mut().zip(x) {
                *lanes = lane.load(x.add(i));
            }
            F::eval(lanes).store(y.as_mut_ptr().add(i));
            i += V::LANES;
        }
        let rest = y.len() - i;
        if rest > 0 {
            for (lanes, x) in lanes.iter_mut().zip(x) {
                *lanes = lane.load_first(x.add(i), rest);
            }
            F::eval(lanes).store_first(y.as_mut_ptr().add(i), rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::simd::available;
    use proptest::prelude::*;

    /// a · b + tanh(c)
    struct Mixed;
    impl Pointwise<3> for Mixed {
        #[inline(always)]
        fn eval<V: Lane>([a, b, c]: [V; 3]) -> V {
            a * b + c.tanh()
        }
    }

    struct First;
    impl Pointwise<1> for First {
        #[inline(always)]
        fn eval<V: Lane>([x]: [V; 1]) -> V {
            x
        }
    }

    fn values(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 25.0 - 2.0).collect()
    }

    proptest! {
        #[test]
        fn agrees_with_its_twin(len in 0usize..4000, inner in prop_oneof![1usize..70, 500usize..1700], repeat in 1usize..600, plain in any::<bool>()) {
            let (a, b, c) = (values(len, 1), values(repeat, 2), values(3, 3));
            let inner = if plain { 1 } else { inner };
            let operands = [Operand::full(&a), Operand::new(&b, inner, repeat), Operand::new(&c, 1, 1)];
            let mut expected = vec![0.0; len];
            reference::pointwise(Mixed, operands, &mut expected);
            for isa in available() {
                let mut y = vec![f32::NAN; len];
                pointwise_on::<Mixed, 3>(*isa, operands, &mut y);
                for (i, (y, expected)) in y.iter().zip(&expected).enumerate() {
                    // Lanes with fused multiply-add round once where the scalar ones round twice.
                    prop_assert!((y - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{isa:?} {i}: {y} {expected}");
                }
            }
        }

        #[test]
        fn broadcast_repeats_exactly(len in 0usize..1700, inner in 1usize..70, repeat in 1usize..600) {
            let b = values(repeat, 2);
            let operand = Operand::new(&b, inner, repeat);
            let (mut y, mut expected, mut through) = (vec![f32::NAN; len], vec![0.0; len], vec![f32::NAN; len]);
            reference::broadcast(operand, &mut expected);
            broadcast(operand, &mut y);
            pointwise(First, [operand], &mut through);
            prop_assert_eq!(&y, &expected);
            prop_assert_eq!(&through, &expected);
        }
    }

    #[test]
    fn longer_operands_are_cut_and_scalars_repeat() {
        let mut y = [0.0; 3];
        broadcast(Operand::full(&[1.0, 2.0, 3.0, 4.0]), &mut y);
        assert_eq!(y, [1.0, 2.0, 3.0]);
        // The sum of [[7, 10, 4], [13, 5, 9]] and [2].
        struct Sum;
        impl Pointwise<2> for Sum {
            fn eval<V: Lane>([a, b]: [V; 2]) -> V {
                a + b
            }
        }
        let mut y = [0.0; 6];
        pointwise(Sum, [Operand::full(&[7.0, 10.0, 4.0, 13.0, 5.0, 9.0]), Operand::new(&[2.0], 1, 1)], &mut y);
        assert_eq!(y, [9.0, 12.0, 6.0, 15.0, 7.0, 11.0]);
    }

    #[test]
    #[should_panic]
    fn a_short_full_operand_is_refused() {
        pointwise(First, [Operand::full(&[1.0; 5])], &mut [0.0; 6]);
    }
}
