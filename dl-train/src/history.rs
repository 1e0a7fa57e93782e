//! What happened in training: one record for each epoch, and the curves drawn from them.
//!
//! It holds numbers only, no parameters.

use std::fs;
use std::path::Path;

use crate::curves::{Curve, Figure};
use crate::{Evaluation, TrainError};

/// One epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochRecord {
    /// Its number, from 1.
    pub epoch: usize,
    /// Loss and metrics over the training batches, each before its own update.
    pub train: Evaluation,
    /// Loss and metrics over the validation set, after the epoch.
    pub validation: Evaluation,
    /// The time it took, in seconds.
    pub seconds: f64,
}

/// The epochs of a training.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// One record for each epoch, in order.
    pub epochs: Vec<EpochRecord>,
    /// Whether training ended before its last epoch, because the validation loss no longer improved.
    pub stopped_early: bool,
}

impl History {
    /// The epoch with the lowest validation loss, the first of equal ones.
    pub fn best(&self) -> Option<&EpochRecord> {
        self.epochs.iter().min_by(|a, b| a.validation.loss.total_cmp(&b.validation.loss))
    }

    /// The last epoch.
    pub fn last(&self) -> Option<&EpochRecord> {
        self.epochs.last()
    }

    /// The time all epochs took, in seconds.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|record| record.seconds).sum()
    }

    /// Writes the loss curve as SVG: the training loss over the epochs. Missing folders are made.
    pub fn loss_curve_svg(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        write(path.as_ref(), &self.loss_curve()?)
    }

    /// Writes the generalization curve as SVG: training and validation loss over the epochs, the best epoch marked.
    /// Missing folders are made.
    pub fn generalization_curve_svg(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        write(path.as_ref(), &self.generalization_curve()?)
    }

    /// The text of [`loss_curve_svg`](Self::loss_curve_svg).
    pub fn loss_curve(&self) -> Result<String, TrainError> {
        let curves = vec![self.curve("training loss", |record| record.train.loss)];
        Figure { title: "Loss curve", y_label: "loss", curves, best: None }.svg()
    }

    /// The text of [`generalization_curve_svg`](Self::generalization_curve_svg).
    pub fn generalization_curve(&self) -> Result<String, TrainError> {
        let curves = vec![
            self.curve("training loss", |record| record.train.loss),
            self.curve("validation loss", |record| record.validation.loss),
        ];
        let best = self.best().map(|record| (record.epoch, record.validation.loss));
        Figure { title: "Generalization curve", y_label: "loss", curves, best }.svg()
    }

    fn curve(&self, name: &'static str, value: impl Fn(&EpochRecord) -> f64) -> Curve {
        let points = self.epochs.iter().map(|record| (record.epoch, value(record))).collect();
        Curve { name, points }
    }
}

fn write(path: &Path, svg: &str) -> Result<(), TrainError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| TrainError::write(folder, error))?;
    }
    fs::write(path, svg).map_err(|error| TrainError::write(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(validation: &[f64]) -> History {
        let evaluation = |loss| Evaluation { loss, metrics: vec![] };
        let record =
            |(epoch, &loss)| EpochRecord { epoch, train: evaluation(1.0), validation: evaluation(loss), seconds: 0.5 };
        History { epochs: (1..).zip(validation).map(record).collect(), stopped_early: false }
    }

    #[test]
    fn the_first_of_equally_good_epochs_is_the_best() {
        let history = history(&[0.9, 0.4, 0.4, 0.5]);
        assert_eq!(history.best().unwrap().epoch, 2);
        assert_eq!(history.last().unwrap().epoch, 4);
        assert_eq!(history.seconds(), 2.0);
        assert!(history.generalization_curve().unwrap().contains("best epoch: 2"));
    }

    #[test]
    fn an_empty_history_has_no_best_epoch_and_no_curve() {
        let history = History::default();
        assert_eq!(history.best(), None);
        assert!(matches!(history.loss_curve(), Err(TrainError::NothingToPlot)));
        assert!(matches!(history.loss_curve_svg("unused.svg"), Err(TrainError::NothingToPlot)));
    }
}
