//! A naive twin of every kernel, under the same name and with the same signature: plainly right loops that sum in
//! double precision. Tests compare the kernels with them; nothing else calls them.

mod constraint;
mod convolution;
mod epilogue;
mod form;
mod gather;
mod matmul;
mod pointwise;
mod pool;
mod rearrange;
mod reduce;
mod softmax;
mod steps;
mod transpose;

pub use constraint::{clip, max_norm, min_max_norm, non_negative, unit_norm};
pub use convolution::{
    convolution2d, convolution2d_input, convolution2d_moments, convolution2d_weight, depthwise2d, pack_filters,
};
pub use form::{deinterleave, interleave};
pub use gather::{float, gather, gather_gradient, one_hot, range};
pub use matmul::{batched_matmul, matmul, matmul_weights, pack};
pub use pointwise::{broadcast, pointwise, pointwise_part};
pub use pool::{avg_pool2d, avg_pool2d_gradient, max_pool2d, max_pool2d_gradient};
pub use rearrange::{concat, pad, slice};
pub use reduce::{batch_share, deviations, example_weights, max_reduce, mean, sum, sum_batch};
pub use softmax::{
    accuracy, argmax, causal_softmax, causal_softmax_gradient, cross_entropy, cross_entropy_gradient, log_softmax,
    softmax, softmax_gradient,
};
pub use steps::{examples_first, reverse, steps_first};
pub use transpose::transpose;
