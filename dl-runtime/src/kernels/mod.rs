//! The kernels: one file for each family, each function with a naive twin of the same name in `reference`.

mod batched_matmul;
mod causal_softmax;
mod chunk;
mod constraint;
mod convolution;
mod epilogue;
mod form;
mod gather;
mod halve;
mod matmul;
mod matmul_weights;
mod moments;
mod pack;
mod pointwise;
mod pointwise_sum;
mod pool;
mod product;
mod rearrange;
mod reduce;
mod softmax;
mod steps;
mod transpose;

pub use batched_matmul::{BatchedMatMul, Triangle, batched_matmul};
pub use causal_softmax::{CausalSoftmax, causal_softmax, causal_softmax_gradient};
pub(crate) use constraint::{ABREAST, squares};
pub use constraint::{Units, clip, max_norm, min_max_norm, non_negative, unit_norm};
pub use convolution::{
    Convolution2d, Filters, Method, convolution2d, convolution2d_input, convolution2d_last, convolution2d_moments,
    convolution2d_weight, convolution2d_weight_of_batch, convolution2d_weight_of_shard, depthwise2d, pack_filters,
};
pub use epilogue::{Activation, Epilogue};
pub use form::{Form, clear, deinterleave, interleave};
pub use gather::{Gather, float, gather, gather_gradient, one_hot, range};
pub use matmul::{Either, MatMul, matmul, matmul_either, matmul_unpacked};
pub use matmul_weights::matmul_weights;
pub use moments::deviations;
pub use pack::{Pack, pack};
pub use pointwise::{Operand, Pointwise, broadcast, pointwise, pointwise_part};
pub use pointwise_sum::pointwise_sum;
pub use pool::{
    Pool2d, avg_pool2d, avg_pool2d_gradient, max_pool2d, max_pool2d_gradient, pointwise_max_pool2d,
    pointwise_max_pool2d_gradient,
};
pub use rearrange::{Slice, concat, pad, slice};
pub use reduce::{Sum, batch_share, example_weights, max_reduce, mean, sum, sum_batch};
pub use softmax::{
    Softmax, accuracy, argmax, cross_entropy, cross_entropy_gradient, log_softmax, softmax, softmax_gradient,
};
pub use steps::{examples_first, reverse, step, step_and_next, steps_first};
pub use transpose::{Transpose, transpose};
