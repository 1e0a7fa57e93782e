//! Learning rates that change: by a formula of the step, or when the validation set no longer improves.

use std::fmt;
use std::sync::Arc;

use dl_runtime::{Network, Plateau, PlateauState, Schedule};
use serde_json::json;

use super::{Callback, Context, Monitor};
use crate::TrainError;
use crate::checkpoint::{Section, json as numbers};

/// Where a training is when it asks for a learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// How many steps were done before this one.
    pub step: u64,
    /// Steps of one epoch.
    pub steps_per_epoch: usize,
    /// The epoch, from 1.
    pub epoch: usize,
    /// How many epochs there are, at most.
    pub epochs: usize,
}

/// Sets the learning rate before every step by a function of the moment.
///
/// ```
/// use dl_train::LearningRateScheduler;
///
/// // A tenth of the rate after every ten epochs.
/// let scheduler = LearningRateScheduler::new(|moment| 0.1 * 0.1_f32.powi((moment.epoch as i32 - 1) / 10));
/// ```
#[derive(Clone)]
pub struct LearningRateScheduler {
    rate: Arc<dyn Fn(Moment) -> f32 + Send + Sync>,
}

impl LearningRateScheduler {
    /// With that function, which gives a finite number of at least 0.
    pub fn new(rate: impl Fn(Moment) -> f32 + Send + Sync + 'static) -> Self {
        Self { rate: Arc::new(rate) }
    }
}

impl fmt::Debug for LearningRateScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearningRateScheduler").finish_non_exhaustive()
    }
}

impl<N: Network> Callback<N> for LearningRateScheduler {
    fn name(&self) -> &str {
        "learning_rate_scheduler"
    }

    fn begin_batch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        let (steps_per_epoch, epoch, epochs) = (context.batches, context.epoch, context.epochs);
        context.set_learning_rate((self.rate)(Moment { step: context.step, steps_per_epoch, epoch, epochs }))
    }
}

/// Sets the learning rate before every step as a [`Schedule`] says.
#[derive(Debug, Clone)]
pub(crate) struct Scheduled {
    schedule: Schedule,
    /// The rate that the schedule multiplies.
    base: f32,
    plateau: Option<Plateau>,
}

impl Scheduled {
    pub(crate) fn new(schedule: &Schedule, base: f32) -> Self {
        Self { schedule: schedule.clone(), base, plateau: schedule.plateau() }
    }
}

impl<N: Network> Callback<N> for Scheduled {
    fn name(&self) -> &str {
        "schedule"
    }

    fn begin_batch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        let factor = self.plateau.map_or(1.0, |plateau| plateau.factor());
        let rate = self.schedule.rate(f64::from(self.base), context.step, context.batches as u64);
        context.set_learning_rate((factor * rate) as f32)
    }

    fn end_epoch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        if let (Some(plateau), Some(record)) = (&mut self.plateau, context.history.last()) {
            plateau.observe(record.validation.loss);
        }
        Ok(())
    }

    fn save(&self) -> Section {
        let Some(plateau) = self.plateau else { return Section::new("null") };
        let PlateauState { factor, lowest, waited, resting } = plateau.state();
        let (factor, lowest) = (numbers::float(factor), numbers::float(lowest));
        Section::new(json!({ "factor": factor, "lowest": lowest, "waited": waited, "resting": resting }).to_string())
    }

    fn load(&mut self, section: &Section) -> Result<(), TrainError> {
        let values = section.values()?;
        let Some(plateau) = self.plateau.as_mut().filter(|_| !values.is_null()) else { return Ok(()) };
        let float = |name| values.get(name).and_then(numbers::to_float).ok_or_else(|| numbers::missing(name));
        let count = |name| u32::try_from(numbers::count(&values, name)?).map_err(|_| numbers::missing(name));
        plateau.set_state(PlateauState {
            factor: Some(float("factor")?)
                .filter(|factor| (0.0..=1.0).contains(factor))
                .ok_or_else(|| numbers::missing("factor"))?,
            lowest: float("lowest")?,
            waited: count("waited")?,
            resting: count("resting")?,
        });
        Ok(())
    }
}

/// Multiplies the learning rate by a factor when a number of the validation set has not improved for some epochs.
///
/// A scheduler in the same training overwrites what this does.
#[derive(Debug, Clone, PartialEq)]
pub struct ReduceOnPlateau {
    factor: f32,
    patience: usize,
    min_delta: f64,
    min_rate: f32,
    monitor: Monitor,
    best: Option<f64>,
    since_best: usize,
}

impl ReduceOnPlateau {
    /// Multiplies by `factor`, between 0 and 1, after `patience` epochs in a row, at least 1, that were no better than
    /// the best one. It looks at the validation loss.
    pub fn new(factor: f32, patience: usize) -> Self {
        Self { factor, patience, min_delta: 0.0, min_rate: 0.0, monitor: Monitor::loss(), best: None, since_best: 0 }
    }

    /// An epoch counts as better only if it is so by more than that, at least 0.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// The learning rate does not fall below that.
    pub fn min_rate(mut self, min_rate: f32) -> Self {
        self.min_rate = min_rate;
        self
    }

    /// What it looks at.
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }
}

impl<N: Network> Callback<N> for ReduceOnPlateau {
    fn name(&self) -> &str {
        "reduce_on_plateau"
    }

    fn begin_run(&mut self, _context: &mut Context<'_, N>) -> Result<(), TrainError> {
        if !(self.factor > 0.0 && self.factor < 1.0) {
            return Err(TrainError::setting("factor", "a number between 0 and 1", self.factor));
        }
        if self.patience == 0 {
            return Err(TrainError::setting("patience", "at least 1", 0));
        }
        if !(self.min_delta >= 0.0 && self.min_delta.is_finite()) {
            return Err(TrainError::setting("min_delta", "a finite number of at least 0", self.min_delta));
        }
        self.monitor.check::<N>()
    }

    fn end_epoch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        let Some(record) = context.history.last() else { return Ok(()) };
        let value = self.monitor.value(record);
        if self.best.is_none_or(|best| value < best - self.min_delta) {
            self.best = Some(value);
            self.since_best = 0;
            return Ok(());
        }
        self.since_best = self.since_best.saturating_add(1);
        if self.since_best < self.patience {
            return Ok(());
        }
        self.since_best = 0;
        let rate = context.learning_rate();
        let reduced = (rate * self.factor).max(self.min_rate);
        if reduced < rate { context.set_learning_rate(reduced) } else { Ok(()) }
    }

    fn save(&self) -> Section {
        let best = self.best.map(numbers::float);
        Section::new(json!({ "best": best, "since_best": self.since_best }).to_string())
    }

    fn load(&mut self, section: &Section) -> Result<(), TrainError> {
        let values = section.values()?;
        self.best = values.get("best").and_then(numbers::to_float);
        self.since_best = numbers::count(&values, "since_best")?;
        Ok(())
    }
}
