//! Metrics of whole sets: predictions and labels enter batch by batch, numbers leave.
//!
//! Each is an accumulator with `update`, which takes a batch of any size, and functions that give the value of all that was
//! seen so far; unequal batches weigh what their examples weigh. Sums are in f64. A refused batch changes nothing.
//! A metric that is a mean over examples, like accuracy, may also be written in the network; it then comes with each
//! [`Evaluation`](crate::Evaluation).
//!
//! - [`ConfusionMatrix`]: accuracy, precision, recall, specificity, F-beta, intersection over union, Matthews, kappa.
//! - [`BinaryScores`]: ROC, its area, precision-recall curve, average precision, the choice of a threshold.
//! - [`Probabilities`]: top-k accuracy, log loss, perplexity.
//! - [`Regression`], [`MultiOutputRegression`]: mean errors and R².
//!
//! Each also takes batches with a weight for each example (`update_weighted`).

mod balanced_accuracy;
mod confusion;
mod error;
mod probabilities;
mod regression;
mod scores;
#[cfg(test)]
mod testing;

pub use balanced_accuracy::balanced_accuracy;
pub use confusion::{Average, ConfusionMatrix};
pub use error::MetricError;
pub use probabilities::Probabilities;
pub use regression::{MultiOutputRegression, Regression};
pub use scores::{BinaryLabel, BinaryScores, CurvePoint, Threshold};
