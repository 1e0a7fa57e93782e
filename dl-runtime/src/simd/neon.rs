//! The lane of NEON: eight floats in two registers of four, of which there are 32; multiplication and addition in one.
//!
//! Sixteen floats are a [`Pair`] of these, four registers. A tile of products, six rows of sixteen columns, takes 24
//! for its sums and leaves room for its operands.
//!
//! This file is compiled only for targets of which NEON is a part, so every `unsafe` block below that only computes is
//! sound: whatever machine runs it has the instructions.

use super::Kernel;
use super::lane::{Eight, Lane, Vector};
use super::pair::Pair;
use std::arch::aarch64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// The first and the last four of eight floats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neon(float32x4_t, float32x4_t);

/// Computes with instructions of NEON.
macro_rules! neon {
    ($expression:expr) => {
        // SAFETY: the target has NEON; nothing here touches memory.
        unsafe { $expression }
    };
}

/// Runs a kernel.
#[inline(never)]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    let zero = neon!(vdupq_n_f32(0.0));
    kernel.run(Neon(zero, zero))
}

/// An expression of the halves of one vector or more, for both.
macro_rules! halves {
    ($($name:ident = $vector:expr),+; $expression:expr) => {
        Neon(
            {
                let ($($name,)+) = ($($vector.0,)+);
                neon!($expression)
            },
            {
                let ($($name,)+) = ($($vector.1,)+);
                neon!($expression)
            },
        )
    };
}

macro_rules! operators {
    ($($name:ident $method:ident $intrinsic:ident)*) => {$(
        impl $name for Neon {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                halves!(a = self, b = other; $intrinsic(a, b))
            }
        }
    )*};
}
operators! { Add add vaddq_f32  Sub sub vsubq_f32  Mul mul vmulq_f32  Div div vdivq_f32 }

impl Neg for Neon {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        halves!(a = self; vnegq_f32(a))
    }
}

/// The float of each set word becomes 1, of others 0.
#[inline(always)]
fn one_where(holds: uint32x4_t) -> float32x4_t {
    neon!(vreinterpretq_f32_u32(vandq_u32(holds, vreinterpretq_u32_f32(vdupq_n_f32(1.0)))))
}

macro_rules! comparisons {
    ($($name:ident $intrinsic:ident)*) => {$(
        #[inline(always)]
        fn $name(self, other: Self) -> Self {
            halves!(a = self, b = other; one_where($intrinsic(a, b)))
        }
    )*};
}

impl Lane for Neon {
    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        let value = neon!(vdupq_n_f32(value));
        Neon(value, value)
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        halves!(a = self, b = factor, c = addend; vfmaq_f32(c, a, b))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        halves!(a = self; vabsq_f32(a))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        halves!(a = self; vsqrtq_f32(a))
    }
    #[inline(always)]
    fn floor(self) -> Self {
        halves!(a = self; vrndmq_f32(a))
    }
    comparisons! {
        greater vcgtq_f32  greater_equal vcgeq_f32  less vcltq_f32  less_equal vcleq_f32  equal vceqq_f32
    }
    #[inline(always)]
    fn not_equal(self, other: Self) -> Self {
        halves!(a = self, b = other; one_where(vmvnq_u32(vceqq_f32(a, b))))
    }
    #[inline(always)]
    fn select(self, a: Self, b: Self) -> Self {
        halves!(chosen = self, a = a, b = b; vbslq_f32(vceqzq_f32(chosen), b, a))
    }
}

/// Reads the first `count` of four floats; the others are 0.
///
/// # Safety
/// As many floats at `from` must be readable, four at most.
#[inline(always)]
unsafe fn load_some(from: *const f32, count: usize) -> float32x4_t {
    // SAFETY: no float from `count` on is read; the target has NEON.
    unsafe {
        let zero = vdupq_n_f32(0.0);
        match count {
            0 => zero,
            1 => vld1q_lane_f32::<0>(from, zero),
            2 => vcombine_f32(vld1_f32(from), vdup_n_f32(0.0)),
            3 => vld1q_lane_f32::<2>(from.add(2), vcombine_f32(vld1_f32(from), vdup_n_f32(0.0))),
            _ => vld1q_f32(from),
        }
    }
}

/// Writes the first `count` of four floats.
///
/// # Safety
/// As many floats at `to` must be writable, four at most.
#[inline(always)]
unsafe fn store_some(value: float32x4_t, to: *mut f32, count: usize) {
    // SAFETY: no float from `count` on is written; the target has NEON.
    unsafe {
        match count {
            0 => {}
            1 => vst1q_lane_f32::<0>(to, value),
            2 => vst1_f32(to, vget_low_f32(value)),
            3 => {
                vst1_f32(to, vget_low_f32(value));
                vst1q_lane_f32::<2>(to.add(2), value);
            }
            _ => vst1q_f32(to, value),
        }
    }
}

impl Vector for Neon {
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
        // SAFETY: the caller guarantees eight readable floats; the target has NEON.
        unsafe { Neon(vld1q_f32(from), vld1q_f32(from.add(4))) }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self {
        // SAFETY: the caller guarantees `count` readable floats, of which the second four are those past the first.
        unsafe { Neon(load_some(from, count.min(4)), load_some(from.wrapping_add(4), count.saturating_sub(4))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees eight writable floats; the target has NEON.
        unsafe {
            vst1q_f32(to, self.0);
            vst1q_f32(to.add(4), self.1);
        }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the caller guarantees `count` writable floats, of which the second four are those past the first.
        unsafe {
            store_some(self.0, to, count.min(4));
            store_some(self.1, to.wrapping_add(4), count.saturating_sub(4));
        }
    }
    #[inline(always)]
    fn total(self) -> f32 {
        neon!({
            let four = vaddq_f32(self.0, self.1);
            vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)))
        })
    }
    #[inline(always)]
    fn greatest(self) -> f32 {
        neon!(vmaxvq_f32(vmaxq_f32(self.0, self.1)))
    }
    #[inline(always)]
    fn any(self) -> bool {
        neon!(vminvq_u32(vandq_u32(vceqzq_f32(self.0), vceqzq_f32(self.1))) == 0)
    }
    #[inline(always)]
    fn deinterleave(self, next: Self) -> (Self, Self) {
        neon!((
            Neon(vuzp1q_f32(self.0, self.1), vuzp1q_f32(next.0, next.1)),
            Neon(vuzp2q_f32(self.0, self.1), vuzp2q_f32(next.0, next.1)),
        ))
    }
    #[inline(always)]
    fn interleave(self, odd: Self) -> (Self, Self) {
        neon!((
            Neon(vzip1q_f32(self.0, odd.0), vzip2q_f32(self.0, odd.0)),
            Neon(vzip1q_f32(self.1, odd.1), vzip2q_f32(self.1, odd.1)),
        ))
    }
    #[inline(always)]
    fn at_least(self, low: Self) -> Self {
        // The maximum of the instruction set is NaN if either is; this is `self` then.
        halves!(a = self, low = low; vbslq_f32(vcgtq_f32(low, a), low, a))
    }
    #[inline(always)]
    fn at_most(self, high: Self) -> Self {
        halves!(a = self, high = high; vbslq_f32(vcltq_f32(high, a), high, a))
    }
    #[inline(always)]
    fn with_sign_of(self, other: Self) -> Self {
        halves!(a = self, b = other; vbslq_f32(vdupq_n_u32(1 << 31), b, a))
    }
    #[inline(always)]
    fn nearest(self) -> Self {
        halves!(a = self; vrndnq_f32(a))
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        halves!(a = self; {
            let exponent = vaddq_s32(vcvtq_s32_f32(a), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
        })
    }
    #[inline(always)]
    fn times_power_of_two(self, n: Self) -> Self {
        halves!(a = self, n = n; {
            let (n, bias) = (vcvtq_s32_f32(n), vdupq_n_s32(127));
            let half = vshrq_n_s32::<1>(n);
            let first = vshlq_n_s32::<23>(vaddq_s32(half, bias));
            let second = vshlq_n_s32::<23>(vaddq_s32(vsubq_s32(n, half), bias));
            vmulq_f32(vmulq_f32(a, vreinterpretq_f32_s32(first)), vreinterpretq_f32_s32(second))
        })
    }
    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        // Counted from the bits of √½, the exponent field changes where m leaves [√½, √2).
        const HALF: i32 = std::f32::consts::FRAC_1_SQRT_2.to_bits() as i32;
        let from_half =
            halves!(a = self; vreinterpretq_f32_s32(vsubq_s32(vreinterpretq_s32_f32(a), vdupq_n_s32(HALF))));
        let mantissa = halves!(a = from_half; {
            let fraction = vandq_s32(vreinterpretq_s32_f32(a), vdupq_n_s32(0x007f_ffff));
            vreinterpretq_f32_s32(vaddq_s32(fraction, vdupq_n_s32(HALF)))
        });
        (mantissa, halves!(a = from_half; vcvtq_f32_s32(vshrq_n_s32::<23>(vreinterpretq_s32_f32(a)))))
    }
}

/// Four rows of four floats become their columns.
#[inline(always)]
fn turn([a, b, c, d]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    neon!({
        let (even, odd) = (vzip1q_f32(a, c), vzip1q_f32(b, d));
        let (even_high, odd_high) = (vzip2q_f32(a, c), vzip2q_f32(b, d));
        [vzip1q_f32(even, odd), vzip2q_f32(even, odd), vzip1q_f32(even_high, odd_high), vzip2q_f32(even_high, odd_high)]
    })
}

impl Eight for Neon {
    #[inline(always)]
    fn transpose(block: [Self; 8]) -> [Self; 8] {
        let [a, b, c, d, e, f, g, h] = block;
        let (upper, lower) = (turn([a.0, b.0, c.0, d.0]), turn([e.0, f.0, g.0, h.0]));
        let (upper_right, lower_right) = (turn([a.1, b.1, c.1, d.1]), turn([e.1, f.1, g.1, h.1]));
        let mut columns = block;
        for i in 0..4 {
            columns[i] = Neon(upper[i], lower[i]);
            columns[i + 4] = Neon(upper_right[i], lower_right[i]);
        }
        columns
    }
}
