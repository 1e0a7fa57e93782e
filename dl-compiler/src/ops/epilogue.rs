//! What products and convolutions do to each result before they store it: shape rule, semantics, text.

use super::{PointwiseFn, Violation, shape};
use crate::graph::Type;
use crate::program::{Activation, Epilogue};

/// As dumps show it: `+bias relu`; empty if nothing is done.
pub(super) fn show(epilogue: &Epilogue) -> String {
    let mut parts = Vec::new();
    parts.extend(epilogue.bias.then_some("+bias"));
    parts.extend(function(epilogue.activation).map(PointwiseFn::name));
    parts.join(" ")
}

/// Checks the bias, operand number 2, against constraint number `constraint`.
pub(super) fn infer(
    epilogue: &Epilogue,
    constraint: usize,
    outputs: usize,
    operands: &[&Type],
) -> Result<(), Violation> {
    match operands.get(2) {
        Some(bias) if epilogue.bias => {
            shape::batch_wide(constraint, 2, bias)?;
            shape::same_dims(constraint, 2, &[outputs], bias)
        }
        _ => Ok(()),
    }
}

/// Adds `bias[i / inner mod bias.len()]` to result `i`, then applies the activation.
pub(super) fn eval(epilogue: &Epilogue, results: &mut [f64], bias: Option<&[f64]>, inner: usize) {
    if let (true, Some(bias)) = (epilogue.bias, bias) {
        for (place, result) in results.iter_mut().enumerate() {
            *result += bias[place / inner % bias.len()];
        }
    }
    if let Some(function) = function(epilogue.activation) {
        for result in results {
            *result = function.eval(&[*result]);
        }
    }
}

/// Operations for each result.
pub(super) fn flops(epilogue: &Epilogue, results: usize) -> usize {
    let each = usize::from(epilogue.bias) + usize::from(function(epilogue.activation).is_some());
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
