//! What a product does to a result before it leaves: add a bias, apply an activation.

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

/// What follows a product: `y = activation(product + bias)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epilogue<'a> {
    /// One float for each output (matrix product) or filter (convolution).
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Activation,
}

impl Epilogue<'static> {
    /// Neither bias nor activation.
    pub const NONE: Self = Epilogue { bias: None, activation: Activation::Identity };
}

impl Epilogue<'_> {
    /// The part of the activation that is a lower bound, applied while results are in registers.
    pub(crate) fn floor(&self) -> f32 {
        match self.activation {
            Activation::Relu => 0.0,
            Activation::Identity | Activation::Sigmoid | Activation::Tanh => f32::NEG_INFINITY,
        }
    }

    /// The part of the activation that is left, in a pass of its own: it costs far more than the second access.
    pub(crate) fn finish(&self, isa: Isa, y: &mut [f32]) {
        if matches!(self.activation, Activation::Sigmoid | Activation::Tanh) {
            dispatch(isa, Finish { activation: self.activation, y });
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
