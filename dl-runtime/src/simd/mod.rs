//! Vectors of floats: one trait, one file for each instruction set, one place that chooses.
//!
//! [`Lane`] is what an algorithm is written over; [`scalar`], [`avx2`], [`avx512`] and [`neon`] implement it; [`math`] holds the
//! elementary functions, written once over any lane. [`dispatch`] runs a [`Kernel`] with the lane of an instruction set, inside
//! a function compiled for that instruction set. No kernel lives here.
//!
//! A lane value is also the proof that the machine has its instructions: the only constructors are the dispatcher's
//! (after detection) and methods of another lane value, so everything but loads and stores is safe.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod lane;
mod math;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon;
mod pair;
mod scalar;
#[cfg(test)]
mod tests;

pub use lane::Lane;
pub(crate) use lane::{Eight, Sixteen, Vector};
pub(crate) use scalar::Scalar;
use std::sync::OnceLock;

/// An instruction set that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// What every machine of the target architecture has.
    Scalar,
    /// NEON with fused multiply-add (AArch64, all of whose machines have it).
    Neon,
    /// AVX2 with fused multiply-add (x86-64).
    Avx2,
    /// AVX-512 F, VL, DQ and BW, besides [`Avx2`](Isa::Avx2) (x86-64).
    Avx512,
}

/// The instruction set in use: the best the machine has, or a lesser one named by the environment variable `DLN_ISA`
/// (`scalar`, `neon`, `avx2` or `avx512`). Read once; a name that is unknown or not among what the machine has is ignored.
///
/// Results are the same bits for the same seed on one instruction set, not across instruction sets.
pub fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| {
        let asked = match std::env::var("DLN_ISA").as_deref() {
            Ok("scalar") => Isa::Scalar,
            Ok("neon") => Isa::Neon,
            Ok("avx2") => Isa::Avx2,
            Ok("avx512") => Isa::Avx512,
            _ => return best(),
        };
        if available().contains(&asked) { asked } else { best() }
    })
}

/// The best instruction set of this machine.
#[cfg(target_arch = "x86_64")]
fn best() -> Isa {
    use std::is_x86_feature_detected as has;
    static BEST: OnceLock<Isa> = OnceLock::new();
    *BEST.get_or_init(|| {
        if !(has!("avx2") && has!("fma")) {
            Isa::Scalar
        } else if has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw") {
            Isa::Avx512
        } else {
            Isa::Avx2
        }
    })
}

/// The best instruction set of this machine.
#[cfg(not(target_arch = "x86_64"))]
fn best() -> Isa {
    if cfg!(all(target_arch = "aarch64", target_feature = "neon")) { Isa::Neon } else { Isa::Scalar }
}

/// The instruction sets of this machine.
pub(crate) fn available() -> &'static [Isa] {
    match best() {
        Isa::Scalar => &[Isa::Scalar],
        Isa::Neon => &[Isa::Scalar, Isa::Neon],
        Isa::Avx2 => &[Isa::Scalar, Isa::Avx2],
        Isa::Avx512 => &[Isa::Scalar, Isa::Avx2, Isa::Avx512],
    }
}

/// A computation over any lane type. `run` must be `#[inline(always)]`, and so must all that it calls in its loops:
/// only code inlined into the dispatcher is compiled for the instruction set. What must not be inlined is a kernel of its
/// own, run by [`Vector::apart`].
#[doc(hidden)]
pub trait Kernel {
    /// What it returns.
    type Output;
    /// Runs it; `lane` is a zero lane, from which others are made.
    fn run<V: Lane>(self, lane: V) -> Self::Output;
}

/// Runs a kernel on an instruction set, or on a lesser one if this machine lacks that.
#[inline]
pub(crate) fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    match isa.min(best()) {
        // SAFETY: `best` has detected AVX-512 F, VL, DQ and BW, AVX2 and FMA.
        Isa::Avx512 => return unsafe { avx512::run(kernel) },
        // SAFETY: `best` has detected AVX2 and FMA.
        Isa::Avx2 => return unsafe { avx2::run(kernel) },
        Isa::Scalar | Isa::Neon => {}
    }
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    if isa != Isa::Scalar {
        return neon::run(kernel);
    }
    let _ = isa;
    scalar::run(kernel)
}

/// Asks for the cache line at an address, which may be any.
#[inline(always)]
pub(crate) fn prefetch(from: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, and it never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(from.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: every AArch64 has the instruction, and it neither faults nor changes anything.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) from, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = from;
}

/// Asks for the cache line at an address, which may be any, but not for the first-level cache.
#[inline(always)]
pub(crate) fn prefetch_far(from: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, and it never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(from.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: every AArch64 has the instruction, and it neither faults nor changes anything.
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{}]", in(reg) from, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = from;
}

/// Copies `len` floats.
///
/// # Safety
/// `len` floats must be readable at `from` and writable at `to`, without overlap.
#[inline(always)]
pub(crate) unsafe fn copy<V: Lane>(lane: V, from: *const f32, to: *mut f32, len: usize) {
    let mut i = 0;
    // SAFETY: all accesses are below `len`.
    unsafe {
        while i + V::LANES <= len {
            lane.load(from.add(i)).store(to.add(i));
            i += V::LANES;
        }
        if i < len && i > 0 {
            // The last vector steps back to end with them: masked stores are slow.
            lane.load(from.add(len - V::LANES)).store(to.add(len - V::LANES));
        } else if i < len {
            lane.load_first(from, len).store_first(to, len);
        }
    }
}
