//! Plain numbers for the reference rules: values as row-major lists, in and out.

use ndarray::{ArrayD, IxDyn};

use crate::eval::Value;

/// The numbers of all examples in row-major order; a batch-wide value is repeated for each.
pub(super) fn batched(value: &Value, batch: usize) -> Vec<f64> {
    value.with_batch(batch).iter().copied().collect()
}

/// The numbers of a batch-wide value in row-major order.
pub(super) fn numbers(value: &Value) -> Vec<f64> {
    value.array.iter().copied().collect()
}

/// An array of these numbers in row-major order.
pub(super) fn array(dims: &[usize], numbers: Vec<f64>) -> ArrayD<f64> {
    let mut numbers = numbers.into_iter();
    ArrayD::from_shape_fn(IxDyn(dims), |_| numbers.next().unwrap_or(f64::NAN))
}

/// An array of these numbers with the batch axis before the dimensions of one example.
pub(super) fn per_example(batch: usize, dims: &[usize], numbers: Vec<f64>) -> ArrayD<f64> {
    array(&[&[batch], dims].concat(), numbers)
}

/// An array of these numbers, with the batch axis first if `value` has it.
pub(super) fn like(value: &Value, batch: usize, dims: &[usize], numbers: Vec<f64>) -> ArrayD<f64> {
    if value.per_example { per_example(batch, dims, numbers) } else { array(dims, numbers) }
}
