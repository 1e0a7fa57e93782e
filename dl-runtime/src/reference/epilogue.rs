//! The epilogue of products in double precision.

use crate::{Activation, Epilogue};

/// `activation(product + bias[place])`.
pub(super) fn finish(epilogue: &Epilogue<'_>, place: usize, product: f64) -> f32 {
    let x = product + epilogue.bias.map_or(0.0, |bias| f64::from(bias[place]));
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
