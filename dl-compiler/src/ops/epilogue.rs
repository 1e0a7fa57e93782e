//! What products and convolutions do to each result before they store it: shape rule, semantics, text.

use super::pool::Windows;
use super::{PointwiseFn, Violation, array, shape, window};
use crate::eval::Value;
use crate::graph::Type;
use crate::program::{Activation, Epilogue};

/// As dumps show it: `+bias relu`; empty if nothing is done.
pub(super) fn show(epilogue: &Epilogue) -> String {
    let mut parts = Vec::new();
    parts.extend(epilogue.bias.then_some("+bias"));
    parts.extend(epilogue.residual.then_some("+residual"));
    parts.extend(function(epilogue.activation).map(PointwiseFn::name));
    parts.extend(epilogue.mask.then_some("masked"));
    let pool = epilogue.pool.map(|window| format!("max_pool {window:?}"));
    parts.extend(pool.as_deref());
    parts.join(" ")
}

/// Checks what it reads, operands from number 2 on, against constraint number `constraint`.
pub(super) fn infer(
    epilogue: &Epilogue,
    constraint: usize,
    outputs: usize,
    result: &Type,
    operands: &[&Type],
) -> Result<(), Violation> {
    let mut place = 2;
    if let (true, Some(bias)) = (epilogue.bias, operands.get(place)) {
        shape::batch_wide(constraint, place, bias)?;
        shape::same_dims(constraint, place, &[outputs], bias)?;
        place += 1;
    }
    for (place, beside) in operands.iter().enumerate().skip(place) {
        shape::per_example(constraint, place, beside)?;
        shape::same_dims(constraint, place, &result.dims, beside)?;
    }
    Ok(())
}

/// Adds `bias[i / inner mod bias.len()]` and `residual[i]` to result `i`, then applies the activation and the mask. What it
/// reads are the operands from number 2 on.
pub(super) fn eval(epilogue: &Epilogue, results: &mut [f64], operands: &[&Value], batch: usize, inner: usize) {
    let (bias, beside) = operands[2..].split_at(usize::from(epilogue.bias));
    let (residual, mask) = beside.split_at(usize::from(epilogue.residual));
    for bias in bias {
        let bias = array::numbers(bias);
        for (place, result) in results.iter_mut().enumerate() {
            *result += bias[place / inner % bias.len()];
        }
    }
    for residual in residual {
        for (result, residual) in results.iter_mut().zip(array::batched(residual, batch)) {
            *result += residual;
        }
    }
    if let Some(function) = function(epilogue.activation) {
        for result in results.iter_mut() {
            *result = function.eval(&[*result]);
        }
    }
    for mask in mask {
        for (result, mask) in results.iter_mut().zip(array::batched(mask, batch)) {
            *result = if mask > 0.0 { *result } else { 0.0 };
        }
    }
}

/// The dimensions that are left of an image if it is pooled.
pub(super) fn pooled(epilogue: &Epilogue, dims: [usize; 3]) -> [usize; 3] {
    windows(epilogue).map_or(dims, |windows| window::pooled(&windows.shape(&dims)).unwrap_or_default())
}

/// Keeps the greatest of each window of images of these dimensions, if they are pooled.
pub(super) fn pool(epilogue: &Epilogue, results: Vec<f64>, dims: [usize; 3], batch: usize) -> Vec<f64> {
    match windows(epilogue) {
        Some(windows) => windows.greatest(&dims, batch, &results),
        None => results,
    }
}

/// The windows by which results are pooled: side by side.
fn windows(epilogue: &Epilogue) -> Option<Windows> {
    epilogue.pool.map(|window| Windows { kernel: window, stride: window, padding: [0, 0] })
}

/// Operations for each result.
pub(super) fn flops(epilogue: &Epilogue, results: usize) -> usize {
    let functions = usize::from(function(epilogue.activation).is_some()) + usize::from(epilogue.pool.is_some());
    let each = epilogue.operands() + functions;
    shape::product(&[each, results])
}

fn function(activation: Activation) -> Option<PointwiseFn> {
    match activation {
        Activation::Identity => None,
        Activation::Relu => Some(PointwiseFn::Relu),
        Activation::Sigmoid => Some(PointwiseFn::Sigmoid),
        Activation::Tanh => Some(PointwiseFn::Tanh),
    }
}
