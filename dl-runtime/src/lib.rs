//! What compiled networks call: SIMD kernels, aligned storage, threads, random numbers, optimizers, checkpoints.
//!
//! Generated code is safe Rust over this crate; all `unsafe` of the project lives here, each block behind a safe
//! face. Everything is single precision, row major, one example after another, and no kernel allocates. The crate
//! knows nothing of the compiler and reads no files.

mod block;
pub mod checkpoint;
mod error;
mod initializer;
mod kernels;
mod network;
mod optimizer;
mod random;
#[doc(hidden)]
pub mod reference;
mod schedule;
mod segments;
mod simd;
pub mod small;
mod team;
mod tensor;

pub use block::{Block, cut};
pub use error::{
    ExampleWeights, InputError, LoadError, check_examples, check_finite, check_indices, check_length, check_weights,
    first_not_finite,
};
pub use initializer::Initializer;
pub use kernels::*;
pub use network::{Examples, Network, Report, Settings, TensorInfo, Tensors};
pub use optimizer::{
    AdaDelta, AdaGrad, Adam, AdamW, AmsGrad, Clip, Dealing, Decay, Ftrl, Gradients, Lion, MAX_SLOTS, NAdam, Optimizer,
    Options, OutOfRange, Part, ProximalAdaGrad, ProximalGradient, RmsProp, Rule, SettingError, Sgd, path_matches,
};
pub use random::{Draw, Rng, bernoulli, draw_bits, normal, philox, uniform};
pub use schedule::{Plateau, PlateauState, Schedule, Shape, WarmUp};
pub use segments::{SHARD, Segments, Shards};
pub use simd::{Isa, Lane, isa};
pub use team::{Kept, Shard, Team};
pub use tensor::{Tensor, flat, view, view_mut, views};
