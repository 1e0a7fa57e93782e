//! Checkpoints: a network's tensors and all of a run enter, a file leaves from which both continue to the same bits.
//!
//! A file is in the [safetensors](https://github.com/huggingface/safetensors) format, which holds no code and which
//! PyTorch, Keras and others read. Parameters and states stand under their paths in the source, such as
//! `hidden.weight`; everything else has a `/` in its name: `optimizer/0` (the memory of the first optimizer),
//! `callback/…`, `preprocessing/…`, and `run/parameters` where moving averages stand under the paths. The metadata `dln` is a JSON text with the network's name, source and fingerprint,
//! the epoch, batch and step, the seed, the learning rates and the history. Random numbers are counted rather than drawn
//! one after another, so seed, epoch and step are all the state that they have.
//!
//! A file is written beside its place, synced and renamed, and the folder is synced: at every moment there is the old
//! file or the new one, complete. Reading checks the header against the file's length before it takes memory.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let checkpoint = dl_train::checkpoint::Checkpoint::open("run/best.safetensors")?;
//! println!("{} after {} epochs", checkpoint.network(), checkpoint.epoch().unwrap_or(0));
//! # Ok(())
//! # }
//! ```

mod difference;
mod error;
pub(crate) mod json;
mod read;
pub(crate) mod run;
mod section;
mod write;

pub use difference::{Difference, Matched};
pub use error::CheckpointError;
pub use read::{Checkpoint, newest};
pub use section::{NamedTensor, Section};
pub(crate) use write::partial;
pub use write::save;

#[cfg(test)]
mod tests;
