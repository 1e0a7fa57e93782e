//! Early stopping: ends a run that no longer improves, and returns to its best epoch.

use dl_runtime::{Network, Tensors};
use serde_json::json;

use super::{Callback, Context, Monitor};
use crate::TrainError;
use crate::checkpoint::{Section, json as numbers};

/// Ends training when a number of the validation set has not improved for some epochs (Prechelt, Early stopping – but
/// when?, 1998).
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyStopping {
    patience: usize,
    min_delta: f64,
    restore_best: bool,
    monitor: Monitor,
    best: Option<f64>,
    since_best: usize,
    kept: Option<[Vec<f32>; 2]>,
}

impl EarlyStopping {
    /// Stops after `patience` epochs in a row, at least 1, that were no better than the best one. It looks at the
    /// validation loss and returns the best epoch's parameters.
    pub fn new(patience: usize) -> Self {
        Self {
            patience,
            min_delta: 0.0,
            restore_best: true,
            monitor: Monitor::loss(),
            best: None,
            since_best: 0,
            kept: None,
        }
    }

    /// An epoch counts as better only if it is so by more than that, at least 0.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// Whether the parameters and the state of the best epoch are returned rather than the last one's.
    pub fn restore_best(mut self, restore_best: bool) -> Self {
        self.restore_best = restore_best;
        self
    }

    /// What it looks at.
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }

    fn stop_if_due<N: Network>(&self, context: &mut Context<'_, N>) {
        if self.since_best >= self.patience {
            context.control.stop(format!("no improvement for {} epochs", self.since_best));
        }
    }
}

impl<N: Network> Callback<N> for EarlyStopping {
    fn name(&self) -> &str {
        "early_stopping"
    }

    fn begin_run(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        if self.patience == 0 {
            return Err(TrainError::setting("patience", "at least 1", 0));
        }
        if !(self.min_delta >= 0.0 && self.min_delta.is_finite()) {
            return Err(TrainError::setting("min_delta", "a finite number of at least 0", self.min_delta));
        }
        self.monitor.check::<N>()?;
        self.stop_if_due(context);
        Ok(())
    }

    fn end_epoch(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        let Some(record) = context.history.last() else { return Ok(()) };
        let value = self.monitor.value(record);
        if self.best.is_none_or(|best| value < best - self.min_delta) {
            self.best = Some(value);
            self.since_best = 0;
            if self.restore_best {
                let [parameters, state] = self.kept.get_or_insert_default();
                parameters.clear();
                let validated = context.average.unwrap_or(context.parameters);
                parameters.extend_from_slice(validated.as_slice());
                state.clear();
                state.extend_from_slice(context.state.as_slice());
            }
        } else {
            self.since_best = self.since_best.saturating_add(1);
        }
        self.stop_if_due(context);
        Ok(())
    }

    fn end_run(&mut self, context: &mut Context<'_, N>) -> Result<(), TrainError> {
        if let Some([parameters, state]) = &self.kept {
            context.parameters.as_mut_slice().copy_from_slice(parameters);
            context.state.as_mut_slice().copy_from_slice(state);
        }
        Ok(())
    }

    fn save(&self) -> Section {
        let best = self.best.map(numbers::float);
        let mut section = Section::new(json!({ "best": best, "since_best": self.since_best }).to_string());
        if let Some([parameters, state]) = &self.kept {
            section.push("parameters", parameters);
            section.push("state", state);
        }
        section
    }

    fn load(&mut self, section: &Section) -> Result<(), TrainError> {
        let values = section.values()?;
        self.best = values.get("best").and_then(numbers::to_float);
        self.since_best = numbers::count(&values, "since_best")?;
        let kept = |name, floats| section.floats(name, floats).map(<[f32]>::to_vec);
        self.kept = match section.tensor("parameters") {
            Some(_) => Some([
                kept("parameters", N::Parameters::zeros().as_slice().len())?,
                kept("state", N::State::zeros().as_slice().len())?,
            ]),
            None => None,
        };
        Ok(())
    }
}
