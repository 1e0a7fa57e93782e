//! Pointwise expressions: a function over a lane, applied to whole buffers.
//!
//! A fused expression of the generated code is a type that implements [`Pointwise`]; [`pointwise`] runs it over strips
//! that fit the first-level cache. An operand may be smaller than the result and be repeated, or be a part of each block of
//! something larger ([`Operand`]); where its strip does not lie in a row, it is laid out on the stack first. The result may
//! be such a part too ([`pointwise_part`]). What is not elementwise does not belong here.

use super::rearrange::Slice;
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

/// The shortest runs of a window for whose sake strips are cut at their ends; shorter ones are laid out on the stack.
const RUN: usize = 64;

/// An operand of a pointwise expression: element i of the result reads `values[(k / len) * pitch + k % len]` with
/// `k = i / inner`. So what starts anew after `len` elements has a pitch of 0.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) inner: usize,
    pub(crate) len: usize,
    pub(crate) pitch: usize,
}

impl<'a> Operand<'a> {
    /// An operand that has an element of its own for each of the result.
    pub fn full(values: &'a [f32]) -> Self {
        // Without an end there is nothing to start anew, so too few values are an error rather than repeated.
        Operand { values, inner: 1, len: usize::MAX, pitch: 0 }
    }

    /// An operand whose elements are the parts of the blocks of `values` for `n` examples, one after another.
    ///
    /// # Panics
    /// If there are fewer values, or the part leaves its block or has no floats.
    pub fn part(values: &'a [f32], shape: &Slice, n: usize) -> Self {
        shape.check();
        assert!(shape.len > 0, "a part without floats");
        let values = values[..n * shape.outer * shape.size].get(shape.start..).unwrap_or(&[]);
        Operand { values, inner: 1, len: shape.len, pitch: shape.size }
    }

    /// An operand whose elements stand for `inner` neighbours each and start anew after `len`. A scalar has `len` 1.
    ///
    /// # Panics
    /// If `inner` or `len` is 0 or there are fewer than `len` values.
    pub fn new(values: &'a [f32], inner: usize, len: usize) -> Self {
        assert!(inner > 0 && len > 0, "an operand of {len} elements, each {inner} times");
        Operand { values: &values[..len], inner, len, pitch: 0 }
    }

    /// How many elements lie in a row, if that is worth cutting strips accordingly.
    #[inline]
    fn run(&self) -> Option<usize> {
        (self.pitch > 0 && self.len >= RUN).then_some(self.len)
    }

    /// Where the elements `start..start + count` of the result find theirs in a row, if they do.
    #[inline]
    fn contiguous(&self, start: usize, count: usize) -> Option<&'a [f32]> {
        if self.inner != 1 {
            return None;
        }
        if start < self.len && count <= self.len - start {
            return self.values.get(start..start + count);
        }
        let (block, first) = (start / self.len, start % self.len);
        if count > self.len - first {
            return None;
        }
        self.values.get(block * self.pitch + first..)?.get(..count)
    }

    /// Which element all of `start..start + count` of the result read, if it is one.
    #[inline]
    fn single(&self, start: usize, count: usize) -> Option<usize> {
        if self.len == 1 && self.pitch == 0 {
            return Some(0);
        }
        (self.inner > 1 && start % self.inner + count <= self.inner).then(|| self.place(start / self.inner))
    }

    /// Where element `k` lies, of those that are not repeated by `inner`.
    #[inline]
    pub(crate) fn place(&self, k: usize) -> usize {
        k / self.len * self.pitch + k % self.len
    }

    /// Where in its period an operand of neighbours is at element `start` of the result, if it has one as short as a strip.
    #[inline]
    fn phase(&self, start: usize) -> Option<usize> {
        (self.inner == 1 && self.pitch == 0 && self.len <= STRIP).then(|| start % self.len)
    }

    /// Lays out the elements `start..` of the result, as many as `strip` holds, where each stands for at least a vector.
    #[inline(always)]
    fn fill_runs<V: Lane>(&self, lane: V, start: usize, strip: &mut [MaybeUninit<f32>]) {
        let (mut element, mut left) = (start / self.inner, self.inner - start % self.inner);
        let mut rest = strip;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut(left.min(rest.len()));
            let value = lane.splat(self.values[self.place(element)]);
            let (mut i, to) = (0, now.as_mut_ptr().cast::<f32>());
            // SAFETY: all floats written are below now.len().
            unsafe {
                while i + V::LANES <= now.len() {
                    value.store(to.add(i));
                    i += V::LANES;
                }
                value.store_first(to.add(i), now.len() - i);
            }
            (element, left, rest) = (element + 1, self.inner, later);
        }
    }

    /// Lays out the elements `start..` of the result, as many as `strip` holds.
    fn fill(&self, start: usize, strip: &mut [MaybeUninit<f32>]) {
        let (element, mut skip) = (start / self.inner, start % self.inner);
        let (mut block, mut index) = (element / self.len * self.pitch, element % self.len);
        let mut rest = strip;
        while !rest.is_empty() {
            let run = if self.inner == 1 { self.len - index } else { self.inner - skip };
            let (now, later) = rest.split_at_mut(run.min(rest.len()));
            if self.inner == 1 {
                now.write_copy_of_slice(&self.values[block + index..][..now.len()]);
                index = self.len;
            } else {
                now.fill(MaybeUninit::new(self.values[block + index]));
                index += 1;
                skip = 0;
            }
            if index == self.len {
                (block, index) = (block + self.pitch, 0);
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
    let len = operands.iter().filter_map(Operand::run).min().unwrap_or(usize::MAX);
    dispatch(isa, Strips { operands, y, pitch: len, start: 0, len, function: PhantomData::<F> });
}

/// [`pointwise`], its results the parts of the blocks of y for `n` examples; what lies beside them stays as it is.
///
/// # Panics
/// If the part leaves its block, or an operand made by [`Operand::full`] or y is too short.
#[inline]
pub fn pointwise_part<F: Pointwise<N>, const N: usize>(
    _function: F,
    operands: [Operand<'_>; N],
    shape: &Slice,
    n: usize,
    y: &mut [f32],
) {
    pointwise_part_on::<F, N>(isa(), operands, shape, n, y);
}

/// [`pointwise_part`] on a given instruction set.
#[inline]
pub(crate) fn pointwise_part_on<F: Pointwise<N>, const N: usize>(
    isa: Isa,
    operands: [Operand<'_>; N],
    shape: &Slice,
    n: usize,
    y: &mut [f32],
) {
    shape.check();
    let &Slice { outer, size, start, len } = shape;
    let y = &mut y[..n * outer * size];
    dispatch(isa, Strips { operands, y, pitch: size, start, len, function: PhantomData::<F> });
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

/// The arguments of [`pointwise`]: results are `len` floats, or what there is, from `start` on in every `pitch` of y.
struct Strips<'a, F, const N: usize> {
    operands: [Operand<'a>; N],
    y: &'a mut [f32],
    pitch: usize,
    start: usize,
    len: usize,
    function: PhantomData<F>,
}

impl<F: Pointwise<N>, const N: usize> Kernel for Strips<'_, F, N> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let mut laid = Laid::new(self.operands);
        let mut element = 0;
        for block in self.y.chunks_mut(self.pitch.max(1)) {
            let end = block.len().min(self.start.saturating_add(self.len));
            for y in block[self.start..end].chunks_mut(STRIP) {
                laid.eval::<V, F>(lane, element, y);
                element += y.len();
            }
        }
    }
}

/// The operands of an expression, strip by strip.
pub(super) struct Laid<'a, const N: usize> {
    operands: [Operand<'a>; N],
    strips: [[MaybeUninit<f32>; STRIP]; N],
    /// What fills a whole strip, if it stays as long as no other is read.
    filled: [Filled; N],
}

/// What a strip is full of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// Nothing that lasts.
    None,
    /// One element.
    Single(usize),
    /// So many elements of an operand that starts anew, from that element of its period on.
    Periods {
        /// The element.
        from: usize,
        /// How many.
        count: usize,
    },
}

impl Filled {
    /// Whether what is there is all that is wanted.
    #[inline]
    fn serves(self, wanted: Filled) -> bool {
        match (self, wanted) {
            (Filled::Single(there), Filled::Single(wanted)) => there == wanted,
            (Filled::Periods { from, count }, Filled::Periods { from: wanted, count: least }) => {
                from == wanted && count >= least
            }
            _ => false,
        }
    }
}

impl<'a, const N: usize> Laid<'a, N> {
    pub(super) fn new(operands: [Operand<'a>; N]) -> Self {
        Laid { operands, strips: [[MaybeUninit::uninit(); STRIP]; N], filled: [Filled::None; N] }
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
            let lasting = match operand.single(start, count) {
                Some(element) => Filled::Single(element),
                None => operand.phase(start).map_or(Filled::None, |from| Filled::Periods { from, count }),
            };
            if !filled.serves(lasting) {
                match lasting {
                    Filled::Single(element) => strip.fill(MaybeUninit::new(operand.values[element])),
                    Filled::None if operand.inner >= V::LANES => operand.fill_runs(lane, start, &mut strip[..count]),
                    Filled::None | Filled::Periods { .. } => operand.fill(start, &mut strip[..count]),
                }
                *filled = lasting;
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

    proptest! {
        #[test]
        fn parts_are_read_and_written_as_by_the_twin(
            n in 0usize..4, outer in 0usize..5, start in 0usize..70, len in prop_oneof![1usize..100, 500usize..600],
            after in 0usize..70, shift in 0usize..3,
        ) {
            let size = start + len + after;
            // The second operand lies elsewhere in its blocks, and its runs may be longer.
            let shape = Slice { outer, size, start, len };
            let other = if outer > 0 && shift > 0 {
                Slice { outer: 1, size: outer * len + shift, start: shift - 1, len: outer * len }
            } else {
                Slice { start: size - len, ..shape }
            };
            let (a, b, c) = (values(n * outer * size, 1), values(n * other.outer * other.size, 2), values(3, 3));
            let operands = [Operand::part(&a, &shape, n), Operand::part(&b, &other, n), Operand::new(&c, 1, 1)];
            let close = |y: &[f32], expected: &[f32]| {
                y.iter().zip(expected).all(|(y, expected)| (y - expected).abs() <= 1e-6 * expected.abs().max(1.0))
            };
            let blank = vec![-5.0; n * outer * size + 3];
            let (mut dense, mut part) = (vec![0.0; n * outer * len], blank.clone());
            reference::pointwise(Mixed, operands, &mut dense);
            reference::pointwise_part(Mixed, operands, &shape, n, &mut part);
            let mut cut = vec![0.0; dense.len()];
            reference::slice(&shape, n, &part, &mut cut);
            prop_assert_eq!(&cut, &dense);
            for isa in available() {
                let (mut y, mut y_part) = (vec![f32::NAN; dense.len()], blank.clone());
                pointwise_on::<Mixed, 3>(*isa, operands, &mut y);
                pointwise_part_on::<Mixed, 3>(*isa, operands, &shape, n, &mut y_part);
                prop_assert!(close(&y, &dense), "{isa:?}: {y:?} {dense:?}");
                prop_assert!(close(&y_part, &part), "{isa:?}: {y_part:?} {part:?}");
            }
        }
    }

    #[test]
    fn parts_of_two_rows() {
        let (shape, x) = (Slice { outer: 1, size: 3, start: 1, len: 2 }, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let mut y = [0.0; 4];
        pointwise(First, [Operand::part(&x, &shape, 2)], &mut y);
        assert_eq!(y, [2.0, 3.0, 5.0, 6.0]);
        let mut y = [9.0; 6];
        pointwise_part(First, [Operand::full(&x)], &shape, 2, &mut y);
        assert_eq!(y, [9.0, 1.0, 2.0, 9.0, 3.0, 4.0]);
    }

    #[test]
    #[should_panic = "floats 2..4 of blocks of 3"]
    fn a_part_that_leaves_its_block_is_refused() {
        Operand::part(&[0.0; 6], &Slice { outer: 1, size: 3, start: 2, len: 2 }, 2);
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
