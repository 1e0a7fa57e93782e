//! The epilogue of products in double precision.

use crate::{Activation, Epilogue};

/// `activation(product + bias[place] + residual[at])`, or 0 where `mask[at]` is not positive.
pub(super) fn finish(epilogue: &Epilogue<'_>, place: usize, at: usize, product: f64) -> f32 {
    let number = |of: Option<&[f32]>, at: usize| of.map_or(0.0, |of| f64::from(of[at]));
    let x = product + number(epilogue.bias, place) + number(epilogue.residual, at);
    if epilogue.mask.is_some_and(|mask| mask[at] <= 0.0 || mask[at].is_nan()) {
        return 0.0;
    }
    let y = match epilogue.activation {
        Activation::Identity => x,
        Activation::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
    };
    y as f32
}
