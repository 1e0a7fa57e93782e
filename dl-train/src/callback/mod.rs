//! Callbacks: what a training calls at its beginning and end, and at those of every epoch and batch.
//!
//! A callback sees where training is and what it has learned, and may change parameters, the learning rate and what is
//! frozen, ask for a checkpoint, or stop. Its own memory goes into checkpoints, so that a resumed run continues as if it
//! had never stopped. Callbacks are called in the order in which they were added; those of the network's own settings
//! come first. An epoch's validation is done when its end is called.

mod early_stopping;
mod freeze;
mod history_log;
mod learning_rate;
mod model_checkpoint;
mod monitor;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use dl_runtime::{Network, Rule, SettingError, Tensors, path_matches};

pub use early_stopping::EarlyStopping;
pub use freeze::Freeze;
pub use history_log::HistoryLog;
pub(crate) use learning_rate::Scheduled;
pub use learning_rate::{LearningRateScheduler, Moment, ReduceOnPlateau};
pub use model_checkpoint::ModelCheckpoint;
pub use monitor::Monitor;

use crate::checkpoint::Section;
use crate::{History, TrainError};

/// What a training calls. All hooks have a default that does nothing.
///
/// A callback is cloned for every run, so that two runs of one [`Trainer`](crate::Trainer) begin alike; what is to be
/// read outside of a run is shared through an [`Arc`].
///
/// ```
/// use dl_runtime::Network;
/// use dl_train::{Callback, Context, TrainError};
///
/// /// Stops when the training loss is small enough.
/// #[derive(Clone)]
/// struct GoodEnough(f64);
///
/// impl<N: Network> Callback<N> for GoodEnough {
///     fn name(&self) -> &str {
///         "good enough"
///     }
///     fn end_epoch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
///         if context.history.last().is_some_and(|record| record.train.loss < self.0) {
///             context.control.stop("the loss is small enough");
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Callback<N: Network>: Send {
    /// What messages and checkpoints call it.
    fn name(&self) -> &str;
    /// Before the first epoch, or before the next one of a resumed run.
    fn begin_run(&mut self, _context: &mut Context<'_, N>) -> Result<(), TrainError> {
        Ok(())
    }
    /// After the last epoch, however the run ended, unless by an error. What it makes of the parameters is returned.
    fn end_run(&mut self, _context: &mut Context<'_, N>) -> Result<(), TrainError> {
        Ok(())
    }
    /// Before the first batch of an epoch.
    fn begin_epoch(&mut self, _context: &mut Context<'_, N>) -> Result<(), TrainError> {
        Ok(())
    }
    /// After the validation of an epoch, whose record is the last one of the history.
    fn end_epoch(&mut self, _context: &mut Context<'_, N>) -> Result<(), TrainError> {
        Ok(())
    }
    /// Before a batch.
    fn begin_batch(&mut self, _context: &mut Context<'_, N>) -> Result<(), TrainError> {
        Ok(())
    }
    /// After a batch's step; its loss and metrics are in the report.
    fn end_batch(&mut self, _context: &mut Context<'_, N>) -> Result<(), TrainError> {
        Ok(())
    }
    /// Its memory, for a checkpoint.
    fn save(&self) -> Section {
        Section::default()
    }
    /// Takes its memory from a checkpoint. Called before [`begin_run`](Self::begin_run) of a resumed run, if the
    /// checkpoint has any.
    fn load(&mut self, _section: &Section) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Where a training is, and what a callback may change.
pub struct Context<'a, N: Network> {
    /// The epoch, from 1. At the beginning of a run the first one to come, at its end the last one.
    pub epoch: usize,
    /// How many epochs there are, at most.
    pub epochs: usize,
    /// The batch of the epoch, from 1; 0 before the first one.
    pub batch: usize,
    /// How many batches an epoch has.
    pub batches: usize,
    /// How many steps were done, in all epochs.
    pub step: u64,
    /// Losses and metrics of the last step, if there was one in this run.
    pub report: Option<N::Report>,
    /// The gradients of the last step, in the layout of the front of the parameters.
    pub gradients: &'a [f32],
    /// The parameters.
    pub parameters: &'a mut N::Parameters,
    /// Their moving averages after the last epoch, if the optimizers keep such: validation is done with these, and they
    /// are what training returns.
    pub average: Option<&'a N::Parameters>,
    /// The state.
    pub state: &'a mut N::State,
    /// One optimizer for each loss that has its own step.
    pub optimizers: &'a mut N::Optimizers,
    /// The epochs done.
    pub history: &'a History,
    /// What the run is asked to do.
    pub control: &'a mut Control,
}

impl<N: Network> Context<'_, N> {
    /// The learning rate of the next step; with several optimizers the first one's.
    pub fn learning_rate(&mut self) -> f32 {
        self.optimizers.as_mut().first().map_or(f32::NAN, |optimizer| optimizer.rule.learning_rate())
    }

    /// Sets the learning rate of all optimizers.
    ///
    /// # Errors
    /// If it is not a finite number of at least 0.
    pub fn set_learning_rate(&mut self, learning_rate: f32) -> Result<(), TrainError> {
        if !(learning_rate >= 0.0 && learning_rate.is_finite()) {
            return Err(TrainError::setting("learning_rate", "a finite number of at least 0", learning_rate));
        }
        for optimizer in self.optimizers.as_mut() {
            optimizer.rule.set_learning_rate(learning_rate);
        }
        Ok(())
    }

    /// Keeps the parameters of that pattern as they are from the next step on. A pattern is one of [`path_matches`], such
    /// as `features.*`.
    ///
    /// # Errors
    /// If no parameter matches.
    pub fn freeze(&mut self, pattern: &str) -> Result<(), TrainError> {
        let infos = N::Parameters::TENSORS;
        if !infos.iter().any(|info| path_matches(pattern, info.name)) {
            let paths = infos.iter().map(|info| info.name).collect();
            return Err(SettingError::NoSuchPath { pattern: pattern.to_owned(), paths }.into());
        }
        self.control.changed |= self.control.frozen.insert(pattern.to_owned());
        Ok(())
    }

    /// Takes back [`freeze`](Self::freeze) with the same pattern.
    pub fn unfreeze(&mut self, pattern: &str) {
        self.control.changed |= self.control.frozen.remove(pattern);
    }
}

/// What callbacks ask of a run.
#[derive(Debug, Default)]
pub struct Control {
    pub(crate) stop: Option<String>,
    pub(crate) saves: Vec<Save>,
    pub(crate) frozen: BTreeSet<String>,
    pub(crate) changed: bool,
}

/// A checkpoint to be written.
#[derive(Debug)]
pub(crate) struct Save {
    pub(crate) path: PathBuf,
    /// Whether the network's tensors are those that were validated rather than those that are trained.
    pub(crate) validated: bool,
    /// What is removed once it is written.
    pub(crate) remove: Vec<PathBuf>,
}

impl Control {
    /// Ends the run after this hook; the epoch under way is not finished.
    pub fn stop(&mut self, reason: impl Into<String>) {
        self.stop.get_or_insert(reason.into());
    }

    /// Writes a checkpoint of the run to that file once all callbacks of this hook were called. Its parameters are those
    /// that are trained.
    pub fn save(&mut self, path: impl Into<PathBuf>) {
        self.saves.push(Save { path: path.into(), validated: false, remove: Vec::new() });
    }

    /// The same, with the moving averages of the parameters, if there are such, as the parameters of the file: those that
    /// the last epoch was validated with. The run goes on from it as from any other.
    pub fn save_validated(&mut self, path: impl Into<PathBuf>) {
        self.saves.push(Save { path: path.into(), validated: true, remove: Vec::new() });
    }
}

/// Makes a callback for each run.
pub(crate) trait Prototype<N: Network>: Send + Sync {
    fn instance(&self) -> Box<dyn Callback<N>>;
}

impl<N: Network, C: Callback<N> + Clone + Sync + 'static> Prototype<N> for C {
    fn instance(&self) -> Box<dyn Callback<N>> {
        Box::new(self.clone())
    }
}

/// What a trainer holds of its callbacks.
pub(crate) type Prototypes<N> = Vec<Arc<dyn Prototype<N>>>;

/// The ranges of the parameters' block that patterns freeze, in order.
pub(crate) fn frozen_ranges<T: Tensors>(patterns: &BTreeSet<String>) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<_> = patterns.iter().flat_map(|pattern| T::ranges(pattern)).collect();
    ranges.sort_by_key(|range| range.start);
    ranges.dedup();
    ranges
}

#[cfg(test)]
mod tests;
