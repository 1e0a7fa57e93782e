//! How large a program may become while it is unfolded: bounds that keep every compilation short and off the end of the stack.

/// Nodes of one graph.
pub(super) const MAX_NODES: usize = 100_000;

/// Floats of one tensor, and of all parameters of a network together.
pub(super) const MAX_FLOATS: usize = 1 << 31;

/// Dimensions of one tensor.
pub(super) const MAX_RANK: usize = 16;

/// Calls of functions and layers within each other.
pub(super) const MAX_CALLS: usize = 32;

/// Rounds of one `repeat`.
pub(super) const MAX_ROUNDS: i64 = 10_000;

/// Expressions within each other, through all calls.
pub(super) const MAX_DEPTH: usize = 400;

/// Expressions evaluated in one compilation.
pub(super) const MAX_STEPS: u64 = 3_000_000;

/// Diagnostics of one compilation.
pub(super) const MAX_DIAGNOSTICS: usize = 100;

/// Characters of a name, and of a parameter's path.
pub(super) const MAX_NAME: usize = 255;

/// The number of floats of a tensor of these dimensions, if it is within [`MAX_FLOATS`].
pub(super) fn floats(dims: &[usize]) -> Option<usize> {
    let mut product = 1usize;
    for &dim in dims {
        product = product.checked_mul(dim).filter(|&product| product <= MAX_FLOATS)?;
    }
    Some(product)
}
