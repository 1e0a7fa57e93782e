//! What a product does to a result before it leaves: add a bias and a residual, apply an activation, let a gradient pass,
//! keep the greatest of some.

use super::moments::Moments;
use crate::simd::{Isa, Kernel, Lane, dispatch};

/// A function applied to each result of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// None.
    Identity,
    /// max(x, 0); NaN stays NaN.
    Relu,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

/// What follows a product: `y = activation(product + bias + residual)`, or 0 where the mask is not positive, and of each
/// window of these the greatest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epilogue<'a> {
    /// One float for each output (matrix product) or filter (convolution).
    pub bias: Option<&'a [f32]>,
    /// One float for each result: what a residual connection adds (He et al., 2016), or the sum so far.
    pub residual: Option<&'a [f32]>,
    /// Applied after these.
    pub activation: Activation,
    /// One float for each result: what a relu made of its input, where the product is the gradient of that.
    pub mask: Option<&'a [f32]>,
    /// Height and width of the windows of a max pool, side by side and without padding, whose maxima are all that is kept of
    /// a convolution's results. It goes with neither residual nor mask.
    pub pool: Option<[usize; 2]>,
}

impl Epilogue<'static> {
    /// Nothing.
    pub const NONE: Self =
        Epilogue { bias: None, residual: None, activation: Activation::Identity, mask: None, pool: None };
}

impl<'a> Epilogue<'a> {
    /// What is done while the results y are in registers, with so many floats of bias.
    ///
    /// # Panics
    /// If there is less of what it reads.
    pub(crate) fn ending(&self, biases: usize, y: &[f32]) -> Ending<'a> {
        let floor = match self.activation {
            Activation::Relu => 0.0,
            Activation::Identity | Activation::Sigmoid | Activation::Tanh => f32::NEG_INFINITY,
        };
        Ending { bias: self.bias.map(|bias| &bias[..biases]), floor, beside: self.beside(y), ..Ending::NONE }
    }

    /// What lies beside the results y.
    ///
    /// # Panics
    /// If there is less of it.
    pub(crate) fn beside(&self, y: &[f32]) -> Beside {
        if self.residual.is_none() && self.mask.is_none() {
            return Beside::NONE;
        }
        let start = |floats: Option<&[f32]>| floats.map_or(std::ptr::null(), |floats| floats[..y.len()].as_ptr());
        Beside { y: y.as_ptr(), residual: start(self.residual), mask: start(self.mask) }
    }

    /// Residual and mask in a pass of their own, for kernels that add up results in memory; they have neither bias nor
    /// activation.
    pub(crate) fn pass(&self, isa: Isa, y: &mut [f32]) {
        if self.residual.is_some() || self.mask.is_some() {
            dispatch(isa, Pass { beside: self.beside(y), y });
        }
    }

    /// The part of the activation that is left, in a pass of its own: it costs far more than the second access.
    pub(crate) fn finish(&self, isa: Isa, y: &mut [f32]) {
        if matches!(self.activation, Activation::Sigmoid | Activation::Tanh) {
            dispatch(isa, Finish { activation: self.activation, y });
        }
    }
}

/// What is done to sums while they are in registers: `max(sum + bias + residual, floor)`, masked.
#[derive(Clone, Copy)]
pub(crate) struct Ending<'a> {
    /// One float for each column of a matrix product, or plane of a convolution.
    pub(crate) bias: Option<&'a [f32]>,
    /// The part of the activation that is a lower bound.
    pub(crate) floor: f32,
    /// What lies beside the results.
    pub(crate) beside: Beside,
    /// Where the moments of the results of each plane go; for images side by side alone.
    pub(super) moments: Moments,
}

impl Ending<'_> {
    /// Nothing.
    pub(crate) const NONE: Self =
        Ending { bias: None, floor: f32::NEG_INFINITY, beside: Beside::NONE, moments: Moments::NONE };

    /// Nothing, unless these are the last terms of the sums.
    #[inline(always)]
    pub(crate) fn if_last(self, last: bool) -> Self {
        if last { self } else { Ending::NONE }
    }

    /// That of columns or planes from one on, which is the first of what remains.
    #[inline(always)]
    pub(crate) fn from(self, first: usize) -> Self {
        Ending { bias: self.bias.map(|bias| &bias[first..]), ..self }
    }

    /// That of a plane, all of whose results have one bias.
    #[inline(always)]
    pub(crate) fn of_plane(&self, plane: usize) -> PlaneEnding {
        PlaneEnding { bias: self.bias.map_or(0.0, |bias| bias[plane]), floor: self.floor, beside: self.beside }
    }
}

/// The [`Ending`] of a plane.
#[derive(Clone, Copy)]
pub(crate) struct PlaneEnding {
    bias: f32,
    floor: f32,
    beside: Beside,
}

impl PlaneEnding {
    /// Writes as many results as a vector has.
    ///
    /// # Safety
    /// As many of the results for which this was made must be writable at `y`.
    #[inline(always)]
    pub(crate) unsafe fn store<V: Lane>(&self, y: *mut f32, sum: V) {
        let (bias, floor) = (sum.splat(self.bias), sum.splat(self.floor));
        // SAFETY: the caller's promise.
        unsafe { self.beside.finish(y, sum + bias, floor).store(y) }
    }

    /// Writes the first `count` results of a vector.
    ///
    /// # Safety
    /// `count` of the results for which this was made must be writable at `y`.
    #[inline(always)]
    pub(crate) unsafe fn store_first<V: Lane>(&self, y: *mut f32, count: usize, sum: V) {
        let (bias, floor) = (sum.splat(self.bias), sum.splat(self.floor));
        // SAFETY: the caller's promise.
        unsafe { self.beside.finish_first(y, count, sum + bias, floor).store_first(y, count) }
    }
}

/// Numbers in the places of results: what a residual connection adds to them, and what lets them pass. A pointer is null
/// where there is nothing.
#[derive(Clone, Copy)]
pub(crate) struct Beside {
    /// The first result; null if there is nothing beside any.
    y: *const f32,
    residual: *const f32,
    mask: *const f32,
}

impl Beside {
    /// Nothing.
    pub(crate) const NONE: Self = Beside { y: std::ptr::null(), residual: std::ptr::null(), mask: std::ptr::null() };

    /// `max(result + residual, floor)`, or 0 where the mask is not positive, for as many results as a vector has.
    ///
    /// # Safety
    /// `at` must point to a vector of the results for which it was made.
    #[inline(always)]
    pub(crate) unsafe fn finish<V: Lane>(&self, at: *const f32, result: V, floor: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { self.finish_first(at, V::LANES, result, floor) }
    }

    /// [`finish`](Self::finish) for the first `count` results of a vector.
    ///
    /// # Safety
    /// `at` must point to `count` of the results for which it was made.
    #[inline(always)]
    pub(crate) unsafe fn finish_first<V: Lane>(&self, at: *const f32, count: usize, mut result: V, floor: V) -> V {
        if self.y.is_null() {
            return result.at_least(floor);
        }
        // SAFETY: the residual and the mask have a float for each result.
        let load = |of: *const f32| unsafe {
            let from = of.add(at.offset_from_unsigned(self.y));
            if count == V::LANES { result.load(from) } else { result.load_first(from, count) }
        };
        let (residual, mask) =
            ((!self.residual.is_null()).then(|| load(self.residual)), (!self.mask.is_null()).then(|| load(self.mask)));
        if let Some(residual) = residual {
            result = result + residual;
        }
        result = result.at_least(floor);
        if let Some(mask) = mask {
            let zero = result.splat(0.0);
            result = mask.greater(zero).select(result, zero);
        }
        result
    }
}

/// The arguments of [`Epilogue::pass`].
struct Pass<'a> {
    beside: Beside,
    y: &'a mut [f32],
}

impl Kernel for Pass<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        let floor = lane.splat(f32::NEG_INFINITY);
        for strip in self.y.chunks_mut(V::LANES) {
            let (at, count) = (strip.as_mut_ptr(), strip.len());
            // SAFETY: the chunk holds `count` results, at most LANES.
            unsafe { self.beside.finish_first(at, count, lane.load_first(at, count), floor).store_first(at, count) }
        }
    }
}

struct Finish<'a> {
    activation: Activation,
    y: &'a mut [f32],
}

impl Kernel for Finish<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lane>(self, lane: V) {
        for strip in self.y.chunks_mut(V::LANES) {
            // SAFETY: the chunk holds strip.len() floats, at most LANES.
            unsafe {
                let x = lane.load_first(strip.as_ptr(), strip.len());
                let y = if self.activation == Activation::Tanh { x.tanh() } else { x.sigmoid() };
                y.store_first(strip.as_mut_ptr(), strip.len());
            }
        }
    }
}
