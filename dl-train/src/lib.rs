//! Training of compiled networks: a network's type and its examples enter; trained parameters, a history and
//! curves leave.
//!
//! ```text
//! let trained = Trainer::<Digits>::new().seed(1).plots("target/digits").fit(&train, &validation)?;
//! let evaluation = trained.evaluate(&test)?;         // loss, and each metric by name
//! ```
//!
//! - [`Trainer`], [`fit`]: shuffled mini-batches, early stopping, progress; [`evaluate`] for loss and metrics alone,
//!   [`predict`] for outputs.
//! - [`callback`]: what is called at every epoch and batch: early stopping, schedules, freezing, your own.
//! - [`checkpoint`]: files that hold a network or a whole run, to be resumed to the same bits.
//! - [`History`]: what happened in each epoch, and its curves as SVG.
//! - [`search`]: grid and random search over networks and their settings, with cross-validation.
//! - [`split`]: seeded splits into training and test part; [`Standardizer`]: columns to mean 0 and deviation 1.
//! - [`data`]: readers of files, sets of examples, class weights, preprocessing, augmentation, batches made ahead.
//! - [`metrics`]: what is not a mean over examples.
//! - [`picture`]: curves, confusion matrices, decision boundaries and filters as SVG and PNG; [`tensorboard`]: event files.
//!
//! Everything is a function of the data, the settings and the seed; the number of threads does not change a bit of
//! it. The crate knows of a network only what the trait [`Network`](dl_runtime::Network) says.

pub mod callback;
pub mod checkpoint;
pub mod data;
mod error;
mod evaluate;
mod history;
mod interrupt;
pub mod metrics;
pub mod picture;
mod progress;
pub mod search;
pub mod split;
mod standardizer;
pub mod tensorboard;
#[cfg(test)]
mod testing;
mod trainer;
mod verdict;

pub use callback::{
    Callback, Context, Control, EarlyStopping, Freeze, HistoryLog, LearningRateScheduler, ModelCheckpoint, Monitor,
    ReduceOnPlateau,
};
pub use checkpoint::{Checkpoint, CheckpointError, Section};
pub use error::{Spoiled, TrainError};
pub use evaluate::{Evaluation, evaluate, predict};
pub use history::{EpochRecord, History};
pub use picture::Picture;
pub use progress::Progress;
pub use standardizer::Standardizer;
pub use tensorboard::TensorBoard;
pub use trainer::{End, Trained, Trainer, fit};
pub use verdict::{Fit, Verdict};
