//! The lane of AVX-512: sixteen floats in a register, and masks in registers of their own.
//!
//! Every `unsafe` block below that only computes is sound for one reason: a value of [`Avx512`] exists only inside
//! [`run`], whose caller has detected AVX-512 F, VL, DQ and BW, and AVX2 and FMA besides.

use super::Kernel;
use super::avx2::Avx2;
use super::lane::{Lane, Sixteen, Vector};
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Sixteen floats in one register.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(__m512);

/// Runs a kernel compiled for AVX-512 F, VL, DQ and BW, AVX2 and FMA.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512(_mm512_setzero_ps()))
}

/// Computes with instructions of AVX-512.
macro_rules! avx512 {
    ($expression:expr) => {
        // SAFETY: an `Avx512` is at hand, so the machine has AVX-512; nothing here touches memory.
        unsafe { $expression }
    };
}

macro_rules! operators {
    ($($name:ident $method:ident $intrinsic:ident)*) => {$(
        impl $name for Avx512 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Avx512(avx512!($intrinsic(self.0, other.0)))
            }
        }
    )*};
}
operators! { Add add _mm512_add_ps  Sub sub _mm512_sub_ps  Mul mul _mm512_mul_ps  Div div _mm512_div_ps }

impl Neg for Avx512 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Avx512(avx512!(_mm512_xor_ps(self.0, _mm512_set1_ps(-0.0))))
    }
}

macro_rules! comparisons {
    ($($name:ident $predicate:ident)*) => {$(
        #[inline(always)]
        fn $name(self, other: Self) -> Self {
            Avx512(avx512!({
                let holds = _mm512_cmp_ps_mask::<$predicate>(self.0, other.0);
                _mm512_maskz_mov_ps(holds, _mm512_set1_ps(1.0))
            }))
        }
    )*};
}

impl Lane for Avx512 {
    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        Avx512(avx512!(_mm512_set1_ps(value)))
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Avx512(avx512!(_mm512_fmadd_ps(self.0, factor.0, addend.0)))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Avx512(avx512!(_mm512_abs_ps(self.0)))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Avx512(avx512!(_mm512_sqrt_ps(self.0)))
    }
    #[inline(always)]
    fn floor(self) -> Self {
        Avx512(avx512!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(self.0)))
    }
    comparisons! {
        greater _CMP_GT_OQ  greater_equal _CMP_GE_OQ  less _CMP_LT_OQ
        less_equal _CMP_LE_OQ  equal _CMP_EQ_OQ  not_equal _CMP_NEQ_UQ
    }
    #[inline(always)]
    fn select(self, a: Self, b: Self) -> Self {
        Avx512(avx512!({
            let chosen = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(self.0, _mm512_setzero_ps());
            _mm512_mask_blend_ps(chosen, b.0, a.0)
        }))
    }
}

/// The mask of the first `count` lanes.
#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    ((1_u32 << count.min(16)) - 1) as __mmask16
}

impl Vector for Avx512 {
    const LANES: usize = 16;

    type Eight = Avx2;
    type Sixteen = Self;

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        avx512!(run(kernel))
    }
    #[inline(always)]
    fn eight(self) -> Avx2 {
        // SAFETY: an `Avx512` is at hand, and the machine that has it has AVX2 and FMA too.
        unsafe { Avx2::zero() }
    }
    #[inline(always)]
    fn sixteen(self) -> Self {
        self
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self {
        // SAFETY: the caller guarantees sixteen readable floats; `self` proves AVX-512.
        Avx512(unsafe { _mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self {
        // SAFETY: lanes past `count` are masked and not read; `self` proves AVX-512.
        Avx512(unsafe { _mm512_maskz_loadu_ps(mask(count), from) })
    }
    #[inline(always)]
    unsafe fn load_between(self, from: *const f32, first: usize, end: usize) -> Self {
        // SAFETY: lanes before `first` and from `end` on are masked and not read; `self` proves AVX-512.
        Avx512(unsafe { _mm512_maskz_loadu_ps(mask(end) & !mask(first), from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees sixteen writable floats; `self` proves AVX-512.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: lanes past `count` are masked and not written; `self` proves AVX-512.
        unsafe { _mm512_mask_storeu_ps(to, mask(count), self.0) }
    }
    #[inline(always)]
    fn total(self) -> f32 {
        let (low, high) = self.halves();
        (low + high).total()
    }
    #[inline(always)]
    fn greatest(self) -> f32 {
        let (low, high) = self.halves();
        low.at_least(high).greatest()
    }
    #[inline(always)]
    fn any(self) -> bool {
        avx512!(_mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(self.0, _mm512_setzero_ps()) != 0)
    }
    #[inline(always)]
    fn deinterleave(self, next: Self) -> (Self, Self) {
        avx512!({
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            (Avx512(_mm512_permutex2var_ps(self.0, even, next.0)), Avx512(_mm512_permutex2var_ps(self.0, odd, next.0)))
        })
    }
    #[inline(always)]
    fn interleave(self, odd: Self) -> (Self, Self) {
        avx512!({
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            (Avx512(_mm512_permutex2var_ps(self.0, low, odd.0)), Avx512(_mm512_permutex2var_ps(self.0, high, odd.0)))
        })
    }
    #[inline(always)]
    fn at_least(self, low: Self) -> Self {
        // The instruction returns its second operand if either is NaN.
        Avx512(avx512!(_mm512_max_ps(low.0, self.0)))
    }
    #[inline(always)]
    fn unless_nan(self, other: Self) -> Self {
        // Without a mask of floats in between.
        Avx512(avx512!({
            let strange = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(other.0, other.0);
            _mm512_mask_blend_ps(strange, self.0, other.0)
        }))
    }
    #[inline(always)]
    fn at_most(self, high: Self) -> Self {
        Avx512(avx512!(_mm512_min_ps(high.0, self.0)))
    }
    #[inline(always)]
    fn normal_or_zero(self) -> Self {
        Avx512(avx512!({
            let least = _mm512_set1_ps(f32::MIN_POSITIVE);
            let kept = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(_mm512_abs_ps(self.0), least);
            _mm512_maskz_mov_ps(kept, self.0)
        }))
    }
    #[inline(always)]
    fn with_sign_of(self, other: Self) -> Self {
        Avx512(avx512!({
            let sign = _mm512_set1_ps(-0.0);
            _mm512_or_ps(_mm512_and_ps(sign, other.0), _mm512_andnot_ps(sign, self.0))
        }))
    }
    #[inline(always)]
    fn nearest(self) -> Self {
        Avx512(avx512!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        Avx512(avx512!(_mm512_scalef_ps(_mm512_set1_ps(1.0), self.0)))
    }
    #[inline(always)]
    fn times_power_of_two(self, n: Self) -> Self {
        Avx512(avx512!(_mm512_scalef_ps(self.0, n.0)))
    }
    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        // Counted from the bits of √½, the exponent field changes where m leaves [√½, √2).
        avx512!({
            let half = _mm512_set1_epi32(std::f32::consts::FRAC_1_SQRT_2.to_bits() as i32);
            let from_half = _mm512_sub_epi32(_mm512_castps_si512(self.0), half);
            let exponent = _mm512_cvtepi32_ps(_mm512_srai_epi32::<23>(from_half));
            let fraction = _mm512_and_si512(from_half, _mm512_set1_epi32(0x007f_ffff));
            (Avx512(_mm512_castsi512_ps(_mm512_add_epi32(fraction, half))), Avx512(exponent))
        })
    }
}

impl Avx512 {
    /// The first and the last eight floats.
    #[inline(always)]
    fn halves(self) -> (Avx2, Avx2) {
        let (low, high) = avx512!((_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0)));
        // SAFETY: as in `eight`.
        unsafe { (Avx2::of(low), Avx2::of(high)) }
    }
}

impl Sixteen for Avx512 {
    const HEIGHT: usize = 8;

    // Shuffles within quarters of a register, and of quarters, are twice as fast as those by a table.
    #[inline(always)]
    fn transpose(block: [Self; 16]) -> [Self; 16] {
        avx512!({
            // Of each four rows, column k of each quarter.
            let mut fours = [[block[0].0; 4]; 4];
            for i in 0..4 {
                let [a, b, c, d] = [block[4 * i].0, block[4 * i + 1].0, block[4 * i + 2].0, block[4 * i + 3].0];
                let pairs = [_mm512_castps_pd(_mm512_unpacklo_ps(a, b)), _mm512_castps_pd(_mm512_unpackhi_ps(a, b))];
                let others = [_mm512_castps_pd(_mm512_unpacklo_ps(c, d)), _mm512_castps_pd(_mm512_unpackhi_ps(c, d))];
                for k in 0..2 {
                    fours[i][2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(pairs[k], others[k]));
                    fours[i][2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pairs[k], others[k]));
                }
            }
            let mut columns = block;
            for k in 0..4 {
                let [a, b, c, d] = [fours[0][k], fours[1][k], fours[2][k], fours[3][k]];
                let (near, far) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
                let (low, high) = (_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
                columns[k].0 = _mm512_shuffle_f32x4::<0x88>(near, low);
                columns[k + 4].0 = _mm512_shuffle_f32x4::<0xdd>(near, low);
                columns[k + 8].0 = _mm512_shuffle_f32x4::<0x88>(far, high);
                columns[k + 12].0 = _mm512_shuffle_f32x4::<0xdd>(far, high);
            }
            columns
        })
    }
}
