//! The trait of a vector of floats.
//!
//! [`Lane`] is what pointwise expressions use and what users can see. Its hidden supertrait [`Vector`] adds what the
//! kernels and the elementary functions need: memory, bits, horizontal sums. Neither can be implemented outside.

use super::{Kernel, math};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A vector of floats, all of which undergo the same operation.
///
/// There is no free constructor: a constant is made from a value at hand, `x.splat(0.5)`, so that code which holds no
/// vector of an instruction set cannot run its instructions. Comparisons give 1 where they hold and 0 elsewhere; any
/// comparison with NaN but [`not_equal`](Lane::not_equal) gives 0.
///
/// Accuracy is stated in units in the last place (ulp) of the exact result.
pub trait Lane:
    Vector + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// A vector like this one, all of whose elements are `value`.
    fn splat(self, value: f32) -> Self;
    /// `self * factor + addend`, rounded once where the instruction set has it (NEON, AVX2, AVX-512), else twice.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// The largest integer not above.
    fn floor(self) -> Self;
    /// 1 where `self > other`, else 0.
    fn greater(self, other: Self) -> Self;
    /// 1 where `self >= other`, else 0.
    fn greater_equal(self, other: Self) -> Self;
    /// 1 where `self < other`, else 0.
    fn less(self, other: Self) -> Self;
    /// 1 where `self <= other`, else 0.
    fn less_equal(self, other: Self) -> Self;
    /// 1 where `self == other`, else 0.
    fn equal(self, other: Self) -> Self;
    /// 1 where `self != other` (so for NaN), else 0.
    fn not_equal(self, other: Self) -> Self;
    /// `a` where `self` is not 0 (so for NaN), else `b`.
    fn select(self, a: Self, b: Self) -> Self;

    /// The lesser; NaN if either is NaN.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.at_most(other).unless_nan(other)
    }
    /// The greater; NaN if either is NaN.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.at_least(other).unless_nan(other)
    }
    /// `max(self, 0)`; NaN stays NaN.
    #[inline(always)]
    fn relu(self) -> Self {
        self.at_least(self.splat(0.0))
    }
    /// eˣ within 2 ulp; subnormal results are kept, overflow gives infinity.
    #[inline(always)]
    fn exp(self) -> Self {
        math::exp(self)
    }
    /// The natural logarithm within 2 ulp; −∞ at 0, NaN below.
    #[inline(always)]
    fn log(self) -> Self {
        math::log(self)
    }
    /// The hyperbolic tangent within 2 ulp.
    #[inline(always)]
    fn tanh(self) -> Self {
        math::tanh(self)
    }
    /// The logistic function 1 / (1 + e⁻ˣ) within 2 ulp.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        math::sigmoid(self)
    }
    /// log(1 + eˣ) within 4 ulp, without overflow.
    #[inline(always)]
    fn softplus(self) -> Self {
        math::softplus(self)
    }
    /// The error function within 2 ulp.
    #[inline(always)]
    fn erf(self) -> Self {
        math::erf(self)
    }
    /// The sine within 2 ulp for all finite arguments; NaN for infinities.
    #[inline(always)]
    fn sin(self) -> Self {
        math::sin(self)
    }
    /// The cosine within 2 ulp for all finite arguments; NaN for infinities.
    #[inline(always)]
    fn cos(self) -> Self {
        math::cos(self)
    }
    /// `self` to the power of `exponent`, with the accuracy and the special cases of `f32::powf`, element by element:
    /// much slower than the other functions.
    #[inline(always)]
    fn pow(self, exponent: Self) -> Self {
        self.zip(exponent, f32::powf)
    }
}

/// Memory, bits and sums of a vector.
#[doc(hidden)]
pub trait Vector: Copy {
    /// How many floats it holds.
    const LANES: usize;

    /// The vector of eight floats of this instruction set.
    type Eight: Eight;
    /// The vector of sixteen floats of this instruction set.
    type Sixteen: Sixteen;

    /// Runs a kernel in a function of its own, compiled for this instruction set and shared by all who run this kernel.
    /// Where much is done in loops of constant lengths, this keeps functions small: compiling takes time that grows faster
    /// than they do.
    fn apart<K: Kernel>(self, kernel: K) -> K::Output;

    /// A vector of eight floats; which, is unspecified.
    fn eight(self) -> Self::Eight;
    /// A vector of sixteen floats; which, is unspecified.
    fn sixteen(self) -> Self::Sixteen;

    /// Reads `LANES` floats, from any alignment.
    ///
    /// # Safety
    /// `LANES` floats at `from` must be readable.
    unsafe fn load(self, from: *const f32) -> Self;
    /// Reads the first `count` floats (at most `LANES`); the others are 0.
    ///
    /// # Safety
    /// `count` floats at `from` must be readable.
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self;
    /// Reads the floats from place `first` to before place `end` (at most `LANES`) into their lanes; the others are 0.
    ///
    /// # Safety
    /// The floats from `from + first` to before `from + end` must be readable.
    #[inline(always)]
    unsafe fn load_between(self, from: *const f32, first: usize, end: usize) -> Self {
        const { assert!(Self::LANES <= 16) };
        let mut values = [0.0; 16];
        for (lane, value) in values.iter_mut().enumerate().take(end.min(Self::LANES)).skip(first) {
            // SAFETY: the caller's promise.
            *value = unsafe { *from.wrapping_add(lane) };
        }
        // SAFETY: the array holds as many floats as any vector.
        unsafe { self.load(values.as_ptr()) }
    }
    /// Writes `LANES` floats, at any alignment.
    ///
    /// # Safety
    /// `LANES` floats at `to` must be writable.
    unsafe fn store(self, to: *mut f32);
    /// Writes the first `count` floats (at most `LANES`).
    ///
    /// # Safety
    /// `count` floats at `to` must be writable.
    unsafe fn store_first(self, to: *mut f32, count: usize);

    /// The sum of all elements, by halves: element i with element i + LANES/2, and so on.
    fn total(self) -> f32;
    /// The greatest element; unspecified if one is NaN.
    fn greatest(self) -> f32;
    /// Whether any element is neither 0 nor −0.
    fn any(self) -> bool;
    /// The elements at even places of `self` followed by `next`, and those at odd places.
    fn deinterleave(self, next: Self) -> (Self, Self);
    /// The inverse of [`deinterleave`](Vector::deinterleave): elements of `self` and `odd` in turn.
    fn interleave(self, odd: Self) -> (Self, Self);
    /// The greater of both; `self` where it is NaN, and where `low` is.
    fn at_least(self, low: Self) -> Self;
    /// The lesser of both; `self` where it is NaN, and where `high` is.
    fn at_most(self, high: Self) -> Self;
    /// `other` where that is NaN, else `self`.
    #[inline(always)]
    fn unless_nan(self, other: Self) -> Self
    where
        Self: Lane,
    {
        other.not_equal(other).select(other, self)
    }
    /// 0 in place of what is too small to be normal; NaN stays.
    #[inline(always)]
    fn normal_or_zero(self) -> Self
    where
        Self: Lane,
    {
        self.abs().less(self.splat(f32::MIN_POSITIVE)).select(self.splat(0.0), self)
    }
    /// The magnitude of `self` with the sign of `other`.
    fn with_sign_of(self, other: Self) -> Self;
    /// The nearest integer, ties to even, for magnitudes below 2²².
    fn nearest(self) -> Self;
    /// 2 to the power of `self`, an integer in −126..=127.
    fn power_of_two(self) -> Self;
    /// `self` · 2ⁿ for integers n in −252..=254, rounded once if the result is subnormal; n may be NaN where
    /// `self` is, and then so is the result.
    #[inline(always)]
    fn times_power_of_two(self, n: Self) -> Self
    where
        Self: Lane,
    {
        let half = (n * n.splat(0.5)).nearest();
        self * half.power_of_two() * (n - half).power_of_two()
    }
    /// For positive normal values (m, e) with `self` = m · 2ᵉ and √½ ≤ m < √2, up to rounding of the bounds.
    fn split_exponent(self) -> (Self, Self);
    /// Element by element.
    #[inline(always)]
    fn map(self, function: fn(f32) -> f32) -> Self {
        const { assert!(Self::LANES <= 16) };
        let mut values = [0.0; 16];
        // SAFETY: the array holds as many floats as any vector.
        unsafe {
            self.store(values.as_mut_ptr());
            for value in &mut values[..Self::LANES] {
                *value = function(*value);
            }
            self.load(values.as_ptr())
        }
    }
    /// Element by element.
    #[inline(always)]
    fn zip(self, other: Self, function: fn(f32, f32) -> f32) -> Self {
        const { assert!(Self::LANES <= 16) };
        let (mut values, mut others) = ([0.0; 16], [0.0; 16]);
        // SAFETY: the arrays hold as many floats as any vector.
        unsafe {
            self.store(values.as_mut_ptr());
            other.store(others.as_mut_ptr());
            for (value, other) in values[..Self::LANES].iter_mut().zip(others) {
                *value = function(*value, other);
            }
            self.load(values.as_ptr())
        }
    }
}

/// A vector of eight floats, for what goes in blocks of eight by eight.
#[doc(hidden)]
pub trait Eight: Lane {
    /// [`Sixteen::HEIGHT`] of two of them.
    const HEIGHT: usize = 6;

    /// Eight rows become their columns.
    #[inline(always)]
    fn transpose(block: [Self; 8]) -> [Self; 8] {
        // Three perfect shuffles, each of which moves one bit of the row's number into the column's.
        let mut block = block;
        for _ in 0..3 {
            let [a, b, c, d, e, f, g, h] = block;
            let ((a, b), (c, d), (e, f), (g, h)) = (a.interleave(e), b.interleave(f), c.interleave(g), d.interleave(h));
            block = [a, b, c, d, e, f, g, h];
        }
        block
    }
}

/// A vector of sixteen floats, over which products are written: a panel, or the examples of a shard.
#[doc(hidden)]
pub trait Sixteen: Lane {
    /// How many rows the highest tile of a product has. Eight, if it is one register of 32: some two dozen sums are then
    /// kept at a time. Six, if it is two of 16 or four of 32, which hold as many sums. Two without special instructions.
    const HEIGHT: usize;
    /// Whether there is room for several tiles at a time.
    const TALL: bool = Self::HEIGHT == 8;

    /// Sixteen rows become their columns.
    #[inline(always)]
    fn transpose(block: [Self; 16]) -> [Self; 16] {
        // Four perfect shuffles, each of which moves one bit of the row's number into the column's.
        let mut block = block;
        for _ in 0..4 {
            let mut shuffled = block;
            for i in 0..8 {
                (shuffled[2 * i], shuffled[2 * i + 1]) = block[i].interleave(block[i + 8]);
            }
            block = shuffled;
        }
        block
    }
}
