//! The lane that every machine has: eight floats in an array, left to the compiler's vectorizer.

use super::Kernel;
use super::lane::{Eight, Lane, Vector};
use super::pair::Pair;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Eight floats without any special instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar([f32; 8]);

/// Runs a kernel.
#[inline(never)]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Scalar([0.0; 8]))
}

impl Scalar {
    /// Eight values.
    #[inline(always)]
    pub(crate) fn of(values: [f32; 8]) -> Self {
        Scalar(values)
    }

    /// Its values.
    #[inline(always)]
    pub(crate) fn values(self) -> [f32; 8] {
        self.0
    }

    #[inline(always)]
    fn each(mut self, function: impl Fn(f32) -> f32) -> Self {
        for value in &mut self.0 {
            *value = function(*value);
        }
        self
    }

    #[inline(always)]
    fn both(mut self, other: Self, function: impl Fn(f32, f32) -> f32) -> Self {
        for (value, other) in self.0.iter_mut().zip(other.0) {
            *value = function(*value, other);
        }
        self
    }
}

macro_rules! operators {
    ($($name:ident $method:ident $operator:tt)*) => {$(
        impl $name for Scalar {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.both(other, |a, b| a $operator b)
            }
        }
    )*};
}
operators! { Add add +  Sub sub -  Mul mul *  Div div / }

impl Neg for Scalar {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.each(|a| -a)
    }
}

macro_rules! comparisons {
    ($($name:ident $operator:tt)*) => {$(
        #[inline(always)]
        fn $name(self, other: Self) -> Self {
            self.both(other, |a, b| if a $operator b { 1.0 } else { 0.0 })
        }
    )*};
}

impl Lane for Scalar {
    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        Scalar([value; 8])
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        self * factor + addend
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.each(f32::abs)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.each(f32::sqrt)
    }
    #[inline(always)]
    fn floor(self) -> Self {
        self.each(f32::floor)
    }
    comparisons! { greater >  greater_equal >=  less <  less_equal <=  equal ==  not_equal != }
    #[inline(always)]
    fn select(mut self, a: Self, b: Self) -> Self {
        for (value, (a, b)) in self.0.iter_mut().zip(a.0.into_iter().zip(b.0)) {
            *value = if *value != 0.0 { a } else { b };
        }
        self
    }
}

impl Vector for Scalar {
    const LANES: usize = 8;

    type Eight = Self;
    type Sixteen = Pair<Self>;

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        run(kernel)
    }
    #[inline(always)]
    fn eight(self) -> Self {
        self
    }
    #[inline(always)]
    fn sixteen(self) -> Pair<Self> {
        Pair::twice(self)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self {
        // SAFETY: the caller guarantees eight readable floats.
        Scalar(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self {
        let mut values = [0.0; 8];
        for (i, value) in values.iter_mut().enumerate().take(count) {
            // SAFETY: i < count, and the caller guarantees `count` readable floats.
            *value = unsafe { from.add(i).read() };
        }
        Scalar(values)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees eight writable floats.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        for (i, value) in self.0.into_iter().enumerate().take(count) {
            // SAFETY: i < count, and the caller guarantees `count` writable floats.
            unsafe { to.add(i).write(value) }
        }
    }
    #[inline(always)]
    fn total(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    fn deinterleave(self, next: Self) -> (Self, Self) {
        let at = |i: usize| if i < 8 { self.0[i] } else { next.0[i - 8] };
        (Scalar(std::array::from_fn(|i| at(2 * i))), Scalar(std::array::from_fn(|i| at(2 * i + 1))))
    }
    #[inline(always)]
    fn interleave(self, odd: Self) -> (Self, Self) {
        let at = |i: usize| if i.is_multiple_of(2) { self.0[i / 2] } else { odd.0[i / 2] };
        (Scalar(std::array::from_fn(at)), Scalar(std::array::from_fn(|i| at(i + 8))))
    }
    #[inline(always)]
    fn greatest(self) -> f32 {
        self.0.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
    }
    #[inline(always)]
    fn any(self) -> bool {
        self.0.iter().any(|value| *value != 0.0)
    }
    #[inline(always)]
    fn at_least(self, low: Self) -> Self {
        self.both(low, |a, low| if low > a { low } else { a })
    }
    #[inline(always)]
    fn at_most(self, high: Self) -> Self {
        self.both(high, |a, high| if high < a { high } else { a })
    }
    #[inline(always)]
    fn with_sign_of(self, other: Self) -> Self {
        self.both(other, f32::copysign)
    }
    #[inline(always)]
    fn nearest(self) -> Self {
        // Adding 1.5 · 2²³ leaves no bits for a fraction, so the addition itself rounds.
        self.each(|a| (a + 12_582_912.0) - 12_582_912.0)
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        self.each(|a| f32::from_bits(((a as i32).wrapping_add(127) as u32) << 23))
    }
    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        // Counted from the bits of √½, the exponent field changes where m leaves [√½, √2).
        const HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
        let mantissa = |a: f32| f32::from_bits((a.to_bits().wrapping_sub(HALF) & 0x007f_ffff) + HALF);
        let exponent = |a: f32| ((a.to_bits().wrapping_sub(HALF) as i32) >> 23) as f32;
        (self.each(mantissa), self.each(exponent))
    }
}

impl Eight for Scalar {
    // Sixteen floats take four registers of the sixteen that x86-64 has at least.
    const HEIGHT: usize = 2;
}
