//! The kernels: one file for each family, each function with a naive twin of the same name in `reference`.

mod chunk;
mod convolution;
mod epilogue;
mod halve;
mod matmul;
mod pointwise;
mod pool;
mod product;
mod rearrange;
mod reduce;
mod softmax;

pub use convolution::{Convolution2d, convolution2d, convolution2d_input, convolution2d_weight};
pub use epilogue::{Activation, Epilogue};
pub use matmul::{MatMul, Pack, matmul, matmul_weights, pack};
pub use pointwise::{Operand, Pointwise, broadcast, pointwise};
pub use pool::{Pool2d, avg_pool2d, avg_pool2d_gradient, max_pool2d, max_pool2d_gradient};
pub use rearrange::{Slice, concat, pad, slice};
pub use reduce::{Sum, example_weights, mean, sum, sum_batch};
pub use softmax::{Softmax, accuracy, cross_entropy, cross_entropy_gradient, softmax, softmax_gradient};
