//! Sixteen floats in two vectors of eight: everything is done twice.
//!
//! Products are written over vectors of sixteen. Where a register holds eight, this is one.

use super::Kernel;
use super::lane::{Eight, Lane, Sixteen, Vector};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// The first and the last eight of sixteen floats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<V>(V, V);

impl<V: Eight> Pair<V> {
    /// Twice the same eight floats.
    #[inline(always)]
    pub(super) fn twice(value: V) -> Self {
        Pair(value, value)
    }
}

macro_rules! operators {
    ($($name:ident $method:ident)*) => {$(
        impl<V: Eight> $name for Pair<V> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Pair(self.0.$method(other.0), self.1.$method(other.1))
            }
        }
    )*};
}
operators! { Add add  Sub sub  Mul mul  Div div }

impl<V: Eight> Neg for Pair<V> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Pair(-self.0, -self.1)
    }
}

/// Methods that are those of the halves.
macro_rules! by_halves {
    ($($name:ident($($operand:ident),*))*) => {$(
        #[inline(always)]
        fn $name(self $(, $operand: Self)*) -> Self {
            Pair(self.0.$name($($operand.0),*), self.1.$name($($operand.1),*))
        }
    )*};
}

impl<V: Eight> Lane for Pair<V> {
    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        Pair::twice(self.0.splat(value))
    }
    by_halves! {
        mul_add(factor, addend)  abs()  sqrt()  floor()  greater(other)  greater_equal(other)  less(other)
        less_equal(other)  equal(other)  not_equal(other)  select(a, b)
    }
}

impl<V: Eight> Vector for Pair<V> {
    const LANES: usize = 16;

    type Eight = V;
    type Sixteen = Self;

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        self.0.apart(kernel)
    }
    #[inline(always)]
    fn eight(self) -> V {
        self.0
    }
    #[inline(always)]
    fn sixteen(self) -> Self {
        self
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self {
        // SAFETY: the caller guarantees sixteen readable floats.
        unsafe { Pair(self.0.load(from), self.0.load(from.add(8))) }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self {
        // SAFETY: the caller guarantees `count` readable floats, of which the second eight are those past the first.
        unsafe {
            let second = self.0.load_first(from.wrapping_add(8), count.saturating_sub(8));
            Pair(self.0.load_first(from, count.min(8)), second)
        }
    }
    #[inline(always)]
    unsafe fn load_between(self, from: *const f32, first: usize, end: usize) -> Self {
        // SAFETY: the caller guarantees these floats, which fall into the first eight and the second.
        unsafe {
            let second = from.wrapping_add(8);
            let second = self.0.load_between(second, first.saturating_sub(8), end.saturating_sub(8));
            Pair(self.0.load_between(from, first.min(8), end.min(8)), second)
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees sixteen writable floats.
        unsafe {
            self.0.store(to);
            self.1.store(to.add(8));
        }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the caller guarantees `count` writable floats, of which the second eight are those past the first.
        unsafe {
            if count < 8 {
                return self.0.store_first(to, count);
            }
            self.0.store(to);
            self.1.store_first(to.add(8), count - 8);
        }
    }
    #[inline(always)]
    fn total(self) -> f32 {
        (self.0 + self.1).total()
    }
    #[inline(always)]
    fn greatest(self) -> f32 {
        self.0.at_least(self.1).greatest()
    }
    #[inline(always)]
    fn any(self) -> bool {
        self.0.any() | self.1.any()
    }
    #[inline(always)]
    fn deinterleave(self, next: Self) -> (Self, Self) {
        let ((even, odd), (next_even, next_odd)) = (self.0.deinterleave(self.1), next.0.deinterleave(next.1));
        (Pair(even, next_even), Pair(odd, next_odd))
    }
    #[inline(always)]
    fn interleave(self, odd: Self) -> (Self, Self) {
        let ((a, b), (c, d)) = (self.0.interleave(odd.0), self.1.interleave(odd.1));
        (Pair(a, b), Pair(c, d))
    }
    by_halves! { at_least(low)  at_most(high)  unless_nan(other)  with_sign_of(other)  nearest()  power_of_two()  times_power_of_two(n) }
    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        let ((a, b), (c, d)) = (self.0.split_exponent(), self.1.split_exponent());
        (Pair(a, c), Pair(b, d))
    }
}

impl<V: Eight> Sixteen for Pair<V> {
    const HEIGHT: usize = V::HEIGHT;
}
