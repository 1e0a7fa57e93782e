//! What shape rules share: sizes that cannot overflow, and checks that say what was expected and found.

use std::fmt;

use super::Violation;
use crate::graph::{Element, Type};

/// How many elements there are; `None` if that is more than a `usize` holds.
pub fn elements(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim))
}

/// The product of dimensions, at most `usize::MAX`.
pub fn product(dims: &[usize]) -> usize {
    elements(dims).unwrap_or(usize::MAX)
}

/// The first `N` dimensions; 1 for each that is missing.
pub fn fixed<const N: usize>(dims: &[usize]) -> [usize; N] {
    std::array::from_fn(|axis| dims.get(axis).copied().unwrap_or(1))
}

/// A tensor seen as rows: how many, and how long each is.
pub fn rows(dims: &[usize]) -> (usize, usize) {
    match dims.split_last() {
        Some((last, rest)) => (product(rest), *last),
        None => (1, 1),
    }
}

/// Fails with `expected …, found …` unless `holds`.
pub fn expect(
    holds: bool,
    constraint: usize,
    operand: usize,
    expected: impl fmt::Display,
    found: &Type,
) -> Result<(), Violation> {
    if holds {
        return Ok(());
    }
    let message = format!("expected {expected}, found {found}");
    Err(Violation::new(constraint, operand, message))
}

/// Fails unless the operand holds `f32`.
pub fn floats(constraint: usize, operand: usize, found: &Type) -> Result<(), Violation> {
    let holds = found.element == Element::F32;
    expect(holds, constraint, operand, "a tensor of f32", found)
}

/// Fails unless the operand holds `f32` and every example has its own.
pub fn per_example(constraint: usize, operand: usize, found: &Type) -> Result<(), Violation> {
    floats(constraint, operand, found)?;
    let holds = found.per_example;
    expect(holds, constraint, operand, "a value for each example", found)
}

/// Fails unless the operand holds `f32` and is the same for the whole batch.
pub fn batch_wide(constraint: usize, operand: usize, found: &Type) -> Result<(), Violation> {
    floats(constraint, operand, found)?;
    let expected = "a batch-wide value, such as a parameter";
    expect(!found.per_example, constraint, operand, expected, found)
}

/// `[channels, height, width]` of an operand that must be one `f32` image for each example.
pub fn image(constraint: usize, operand: usize, found: &Type) -> Result<[usize; 3], Violation> {
    per_example(constraint, operand, found)?;
    let holds = found.dims.len() == 3;
    expect(holds, constraint, operand, "[channels, height, width]", found)?;
    Ok(fixed(&found.dims))
}

/// How many places an axis has, which the operand must have.
pub fn axis(constraint: usize, operand: usize, axis: usize, found: &Type) -> Result<usize, Violation> {
    expect(axis < found.dims.len(), constraint, operand, format_args!("more than {axis} axes"), found)?;
    Ok(found.dims.get(axis).copied().unwrap_or(0))
}

/// Fails unless the operand has these dimensions.
pub fn same_dims(constraint: usize, operand: usize, expected: &[usize], found: &Type) -> Result<(), Violation> {
    let holds = found.dims == expected;
    expect(holds, constraint, operand, format_args!("{expected:?}"), found)
}
