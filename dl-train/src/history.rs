//! What happened in training: one record for each epoch, and the curves drawn from them.
//!
//! It holds numbers only, no parameters.

use std::fs;
use std::path::Path;

use crate::picture::Picture;
use crate::picture::curves::{Curve, Figure};
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
        write(path.as_ref(), self.loss_curve().svg()?.as_bytes())
    }

    /// Writes the generalization curve as SVG: training and validation loss over the epochs, the best epoch marked.
    /// Missing folders are made.
    pub fn generalization_curve_svg(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        write(path.as_ref(), self.generalization_curve().svg()?.as_bytes())
    }

    /// The loss curve: the training loss over the epochs.
    pub fn loss_curve(&self) -> Picture {
        let curves = vec![self.curve("training loss", |record| record.train.loss)];
        Figure { title: "Loss curve", y_label: "loss", curves, best: None, words: None }.picture()
    }

    /// The generalization curve: training and validation loss over the epochs, the best epoch marked, and the
    /// [verdict](Self::verdict) in words.
    pub fn generalization_curve(&self) -> Picture {
        let curves = vec![
            self.curve("training loss", |record| record.train.loss),
            self.curve("validation loss", |record| record.validation.loss),
        ];
        let best = self.best().map(|record| (record.epoch, record.validation.loss));
        let words = Some(self.verdict().to_string());
        Figure { title: "Generalization curve", y_label: "loss", curves, best, words }.picture()
    }

    /// A table of comma-separated values: a line of names, then one for each epoch, with `train_` and `validation_` before
    /// loss and metrics.
    pub fn csv(&self) -> String {
        // Names of metrics are identifiers of the language, and nothing needs quotes.
        let mut text = String::from("epoch,seconds");
        for set in ["train", "validation"] {
            let names = self.epochs.first().map_or(&[][..], |record| &record.train.metrics);
            let names = std::iter::once("loss").chain(names.iter().map(|(name, _)| *name));
            names.for_each(|name| text += &format!(",{set}_{name}"));
        }
        for record in &self.epochs {
            text += &format!("\n{},{}", record.epoch, record.seconds);
            for evaluation in [&record.train, &record.validation] {
                let metrics = evaluation.metrics.iter().map(|&(_, value)| value);
                std::iter::once(evaluation.loss).chain(metrics).for_each(|value| text += &format!(",{value}"));
            }
        }
        text + "\n"
    }

    /// A JSON object a line for each epoch: `epoch`, `seconds`, and `train` and `validation` with loss and metrics by name.
    /// Numbers that are not finite are `null`.
    pub fn json_lines(&self) -> String {
        let object = |evaluation: &Evaluation| {
            let metrics = evaluation.metrics.iter().map(|&(name, value)| (name.to_owned(), value.into()));
            let loss = ("loss".to_owned(), evaluation.loss.into());
            serde_json::Value::Object(std::iter::once(loss).chain(metrics).collect())
        };
        let line = |record: &EpochRecord| {
            let (train, validation) = (object(&record.train), object(&record.validation));
            let EpochRecord { epoch, seconds, .. } = record;
            let line =
                serde_json::json!({"epoch": epoch, "seconds": seconds, "train": train, "validation": validation});
            format!("{line}\n")
        };
        self.epochs.iter().map(line).collect()
    }

    fn curve(&self, name: &'static str, value: impl Fn(&EpochRecord) -> f64) -> Curve {
        let points = self.epochs.iter().map(|record| (record.epoch, value(record))).collect();
        Curve { name, points }
    }
}

/// Writes a file; missing folders are made.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| TrainError::write(folder, error))?;
    }
    fs::write(path, bytes).map_err(|error| TrainError::write(path, error))
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
        assert!(history.generalization_curve().svg().unwrap().contains("best epoch: 2"));
    }

    #[test]
    fn logs_read_back_as_the_same_numbers() {
        let mut history = history(&[0.1, f64::NAN]);
        history.epochs[0].train.metrics = vec![("accuracy", 1.0 / 3.0)];
        history.epochs[0].validation.metrics = vec![("accuracy", 0.5)];
        let text = history.csv();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "epoch,seconds,train_loss,train_accuracy,validation_loss,validation_accuracy");
        assert_eq!(lines[1], "1,0.5,1,0.3333333333333333,0.1,0.5");
        assert_eq!(lines.len(), 3);
        let text = history.json_lines();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["train"]["accuracy"], 1.0 / 3.0);
        assert_eq!(lines[0]["epoch"], 1);
        assert!(lines[1]["validation"]["loss"].is_null());
        assert_eq!(History::default().json_lines(), "");
    }

    #[test]
    fn an_empty_history_has_no_best_epoch_and_no_curve() {
        let history = History::default();
        assert_eq!(history.best(), None);
        assert!(matches!(history.loss_curve().svg(), Err(TrainError::NothingToPlot)));
        assert!(matches!(history.loss_curve_svg("unused.svg"), Err(TrainError::NothingToPlot)));
    }
}
