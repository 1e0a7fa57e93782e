//! A compiler for neural networks: a description becomes readable, statically shaped Rust, forward and backward.
//!
//! A network `Xor` becomes a module `xor` with plain functions over plain arrays, and a type `Xor` for code that is
//! generic over networks. Shapes are checked while the crate compiles, and a training step allocates nothing.
//!
//! ```
//! use dln::runtime::{Examples, Network, Report};
//!
//! dln::network! {
//!     /// Exclusive or, the smallest problem that needs a hidden layer.
//!     pub network Xor {
//!         input x: [2];
//!         label y: [1];
//!         logit = x |> hidden: dense(8) |> tanh |> dense(1);
//!         output probability = sigmoid(logit);
//!         loss binary_cross_entropy(logit, y);
//!         train { optimizer: adam(learning_rate: 0.05), batch: 4, epochs: 200 }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let examples = xor::Examples {
//!     x: vec![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]],
//!     y: vec![[0.0], [1.0], [1.0], [0.0]],
//! };
//! let (mut parameters, mut state) = Xor::initialize(1);
//! let mut optimizers = Xor::optimizers(Xor::settings().optimizer, 1);
//! let mut workspace = Xor::training_workspace(4, 1);
//! for _ in 0..Xor::settings().epochs {
//!     Xor::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None)?;
//! }
//!
//! let prepared = Xor::prepare(&parameters, &state);
//! let mut workspace = Xor::workspace(4, 1);
//! let report = Xor::evaluate(&prepared, &mut workspace, examples.batch())?;
//! assert!(report.loss() < 0.1);
//! let probabilities = xor::forward(&prepared, &mut workspace, &examples.x)?;
//! assert!(probabilities[0][0] < 0.5 && probabilities[1][0] > 0.5);
//! # Ok(())
//! # }
//! ```
//!
//! Three doors lead to one compiler, and the same description may stand behind each:
//!
//! - [`network!`] compiles what is written between its braces. Mistakes are underlined where they were written.
//! - [`include_network!`] compiles a `.dln` file.
//! - [`include_compiled!`] takes in what a build script compiled with `dl_build::compile("nets/lenet.dln")`; the
//!   generated file can be read, and has each source line above the steps it became.
//!
//! [`runtime`] holds what generated code calls: kernels, storage, optimizers, and the traits of a network. Generated
//! code reaches it as `::dln::runtime`; each door can be told another path, for a crate that names its dependency
//! otherwise.

pub use dl_macros::{include_network, network};
pub use dl_runtime as runtime;

/// Takes in the networks that a build script compiled, at item position.
///
/// After `dl_build::compile("nets/lenet.dln")` in `build.rs`, `dln::include_compiled!("lenet");` stands for
/// `include!(concat!(env!("OUT_DIR"), "/lenet.rs"));`.
#[macro_export]
macro_rules! include_compiled {
    ($name:literal) => {
        ::core::include!(::core::concat!(::core::env!("OUT_DIR"), "/", $name, ".rs"));
    };
}

/// The README's blocks of Rust, as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The same of the page on checkpoints.
#[cfg(doctest)]
#[doc = include_str!("../docs/checkpoints.md")]
struct Checkpoints;

/// The same of the chapter on training.
#[cfg(doctest)]
#[doc = include_str!("../docs/training.md")]
struct Training;
