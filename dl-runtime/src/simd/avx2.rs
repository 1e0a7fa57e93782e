//! The lane of AVX2 with fused multiply-add: eight floats in a register.
//!
//! Every `unsafe` block below that only computes is sound for one reason: a value of [`Avx2`] is made only inside
//! [`run`], whose caller has detected AVX2 and FMA, or by callers who vouch for both.

use super::Kernel;
use super::lane::{Eight, Lane, Vector};
use super::pair::Pair;
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Eight floats in one register.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(__m256);

/// Runs a kernel compiled for AVX2 and FMA.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(_mm256_setzero_ps()))
}

impl Avx2 {
    /// Eight zeros.
    ///
    /// # Safety
    /// The machine must have AVX2 and FMA.
    #[inline(always)]
    pub(super) unsafe fn zero() -> Self {
        // SAFETY: the caller guarantees AVX2, and with it AVX.
        Avx2(unsafe { _mm256_setzero_ps() })
    }

    /// A register as a vector.
    ///
    /// # Safety
    /// The machine must have AVX2 and FMA.
    #[inline(always)]
    pub(super) unsafe fn of(register: __m256) -> Self {
        Avx2(register)
    }
}

/// Computes with instructions of AVX2 and FMA.
macro_rules! avx2 {
    ($expression:expr) => {
        // SAFETY: an `Avx2` is at hand, so the machine has AVX2 and FMA; nothing here touches memory.
        unsafe { $expression }
    };
}

macro_rules! operators {
    ($($name:ident $method:ident $intrinsic:ident)*) => {$(
        impl $name for Avx2 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Avx2(avx2!($intrinsic(self.0, other.0)))
            }
        }
    )*};
}
operators! { Add add _mm256_add_ps  Sub sub _mm256_sub_ps  Mul mul _mm256_mul_ps  Div div _mm256_div_ps }

impl Neg for Avx2 {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Avx2(avx2!(_mm256_xor_ps(self.0, _mm256_set1_ps(-0.0))))
    }
}

macro_rules! comparisons {
    ($($name:ident $predicate:ident)*) => {$(
        #[inline(always)]
        fn $name(self, other: Self) -> Self {
            Avx2(avx2!(_mm256_and_ps(_mm256_cmp_ps::<$predicate>(self.0, other.0), _mm256_set1_ps(1.0))))
        }
    )*};
}

impl Lane for Avx2 {
    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        Avx2(avx2!(_mm256_set1_ps(value)))
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Avx2(avx2!(_mm256_fmadd_ps(self.0, factor.0, addend.0)))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Avx2(avx2!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0)))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Avx2(avx2!(_mm256_sqrt_ps(self.0)))
    }
    #[inline(always)]
    fn floor(self) -> Self {
        Avx2(avx2!(_mm256_floor_ps(self.0)))
    }
    comparisons! {
        greater _CMP_GT_OQ  greater_equal _CMP_GE_OQ  less _CMP_LT_OQ
        less_equal _CMP_LE_OQ  equal _CMP_EQ_OQ  not_equal _CMP_NEQ_UQ
    }
    #[inline(always)]
    fn select(self, a: Self, b: Self) -> Self {
        Avx2(avx2!({
            let chosen = _mm256_cmp_ps::<_CMP_NEQ_UQ>(self.0, _mm256_setzero_ps());
            _mm256_blendv_ps(b.0, a.0, chosen)
        }))
    }
}

/// Eight set words, then eight clear ones: a mask of `count` lanes starts at 8 − count.
static MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The mask of the first `count` lanes.
///
/// # Safety
/// The machine must have AVX2.
#[inline(always)]
unsafe fn mask(count: usize) -> __m256i {
    let start = 8 - count.min(8);
    // SAFETY: start is at most 8, so eight words follow it; the caller guarantees AVX2.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(start).cast()) }
}

impl Vector for Avx2 {
    const LANES: usize = 8;

    type Eight = Self;
    type Sixteen = Pair<Self>;

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        avx2!(run(kernel))
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
        // SAFETY: the caller guarantees eight readable floats; `self` proves AVX2.
        Avx2(unsafe { _mm256_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self {
        // SAFETY: lanes past `count` are masked and not read; `self` proves AVX2.
        Avx2(unsafe { _mm256_maskload_ps(from, mask(count)) })
    }
    #[inline(always)]
    unsafe fn load_between(self, from: *const f32, first: usize, end: usize) -> Self {
        // SAFETY: lanes before `first` and from `end` on are masked and not read; `self` proves AVX2.
        Avx2(unsafe { _mm256_maskload_ps(from, _mm256_andnot_si256(mask(first), mask(end))) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller guarantees eight writable floats; `self` proves AVX2.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        if count >= 8 {
            // SAFETY: the caller guarantees eight writable floats.
            return unsafe { self.store(to) };
        }
        // Four, two and one: masked stores are many times slower on some machines.
        // SAFETY: the floats written are the first `count`; `self` proves AVX2.
        unsafe {
            let (mut rest, mut to) = (_mm256_castps256_ps128(self.0), to);
            if count & 4 != 0 {
                _mm_storeu_ps(to, rest);
                (rest, to) = (_mm256_extractf128_ps::<1>(self.0), to.add(4));
            }
            if count & 2 != 0 {
                _mm_storel_pd(to.cast(), _mm_castps_pd(rest));
                (rest, to) = (_mm_movehl_ps(rest, rest), to.add(2));
            }
            if count & 1 != 0 {
                _mm_store_ss(to, rest);
            }
        }
    }
    #[inline(always)]
    fn total(self) -> f32 {
        avx2!({
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }
    #[inline(always)]
    fn deinterleave(self, next: Self) -> (Self, Self) {
        // Shuffles stay within halves of a register, so pairs of elements are put in order afterwards.
        avx2!({
            let even = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(self.0, next.0));
            let odd = _mm256_castps_pd(_mm256_shuffle_ps::<0b11_01_11_01>(self.0, next.0));
            (
                Avx2(_mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(even))),
                Avx2(_mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(odd))),
            )
        })
    }
    #[inline(always)]
    fn interleave(self, odd: Self) -> (Self, Self) {
        avx2!({
            let (low, high) = (_mm256_unpacklo_ps(self.0, odd.0), _mm256_unpackhi_ps(self.0, odd.0));
            (Avx2(_mm256_permute2f128_ps::<0x20>(low, high)), Avx2(_mm256_permute2f128_ps::<0x31>(low, high)))
        })
    }
    #[inline(always)]
    fn greatest(self) -> f32 {
        avx2!({
            let four = _mm_max_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        })
    }
    #[inline(always)]
    fn any(self) -> bool {
        avx2!(_mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(self.0, _mm256_setzero_ps())) != 0)
    }
    #[inline(always)]
    fn at_least(self, low: Self) -> Self {
        // The instruction returns its second operand if either is NaN.
        Avx2(avx2!(_mm256_max_ps(low.0, self.0)))
    }
    #[inline(always)]
    fn unless_nan(self, other: Self) -> Self {
        // Without a mask of floats in between.
        Avx2(avx2!(_mm256_blendv_ps(self.0, other.0, _mm256_cmp_ps::<_CMP_UNORD_Q>(other.0, other.0))))
    }
    #[inline(always)]
    fn at_most(self, high: Self) -> Self {
        Avx2(avx2!(_mm256_min_ps(high.0, self.0)))
    }
    #[inline(always)]
    fn normal_or_zero(self) -> Self {
        Avx2(avx2!({
            let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0);
            let kept = _mm256_cmp_ps::<_CMP_NLT_UQ>(magnitude, _mm256_set1_ps(f32::MIN_POSITIVE));
            _mm256_and_ps(kept, self.0)
        }))
    }
    #[inline(always)]
    fn with_sign_of(self, other: Self) -> Self {
        Avx2(avx2!({
            let sign = _mm256_set1_ps(-0.0);
            _mm256_or_ps(_mm256_and_ps(sign, other.0), _mm256_andnot_ps(sign, self.0))
        }))
    }
    #[inline(always)]
    fn nearest(self) -> Self {
        Avx2(avx2!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        Avx2(avx2!({
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        }))
    }
    #[inline(always)]
    fn times_power_of_two(self, n: Self) -> Self {
        avx2!({
            let n = _mm256_cvtps_epi32(n.0);
            let half = _mm256_srai_epi32::<1>(n);
            let bias = _mm256_set1_epi32(127);
            let first = _mm256_slli_epi32::<23>(_mm256_add_epi32(half, bias));
            let second = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias));
            Avx2(_mm256_mul_ps(_mm256_mul_ps(self.0, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second)))
        })
    }
    #[inline(always)]
    fn split_exponent(self) -> (Self, Self) {
        // Counted from the bits of √½, the exponent field changes where m leaves [√½, √2).
        avx2!({
            let half = _mm256_set1_epi32(std::f32::consts::FRAC_1_SQRT_2.to_bits() as i32);
            let from_half = _mm256_sub_epi32(_mm256_castps_si256(self.0), half);
            let exponent = _mm256_cvtepi32_ps(_mm256_srai_epi32::<23>(from_half));
            let fraction = _mm256_and_si256(from_half, _mm256_set1_epi32(0x007f_ffff));
            (Avx2(_mm256_castsi256_ps(_mm256_add_epi32(fraction, half))), Avx2(exponent))
        })
    }
}

impl Eight for Avx2 {
    #[inline(always)]
    fn transpose(block: [Self; 8]) -> [Self; 8] {
        avx2!({
            let [a, b, c, d, e, f, g, h] = block;
            // Pairs of rows, then fours: each register holds column i of four rows below column i + 4 of them.
            macro_rules! four {
                ($a:ident $b:ident $c:ident $d:ident) => {{
                    let (ab, ab_high) = (_mm256_unpacklo_ps($a.0, $b.0), _mm256_unpackhi_ps($a.0, $b.0));
                    let (cd, cd_high) = (_mm256_unpacklo_ps($c.0, $d.0), _mm256_unpackhi_ps($c.0, $d.0));
                    [
                        _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd),
                        _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd),
                        _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
                        _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
                    ]
                }};
            }
            let (upper, lower) = (four!(a b c d), four!(e f g h));
            let mut columns = block;
            for i in 0..4 {
                columns[i] = Avx2(_mm256_permute2f128_ps::<0x20>(upper[i], lower[i]));
                columns[i + 4] = Avx2(_mm256_permute2f128_ps::<0x31>(upper[i], lower[i]));
            }
            columns
        })
    }
}
