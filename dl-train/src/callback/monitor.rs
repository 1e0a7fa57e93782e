//! What early stopping, checkpoints and plateaus look at: a number of the validation set, and which way is better.

use dl_runtime::{Network, Report};

use crate::{EpochRecord, TrainError};

/// A number of the validation set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Monitor {
    /// The loss, or the metric of that name.
    metric: Option<String>,
    higher_is_better: bool,
}

impl Monitor {
    /// The loss, the lower the better.
    pub fn loss() -> Self {
        Self::default()
    }

    /// A metric, the higher the better.
    pub fn highest(metric: impl Into<String>) -> Self {
        Self { metric: Some(metric.into()), higher_is_better: true }
    }

    /// A metric, the lower the better.
    pub fn lowest(metric: impl Into<String>) -> Self {
        Self { metric: Some(metric.into()), higher_is_better: false }
    }

    /// What it looks at: `loss` or the name of the metric.
    pub(crate) fn name(&self) -> &str {
        self.metric.as_deref().unwrap_or("loss")
    }

    /// The number so signed that lower is better.
    pub(crate) fn signed(&self, value: f64) -> f64 {
        if self.higher_is_better { -value } else { value }
    }

    /// Checks that the network has such a metric.
    pub(crate) fn check<N: Network>(&self) -> Result<(), TrainError> {
        let names = <N::Report as Report>::METRICS;
        match &self.metric {
            Some(name) if !names.contains(&name.as_str()) => {
                Err(TrainError::NoSuchMetric { name: name.clone(), names: names.to_vec() })
            }
            _ => Ok(()),
        }
    }

    /// The number of an epoch, so signed that lower is better; NaN if there is none.
    pub(super) fn value(&self, record: &EpochRecord) -> f64 {
        let value = match &self.metric {
            None => record.validation.loss,
            Some(name) => record.validation.metric(name).unwrap_or(f64::NAN),
        };
        self.signed(value)
    }
}
