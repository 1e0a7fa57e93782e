//! Convolution of one example after another, for batches too small for lanes: sixteen pixels side by side.
//!
//! [`abreast`] has sixteen filters side by side, where that costs less;
//! [`correlation`] finds the sixteen pixels of each tap in the rows of the source or in a small block on the stack,
//! [`scatter`] turns the strided input gradient round, [`weight`] multiplies rows of pixels by rows of pixels, and
//! [`geometry`] knows which pixel meets which.

pub(super) mod abreast;
pub(super) mod correlation;
pub(super) mod geometry;
pub(super) mod scatter;
pub(super) mod turn;
pub(super) mod weight;
